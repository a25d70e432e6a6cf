"""When the lag of a file steps: a posterior over change points, second by second.

A file's lag is taken to be constant but for steps, at any second and to any lag of the scan. While
it lasts, a speaker may be seen or not: what is heard meanwhile (another's voice over a listener's
face, music) points anywhere, second by second, and says nothing of the lag. All courses of that
kind are summed up exactly (forward recursion), so that the probability of a step takes every place
and size into account; the likeliest course is found by the same recursion with maxima for sums
(Viterbi). A shot between two others, or some seconds, may also have a lag of their own, after which
the old one is back: two steps, each at the price of any, would cost more than a few seconds can
pay.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from avsync_cli.verdict.courses import OTHER_SHOT, Chain

STEP_SHARE = 0.02
"""Share of files in which sound was lost or put in somewhere: one in fifty, of what people send to
be checked. A step is as likely at any second; so its price is the file's length over this share,
times the number of lags it may lead to. As many have a shot with a lag of its own, be it any,
and as many some seconds."""

WOBBLE_MS = 20.0
"""A second's own lag lies this close around that of its stretch: less is a habit of speaking or of
cutting, no step that anybody could see."""

MOST_REREAD = 4
"""How often, at the most, the course is read again by what was learnt from the last one."""

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
    around = wobbling(votes, round(WOBBLE_MS / step_ms))
    chain = chain_of(votes.shape, step_ms, row_s, apart_s, anew)
    before, total = chain.forward(around)
    after, _ = chain.turned.forward(around[::-1])
    _, level = replace(chain, chances=np.zeros(rows - 1)).forward(around)
    level += float(np.log1p(-chain.chances).sum())
    at = 1 + int(np.argmax(before + after[::-1]))
    probability = -math.expm1(min(0.0, level - total))

    def likeliest(chain: Chain) -> list[slice]:
        # Of a film of which only parts were read one stretch is but one witness.
        if apart_s is not None:
            return chain.likeliest(around)
        return _likeliest(chain, around, round(WOBBLE_MS / step_ms))

    within = chain.with_own_lags(STEP_SHARE, anywhere=apart_s is None)
    if within is not None:
        _, total = within.forward(around)
        changes = -math.expm1(min(0.0, level + within.none_own - total))
        # Less than likely they say nothing: a listener's seconds agree by chance now and then. Nor
        # do many that are each unlikely: none of them could be named.
        if changes >= 0.5 and len(runs := likeliest(within)) > 1:
            return Steps(runs, changes, runs[1].start, True)
    runs = [slice(0, rows)]
    if probability >= 0.5:
        runs = likeliest(chain)
    return Steps(runs, probability, at, bool(chain.anew.any()))


def _likeliest(chain: Chain, votes: np.ndarray, reach: int) -> list[slice]:
    """The likeliest course in a file that steps, as runs of rows with one lag.

    Beforehand one file in fifty steps, and to any lag. One whose lag was found to return does so
    again, as often as it was found to: two cameras of which one runs late are cut to and fro. At
    the price of a first step a reply of a few seconds would rather be taken for a listener's, and
    told at the lag of what is around it.

    Args:
        chain: of the rows, as of any file.
        votes: (T, O) log-probabilities of the rows.
        reach: columns that a row's own lag may lie beside that of its stretch.
    """
    runs, first = chain.likeliest(votes), float(chain.chances.sum())
    for _ in range(MOST_REREAD):
        at = np.array([int(np.argmax(votes[rows].sum(axis=0))) for rows in runs])
        again = sum(bool((np.abs(at[:n] - at[n]) <= 2 * reach).any()) for n in range(len(at)))
        if again == 0:
            break
        had = np.zeros(chain.lags)
        for column in at:
            near = slice(max(0, column - reach), column + reach + 1)
            had[near] += 1.0 / len(had[near]) / len(at)
        to = (first / chain.lags + again * had) / (first + again)
        chances = np.minimum(0.5, chain.chances * (first + again) / first)
        before, runs = runs, replace(chain, chances=chances, leads_to=np.log(to)).likeliest(votes)
        if runs == before:
            break
    return runs


def chain_of(
    shape: tuple[int, int],
    step_ms: float,
    row_s: float = 1.0,
    apart_s: np.ndarray | None = None,
    anew: np.ndarray | None = None,
) -> Chain:
    """The courses that a lag may take in rows, T >= 2, as `find_steps` is told of them; `shape` is
    that of their votes."""
    rows, lags = shape
    lasting = np.full(rows - 1, row_s) if apart_s is None else np.asarray(apart_s, np.float64)
    return Chain(
        chances=STEP_SHARE * lasting / lasting.sum(),
        lasting_s=lasting,
        anew=np.zeros(rows - 1, bool) if anew is None else anew,
        wander=(WANDER_MS / step_ms) ** 2 / 2,
        lags=lags,
    )


PLACED, PLACED_APART = 0.95, 0.998
"""How much of the probability of a step's place lies in what `place` returns: of a file that was
read throughout, where being wrong costs seconds, and of one of which only parts were read. There it
costs minutes, of which a lag is told at 0.99 and more: of 300 made films that step, 0.95 told two
a step where it was not that 0.998 left open."""


def place(
    chain: Chain,
    before: np.ndarray,
    after: np.ndarray,
    apart_s: np.ndarray,
    share: float = PLACED,
) -> tuple[int, int]:
    """Where a step between two known lags may be.

    Args:
        chain: of the rows, T >= 2.
        before, after: (T,) log-probabilities of each row, by the lag before the step and by that
            after it, less those by any; a speaker may be unseen for some of them.
        apart_s: (T - 1,) from each row to the next: the longer, the likelier is the step in it.
        share: of the probability that is to lie in what is returned.

    Returns:
        the first and the last row, 1..T-1, that may be the first with the new lag.
    """
    courses = chain.upto(before) + chain.turned.upto(after[::-1])[::-1] + np.log(apart_s)
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
