"""Sound that plays at another speed than the picture: 24 frames a second shown at 25, and the like.

The lag then moves through the whole scanned range within half a minute, and in the eight seconds of
a window by several frames, so that windows see no peak. Single blocks do. What is asked of them is
not any slope but one of the few by which speeds are mistaken for each other.
"""

from __future__ import annotations

import math

import numpy as np

from avsync_cli.inference.evidence import SecondCurves, WindowResult
from avsync_cli.timebase import BLOCK_FRAMES, FPS
from avsync_cli.verdict.posterior import Constants, window_votes
from avsync_cli.verdict.structure import CAUSES, STEEPEST_MS_PER_MIN, Drift

BLOCK_S = BLOCK_FRAMES / FPS

LEAST_BLOCKS = 8
"""Blocks that must lie on a line before it is believed."""

RATES_MS_PER_MIN = tuple(
    rate
    for ratio, _ in CAUSES
    for rate in (60_000.0 * (ratio - 1.0), 60_000.0 * (1.0 / ratio - 1.0))
    if abs(rate) > STEEPEST_MS_PER_MIN
)
"""Slopes of the known mistakes that are too steep for windows."""


def block_windows(curves: SecondCurves, offsets_ms: np.ndarray) -> list[WindowResult]:
    """Every block as a window of its own, its log-odds read between the offsets that were kept."""
    grid = curves.offsets_ms.astype(np.float64)
    wanted = np.asarray(offsets_ms, np.float64)
    return [
        WindowResult(
            start_s=float(start),
            end_s=float(start) + BLOCK_S,
            logits=np.interp(wanted, grid, row.astype(np.float64)).astype(np.float32),
            blocks=1.0,
        )
        for start, row in zip(curves.start_s, curves.logits, strict=True)
    ]


def find_wrong_speed(
    curves: SecondCurves | None, offsets_ms: np.ndarray, constants: Constants
) -> tuple[Drift, list[WindowResult]] | None:
    """The known wrong speed along which single blocks agree, and those blocks as windows.

    Args:
        curves: what single blocks say.
        offsets_ms: (O,) the scan's offsets.
        constants: turn log-odds into votes.

    Returns:
        the drift, its `about_s` where the lag is 0, and the blocks within the scanned range; None
        if no line earns its price: there are as many lines as seconds and rates.
    """
    if curves is None or len(curves.start_s) < LEAST_BLOCKS:
        return None
    # Votes at the offsets that were kept: a quarter of the scan's, which for hours of film counts.
    votes, _ = window_votes(block_windows(curves, curves.offsets_ms), constants)
    flat = -math.log(votes.shape[1])
    times_s = curves.start_s + BLOCK_S / 2
    offsets = curves.offsets_ms.astype(np.float64)
    step, reach = float(offsets[1] - offsets[0]), float(offsets[-1])
    best: tuple[float, float, float, np.ndarray] | None = None
    lines = 0
    for rate in RATES_MS_PER_MIN:
        half_s = 60.0 * reach / abs(rate)
        fineness_s = 60.0 * 20.0 / abs(rate)
        for zero_s in np.arange(times_s[0] - half_s, times_s[-1] + half_s, fineness_s):
            low, high = np.searchsorted(times_s, (zero_s - half_s, zero_s + half_s))
            lines += 1
            if high - low < LEAST_BLOCKS:
                continue
            rows = np.arange(low, high)
            lag = rate * (times_s[rows] - zero_s) / 60.0
            columns = np.clip(np.rint((lag - offsets[0]) / step).astype(int), 0, len(offsets) - 1)
            along = float((votes[rows, columns] - flat).sum())
            still = float((votes[rows].sum(axis=0) - flat * len(rows)).max())
            if best is None or along - max(still, 0.0) > best[0]:
                best = along - max(still, 0.0), rate, float(zero_s), rows
    if best is None or best[0] < constants.split_odds + math.log(lines):
        return None
    _, rate, zero_s, rows = best
    # A rate that is one of a few is known better than it could be measured here.
    drift = Drift(rate, (rate - 0.002 * abs(rate), rate + 0.002 * abs(rate)), zero_s)
    found = SecondCurves(curves.start_s[rows], curves.offsets_ms, curves.logits[rows])
    return drift, block_windows(found, offsets_ms)
