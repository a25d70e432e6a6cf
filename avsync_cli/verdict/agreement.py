"""Do windows, or single seconds, have one lag in common?

A single one says nothing of it. Of many with peaks all over the scan a few agree by chance, but the
others speak against it: how many are about something else is not known beforehand, so several
shares are considered, the usual one as by far the most likely.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

WRONG_SHARES = ((0.3, 0.045), (0.6, 0.004), (0.85, 0.001))
"""Shares of windows with a sharp peak about something else that are considered beside the usual
one, and how often files are like that. (Music and silence make flat windows, not wrong ones.)"""

AGREED_BY_CHANCE = 4.0
"""Log-odds (`agreed`) that the best lag of a stretch with another's sound hardly exceeds: four of
885 of validation clips, of 1.5 to 16 s, and none of 170 scenes do."""

AGREED_MS = 20.0
"""Seconds that agree are this close to each other."""


@dataclass(frozen=True)
class Seconds:
    """What single seconds say.

    Attributes:
        votes: (T, K) log-probabilities of every second's lag.
        grid_ms: (K,) these lags.
    """

    votes: np.ndarray
    grid_ms: np.ndarray


def agreed(seconds: Seconds, lag_ms: float, outlier: float) -> float:
    """Log-odds that seconds have a lag in common, against each pointing anywhere.

    Mean log-odds of a window sink where a voice off screen, or a pause, makes up a part of it.
    Seconds that agree do so whatever the others say.

    Args:
        seconds: of one stretch.
        lag_ms: the lag, found by looking at all of them, for which there is a price.
        outlier: usual share of seconds that are about something else.

    >>> grid_ms = np.arange(-1000.0, 1001.0, 10.0)
    >>> at_40 = np.log(np.where(np.abs(grid_ms - 40) <= 20, 0.9 / 5, 0.1 / 196))
    >>> flat = np.full(len(grid_ms), -np.log(len(grid_ms)))
    >>> half = Seconds(np.stack([at_40, flat] * 4), grid_ms)
    >>> bool(agreed(half, 40.0, 0.02) > 5.0 > 0.0 > agreed(half, 300.0, 0.02))
    True
    """
    lags = len(seconds.grid_ms)
    near = np.abs(seconds.grid_ms - lag_ms) <= AGREED_MS
    if not near.any() or not len(seconds.votes):
        return 0.0
    likelier = np.exp(seconds.votes[:, near]).mean(axis=1, keepdims=True) * lags
    return float(_over_shares(likelier, outlier)[0]) - math.log(lags / near.sum())


def common_evidence(votes: np.ndarray, outlier: float) -> float:
    """Log-odds that windows have one offset in common, against each having one of its own.

    Args:
        votes: (W, O) as of `posterior.window_votes`.
        outlier: share of wrong windows that the votes were made with.
    """
    offsets = votes.shape[1]
    sharp = np.maximum(np.exp(votes) - outlier / offsets, 0.0)
    sharp *= offsets / max(1.0 - outlier, 1e-9)
    return log_sum(_over_shares(sharp, outlier) - math.log(offsets))


def _over_shares(likelier: np.ndarray, outlier: float) -> np.ndarray:
    """(O,) log-likelihood ratios of offsets, over how many may be wrong.

    Args:
        likelier: (W, O) how many times likelier each window makes an offset than chance would.
        outlier: usual share of wrong ones.
    """
    usual = 1.0 - sum(often for _, often in WRONG_SHARES)
    found = [
        math.log(often) + np.log(wrong + (1.0 - wrong) * likelier + 1e-12).sum(axis=0)
        for wrong, often in ((outlier, usual), *WRONG_SHARES)
    ]
    total: np.ndarray = np.logaddexp.reduce(found)
    return total


def log_sum(logs: np.ndarray) -> float:
    """Log of the sum of exponentials."""
    top = float(logs.max())
    return top + math.log(float(np.exp(logs - top).sum()))
