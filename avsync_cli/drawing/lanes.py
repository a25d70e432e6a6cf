"""A film over time in lanes: verdict, attention, loudness, and where the offset lies.

Lanes share one time axis, which runs to the right. In the lane of offsets, above 0 the sound is
late.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avsync_cli.drawing.canvas import LETTER, ROOMY, Canvas
from avsync_cli.drawing.palette import STATUS_ROLE, TRACK_ROLES, region_role
from avsync_cli.drawing.people import LINE, draw_people, lines, people
from avsync_cli.drawing.plot import Plot, Scale, round_ticks, signed, time_ticks
from avsync_cli.inference.evidence import BlockResult, WindowResult
from avsync_cli.names import STATUS_WORDS
from avsync_cli.verdict.answer import Judgement, Segment
from avsync_cli.wording import clock

QUIETEST_DB = -60.0

_SURE = 0.5
"""Probability within four steps of a window's peak from which the heat map makes room for it."""

_LEAST_MARGIN_MS = 150.0

_MAX_BARS = 400
"""Blocks drawn one by one; beyond, they are merged into columns."""

_GAP = 30.0
_STRIP, _BARS, _SOUND, _HEAT, _AXIS = 22.0, 84.0, 46.0, 170.0, 22.0
"""Heights of the lanes, with what is above each, and of the time axis."""

_ROOM = 6.0
"""Units above the highest bar."""

_HEAT_COLUMNS = 1200


