"""Sums over many judgements: shares, calibration, and their spread."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def bootstrap_interval(
    groups: Sequence[Sequence[float]], seed: int = 0, rounds: int = 1000
) -> tuple[float, float]:
    """95 % interval of a mean over values that come in groups (sources, say).

    Whole groups are drawn again and again, because clips of one source are right or wrong
    together; drawing single clips would make the interval too narrow. With one group its members
    are drawn instead.

    Returns:
        (low, high), or (nan, nan) when there is nothing.
    """
    filled = [np.asarray(g, np.float64) for g in groups if len(g)]
    if not filled:
        return float("nan"), float("nan")
    if len(filled) == 1:
        filled = [np.array([v]) for v in filled[0]]
    sums = np.array([g.sum() for g in filled])
    counts = np.array([len(g) for g in filled])
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(filled), size=(rounds, len(filled)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def calibration_error(confidence: Sequence[float], right: Sequence[bool], bins: int = 10) -> float:
    """Expected calibration error: mean distance of confidence and share of right answers.

    Guo et al., "On Calibration of Modern Neural Networks", 2017, section 2: equal bins over 0..1,
    each weighted with its number of answers. NaN without answers.
    """
    sure = np.asarray(confidence, np.float64)
    hits = np.asarray(right, np.float64)
    if len(sure) == 0:
        return float("nan")
    place = np.minimum((sure * bins).astype(int), bins - 1)
    total = 0.0
    for b in range(bins):
        inside = place == b
        if inside.any():
            total += inside.mean() * abs(sure[inside].mean() - hits[inside].mean())
    return float(total)
