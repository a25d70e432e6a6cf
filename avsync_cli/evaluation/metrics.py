"""Sums over many judgements: shares, calibration, risk, and their spread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")

ROUNDS = 1000
"""Draws of a bootstrap: the ends of a 95 % interval then move by less than they are wide."""

BINS = 10
"""Of a reliability diagram."""


def bootstrap_interval(groups: Sequence[Sequence[float]], seed: int = 0) -> tuple[float, float]:
    """95 % interval of a mean over values that come in groups (sources, say).

    Whole groups are drawn again and again, because clips of one source are right or wrong
    together; drawing single clips would make the interval too narrow. With one group its members
    are drawn instead.

    Returns:
        (low, high), or (nan, nan) when there is nothing.
    """
    filled, drawn = _drawn(groups, seed, ROUNDS)
    sums = np.array([sum(g) for g in filled])
    counts = np.array([len(g) for g in filled])
    return _interval(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1) if filled else [])


def bootstrap_statistic(
    groups: Sequence[Sequence[Item]],
    statistic: Callable[[list[Item]], float],
    seed: int = 0,
) -> tuple[float, float]:
    """95 % interval of any statistic of items that come in groups; see `bootstrap_interval`."""
    filled, drawn = _drawn(groups, seed, ROUNDS // 5)  # a statistic may cost much more than a sum
    values = [statistic([item for g in row for item in filled[g]]) for row in drawn if filled]
    return _interval([v for v in values if np.isfinite(v)])


def _drawn(
    groups: Sequence[Sequence[Item]], seed: int, rounds: int
) -> tuple[list[Sequence[Item]], np.ndarray]:
    """The groups that hold anything, and (rounds, groups) which of them each round draws."""
    filled = [g for g in groups if len(g)]
    if len(filled) == 1:
        filled = [[item] for item in filled[0]]
    rng = np.random.default_rng(seed)
    return filled, rng.integers(max(1, len(filled)), size=(rounds, len(filled)))


def _interval(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def calibration_error(confidence: Sequence[float], right: Sequence[bool]) -> float:
    """Expected calibration error: mean distance of confidence and share of right answers.

    Guo et al., "On Calibration of Modern Neural Networks", 2017, section 2: equal bins over 0..1,
    each weighted with its number of answers. NaN without answers.
    """
    rows = reliability(confidence, right)
    apart = sum(count * abs(mean - share) for _, _, count, mean, share in rows)
    return apart / len(confidence) if len(confidence) else float("nan")


def reliability(
    confidence: Sequence[float], right: Sequence[bool]
) -> list[tuple[float, float, int, float, float]]:
    """The bins of a reliability diagram.

    Returns:
        (low, high, answers, mean confidence, share right) of every bin with answers, rising.
    """
    sure, hits = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    rows = []
    for b in range(BINS):
        inside = place == b
        if inside.any():
            mean, share = float(sure[inside].mean()), float(hits[inside].mean())
            rows.append((b / BINS, (b + 1) / BINS, int(inside.sum()), mean, share))
    return rows


def risk_coverage(
    confidence: Sequence[float], right: Sequence[bool]
) -> list[tuple[float, float, float]]:
    """Share answered against share of the answers that are wrong, as the bar for an answer falls.

    El-Yaniv and Wiener, "On the Foundations of Noise-free Selective Classification", 2010. Answers
    of equal confidence are given together.

    Returns:
        (least confidence, coverage 0..1, risk 0..1), coverage rising.
    """
    sure, hits = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    if len(sure) == 0:
        return []
    order = np.argsort(-sure, kind="stable")
    sure, wrong = sure[order], np.cumsum(1.0 - hits[order])
    last = np.flatnonzero(np.append(sure[1:] != sure[:-1], True))
    count = len(sure)
    return [(float(sure[k]), (int(k) + 1) / count, float(wrong[k]) / (int(k) + 1)) for k in last]


def area_under_roc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Chance that a positive scores above a negative, ties counting half; NaN if there are none."""
    positive, negative = np.asarray(positive, np.float64), np.asarray(negative, np.float64)
    if len(positive) == 0 or len(negative) == 0:
        return float("nan")
    ranked = np.sort(negative)
    below = np.searchsorted(ranked, positive, side="left")
    up_to = np.searchsorted(ranked, positive, side="right")
    return float((below + up_to).mean() / 2.0 / len(ranked))
