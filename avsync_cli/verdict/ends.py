"""Whether the first or the last seconds of a file speak against the lag of the rest.

A step near an end leaves few seconds beyond it. Where one of these says nothing and another is
mistaken, no lag stands out in them that would pay for a step (see `steps`), and yet they do not fit
the lag of the rest: that is asked here.
"""

from __future__ import annotations

import math

import numpy as np

from avsync_cli.verdict.steps import WOBBLE_MS, wobbling

LEAST, MOST = 3, 6
"""Rows of an end, of a second each: fewer may be about something else by chance, more can speak for
themselves."""

OTHERWISE = 0.1
"""Share of the seconds of a speaker that point anywhere."""

OTHER_MS = 60.0
"""Another lag differs by more."""

AGAINST = 1.0
"""By how much (natural logarithm) another lag, or none at all, explains an end better than the lag
of the rest does, before that is in doubt. Of 109 files of held-out clips that have one lag none
comes above -1.5."""

WITH_IT = 3.0
"""By how much the same number of rows next to the end speak for the lag of the rest, at the least:
where these do not either, the end is longer, and steps are looked for in it as anywhere."""


def end_against(votes: np.ndarray, lags_ms: np.ndarray, told_ms: float) -> slice | None:
    """The end of a file that does not go with the lag that would be told of it.

    Args:
        votes: (T, O) log-probabilities of each second's lag.
        lags_ms: (O,) of the columns.
        told_ms: the one that would be told.

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
    flat = wobbling(votes, round(WOBBLE_MS / float(lags_ms[1] - lags_ms[0]))) + math.log(lags)
    odds = np.logaddexp(flat + math.log1p(-OTHERWISE), math.log(OTHERWISE))
    column = int(np.argmin(np.abs(lags_ms - told_ms)))
    other = np.abs(lags_ms - told_ms) > OTHER_MS
    worst, found = AGAINST, None
    for first in (True, False):
        ordered = odds if first else odds[::-1]
        for count in range(LEAST, min(MOST, rows // 3) + 1):
            end, beside = ordered[:count].sum(axis=0), ordered[count : 2 * count, column].sum()
            against = max(0.0, float(end[other].max())) - float(end[column])
            if against > worst and beside > WITH_IT:
                worst, found = against, count if first else -count
    if found is None:
        return None
    return slice(0, found) if found > 0 else slice(rows + found, rows)
