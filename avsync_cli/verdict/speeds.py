"""Sound that plays at another speed than the picture: 24 frames a second shown at 25, and the like.

The lag then moves through the whole scanned range within half a minute, and in the eight seconds of
a window by several frames, so that windows see no peak. Single blocks do. What is asked of them is
not any slope but one of the few by which speeds are mistaken for each other.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from avsync_cli.inference.evidence import SecondCurves, WindowResult
from avsync_cli.timebase import BLOCK_FRAMES, FPS
from avsync_cli.verdict.drift import CAUSES, STEEPEST_MS_PER_MIN, Drift, step_price
from avsync_cli.verdict.posterior import Constants, window_votes
from avsync_cli.verdict.seconds import second_windows
from avsync_cli.verdict.steps import best_course

BLOCK_S = BLOCK_FRAMES / FPS

LEAST_SECONDS = 10
"""Seconds that must lie on a line before it is believed, ..."""

LEAST_SPAN_S = 60.0
"""... in a file of a minute at the least: in less, a few wrong peaks lie on some line."""

RATES_MS_PER_MIN = tuple(
    rate
    for ratio, _ in CAUSES
    for rate in (60_000.0 * (ratio - 1.0), 60_000.0 * (1.0 / ratio - 1.0))
    if abs(rate) > STEEPEST_MS_PER_MIN
)
"""Slopes of the known mistakes that are too steep for windows."""


def find_wrong_speed(
    curves: SecondCurves | None, offsets_ms: np.ndarray, constants: Constants
) -> tuple[Drift, list[WindowResult]] | None:
    """The known wrong speed along which single seconds agree, and those seconds as windows.

    Args:
        curves: what single seconds say.
        offsets_ms: (O,) the scan's offsets.
        constants: turn log-odds into votes.

    Returns:
        the drift, its `about_s` where the lag is 0, and the seconds within the scanned range; None
        if no line earns its price, beyond what constant lags and steps explain: there are as many
        lines as seconds and rates.
    """
    if curves is None or len(curves.start_s) < LEAST_SECONDS:
        return None
    if curves.start_s[-1] + BLOCK_S - curves.start_s[0] < LEAST_SPAN_S:
        return None
    votes, _ = window_votes(second_windows(curves, curves.offsets_ms), constants)
    flat = -math.log(votes.shape[1])
    times_s = curves.start_s + BLOCK_S / 2
    offsets = curves.offsets_ms.astype(np.float64)
    step, reach = float(offsets[1] - offsets[0]), float(offsets[-1])
    best: tuple[float, float, float, float, np.ndarray] | None = None
    lines = 0
    for rate in RATES_MS_PER_MIN:
        half_s = 60.0 * reach / abs(rate)
        fineness_s = 60.0 * 20.0 / abs(rate)
        for zero_s in np.arange(times_s[0] - half_s, times_s[-1] + half_s, fineness_s):
            low, high = np.searchsorted(times_s, (zero_s - half_s, zero_s + half_s))
            lines += 1
            if high - low < LEAST_SECONDS:
                continue
            rows = np.arange(low, high)
            lag = rate * (times_s[rows] - zero_s) / 60.0
            columns = np.clip(np.rint((lag - offsets[0]) / step).astype(int), 0, len(offsets) - 1)
            along = float((votes[rows, columns] - flat).sum())
            still = float((votes[rows].sum(axis=0) - flat * len(rows)).max())
            if best is None or along - max(still, 0.0) > best[0]:
                best = along - max(still, 0.0), along, float(zero_s), rate, rows
    if best is None:
        return None
    _, along, zero_s, rate, rows = best
    _, stepping = best_course(votes[rows] - flat, step_price(len(offsets), constants))
    if along - max(stepping, 0.0) < constants.split_odds + math.log(lines):
        return None
    # A rate that is one of a few is known better than it could be measured here.
    drift = Drift(rate, (rate - 0.002 * abs(rate), rate + 0.002 * abs(rate)), zero_s)
    found = replace(curves, start_s=curves.start_s[rows], logits=curves.logits[rows], anew=None)
    return drift, second_windows(found, offsets_ms)
