"""A lag that grows or shrinks steadily.

Windows vote for offsets (see `posterior`). The likeliest course of the lag is sought among lines of
one common slope with steps between them, where a step costs more than one window alone can pay:
what a single window can say against an offset is bounded. A slope must pay as well, so that what
can be explained by constant lags and steps is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from avsync_cli.timebase import FRAME_MS
from avsync_cli.verdict.posterior import Constants, Reading, refined
from avsync_cli.verdict.steps import best_course

STEEPEST_MS_PER_MIN = 300.0
"""Within a window of eight seconds such a lag moves by a frame; what is steeper blurs its peak."""

LEAST_SPAN_S = 60.0
LEAST_WINDOWS = 10
"""A slope is looked for over a minute and ten windows, not less: among fewer, a few wrong peaks lie
on some line more often than sound drifts."""

SEEDS = 160
"""Windows at most whose pairs suggest slopes."""

TRIED = 5
"""Slopes that are tried with steps, after ranking all by the line alone."""

COINCIDENCES = 2
"""Windows whose whole vote a slope must be worth beyond what a level lag explains."""

CAUSES = (
    (1001 / 1000, "23.976 and 24, or 29.97 and 30, frames a second"),
    (25 / 24, "24 and 25 frames a second"),
    (25025 / 24000, "23.976 and 25 frames a second"),
    (48000 / 44100, "44.1 and 48 kHz"),
)
"""Ratios by which speeds are mistaken for one another, with the two speeds in words."""


@dataclass(frozen=True)
class Drift:
    """A lag that changes steadily.

    Attributes:
        ms_per_min: slope; > 0 when the sound comes later and later.
        ci_ms_per_min: 95 % interval of it.
        about_s: time at which an offset "without the drift" is meant.
    """

    ms_per_min: float
    ci_ms_per_min: tuple[float, float]
    about_s: float

    def at(self, offset_ms: float, time_s: float) -> float:
        """The lag at a time, of a course that reads `offset_ms` at `about_s`."""
        return offset_ms + self.ms_per_min * (time_s - self.about_s) / 60.0


def without_drift(
    values: np.ndarray, offsets: np.ndarray, times_s: np.ndarray, drift: Drift, beyond: np.ndarray
) -> np.ndarray:
    """Curves (W, O) read along the drift: column o is the lag that reads o at `about_s`.

    Args:
        values: (W, O).
        offsets: (O,) ms, in equal steps.
        times_s: (W,) middle of each window.
        drift: what to take out.
        beyond: (W,) value where the lag leaves the scanned range.
    """
    moved = np.empty_like(values)
    for w, time_s in enumerate(times_s):
        at = drift.at(0.0, float(time_s)) + offsets
        moved[w] = np.interp(at, offsets, values[w], left=beyond[w], right=beyond[w])
    return moved


def read_along(reading: Reading, offsets: np.ndarray, times_s: np.ndarray, drift: Drift) -> Reading:
    """The same windows read along a drift; beyond the scanned range they say nothing."""
    nothing = np.full(len(times_s), -np.log(len(offsets)))
    scores, logits, heights = (
        without_drift(x, offsets, times_s, drift, np.median(x, axis=1))
        for x in (reading.scores, reading.logits, reading.heights)
    )
    votes = without_drift(reading.votes, offsets, times_s, drift, nothing)
    return Reading(votes, scores, logits, heights, reading.blocks)


def step_price(offsets: int, constants: Constants) -> float:
    """Log-odds that a step must earn: more than one window can give."""
    return math.log(offsets / max(constants.outlier, 1e-9)) + constants.split_odds


def find_drift(
    votes: np.ndarray,
    scores: np.ndarray,
    times_s: np.ndarray,
    offsets: np.ndarray,
    constants: Constants,
) -> Drift | None:
    """The steady drift that explains the windows better than steps alone do, if one does.

    Args:
        votes, scores: (W, O) as of `posterior.window_votes`.
        times_s: (W,) middle of each window, rising.
        offsets: (O,) ms.
        constants: prices.
    """
    span_s = float(times_s[-1] - times_s[0])
    if len(votes) < LEAST_WINDOWS or span_s < LEAST_SPAN_S:
        return None
    # A line that leaves the scanned range explains nothing there: its windows count as wrong ones,
    # or a steep line would win by running away from those that disagree.
    beyond = np.full(len(votes), math.log(max(constants.outlier, 1e-9) / len(offsets)))
    price = step_price(len(offsets), constants)
    fineness = FRAME_MS / (span_s / 60.0)  # slopes closer than this differ by a frame at the ends
    suggested = _suggested(votes, times_s, offsets, fineness)
    if not suggested:
        return None

    def course(slope: float, about_s: float) -> tuple[list[slice], float]:
        along = Drift(slope, (slope, slope), about_s)
        return best_course(without_drift(votes, offsets, times_s, along, beyond), price)

    tried = [(course(*line)[1], *line) for line in suggested]
    for step in (fineness / 2, fineness / 4, fineness / 8):
        _, slope, about_s = max(tried)
        for beside in (slope - step, slope + step):
            tried.append((course(beside, about_s)[1], beside, about_s))
    gain, slope, about_s = max(tried)
    choices = 2 * STEEPEST_MS_PER_MIN / fineness
    # Among so many lines some pass through two or three wrong peaks more than any level one does.
    chance = COINCIDENCES * (price - constants.split_odds) + math.log(max(choices, 2.0))
    if gain - best_course(votes, price)[1] < constants.split_odds + chance:
        return None
    runs, _ = course(slope, about_s)
    slope, error = _regressed(scores, times_s, offsets, constants, slope, runs, about_s)
    if abs(slope) * span_s / 60.0 < FRAME_MS or abs(slope) < 2 * error:
        return None
    return Drift(slope, (slope - 1.96 * error, slope + 1.96 * error), about_s)


def _suggested(
    votes: np.ndarray, times_s: np.ndarray, offsets: np.ndarray, fineness: float
) -> list[tuple[float, float]]:
    """Lines through the peaks of two windows that most other windows vote for.

    Returns:
        slopes in ms per minute, each with a time at which its line is within the scanned range.
    """
    clear = np.flatnonzero(votes.max(axis=1) > math.log(5.0 / len(offsets)))
    if len(clear) < 2:
        return []
    seeds = clear[np.unique(np.linspace(0, len(clear) - 1, min(SEEDS, len(clear))).astype(int))]
    peaks = offsets[np.argmax(votes[seeds], axis=1)]
    first, second = np.triu_indices(len(seeds), 1)
    minutes = (times_s[seeds[second]] - times_s[seeds[first]]) / 60.0
    slopes = (peaks[second] - peaks[first]) / np.maximum(minutes, 1e-9)
    apart = (minutes >= 0.5) & (np.abs(slopes) <= STEEPEST_MS_PER_MIN)
    slopes, first = slopes[apart], first[apart]
    if not len(slopes):
        return []
    flat = float(votes.min())
    step = float(offsets[1] - offsets[0])
    rows = np.arange(len(votes))
    support = np.empty(len(slopes))
    for n, (slope, seed) in enumerate(zip(slopes, first, strict=True)):
        line = peaks[seed] + slope * (times_s - times_s[seeds[seed]]) / 60.0
        column = np.rint((line - offsets[0]) / step).astype(int)
        inside = (column >= 0) & (column < len(offsets))
        support[n] = np.where(inside, votes[rows, np.clip(column, 0, len(offsets) - 1)], flat).sum()
    chosen: list[tuple[float, float]] = []
    for n in np.argsort(-support, kind="stable"):
        if all(abs(slopes[n] - other) > fineness for other, _ in chosen):
            chosen.append((float(slopes[n]), float(times_s[seeds[first[n]]])))
        if len(chosen) == TRIED:
            break
    return chosen


def _regressed(
    scores: np.ndarray,
    times_s: np.ndarray,
    offsets: np.ndarray,
    constants: Constants,
    slope: float,
    runs: list[slice],
    about_s: float,
) -> tuple[float, float]:
    """Slope and its standard error from the windows' own peaks near the course.

    Weighted least squares with an intercept for every run; windows whose peak lies more than a
    frame and a half from the course are about something else.
    """
    minutes = (times_s - about_s) / 60.0
    along = Drift(slope, (slope, slope), about_s)
    level = without_drift(scores, offsets, times_s, along, np.median(scores, axis=1))
    x: list[np.ndarray] = []
    y: list[np.ndarray] = []
    for run in runs:
        peak = int(np.argmax(level[run].sum(axis=0)))
        reach = max(1, round(1.5 * FRAME_MS / float(offsets[1] - offsets[0])))
        low, high = max(0, peak - reach), min(len(offsets), peak + reach + 1)
        near = level[run, low:high]
        tops = low + np.argmax(near, axis=1)
        inner = (tops > low) & (tops < high - 1)
        own = np.array(
            [refined(offsets, row, int(top)) for row, top in zip(level[run], tops, strict=True)]
        )
        if inner.sum() >= 3:
            x.append(minutes[run][inner] - minutes[run][inner].mean())
            y.append(own[inner] - np.median(own[inner]))
    if not x:
        return slope, math.inf
    px, py = np.concatenate(x), np.concatenate(y)
    spread = float((px * px).sum())
    if spread <= 0:
        return slope, math.inf
    change = float((px * py).sum()) / spread
    residual = py - change * px
    sigma = max(1.4826 * float(np.median(np.abs(residual))), constants.jitter_ms / 2)
    return slope + change, sigma / math.sqrt(spread)


def likely_cause(drift: Drift) -> str:
    """The usual mistake that makes a drift of this size, in words, or ""."""
    low, high = drift.ci_ms_per_min
    margin = max(1.0, 0.01 * abs(drift.ms_per_min))
    for ratio, speeds in CAUSES:
        for rate in (60_000.0 * (ratio - 1.0), 60_000.0 * (1.0 / ratio - 1.0)):
            if low - margin <= rate <= high + margin:
                return speeds
    return ""
