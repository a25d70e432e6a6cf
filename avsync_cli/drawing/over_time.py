"""The figure of a film over time: verdict, attention, loudness, and where the offset lies.

Lanes share one time axis, which runs to the right. In the lane of offsets, above 0 the sound is
late.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from avsync_cli.drawing.canvas import Canvas
from avsync_cli.drawing.figures import (
    LETTER,
    STATUS_ROLE,
    TRACK_ROLES,
    region_role,
    tick_label,
    ticks,
    time_ticks,
)
from avsync_cli.inference.evidence import BlockResult
from avsync_cli.verdict.answer import Judgement, Segment
from avsync_cli.wording import clock

QUIETEST_DB = -60.0

_SURE = 0.5
"""Probability within four steps of a window's peak from which the heat map makes room for it."""

_LEAST_MARGIN_MS = 150.0

_MAX_BARS = 400
"""Blocks drawn one by one; beyond, they are merged into columns."""


@dataclass(frozen=True)
class OverTime:
    """What the figure over time shows besides the report itself.

    Attributes:
        votes: (W, O) probabilities of every window's offsets, each row summing to 1; None leaves
            the heat map out.
        levels_db: (N,) loudness of every 40 ms in dB below full scale, from `levels_start_s` on;
            None leaves it out.
        levels_start_s: on the file's timeline.
    """

    votes: np.ndarray | None = None
    levels_db: np.ndarray | None = None
    levels_start_s: float = 0.0


_LANE_GAP = 30.0
_STRIP, _BARS, _SOUND, _HEAT, _AXIS = 22.0, 84.0, 46.0, 170.0, 22.0


def over_time_height(shown: OverTime) -> float:
    """How high a canvas `draw_over_time` needs."""
    lanes = [_STRIP, _BARS]
    lanes += [_SOUND] if shown.levels_db is not None else []
    lanes += [_HEAT] if shown.votes is not None and len(shown.votes) else []
    return sum(lanes) + _LANE_GAP * len(lanes) + _AXIS


def time_span(report: Judgement) -> tuple[float, float]:
    """First and last second of what was judged."""
    evidence = report.evidence
    spans = [(block.start_s, block.end_s) for block in evidence.blocks]
    spans += [(window.start_s, window.end_s) for window in evidence.windows]
    spans += [(segment.start_s, segment.end_s) for segment in report.verdict.segments]
    if not spans:
        return 0.0, max(1.0, evidence.media.duration_s)
    start = min(low for low, _ in spans)
    return start, max(start + 0.04, *(high for _, high in spans))


def plot_sides(width: float) -> tuple[float, float]:
    """Left and right edge of the time axis on a canvas so wide."""
    return 46.0, width - 12.0


def draw_over_time(canvas: Canvas, report: Judgement, shown: OverTime) -> None:
    """Lanes with one time axis: verdict, attention weight, loudness, and where the offset lies."""
    start, end = time_span(report)
    left, right = plot_sides(canvas.width)
    wide = canvas.width >= 560

    def x(at_s: float) -> float:
        return float(left + np.clip((at_s - start) / (end - start), 0.0, 1.0) * (right - left))

    lane = _Lane(canvas, left, right, x)
    top = _LANE_GAP
    lane.title(top, "Verdict")
    _draw_strip(lane, top, report.verdict.segments)
    top += _STRIP + _LANE_GAP
    title = "Attention: each second's share in the decision" if wide else "Attention weight"
    lane.title(top, title)
    _draw_bars(lane, top, report.evidence.blocks)
    top += _BARS + _LANE_GAP
    if shown.levels_db is not None:
        lane.title(top, "Loudness of the sound in dB" if wide else "Loudness, dB")
        _draw_levels(lane, top, shown)
        top += _SOUND + _LANE_GAP
    if shown.votes is not None and len(shown.votes):
        title = (
            "Where the offset lies: the stronger the colour, the likelier" if wide else "Offset, ms"
        )
        lane.title(top, title)
        if wide:
            canvas.text(right, top - 8, "ms, above 0: sound late", "muted", "end")
        _draw_heat(lane, top, report, shown.votes)
        top += _HEAT + _LANE_GAP
    bottom = top - _LANE_GAP
    for second in time_ticks(start, end, max(3, int(canvas.width / 90))):
        canvas.line([(x(second), bottom), (x(second), bottom + 5)], "muted")
        tick_label(canvas, x(second), bottom + 18, clock(second))


class _Lane:
    """What every lane needs: the canvas, its sides, and where a second is."""

    def __init__(
        self, canvas: Canvas, left: float, right: float, x: Callable[[float], float]
    ) -> None:
        self.canvas, self.left, self.right, self.x = canvas, left, right, x

    def title(self, top: float, text: str) -> None:
        self.canvas.text(self.left, top - 8, text, "ink")

    def panel(self, top: float, height: float) -> None:
        self.canvas.rect((self.left, top, self.right - self.left, height), "panel")

    def span(self, start_s: float, end_s: float, gap: float = 0.0) -> tuple[float, float]:
        """Left edge and width of a stretch of time, at least a hair wide."""
        low, high = self.x(start_s), self.x(end_s)
        return low, max(high - low - gap, 0.6)


