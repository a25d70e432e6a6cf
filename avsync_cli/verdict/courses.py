"""Courses that a file's lag may take, with all their probabilities: a hidden Markov chain.

A lag lasts, wanders a little and steps, while its speaker is seen or not. A shot, if shots are
known, may show anybody else, and it may have a lag of its own: one angle of several whose camera
ran late, or a reply that was laid in wrongly. So may some seconds within one, in which the sound
slipped and was caught again. What tells these from somebody who listens is that they agree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise

import numpy as np

from avsync_cli.verdict.agreement import log_sum

OTHER_SHOT = 0.3
"""How likely it is that a shot shows somebody, or something, that does not go with the sound.
Taken, not fitted; it and `ends.AGAINST_SHOWN` were tried on 60 scenes of validation clips
(docs/measurements.md), and judged by others."""

SEEN_S, UNSEEN_S = 600.0, 10.0
"""How long a speaker is seen, and not seen, on the average, in one and the same shot. Films show
others more often in shots of their own; but taken to be rare, a weak ending that points elsewhere
is doubted rather than passed over."""

ASTRAY_S = 5.0
"""How long a lag is another, on the average, that returns while no cut is seen."""

GAP = 1.5
"""Rows further apart than so many times the least are not known to be of one shot."""

MOST_MOVES = 400
"""Moves by a column that are reckoned from one row to the next: those of three hours."""


@dataclass(frozen=True)
class Chain:
    """Courses of the lag: one state for each lag with its speaker seen, one for each unseen, and,
    where shots or seconds may have lags of their own, one for each that the lag returns to then.

    Attributes:
        chances: (T - 1,) of a step between a row and the next.
        lasting_s: (T - 1,) from a row to the next.
        anew: (T - 1,) whether the next one shows another shot.
        wander: chance that the lag moves by a column to either side, in a second.
        lags: how many there are.
        own_share: chance that a shot has a lag of its own, after which the old one returns.
        astray: (T - 1,) chance that the lag is another from the next row on, for some seconds, and
            then the old one again; None where that does not happen.
        leads_to: (O,) log-probabilities of the lag that a file begins with and that a step leads
            to; None where it may be any.
    """

    chances: np.ndarray
    lasting_s: np.ndarray
    anew: np.ndarray
    wander: float
    lags: int
    own_share: float = 0.0
    astray: np.ndarray | None = None
    leads_to: np.ndarray | None = None

    @property
    def turned(self) -> Chain:
        """The same from the last row to the first."""
        chances, lasting_s, anew = self.chances[::-1], self.lasting_s[::-1], self.anew[::-1]
        return replace(self, chances=chances, lasting_s=lasting_s, anew=anew)

    def with_own_lags(self, share: float, *, anywhere: bool = True) -> Chain | None:
        """The same, in which a shot between two others may have a lag of its own, as in so large a
        share of all films, and in as many some seconds; None where neither can be.

        Args:
            share: of films.
            anywhere: whether seconds may that are no shot.
        """
        between = int(self.anew.sum()) - 1
        if between <= 0 and not anywhere:
            return None
        astray = share * self.lasting_s / self.lasting_s.sum() if anywhere else None
        return replace(self, own_share=share / between if between > 0 else 0.0, astray=astray)

    @property
    def none_own(self) -> float:
        """Log-probability that no shot, and no seconds, have a lag of their own."""
        none = int(self.anew.sum()) * math.log1p(-self.own_share)
        return none if self.astray is None else none + float(np.log1p(-self.astray).sum())

    @property
    def _led_to(self) -> np.ndarray:
        """(O,) log-probabilities of the lag after a step, or of the first."""
        if self.leads_to is None:
            return np.full(self.lags, -math.log(self.lags))
        return self.leads_to

    @property
    def _kinds(self) -> int:
        """Seen and unseen; in a shot with a lag of its own; astray."""
        return 2 + (self.own_share > 0) + (self.astray is not None)

    @property
    def _share(self) -> np.ndarray:
        """(2,) log-probabilities of seen and unseen at any time."""
        if self.anew.any():
            shown: np.ndarray = np.log(np.array([1.0 - OTHER_SHOT, OTHER_SHOT]))
            return shown
        hide, show = (1.0 - math.exp(-float(self.lasting_s.min()) / s) for s in (SEEN_S, UNSEEN_S))
        return np.log(np.array([show, hide]) / (show + hide))

    @property
    def _gaps(self) -> np.ndarray:
        """(T - 1,) whether what follows is not known to be the same shot."""
        gaps: np.ndarray = self.lasting_s > GAP * float(self.lasting_s.min())
        return gaps

    @property
    def _entered(self) -> np.ndarray:
        """(kinds,) log-probabilities with which a course begins, or a lag after a step: what has a
        lag of its own from the first row on, or up to the last one, is a step as any other."""
        entered: np.ndarray = np.r_[self._share, [-math.inf] * (self._kinds - 2)]
        return entered

    def _move(self, row: int) -> np.ndarray:
        """Log-probabilities (kinds, kinds) from how it was (rows), the row before, to how it is,
        without a step."""
        kept = math.log1p(-self.chances[row - 1])
        move: np.ndarray = np.full((self._kinds, self._kinds), -math.inf)
        least_s, gap_s = float(self.lasting_s.min()), float(self.lasting_s[row - 1])
        if self.anew[row - 1]:
            move[:, :2] = self._share + kept + math.log1p(-self.own_share)
            if self.own_share > 0:
                move[:, 2] = math.log(self.own_share) + kept
        else:
            hide, show = (1.0 - math.exp(-least_s / s) for s in (SEEN_S, UNSEEN_S))
            # What is left, after many rows' time, of how it was; 1 - hide - show after one.
            left = max(1.0 - hide - show, 1e-9) ** (gap_s / least_s)
            hide, show = (rate * (1.0 - left) / (hide + show) for rate in (hide, show))
            move[:2, :2] = np.log(np.array([[1.0 - hide, hide], [show, 1.0 - show]])) + kept
            if self.own_share > 0 and gap_s > GAP * least_s:
                move[2, :2] = self._share + kept
            elif self.own_share > 0:
                move[2, 2] = kept
        if self.astray is not None:
            goes, back = float(self.astray[row - 1]), 1.0 - math.exp(-gap_s / ASTRAY_S)
            move[:2, :-1] += math.log1p(-goes)
            move[:-1, -1], move[:2, -1] = -math.inf, math.log(goes) + kept
            move[-1], move[-1, -1] = -math.inf, math.log1p(-back) + kept
            move[-1, :2] = math.log(back) + self._share + kept
        return move

    def _said(self, votes: np.ndarray) -> list[np.ndarray]:
        """For each kind, (T, O) or (T, 1) log-probabilities of the rows by the course's lag."""
        said = [votes, np.full((len(votes), 1), -math.log(self.lags))]
        if self.own_share > 0:
            said.append(_of_own_lags(votes, self.anew | self._gaps)[:, None])
        if self.astray is not None:
            said.append(_as_before(votes, self._gaps)[:, None])
        return said

    def forward(self, votes: np.ndarray) -> tuple[np.ndarray, float]:
        """All courses summed up.

        Returns:
            (T - 1,) log-probability of the rows up to each but the last, and that of all rows.
        """
        entered, said = self._entered, self._said(votes)
        sums = np.empty(len(votes) - 1)
        courses = [e + self._led_to + s[0] for e, s in zip(entered, said, strict=True)]
        for row in range(1, len(votes)):
            sums[row - 1] = log_sum(reduce(np.logaddexp, courses))
            came = [self._wandered(course, row) for course in courses]
            move, new = self._move(row), sums[row - 1] + self._leap(row)
            courses = [
                _summed(came, move[:, kind], new + entered[kind]) + s[row]
                for kind, s in enumerate(said)
            ]
        return sums, log_sum(np.logaddexp(*courses[:2]))

    def upto(self, votes: np.ndarray) -> np.ndarray:
        """(T - 1,) log-probability of the rows up to each but the last, by one known lag that
        lasts, less that by any: `votes` (T,) are of that lag."""
        chances = np.zeros_like(self.chances)
        known = replace(self, chances=chances, wander=0.0, lags=1, leads_to=None)
        return known.forward(votes[:, None])[0]

    def unseen(self, votes: np.ndarray) -> np.ndarray:
        """(T,) probability that the speaker is not seen, at one known lag that lasts: `votes` (T,)
        are its log-probabilities, less those of any."""
        sure = replace(self, chances=np.zeros_like(self.chances))
        shown = np.stack([votes, np.zeros(len(votes))], axis=1)
        before, after = np.empty_like(shown), np.zeros_like(shown)
        before[0] = sure._share + shown[0]
        for row in range(1, len(votes)):
            came = before[row - 1][:, None] + sure._move(row)
            before[row] = np.logaddexp(came[0], came[1]) + shown[row]
        for row in range(len(votes) - 1, 0, -1):
            went = sure._move(row) + (after[row] + shown[row])
            after[row - 1] = np.logaddexp(went[:, 0], went[:, 1])
        both = before + after
        found: np.ndarray = np.exp(both[:, 1] - np.logaddexp(both[:, 0], both[:, 1]))
        return found

    def _leap(self, row: int) -> np.ndarray:
        """(O,) log-probability of a step before a row, by the lag that it leads to."""
        chance = float(self.chances[row - 1])
        return self._led_to + (math.log(chance) if chance > 0 else -math.inf)

    def _wandered(self, course: np.ndarray, row: int) -> np.ndarray:
        """What courses weigh after the lag moved by a column or not, as often as the time from the
        row before allows; none leaves the scan."""
        top = course.max()
        if top == -math.inf:
            return course
        weight = np.exp(course - top)
        wander = self.wander * float(self.lasting_s[row - 1])
        times = min(MOST_MOVES, max(1, math.ceil(wander / 0.25)))
        share = min(0.25, wander / times)
        for _ in range(times):
            moved = (1.0 - 2.0 * share) * weight
            moved[1:] += share * weight[:-1]
            moved[:-1] += share * weight[1:]
            weight = moved
        found: np.ndarray = np.log(np.maximum(weight, 1e-300)) + top
        return found

    def likeliest(self, votes: np.ndarray) -> list[slice]:
        """The likeliest course, as runs of rows with one lag (Viterbi); wandering is left out."""
        entered, said, lags = self._entered, self._said(votes), self.lags
        came_from = np.zeros((len(votes), len(said) * lags), np.int32)
        own = np.arange(lags, dtype=np.int32)
        best = np.stack([e + self._led_to + s[0] for e, s in zip(entered, said, strict=True)])
        for row in range(1, len(votes)):
            top, move = int(np.argmax(best)), self._move(row)
            new = best.flat[top] + self._leap(row)
            courses = []
            for kind, s in enumerate(said):
                ways = best + move[:, [kind]]
                stay = own + lags * np.argmax(ways, axis=0).astype(np.int32)
                staying = ways.max(axis=0)
                stepped = new + entered[kind]
                from_here = np.where(staying >= stepped, stay, top)
                came_from[row, kind * lags : (kind + 1) * lags] = from_here
                courses.append(np.maximum(staying, stepped) + s[row])
            best = np.stack(courses)
        state, cuts = int(np.argmax(best[:2])), [len(votes)]
        for row in range(len(votes) - 1, 0, -1):
            before = int(came_from[row, state])
            if self._is_other(before, state, row):
                cuts.append(row)
            state = before
        return [slice(low, high) for low, high in pairwise(reversed([*cuts, 0]))]

    def _is_other(self, before: int, state: int, row: int) -> bool:
        """Whether a row has another lag than the one before, by their states."""
        was, now = before // self.lags, state // self.lags
        if before % self.lags != state % self.lags or (was != now and max(was, now) >= 2):
            return True
        in_shots = now == 2 and self.own_share > 0
        return in_shots and bool(self.anew[row - 1])


