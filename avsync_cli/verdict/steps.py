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

from avsync_cli.verdict.posterior import log_sum

STEP_SHARE = 0.02
"""Share of files in which sound was lost or put in somewhere: one in fifty, of what people send to
be checked. A step is as likely at any second; so its price is the file's length over this share,
times the number of lags it may lead to."""

WOBBLE_MS = 20.0
"""A second's own lag lies this close around that of its stretch: less is a habit of speaking or of
cutting, no step that anybody could see."""


SEEN_S, UNSEEN_S = 600.0, 10.0
"""How long a speaker is seen, and not seen, on the average. In films cutaways are more frequent;
but taken to be rare, a weak ending that points elsewhere is doubted rather than passed over."""


WANDER_MS = 1.0
"""How far a lag wanders in a second, as a random walk does: a frame in half an hour. What is left
of a drift that was read a little wrong is no step either."""


@dataclass(frozen=True)
class Steps:
    """What is known of a file's steps.

    Attributes:
        runs: rows with one lag each, of the likeliest course, in order.
        probability: that there is a step at all, 0..1.
        at: row before which a step is likeliest; 0 where there is only one row.
    """

    runs: list[slice]
    probability: float
    at: int

    @property
    def odds(self) -> float:
        """How much more, or less, the evidence makes a step likely than it was beforehand."""
        rest = max(1.0 - self.probability, 1e-12)
        return self.probability / rest / (STEP_SHARE / (1.0 - STEP_SHARE))


def find_steps(votes: np.ndarray, step_ms: float, row_s: float = 1.0) -> Steps:
    """The posterior of steps between rows.

    Args:
        votes: (T, O) log-probabilities of each row's lag, as of `posterior.window_votes`; rows in
            order of time.
        step_ms: from one column's lag to the next.
        row_s: how long a row lasts.
    """
    rows = len(votes)
    if rows < 2:
        return Steps([slice(0, rows)], 0.0, 0)
    around = _wobbling(votes, round(WOBBLE_MS / step_ms))
    chain = _Chain(
        chance=STEP_SHARE / (rows - 1),
        row_s=row_s,
        wander=min(0.25, row_s * (WANDER_MS / step_ms) ** 2 / 2),
        lags=votes.shape[1],
    )
    before, total = chain.forward(around)
    after, _ = chain.forward(around[::-1])
    _, level = replace(chain, chance=0.0).forward(around)
    level += (rows - 1) * math.log1p(-chain.chance)
    at = 1 + int(np.argmax(before + after[::-1]))
    probability = -math.expm1(min(0.0, level - total))
    runs = chain.likeliest(around) if probability >= 0.5 else [slice(0, rows)]
    return Steps(runs, probability, at)


@dataclass(frozen=True)
class _Chain:
    """Courses of the lag: one state for each lag with its speaker seen, one for each unseen.

    Attributes:
        chance: of a step before any row.
        row_s: how long a row lasts.
        wander: chance that the lag moves by a column to either side, from row to row.
        lags: how many there are.
    """

    chance: float
    row_s: float
    wander: float
    lags: int

    @property
    def _moves(self) -> tuple[np.ndarray, np.ndarray]:
        """Log-probabilities (2, 2) from seen and unseen (rows) to the same without a step, and (2,)
        of both at any time."""
        hide, show = 1.0 - math.exp(-self.row_s / SEEN_S), 1.0 - math.exp(-self.row_s / UNSEEN_S)
        move = np.array([[1.0 - hide, hide], [show, 1.0 - show]]) * (1.0 - self.chance)
        return np.log(move), np.log(np.array([show, hide]) / (show + hide))

    def forward(self, votes: np.ndarray) -> tuple[np.ndarray, float]:
        """All courses summed up.

        Returns:
            (T - 1,) log-probability of the rows up to each but the last, and that of all rows.
        """
        move, share = self._moves
        unseen = -math.log(self.lags)
        leap = math.log(self.chance / self.lags) if self.chance > 0 else -math.inf
        sums = np.empty(len(votes) - 1)
        seen = share[0] + unseen + votes[0]
        hidden = np.full(self.lags, share[1] + 2 * unseen)
        for row in range(1, len(votes)):
            sums[row - 1] = log_sum(np.logaddexp(seen, hidden))
            seen, hidden = self._wandered(seen), self._wandered(hidden)
            new = sums[row - 1] + leap + share
            both = [
                np.logaddexp(np.logaddexp(seen + move[0, to], hidden + move[1, to]), new[to])
                for to in (0, 1)
            ]
            seen, hidden = both[0] + votes[row], both[1] + unseen
        return sums, log_sum(np.logaddexp(seen, hidden))

    def _wandered(self, course: np.ndarray) -> np.ndarray:
        """What courses weigh after the lag moved by a column or not; none leaves the scan."""
        top = course.max()
        weight = np.exp(course - top)
        moved = (1.0 - 2.0 * self.wander) * weight
        moved[1:] += self.wander * weight[:-1]
        moved[:-1] += self.wander * weight[1:]
        found: np.ndarray = np.log(np.maximum(moved, 1e-300)) + top
        return found

    def likeliest(self, votes: np.ndarray) -> list[slice]:
        """The likeliest course, as runs of rows with one lag (Viterbi); wandering is left out."""
        move, share = self._moves
        lags, unseen = self.lags, -math.log(self.lags)
        leap = math.log(self.chance / lags)
        came_from = np.zeros((len(votes), 2 * lags), np.int32)
        own = np.arange(lags, dtype=np.int32)
        best = np.concatenate([share[0] + unseen + votes[0], np.full(lags, share[1] + 2 * unseen)])
        for row in range(1, len(votes)):
            top = int(np.argmax(best))
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


def _wobbling(votes: np.ndarray, reach: int) -> np.ndarray:
    """Votes (T, O) for the lag of a stretch whose rows lie up to `reach` columns beside it."""
    if reach == 0:
        return votes
    padded = np.pad(np.exp(votes), ((0, 0), (reach + 1, reach)), mode="edge")
    sums = np.cumsum(padded, axis=1)
    width = 2 * reach + 1
    mean: np.ndarray = (sums[:, width:] - sums[:, :-width]) / width
    found: np.ndarray = np.log(mean)
    return found