def _draw_strip(lane: _Lane, top: float, segments: Sequence[Segment]) -> None:
    lane.panel(top, _STRIP)
    for segment in segments:
        left, width = lane.span(segment.start_s, segment.end_s, 1.0)
        role = STATUS_ROLE[segment.status]
        lane.canvas.rect((left, top, width, _STRIP), role)
        words = "undecided" if segment.offset_ms is None else f"{segment.offset_ms:+.0f} ms"
        for text in (words, words.removesuffix(" ms")):
            if LETTER * len(text) + 8 < width:
                lane.canvas.text(left + width / 2, top + 15, text, "paper", "middle")
                break


def _draw_bars(lane: _Lane, top: float, blocks: Sequence[BlockResult]) -> None:
    lane.panel(top, _BARS)
    if len(blocks) <= _MAX_BARS:
        most = _draw_single_bars(lane, top, blocks)
    else:
        most = _draw_merged_bars(lane, top, blocks)
    if most > 0.0:
        label = f"{100 * most:.2g} %" if most < 0.9995 else "100 %"
        lane.canvas.text(lane.left - 6, top + 12, label, "muted", "end")
        lane.canvas.text(lane.left - 6, top + _BARS, "0", "muted", "end")


def _draw_single_bars(lane: _Lane, top: float, blocks: Sequence[BlockResult]) -> float:
    """A bar a block, those of one time on each other's shoulders; the height of the highest."""
    columns = np.zeros(max(1, int(lane.right - lane.left) + 1))
    bars: list[tuple[float, float, float, float, str]] = []
    used_s = {(b.start_s, b.end_s) for b in blocks if b.used}
    for block in blocks:
        left, width = lane.span(block.start_s, block.end_s, 1.0)
        if block.used:
            low = int(left - lane.left)
            high = max(low + 1, int(left + width - lane.left))
            below = float(columns[low:high].max(initial=0.0))
            columns[low:high] = np.maximum(columns[low:high], below + block.weight)
            bars.append((left, width, below, block.weight, region_role(block)))
        elif (block.start_s, block.end_s) not in used_s:
            lane.canvas.rect((left, top, width, _BARS), "grid", 0.7)
    most = float(columns.max())
    scale = (_BARS - 6) / most if most > 0 else 0.0
    for left, width, below, weight, role in bars:
        bar = (left, top + _BARS - (below + weight) * scale, width, weight * scale)
        lane.canvas.rect(bar, role)
    return most


def _draw_merged_bars(lane: _Lane, top: float, blocks: Sequence[BlockResult]) -> float:
    """The same in columns two units wide, each as high as the highest bars in it."""
    count = max(1, int((lane.right - lane.left) / 2))
    heights = {role: np.zeros(count) for role in (*TRACK_ROLES, "muted")}
    covered, used = np.zeros(count, bool), np.zeros(count, bool)
    for block in blocks:
        left, width = lane.span(block.start_s, block.end_s)
        low = min(int((left - lane.left) / 2), count - 1)
        high = max(low + 1, int((left + width - lane.left) / 2))
        covered[low:high] = True
        if block.used:
            used[low:high] = True
            part = heights[region_role(block)][low:high]
            np.maximum(part, block.weight, out=part)
    silent = np.concatenate([[False], covered & ~used, [False]]).astype(np.int8)
    for low, high in np.flatnonzero(np.diff(silent)).reshape(-1, 2):
        lane.canvas.rect((lane.left + 2 * low, top, 2 * (high - low), _BARS), "grid", 0.7)
    total = np.sum(list(heights.values()), axis=0)
    most = float(total.max())
    bottom = top + _BARS
    edges = lane.left + 2.0 * np.repeat(np.arange(count + 1), 2)[1:-1]
    # From the highest pile down, each painted over by what stands below it.
    for role in reversed(heights):
        if most > 0.0 and heights[role].any():
            levels = bottom - np.repeat(total, 2) / most * (_BARS - 6)
            lane.canvas.area(list(zip(edges, levels, strict=True)), bottom, role, 1.0)
        total = total - heights[role]
    return most


def _draw_levels(lane: _Lane, top: float, shown: OverTime) -> None:
    assert shown.levels_db is not None
    lane.panel(top, _SOUND)
    lane.canvas.text(lane.left - 6, top + 8, "0", "muted", "end")
    lane.canvas.text(lane.left - 6, top + _SOUND, f"{QUIETEST_DB:.0f}", "muted", "end")
    levels = np.asarray(shown.levels_db, np.float64)
    if not len(levels):
        return
    per_column = max(1, math.ceil(len(levels) / max(1.0, (lane.right - lane.left) / 2)))
    padded = np.pad(levels, (0, -len(levels) % per_column), constant_values=QUIETEST_DB)
    loudest = padded.reshape(-1, per_column).max(axis=1)
    shares = np.clip(1.0 - loudest / QUIETEST_DB, 0.0, 1.0)
    bottom = top + _SOUND
    points = [
        (lane.x(shown.levels_start_s + (k + 0.5) * per_column / 25.0), bottom - s * (_SOUND - 2))
        for k, s in enumerate(shares)
    ]
    lane.canvas.area(points, bottom, "muted", 0.55)