@dataclass(frozen=True)
class Extras:
    """What the lanes show besides the judgement itself.

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


def lanes_height(judgement: Judgement, extras: Extras) -> float:
    """How high a canvas `draw_lanes` needs."""
    lanes = [_STRIP, _BARS]
    everybody = people(judgement.evidence.blocks)
    lanes += [LINE * lines(everybody)] if everybody else []
    lanes += [_SOUND] if extras.levels_db is not None else []
    lanes += [_HEAT] if extras.votes is not None and len(extras.votes) else []
    return sum(lanes) + _GAP * len(lanes) + _AXIS


def time_span(judgement: Judgement) -> tuple[float, float]:
    """First and last second of what was judged."""
    evidence = judgement.evidence
    spans = [(block.start_s, block.end_s) for block in evidence.blocks]
    spans += [(window.start_s, window.end_s) for window in evidence.windows]
    spans += [(segment.start_s, segment.end_s) for segment in judgement.verdict.segments]
    if not spans:
        return 0.0, max(1.0, evidence.media.duration_s)
    start = min(low for low, _ in spans)
    return start, max(start + 0.04, *(high for _, high in spans))


def time_sides(width: float) -> tuple[float, float]:
    """Left and right edge of the time axis on a canvas so wide."""
    return 46.0, width - 12.0


def draw_lanes(canvas: Canvas, judgement: Judgement, extras: Extras) -> None:
    """Draw all lanes that there is something for, and the time axis below them."""
    start_s, end_s = time_span(judgement)
    left, right = time_sides(canvas.width)
    time = Scale(low=start_s, high=end_s, start=left, end=right)
    wide = canvas.width >= ROOMY
    bottom = 0.0

    def lane(height: float, title: str, low: float = 0.0, high: float = 1.0) -> Plot:
        nonlocal bottom
        top = bottom + _GAP
        bottom = top + height
        canvas.text((left, top - 8), title, "ink")
        plot = Plot(canvas, time, Scale(low=low, high=high, start=bottom, end=top))
        plot.panel()
        return plot

    _draw_strip(lane(_STRIP, "Verdict"), judgement.verdict.segments)
    title = "Attention: each second's share in the decision" if wide else "Attention weight"
    _draw_bars(lane(_BARS, title), judgement.evidence.blocks)
    everybody = people(judgement.evidence.blocks)
    if everybody:
        title = "Who is in the picture: the stronger, the more of the attention" if wide else "Who"
        draw_people(lane(LINE * lines(everybody), title), everybody)
    if extras.levels_db is not None:
        title = "Loudness of the sound in dB" if wide else "Loudness, dB"
        _draw_levels(lane(_SOUND, title, QUIETEST_DB, 0.0), extras)
    if extras.votes is not None and len(extras.votes):
        title = "Offset, ms"
        if wide:
            title = "Where the offset lies: the stronger the colour, the likelier"
            canvas.text((right, bottom + _GAP - 8), "ms, above 0: sound late", "muted", "end")
        rows = heat_rows(judgement, extras.votes)
        offsets = judgement.evidence.offsets_ms[rows]
        plot = lane(_HEAT, title, float(offsets[0]), max(offsets[-1], offsets[0] + 1.0))
        _draw_heat(plot, judgement.evidence.windows, extras.votes[:, rows])
        _draw_offsets(plot, judgement)
    axis = Plot(canvas, time, Scale(low=0.0, high=1.0, start=bottom, end=0.0))
    axis.ticks_below(time_ticks(start_s, end_s, max(3, int(canvas.width / 90))), clock, drop=18.0)


# --- Verdict --------------------------------------------------------------------------------------


def _draw_strip(plot: Plot, segments: Sequence[Segment]) -> None:
    for segment in segments:
        left, width = _time_box(plot, segment.start_s, segment.end_s)
        plot.canvas.rect((left, plot.top, width, _STRIP), STATUS_ROLE[segment.status])
        words = STATUS_WORDS["undecided"]
        if segment.offset_ms is not None:
            words = f"{segment.offset_ms:+.0f} ms"
        for text in (words, words.removesuffix(" ms")):
            if LETTER * len(text) + 8 < width:
                plot.canvas.text((left + width / 2, plot.top + 15), text, "paper", "middle")
                break


def _time_box(plot: Plot, start_s: float, end_s: float) -> tuple[float, float]:
    """Left edge and width of a stretch of time, at least a hair wide, apart from the next one."""
    left, right = plot.x(start_s), plot.x(end_s)
    return left, max(right - left - 1.0, 0.6)


# --- Attention ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bar:
    """A block in the lane of attention: its time, and what it stands on and reaches up from it."""

    block: BlockResult
    start_s: float
    end_s: float
    below: float


def stacked(blocks: Sequence[BlockResult]) -> list[Bar]:
    """The used blocks, those of one time on each other's shoulders.

    The last block of a region ends where the region does and may overlap the one before; it has
    only the time that is new, as in the decision, and stands beside its neighbour, not on it.
    """
    told_s: dict[tuple[str, int | None], float] = {}
    spans: list[tuple[BlockResult, float, float]] = []
    for block in sorted((b for b in blocks if b.used), key=lambda b: b.start_s):
        key = block.region.kind, block.region.track
        start_s = max(block.start_s, told_s.get(key, block.start_s))
        told_s[key] = max(start_s, block.end_s)
        if start_s < block.end_s:
            spans.append((block, start_s, block.end_s))
    edges = sorted({round(at, 3) for _, *ends in spans for at in ends})
    place = {at: k for k, at in enumerate(edges)}
    heights = np.zeros(len(edges))
    bars = []
    for block, start_s, end_s in spans:
        part = heights[place[round(start_s, 3)] : place[round(end_s, 3)]]
        bars.append(Bar(block, start_s, end_s, float(part.max(initial=0.0))))
        part[:] = bars[-1].below + block.weight
    return bars


def _draw_bars(plot: Plot, blocks: Sequence[BlockResult]) -> None:
    bars = stacked(blocks)
    if len(blocks) <= _MAX_BARS:
        _draw_left_out(plot, blocks)
        most = max((bar.below + bar.block.weight for bar in bars), default=0.0)
        scale = (_BARS - _ROOM) / (most or 1.0)
        for bar in bars:
            left, width = _time_box(plot, bar.start_s, bar.end_s)
            high = bar.block.weight * scale
            box = left, plot.bottom - bar.below * scale - high, width, high
            plot.canvas.rect(box, region_role(bar.block))
    else:
        most = _draw_merged_bars(plot, blocks)
    if most > 0.0:
        label = f"{100 * most:.2g} %" if most < 0.9995 else "100 %"
        plot.canvas.text((plot.left - 6, plot.top + 12), label, "muted", "end")
        plot.canvas.text((plot.left - 6, plot.bottom), "0", "muted", "end")


def _draw_left_out(plot: Plot, blocks: Sequence[BlockResult]) -> None:
    """Grey where every region was left out."""
    used_s = {(b.start_s, b.end_s) for b in blocks if b.used}
    for block in blocks:
        if not block.used and (block.start_s, block.end_s) not in used_s:
            left, width = _time_box(plot, block.start_s, block.end_s)
            plot.canvas.rect((left, plot.top, width, _BARS), "grid", 0.7)


def _draw_merged_bars(plot: Plot, blocks: Sequence[BlockResult]) -> float:
    """The same in columns two units wide, each as high as the highest bars in it."""
    count = max(1, int((plot.right - plot.left) / 2))
    heights = {role: np.zeros(count) for role in (*TRACK_ROLES, "muted")}
    covered, used = np.zeros(count, bool), np.zeros(count, bool)
    for block in blocks:
        low = min(int((plot.x(block.start_s) - plot.left) / 2), count - 1)
        high = max(low + 1, int((plot.x(block.end_s) - plot.left) / 2))
        covered[low:high] = True
        if block.used:
            used[low:high] = True
            part = heights[region_role(block)][low:high]
            np.maximum(part, block.weight, out=part)
    silent = np.concatenate([[False], covered & ~used, [False]]).astype(np.int8)
    for low, high in np.flatnonzero(np.diff(silent)).reshape(-1, 2):
        box = plot.left + 2 * low, plot.top, 2 * (high - low), _BARS
        plot.canvas.rect(box, "grid", 0.7)
    total = np.sum(list(heights.values()), axis=0)
    most = float(total.max())
    edges = plot.left + 2.0 * np.repeat(np.arange(count + 1), 2)[1:-1]
    ends = [(plot.right, plot.bottom), (plot.left, plot.bottom)]
    # From the highest pile down, each painted over by what stands below it.
    for role in reversed(heights):
        if most > 0.0 and heights[role].any():
            levels = plot.bottom - np.repeat(total, 2) / most * (_BARS - _ROOM)
            plot.canvas.area([*zip(edges, levels, strict=True), *ends], role, 1.0)
        total = total - heights[role]
    return most


# --- Loudness -------------------------------------------------------------------------------------


def _draw_levels(plot: Plot, extras: Extras) -> None:
    plot.canvas.text((plot.left - 6, plot.top + 8), "0", "muted", "end")
    plot.canvas.text((plot.left - 6, plot.bottom), f"{QUIETEST_DB:.0f}", "muted", "end")
    levels = np.asarray(extras.levels_db, np.float64)
    if not len(levels):
        return
    per_column = max(1, math.ceil(len(levels) / max(1.0, (plot.right - plot.left) / 2)))
    padded = np.pad(levels, (0, -len(levels) % per_column), constant_values=QUIETEST_DB)
    loudest = np.maximum(padded.reshape(-1, per_column).max(axis=1), QUIETEST_DB)
    at_s = extras.levels_start_s + (np.arange(len(loudest)) + 0.5) * per_column / 25.0
    points = plot.placed(at_s, loudest)
    ends = (points[-1][0], plot.bottom), (points[0][0], plot.bottom)
    plot.canvas.area([*points, *ends], "muted", 0.55)


# --- Offsets --------------------------------------------------------------------------------------


def _draw_heat(plot: Plot, windows: Sequence[WindowResult], votes: np.ndarray) -> None:
    """One picture for all windows, which may have gaps between them; each row of `votes` one."""
    values = heat_values(votes)
    wide = plot.right - plot.left
    columns = int(min(_HEAT_COLUMNS, wide))
    starts = np.array([plot.x(w.start_s) for w in windows])
    if len(windows) > columns:  # several windows a column: the surest of them, not the last
        picture = np.zeros((columns, values.shape[1]))
        place = np.clip((starts - plot.left) / wide * columns, 0, columns - 1)
        np.maximum.at(picture, place.astype(int), values)
    else:
        ends = np.array([plot.x(w.end_s) for w in windows])
        at = plot.left + (np.arange(columns) + 0.5) * wide / columns
        owner = np.searchsorted(starts, at, side="right") - 1
        inside = (owner >= 0) & (at <= ends[np.maximum(owner, 0)])
        picture = np.where(inside[:, None], values[np.maximum(owner, 0)], 0.0)
    plot.canvas.heat((plot.left, plot.top, wide, _HEAT), picture.T[::-1])


def _draw_offsets(plot: Plot, judgement: Judgement) -> None:
    """The axis, the limits of the tolerance, and the answers of the stretches."""
    for limit in (-judgement.tolerance.early_ms, judgement.tolerance.late_ms):
        if plot.y.low < limit < plot.y.high:
            plot.level(limit, "ok", dashed=True)
    for value in round_ticks(plot.y.low, plot.y.high, 5):
        y = plot.y(value)
        plot.canvas.line([(plot.left - 3, y), (plot.left, y)], "muted")
        plot.side_label(value, signed(value))
    for segment in judgement.verdict.segments:
        if segment.offset_ms is not None:
            lean = _lean_ms(judgement, segment)
            ends = segment.offset_ms - lean, segment.offset_ms + lean
            points = plot.placed((segment.start_s, segment.end_s), ends)
            plot.canvas.line(points, STATUS_ROLE[segment.status], 1.6)


def _lean_ms(judgement: Judgement, segment: Segment) -> float:
    """How far from its offset a stretch begins and ends: a drifting one is given with the offset
    in its middle."""
    drift = judgement.verdict.drift_ms_per_min or 0.0
    return drift * (segment.end_s - segment.start_s) / 120.0


def heat_rows(judgement: Judgement, votes: np.ndarray) -> slice:
    """The offsets worth showing: the tolerance, every answer, and where sure windows have their
    peaks, with a margin; the rest of a wide scan is empty."""
    offsets = np.asarray(judgement.evidence.offsets_ms, np.float64)
    places = [-judgement.tolerance.early_ms, judgement.tolerance.late_ms]
    for segment in judgement.verdict.segments:
        if segment.offset_ms is not None:
            lean = _lean_ms(judgement, segment)
            places += [segment.offset_ms - lean, segment.offset_ms + lean]
    peaks = votes.argmax(axis=1)
    for row, peak in zip(votes, peaks, strict=True):
        if row[max(0, peak - 4) : peak + 5].sum() >= _SURE:
            places.append(offsets[peak])
    if len(places) == 2 and judgement.verdict.offset_ms is None:
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
    return np.asarray(np.sqrt(np.clip(votes / most, 0.0, 1.0)))
