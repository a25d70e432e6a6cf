"""When the lag of a file steps: a posterior over change points, second by second.

A file's lag is taken to be constant but for steps, at any second and to any lag of the scan. While
it lasts, a speaker may be seen or not: what is heard meanwhile (another's voice over a listener's
face, music) points anywhere, second by second, and says nothing of the lag. All courses of that
kind are summed up exactly (forward recursion), so that the probability of a step takes every place
and size into account; the likeliest course is found by the same recursion with maxima for sums
(Viterbi).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from avsync_cli.verdict.agreement import log_sum

STEP_SHARE = 0.02
"""Share of files in which sound was lost or put in somewhere: one in fifty, of what people send to
be checked. A step is as likely at any second; so its price is the file's length over this share,
times the number of lags it may lead to."""

WOBBLE_MS = 20.0
"""A second's own lag lies this close around that of its stretch: less is a habit of speaking or of
cutting, no step that anybody could see."""

OTHER_SHOT = 0.3
"""How likely it is that a shot shows somebody, or something, that does not go with the sound.
Taken, not fitted; it and `ends.AGAINST_SHOWN` were tried on 60 scenes of validation clips
(docs/measurements.md), and judged by others."""

SEEN_S, UNSEEN_S = 600.0, 10.0
"""How long a speaker is seen, and not seen, on the average, in one and the same shot. Films show
others more often in shots of their own; but taken to be rare, a weak ending that points elsewhere
is doubted rather than passed over."""


WANDER_MS = 1.0
"""How far a lag wanders in a second, as a random walk does: a frame in half an hour. What is left
of a drift that was read a little wrong is no step either."""


MOST_MOVES = 400
"""Moves by a column that are reckoned from one row to the next: those of three hours."""


@dataclass(frozen=True)
class Steps:
    """What is known of a file's steps.

    Attributes:
        runs: rows with one lag each, of the likeliest course, in order.
        probability: that there is a step at all, 0..1.
        at: row before which a step is likeliest; 0 where there is only one row.
        shots: whether the file has several.
    """

    runs: list[slice]
    probability: float
    at: int
    shots: bool = False

    @property
    def odds(self) -> float:
        """How much more, or less, the evidence makes a step likely than it was beforehand.

        A last shot that points nowhere speaks for a step in it, or for somebody else's being seen,
        and of several shots that is nothing out of the common.
        """
        rest = max(1.0 - self.probability, 1e-12)
        odds = self.probability / rest / (STEP_SHARE / (1.0 - STEP_SHARE))
        return odds * OTHER_SHOT if self.shots else odds


def find_steps(
    votes: np.ndarray,
    step_ms: float,
    row_s: float = 1.0,
    apart_s: np.ndarray | None = None,
    anew: np.ndarray | None = None,
) -> Steps:
    """The posterior of steps between rows.

    Args:
        votes: (T, O) log-probabilities of each row's lag, as of `posterior.window_votes`; rows in
            order of time.
        step_ms: from one column's lag to the next.
        row_s: how long a row lasts.
        apart_s: (T - 1,) from each row to the next, where much between them was not read: steps,
            wandering and cutaways happen there as well. None takes rows as they follow.
        anew: (T - 1,) bool, whether each row but the first shows another shot than the one before;
            None where that is not known.
    """
    rows = len(votes)
    if rows < 2:
        return Steps([slice(0, rows)], 0.0, 0)
    anew = np.zeros(rows - 1, bool) if anew is None else anew
    around = wobbling(votes, round(WOBBLE_MS / step_ms))
    lasting = np.full(rows - 1, row_s) if apart_s is None else np.asarray(apart_s, np.float64)
    chain = _Chain(
        chances=STEP_SHARE * lasting / lasting.sum(),
        lasting_s=lasting,
        anew=anew,
        wander=(WANDER_MS / step_ms) ** 2 / 2,
        lags=votes.shape[1],
    )
    before, total = chain.forward(around)
    after, _ = chain.turned.forward(around[::-1])
    _, level = replace(chain, chances=np.zeros(rows - 1)).forward(around)
    level += float(np.log1p(-chain.chances).sum())
    at = 1 + int(np.argmax(before + after[::-1]))
    probability = -math.expm1(min(0.0, level - total))
    runs = chain.likeliest(around) if probability >= 0.5 else [slice(0, rows)]
    return Steps(runs, probability, at, bool(anew.any()))


@dataclass(frozen=True)
class _Chain:
    """Courses of the lag: one state for each lag with its speaker seen, one for each unseen.

    Attributes:
        chances: (T - 1,) of a step between a row and the next.
        lasting_s: (T - 1,) from a row to the next.
        anew: (T - 1,) whether the next one shows another shot.
        wander: chance that the lag moves by a column to either side, in a second.
        lags: how many there are.
    """

    chances: np.ndarray
    lasting_s: np.ndarray
    anew: np.ndarray
    wander: float
    lags: int

    @property
    def turned(self) -> _Chain:
        """The same from the last row to the first."""
        chances, lasting_s, anew = self.chances[::-1], self.lasting_s[::-1], self.anew[::-1]
        return replace(self, chances=chances, lasting_s=lasting_s, anew=anew)

    @property
    def _share(self) -> np.ndarray:
        """(2,) log-probabilities of seen and unseen at any time."""
        if self.anew.any():
            shown: np.ndarray = np.log(np.array([1.0 - OTHER_SHOT, OTHER_SHOT]))
            return shown
        hide, show = (1.0 - math.exp(-float(self.lasting_s.min()) / s) for s in (SEEN_S, UNSEEN_S))
        return np.log(np.array([show, hide]) / (show + hide))

    def _move(self, row: int) -> np.ndarray:
        """Log-probabilities (2, 2) from seen and unseen (rows), the row before, to the same without
        a step."""
        if self.anew[row - 1]:
            shot: np.ndarray = np.tile(self._share, (2, 1)) + math.log1p(-self.chances[row - 1])
            return shot
        least_s, gap_s = float(self.lasting_s.min()), float(self.lasting_s[row - 1])
        hide, show = (1.0 - math.exp(-least_s / s) for s in (SEEN_S, UNSEEN_S))
        # What is left, after many rows' time, of how it was; 1 - hide - show after one.
        left = max(1.0 - hide - show, 1e-9) ** (gap_s / least_s)
        hide, show = (rate * (1.0 - left) / (hide + show) for rate in (hide, show))
        move = np.array([[1.0 - hide, hide], [show, 1.0 - show]])
        found: np.ndarray = np.log(move * (1.0 - self.chances[row - 1]))
        return found

    def forward(self, votes: np.ndarray) -> tuple[np.ndarray, float]:
        """All courses summed up.

        Returns:
            (T - 1,) log-probability of the rows up to each but the last, and that of all rows.
        """
        share, unseen = self._share, -math.log(self.lags)
        sums = np.empty(len(votes) - 1)
        seen = share[0] + unseen + votes[0]
        hidden = np.full(self.lags, share[1] + 2 * unseen)
        for row in range(1, len(votes)):
            sums[row - 1] = log_sum(np.logaddexp(seen, hidden))
            seen, hidden = (self._wandered(course, row) for course in (seen, hidden))
            move, new = self._move(row), sums[row - 1] + self._leap(row) + share
            both = [
                np.logaddexp(np.logaddexp(seen + move[0, to], hidden + move[1, to]), new[to])
                for to in (0, 1)
            ]
            seen, hidden = both[0] + votes[row], both[1] + unseen
        return sums, log_sum(np.logaddexp(seen, hidden))

    def _leap(self, row: int) -> float:
        """Log-probability of a step before a row, to any one lag."""
        chance = float(self.chances[row - 1])
        return math.log(chance / self.lags) if chance > 0 else -math.inf

    def _wandered(self, course: np.ndarray, row: int) -> np.ndarray:
        """What courses weigh after the lag moved by a column or not, as often as the time from the
        row before allows; none leaves the scan."""
        top = course.max()
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
        share, lags, unseen = self._share, self.lags, -math.log(self.lags)
        came_from = np.zeros((len(votes), 2 * lags), np.int32)
        own = np.arange(lags, dtype=np.int32)
        best = np.concatenate([share[0] + unseen + votes[0], np.full(lags, share[1] + 2 * unseen)])
        for row in range(1, len(votes)):
            top, move, leap = int(np.argmax(best)), self._move(row), self._leap(row)
            entered = []
            for to in (0, 1):
                ways = np.stack([best[:lags] + move[0, to], best[lags:] + move[1, to]])
                entered.append(ways.max(axis=0))
                stay = own + lags * np.argmax(ways, axis=0).astype(np.int32)
                new = best[top] + leap + share[to]
                came_from[row, to * lags : (to + 1) * lags] = np.where(
                    entered[to] >= new, stay, top
                )
                entered[to] = np.maximum(entered[to], new)
            best = np.concatenate([entered[0] + votes[row], entered[1] + unseen])
        state, cuts = int(np.argmax(best)), [len(votes)]
        for row in range(len(votes) - 1, 0, -1):
            before = int(came_from[row, state])
            if before % lags != state % lags:
                cuts.append(row)
            state = before
        return [slice(low, high) for low, high in pairwise(reversed([*cuts, 0]))]


PLACED, PLACED_APART = 0.95, 0.998
"""How much of the probability of a step's place lies in what `place` returns: of a file that was
read throughout, where being wrong costs seconds, and of one of which only parts were read. There it
costs minutes, of which a lag is told at 0.99 and more: of 300 made films that step, 0.95 told two
a step where it was not that 0.998 left open."""


def place(
    before: np.ndarray, after: np.ndarray, apart_s: np.ndarray, share: float = PLACED
) -> tuple[int, int]:
    """Where a step between two known lags may be.

    Args:
        before, after: (T,) log-probabilities of each row, T >= 2, by the lag before the step and by
            that after it.
        apart_s: (T - 1,) from each row to the next: the longer, the likelier is the step in it.
        share: of the probability that is to lie in what is returned.

    Returns:
        the first and the last row, 1..T-1, that may be the first with the new lag.

    >>> sure, none = np.log([0.9, 0.1]), np.log([0.5, 0.5])
    >>> place(np.r_[sure[0], none, sure[1]], np.r_[sure[1], none, sure[0]], np.ones(3))
    (1, 3)
    """
    courses = np.cumsum(before)[:-1] + np.cumsum(after[::-1])[::-1][1:] + np.log(apart_s)
    odds = np.exp(courses - courses.max())
    upto = np.cumsum(odds) / odds.sum()
    beside = (1.0 - share) / 2
    low, high = (int(np.searchsorted(upto, limit)) for limit in (beside, 1.0 - beside))
    return 1 + low, 1 + min(high, len(courses) - 1)


def best_course(votes: np.ndarray, price: float) -> tuple[list[slice], float]:
    """The likeliest offset for every row, as runs of rows that share one (Viterbi).

    Args:
        votes: (T, O) log-probabilities.
        price: cost of every change.

    Returns:
        the runs in order, and the log-probability of the course less its price.
    """
    best = votes[0].copy()
    came_from = np.zeros(votes.shape, np.int32)
    stay = np.arange(votes.shape[1], dtype=np.int32)
    for i in range(1, len(votes)):
        top = int(np.argmax(best))
        jump = best[top] - price
        came_from[i] = np.where(best >= jump, stay, top)
        best = np.maximum(best, jump) + votes[i]
    state = int(np.argmax(best))
    score = float(best[state])
    cuts = [len(votes)]
    for i in range(len(votes) - 1, 0, -1):
        before = int(came_from[i, state])
        if before != state:
            cuts.append(i)
        state = before
    cuts.append(0)
    return [slice(low, high) for low, high in pairwise(reversed(cuts))], score


def wobbling(votes: np.ndarray, reach: int) -> np.ndarray:
    """Votes (T, O) for the lag of a stretch whose rows lie up to `reach` columns beside it."""
    if reach == 0:
        return votes
    padded = np.pad(np.exp(votes), ((0, 0), (reach + 1, reach)), mode="edge")
    sums = np.cumsum(padded, axis=1)
    width = 2 * reach + 1
    mean: np.ndarray = (sums[:, width:] - sums[:, :-width]) / width
    found: np.ndarray = np.log(mean)
    return found