def _draw_heat(lane: _Lane, top: float, report: Judgement, votes: np.ndarray) -> None:
    windows = report.evidence.windows
    rows = heat_rows(report, votes)
    votes = votes[:, rows]
    offsets = np.asarray(report.evidence.offsets_ms, np.float64)[rows]
    lane.panel(top, _HEAT)
    bottom, reach = top + _HEAT, float(offsets[-1] - offsets[0]) or 1.0

    def y(offset_ms: float) -> float:
        return bottom - float(np.clip((offset_ms - offsets[0]) / reach, 0.0, 1.0)) * _HEAT

    values = heat_values(votes)
    starts = np.array([lane.x(w.start_s) for w in windows])
    columns = int(min(1200.0, (lane.right - lane.left)))
    at = lane.left + (np.arange(columns) + 0.5) * (lane.right - lane.left) / columns
    # One picture for all windows, which may have gaps between them.
    owner = np.searchsorted(starts, at, side="right") - 1
    ends = np.array([lane.x(w.end_s) for w in windows])
    inside = (owner >= 0) & (at <= ends[np.maximum(owner, 0)])
    picture = np.where(inside[:, None], values[np.maximum(owner, 0)], 0.0)
    if len(windows) > columns:  # several windows a column: the surest of them, not the last
        picture = np.zeros((columns, values.shape[1]))
        place = np.clip(((starts - lane.left) / (lane.right - lane.left) * columns), 0, columns - 1)
        np.maximum.at(picture, place.astype(int), values)
    box = (lane.left, top, lane.right - lane.left, _HEAT)
    lane.canvas.heat(box, picture.T[::-1])
    for limit in (-report.tolerance.early_ms, report.tolerance.late_ms):
        if offsets[0] < limit < offsets[-1]:
            lane.canvas.line([(lane.left, y(limit)), (lane.right, y(limit))], "ok", dashed=True)
    for value in ticks(offsets[0], offsets[-1], 5):
        lane.canvas.line([(lane.left - 3, y(value)), (lane.left, y(value))], "muted")
        label = f"{value:+g}" if value else "0"
        lane.canvas.text(lane.left - 6, y(value) + 4, label, "muted", "end")
    drift = report.verdict.drift_ms_per_min or 0.0
    for segment in report.verdict.segments:
        if segment.offset_ms is not None:
            # A drifting stretch is given with its offset in the middle.
            lean = drift * (segment.end_s - segment.start_s) / 120.0
            ends_y = [y(segment.offset_ms - lean), y(segment.offset_ms + lean)]
            points = list(
                zip((lane.x(segment.start_s), lane.x(segment.end_s)), ends_y, strict=True)
            )
            lane.canvas.line(points, STATUS_ROLE[segment.status], 1.6)


def heat_rows(report: Judgement, votes: np.ndarray) -> slice:
    """The offsets worth showing: the tolerance, every answer, and where sure windows have their
    peaks, with a margin; the rest of a wide scan is empty."""
    offsets = np.asarray(report.evidence.offsets_ms, np.float64)
    places = [-report.tolerance.early_ms, report.tolerance.late_ms]
    for segment in report.verdict.segments:
        if segment.offset_ms is not None:
            drift = abs(report.verdict.drift_ms_per_min or 0.0)
            lean = drift * (segment.end_s - segment.start_s) / 120.0
            places += [segment.offset_ms - lean, segment.offset_ms + lean]
    peaks = votes.argmax(axis=1)
    for row, peak in zip(votes, peaks, strict=True):
        if row[max(0, peak - 4) : peak + 5].sum() >= _SURE:
            places.append(offsets[peak])
    if len(places) == 2 and report.verdict.offset_ms is None:
        return slice(0, len(offsets))  # nobody is sure of anything: show all there is
    low, high = min(places), max(places)
    margin = max(_LEAST_MARGIN_MS, 0.25 * (high - low))
    first = int(np.searchsorted(offsets, low - margin))
    last = int(np.searchsorted(offsets, high + margin, side="right"))
    return slice(first, max(last, first + 2)) if last - first >= 2 else slice(0, len(offsets))


def heat_values(votes: np.ndarray) -> np.ndarray:
    """Probabilities (W, O) as shades 0..1: the square root, so that doubt shows; the darkest is
    the likeliest offset of the surest window, but never less than a twentieth."""
    most = max(0.05, float(votes.max(initial=0.0)))
    shades: np.ndarray = np.sqrt(np.clip(votes / most, 0.0, 1.0))
    return shades
