"""Whether the first or the last seconds of a file speak against the lag of the rest.

A step near an end leaves few seconds beyond it. Where one of these says nothing and another is
mistaken, no lag stands out in them that would pay for a step (see `steps`), and yet they do not fit
the lag of the rest: that is asked here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from avsync_cli.verdict.courses import OTHER_SHOT
from avsync_cli.verdict.steps import WOBBLE_MS, wobbling

LEAST, MOST = 3, 6
"""Rows of an end, of a second each: fewer may be about something else by chance, more can speak for
themselves."""

OTHERWISE = 0.1
"""Share of the seconds of a speaker that point anywhere, and at least so much is expected."""

SCATTERED = 0.2
"""Where more of the rest do, others speak off screen, and may at an end, too."""

OTHER_MS = 60.0
"""Another lag differs by more."""

AGAINST = 1.0
"""By how much (natural logarithm) another lag, or none at all, explains an end better than the lag
of the rest does, before that is in doubt. Of 105 files of held-out clips that have one lag one
comes to -0.3, all others stay below -2."""

AGAINST_SHOWN = 2.5
"""The same where another shot is shown: two of three of its seconds agree by chance now and then.
"""

SPEAKS = 2.0
"""How much (natural logarithm) the first or last shots say for the lag of the rest, at the least;
of those that say less one in ten is at another, or shows somebody else."""

WITH_IT = 3.0
"""By how much the same number of rows next to the end speak for the lag of the rest, at the least:
where these do not either, the end is longer, and steps are looked for in it as anywhere."""


def end_against(
    votes: np.ndarray, lags_ms: np.ndarray, told_ms: float, anew: np.ndarray | None = None
) -> slice | None:
    """The end of a file that does not go with the lag that would be told of it.

    Args:
        votes: (T, O) log-probabilities of each second's lag.
        lags_ms: (O,) of the columns.
        told_ms: the one that would be told.
        anew: (T,) whether a second shows another shot than the one before; None if not known.

    Returns:
        its rows, the first ones or the last ones; None where both ends fit, or the file is too
        short to tell.

    >>> lags_ms, votes = 40.0 * np.arange(-4, 5), np.full((12, 9), np.log(0.02))
    >>> votes[:, 4] = np.log(0.84)
    >>> end_against(votes, lags_ms, 0.0) is None
    True
    >>> votes[:3] = np.roll(votes[:3], -3, axis=1)
    >>> end_against(votes, lags_ms, 0.0)
    slice(0, 3, None)
    """
    rows, lags = votes.shape
    seen = _Seen.of(votes, lags_ms, told_ms, anew)
    other = np.abs(lags_ms - told_ms) > OTHER_MS
    price = math.log(lags / (2 * _reach(lags_ms) + 1))
    worst, found = 0.0, None
    for turned in (slice(None), slice(None, None, -1)):
        for count in range(LEAST, min(MOST, rows // 3) + 1):
            end = _End(seen.odds[turned], seen.shots[turned], count, seen.scattered)
            against = end.against(seen.column, other, price)
            if against > worst:
                worst, found = against, slice(0, count)
                if turned.step is not None:
                    found = slice(rows - count, rows)
    return found


def goes_with(
    votes: np.ndarray,
    lags_ms: np.ndarray,
    told_ms: float,
    anew: np.ndarray | None,
    end: slice,
) -> bool:
    """Whether the seconds next to an end speak for the lag that would be told of the file.

    Args:
        votes, lags_ms, told_ms, anew: as `end_against` has them.
        end: the rows of the end, the first ones or the last ones.
    """
    seen = _Seen.of(votes, lags_ms, told_ms, anew)
    first = end.stop if end.start == 0 else max(0, end.start - LEAST)
    return float(seen.odds[first : first + LEAST, seen.column].sum()) > WITH_IT


def silent_ends(
    votes: np.ndarray, lags_ms: np.ndarray, told_ms: float, anew: np.ndarray | None = None
) -> list[slice]:
    """The ends of a file that do not speak for the lag that is told of the rest, though not against
    it either: shots of somebody who listens, or while another speaks off screen.

    Args:
        votes, lags_ms, told_ms, anew: as `end_against` has them.

    Returns:
        their rows, each at least `LEAST`, and half of all at the most; [] in a file of one shot
        whose speaker is heard throughout.
    """
    seen = _Seen.of(votes, lags_ms, told_ms, anew)
    if not seen.scattered and seen.shots[0] == seen.shots[-1]:
        return []
    told, shots, rows = seen.odds[:, seen.column], seen.shots, len(votes)
    first, last = (
        max(_against_all(told[turned]), _unspoken(told[turned], shots[turned]))
        for turned in (slice(None), slice(None, None, -1))
    )
    if first + last > rows // 2:
        first, last = (first, 0) if first > last else (0, last)
    return [end for end in (slice(0, first), slice(rows - last, rows)) if end.start < end.stop]


def _against_all(told: np.ndarray) -> int:
    """Of how many first rows, a third of all at the most, one lag is least likely, if it is less
    likely than not; 0 where that is of none."""
    along = np.cumsum(told[: len(told) // 3])
    count = 1 + int(np.argmin(along)) if len(along) else 0
    return count if count >= LEAST and along[count - 1] < 0.0 else 0


def _unspoken(told: np.ndarray, shots: np.ndarray) -> int:
    """Rows of the first shots, half of all at the most, none of which says that it has one lag; 0
    where they are few."""
    count = 0
    for first, last in pairwise([0, *(1 + np.flatnonzero(np.diff(shots))).tolist()]):
        if last > len(told) // 2 or float(told[first:last].sum()) >= SPEAKS:
            break
        count = int(last)
    return count if count >= LEAST else 0


def _reach(lags_ms: np.ndarray) -> int:
    return round(WOBBLE_MS / float(lags_ms[1] - lags_ms[0]))


@dataclass(frozen=True)
class _Seen:
    """A file's seconds as they are compared with the lag that is told of it.

    Attributes:
        odds: (T, O) log-odds of each lag, against none.
        shots: (T,) numbers of the shots.
        column: of the told lag.
        scattered: whether many seconds, ends aside, point anywhere.
    """

    odds: np.ndarray
    shots: np.ndarray
    column: int
    scattered: bool

    @classmethod
    def of(
        cls, votes: np.ndarray, lags_ms: np.ndarray, told_ms: float, anew: np.ndarray | None
    ) -> _Seen:
        rows, lags = votes.shape
        flat = wobbling(votes, _reach(lags_ms)) + math.log(lags)
        column = int(np.argmin(np.abs(lags_ms - told_ms)))
        rest = flat[MOST : rows - MOST, column]
        share = (1 + int((rest <= 0.0).sum())) / (1 / OTHERWISE + len(rest))
        odds = np.logaddexp(flat + math.log1p(-share), math.log(share))
        shots = np.zeros(rows, int) if anew is None else np.cumsum(anew)
        return cls(odds, shots, column, share > SCATTERED)


@dataclass(frozen=True)
class _End:
    """Rows of a file, the end in question first.

    Attributes:
        odds: (T, O) log-odds of each lag, against none.
        shots: (T,) numbers of the shots.
        count: rows of the end.
        scattered: whether many of the other rows point anywhere.
    """

    odds: np.ndarray
    shots: np.ndarray
    count: int
    scattered: bool

    def against(self, told: int, other: np.ndarray, price: float) -> float:
        """By how much more than it takes the end speaks against the lag of what is next to it.

        Args:
            told: column of that lag.
            other: (O,) which ones differ from it.
            price: of picking the best of many lags, where another shot is shown, or somebody speaks
                off screen: of such seconds one or two always agree.
        """
        mine, rest = self.shots[: self.count], self.shots[self.count]
        shared = int((mine == rest).sum())
        if 0 < shared < LEAST:
            return 0.0
        beside = self.odds[self.count : 2 * self.count, told]
        if shared:
            beside = beside[: int((self.shots[self.count :] == rest).sum())]
        if float(beside.sum()) <= WITH_IT:
            return 0.0
        same, others = _by_shot(self.odds[: self.count], mine, int(rest))
        end = same + others
        likelier = float(end[other].max()) - float(end[told])
        none = 0.0 if self.scattered else -float(same[told])
        if shared < self.count or self.scattered:
            return max(none, likelier - price) - AGAINST_SHOWN
        return max(none, likelier) - AGAINST


def _by_shot(odds: np.ndarray, shots: np.ndarray, rest: int) -> tuple[np.ndarray, np.ndarray]:
    """What seconds say of each lag: those of the shot that the rest begins with, and all others.

    Any other shot may be of somebody who listens, and then says nothing.
    """
    same = odds[shots == rest].sum(axis=0)
    others = np.zeros(odds.shape[1])
    for number in set(shots.tolist()) - {rest}:
        speaking = odds[shots == number].sum(axis=0) + math.log1p(-OTHER_SHOT)
        others += np.logaddexp(speaking, math.log(OTHER_SHOT))
    return same, others
