"""Figures of an evaluation as SVG: lines with bands, bars, steps, and pictures with cell maps.

Plain text, no scripts, no fonts or files from elsewhere; colours that stay apart for most
colour-blind readers (Okabe and Ito), and dashes besides.
"""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

from avsync_cli.wording import safe_text

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 4", "12 4", "4 4")

WIDTH, HEIGHT = 640, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 20, 40, 48


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        name: for the legend; "" for none.
        x, y: points, in order; those that are not finite interrupt the line.
        low, high: ends of a band around y, or empty.
        step: whether it goes up in steps (histograms), x being the edges then, one more than y.
        marks: whether points are marked.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    step: bool = False
    marks: bool = False


@dataclass(frozen=True)
class Axis:
    """Label, range and ticks of one direction.

    Attributes:
        label: what it counts, with its unit.
        low, high: range; None takes that of the data.
        ticks: places of ticks; empty for round ones.
        log: whether distances are ratios; the range must be above 0 then.
        percent: whether 0..1 is written as 0..100.
    """

    label: str
    low: float | None = None
    high: float | None = None
    ticks: tuple[float, ...] = ()
    log: bool = False
    percent: bool = False


@dataclass
class Chart:
    """A chart to be filled and written.

    Attributes:
        title: above it.
        x, y: its axes.
        series: lines, drawn in order.
        diagonal: whether to draw the line y = x.
        notes: vertical lines with a word each, by x.
    """

    title: str
    x: Axis
    y: Axis
    series: list[Series] = field(default_factory=list)
    diagonal: bool = False
    notes: list[tuple[float, str]] = field(default_factory=list)

    def svg(self) -> str:
        """The whole document."""
        across = _Scale(self.x, _LEFT, WIDTH - _RIGHT, [v for s in self.series for v in s.x])
        values = [v for s in self.series for v in (*s.y, *s.low, *s.high)]
        up = _Scale(self.y, HEIGHT - _BOTTOM, _TOP, values)
        size = max(9, min(15, 1050 // max(1, len(self.title))))  # long names in smaller letters
        parts = [_text(WIDTH / 2, 22, self.title, size=size, anchor="middle")]
        parts += _frame(across, up)
        if self.diagonal:
            ends = [(across(v), up(v)) for v in (0.0, 1.0)]
            parts.append(_path(ends, "#999999", 1.0, "3 3"))
        for x, word in self.notes:
            if across.holds(x):
                at = across(x)
                parts.append(_path([(at, _TOP), (at, HEIGHT - _BOTTOM)], "#666666", 1.0, "2 2"))
                parts.append(_text(at + 4, _TOP + 12, word, size=11, colour="#444444"))
        for number, series in enumerate(self.series):
            parts += _series(series, number, across, up)
        at_top = any(s.step for s in self.series)  # histograms lie at the bottom, lines high up
        parts += _legend([s.name for s in self.series], at_top)
        return document(WIDTH, HEIGHT, parts, self.title)


class _Scale:
    """From values to pixels along one axis."""

    def __init__(self, axis: Axis, start_px: float, end_px: float, values: list[float]) -> None:
        finite = [v for v in values if math.isfinite(v)]
        self.axis = axis
        self.low = axis.low if axis.low is not None else min(finite, default=0.0)
        self.high = axis.high if axis.high is not None else max(finite, default=1.0)
        if not self.high > self.low:
            self.low, self.high = self.low - 0.5, self.high + 0.5
        self.start_px, self.end_px = start_px, end_px

    def __call__(self, value: float) -> float:
        low, high = self._place(self.low), self._place(self.high)
        share = (self._place(min(max(value, self.low), self.high)) - low) / (high - low)
        return self.start_px + share * (self.end_px - self.start_px)

    def _place(self, value: float) -> float:
        return math.log(max(value, 1e-12)) if self.axis.log else value

    def holds(self, value: float) -> bool:
        """Whether a value lies within the range."""
        return self.low <= value <= self.high

    def ticks(self) -> list[float]:
        """Given ones within the range, or about five round ones."""
        if self.axis.ticks:
            return [t for t in self.axis.ticks if self.holds(t)]
        raw = (self.high - self.low) / 5.0
        size = 10.0 ** math.floor(math.log10(raw))
        step = next(m * size for m in (1, 2, 5, 10) if m * size >= raw * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [i * step for i in range(first, last + 1)]

    def word(self, value: float) -> str:
        """A tick's label."""
        return f"{100 * value:.0f} %" if self.axis.percent else f"{value:.6g}"


def _frame(across: _Scale, up: _Scale) -> list[str]:
    left, right, top, bottom = _LEFT, WIDTH - _RIGHT, _TOP, HEIGHT - _BOTTOM
    parts = []
    for tick in up.ticks():
        y = up(tick)
        parts.append(_path([(left, y), (right, y)], "#e4e4e4", 1.0))
        parts.append(_text(left - 6, y + 4, up.word(tick), size=11, anchor="end"))
    for tick in across.ticks():
        x = across(tick)
        parts.append(_path([(x, bottom), (x, bottom + 4)], "#444444", 1.0))
        parts.append(_text(x, bottom + 17, across.word(tick), size=11, anchor="middle"))
    parts.append(_path([(left, top), (left, bottom), (right, bottom)], "#444444", 1.0))
    middle = (left + right) / 2
    parts.append(_text(middle, HEIGHT - 10, across.axis.label, size=12, anchor="middle"))
    label = _text(0, 0, up.axis.label, size=12, anchor="middle")
    parts.append(f'<g transform="translate(14 {(top + bottom) / 2:.1f}) rotate(-90)">{label}</g>')
    return parts


def _series(series: Series, number: int, across: _Scale, up: _Scale) -> list[str]:
    colour, dash = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
    if series.step:
        points = []
        for i, y in enumerate(series.y):
            points += [(across(series.x[i]), up(y)), (across(series.x[i + 1]), up(y))]
        floor = up(max(up.low, 0.0))
        outline = [(points[0][0], floor), *points, (points[-1][0], floor)] if points else []
        return [_area(outline, colour), _path(points, colour, 1.5, dash)]
    parts = []
    if len(series.low):
        band = zip(series.x, series.low, series.high, strict=True)
        known = [b for b in band if all(math.isfinite(v) for v in b)]
        lower = [(across(x), up(low)) for x, low, _ in known]
        upper = [(across(x), up(high)) for x, _, high in reversed(known)]
        parts.append(_area(lower + upper, colour))
    run: list[tuple[float, float]] = []
    for x, y in [*zip(series.x, series.y, strict=True), (math.nan, math.nan)]:
        if math.isfinite(x) and math.isfinite(y):
            run.append((across(x), up(y)))
            continue
        parts.append(_path(run, colour, 2.0, dash))
        if series.marks:
            parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in run]
        run = []
    return parts


def _legend(names: list[str], at_top: bool) -> list[str]:
    parts = []
    shown = [(n, name) for n, name in enumerate(names) if name]
    first = _TOP + 14 if at_top else HEIGHT - _BOTTOM - 10 - 16 * (len(shown) - 1)
    for row, (n, name) in enumerate(shown):
        at = first + 16 * row
        colour, dash = COLOURS[n % len(COLOURS)], DASHES[n % len(DASHES)]
        right = WIDTH - _RIGHT - 8
        parts.append(_path([(right - 26, at - 4), (right, at - 4)], colour, 2.0, dash))
        parts.append(_text(right - 32, at, name, size=11, anchor="end"))
    return parts


def _path(points: Sequence[tuple[float, float]], colour: str, width: float, dash: str = "") -> str:
    if len(points) < 2:
        return ""
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    pen = f'stroke="{colour}" stroke-width="{width}"{dashes}'
    return f'<polyline points="{places}" fill="none" {pen}/>'


def _area(points: Sequence[tuple[float, float]], colour: str) -> str:
    if len(points) < 3:
        return ""
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polygon points="{places}" fill="{colour}" fill-opacity="0.15" stroke="none"/>'


def _text(
    x: float, y: float, words: str, size: int, anchor: str = "start", colour: str = "#222222"
) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {place}>{escape(safe_text(words))}</text>"


def document(width: float, height: float, parts: Sequence[str], title: str) -> str:
    """An SVG document of parts, on white."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" font-family="sans-serif">'
    )
    name = f"<title>{escape(safe_text(title))}</title>"
    back = f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>'
    return "\n".join([head, name, back, *(p for p in parts if p), "</svg>", ""])


def cell_figure(title: str, pictures: Sequence[tuple[np.ndarray, np.ndarray, int]]) -> str:
    """Pictures with what the attention weighs drawn over them.

    Args:
        title: above them.
        pictures: (H, W) uint8 grey picture, (h, w) weights of its cells summing to 1, and the side
            in pixels of the square in its middle that the cells cover.
    """
    shown, gap = 160, 12
    width = gap + (shown + gap) * max(1, len(pictures))
    parts = [_text(width / 2, 20, title, size=14, anchor="middle")]
    for number, (picture, cells, side) in enumerate(pictures):
        left, top = gap + number * (shown + gap), 32.0
        data = base64.b64encode(grey_png(picture)).decode()
        place = f'x="{left}" y="{top}" width="{shown}" height="{shown}"'
        parts.append(f'<image {place} href="data:image/png;base64,{data}"/>')
        scale = shown / picture.shape[1]
        inner = (picture.shape[1] - side) / 2 * scale
        size = side * scale / cells.shape[1]
        most = float(cells.max()) or 1.0
        for (row, column), weight in np.ndenumerate(cells):
            x, y = left + inner + column * size, top + inner + row * size
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{size:.1f}" height="{size:.1f}" '
                f'fill="#d55e00" fill-opacity="{0.7 * float(weight) / most:.3f}"/>'
            )
    return document(width, shown + 44, parts, title)


def grey_png(picture: np.ndarray) -> bytes:
    """A (H, W) uint8 grey picture as PNG (ISO/IEC 15948)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    height, width = picture.shape
    rows = np.pad(np.ascontiguousarray(picture, np.uint8), ((0, 0), (1, 0)))  # filter 0 a row
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows.tobytes(), 9))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")