def _summed(came: list[np.ndarray], moves: np.ndarray, new: np.ndarray) -> np.ndarray:
    """(O,) log of the sum of courses that came to one kind, and of what is new in it."""
    ways = [course + move for course, move in zip(came, moves, strict=True) if move > -math.inf]
    found: np.ndarray = reduce(np.logaddexp, ways, new)
    return found


def _of_own_lags(votes: np.ndarray, anew: np.ndarray) -> np.ndarray:
    """(T,) log-probabilities of rows, given those before them in their shot, if that has a lag of
    its own, be it which it may."""
    found = np.empty(len(votes))
    flat = math.log(votes.shape[1])
    for low, high in pairwise([0, *(1 + np.flatnonzero(anew)).tolist(), len(votes)]):
        along = np.cumsum(votes[low:high], axis=0)
        found[low:high] = np.diff([0.0, *(log_sum(row) - flat for row in along)])
    return found


def _as_before(votes: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """(T,) log-probabilities of rows, each given the one before, if both have one lag, be it which
    it may: nearly those given all since the lag went astray, and no matter when that was."""
    known = votes - np.array([log_sum(row) for row in votes])[:, None]
    found = np.full(len(votes), -math.log(votes.shape[1]))
    along = [log_sum(before + row) for before, row in zip(known, votes[1:], strict=False)]
    found[1:] = np.where(gaps, found[1:], along)
    return found
