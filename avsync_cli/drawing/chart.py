"""Charts of an evaluation: lines with bands, steps of histograms, and pictures with cell maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from avsync_cli.drawing.attention import shaded_cells
from avsync_cli.drawing.canvas import Canvas, Point
from avsync_cli.drawing.palette import LINES
from avsync_cli.drawing.pixels import png_bytes
from avsync_cli.drawing.plot import Plot, Scale, round_ticks
from avsync_cli.drawing.svg import SvgCanvas

WIDTH, HEIGHT = 640.0, 400.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 20.0, 40.0, 48.0

_PICTURE, _GAP = 160.0, 12.0
"""Sides of a picture with cells, and what is between two."""


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
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

    def scale(self, values: Sequence[float], start: float, end: float) -> Scale:
        """The axis between two places of the canvas, around `values` where it has no range."""
        finite = [v for v in values if math.isfinite(v)]
        low = self.low if self.low is not None else min(finite, default=0.0)
        high = self.high if self.high is not None else max(finite, default=1.0)
        if not high > low:
            low, high = low - 0.5, high + 0.5
        log = self.log and low > 0.0
        return Scale(low=low, high=high, start=start, end=end, log=log)

    def places(self, scale: Scale) -> list[float]:
        """The given ticks within the range, or about five round ones."""
        return [t for t in self.ticks if scale.holds(t)] or round_ticks(scale.low, scale.high, 5)

    def word(self, value: float) -> str:
        """A tick's label."""
        return f"{100 * value:.0f} %" if self.percent else f"{value:.6g}"


@dataclass(kw_only=True)
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
        canvas = _page(WIDTH, HEIGHT, self.title)
        plot = Plot(
            canvas,
            self.x.scale([v for s in self.series for v in s.x], _LEFT, WIDTH - _RIGHT),
            self.y.scale(
                [v for s in self.series for v in (*s.y, *s.low, *s.high)], HEIGHT - _BOTTOM, _TOP
            ),
        )
        self._draw_frame(plot)
        if self.diagonal:
            canvas.line(plot.placed((0.0, 1.0), (0.0, 1.0)), "muted", 1.0, (3, 3))
        for x, word in self.notes:
            if plot.x.holds(x):
                plot.upright(x, "muted", dashed=True)
                canvas.text((plot.x(x) + 4, _TOP + 12), word)
        for number, series in enumerate(self.series):
            draw = _draw_steps if series.step else _draw_line
            draw(plot, series, *LINES[number % len(LINES)])
        self._draw_legend(canvas)
        names = ", ".join(series.name for series in self.series if series.name)
        return canvas.document(self.title, f"{self.y.label} by {self.x.label}: {names or 'a line'}")

    def _draw_frame(self, plot: Plot) -> None:
        canvas = plot.canvas
        for tick in self.y.places(plot.y):
            plot.level(tick, "grid")
            plot.side_label(tick, self.y.word(tick))
        plot.ticks_below(self.x.places(plot.x), self.x.word)
        corner = [(plot.left, plot.top), (plot.left, plot.bottom), (plot.right, plot.bottom)]
        canvas.line(corner, "muted")
        canvas.text(((plot.left + plot.right) / 2, HEIGHT - 10), self.x.label, "ink", "middle")
        middle = 14.0, (plot.top + plot.bottom) / 2
        canvas.text(middle, self.y.label, "ink", "middle", upwards=True)

    def _draw_legend(self, canvas: Canvas) -> None:
        shown = [(n, series.name) for n, series in enumerate(self.series) if series.name]
        at_top = any(s.step for s in self.series)  # histograms lie at the bottom, lines high up
        first = _TOP + 14 if at_top else HEIGHT - _BOTTOM - 10 - 16 * (len(shown) - 1)
        right = WIDTH - _RIGHT - 8
        for row, (n, name) in enumerate(shown):
            y = first + 16 * row
            role, dashes = LINES[n % len(LINES)]
            canvas.line([(right - 26, y - 4), (right, y - 4)], role, 2.0, dashes)
            canvas.text((right - 32, y), name, "ink", "end")


def _draw_steps(plot: Plot, series: Series, role: str, dashes: tuple[float, ...]) -> None:
    edges = [x for x in series.x for _ in range(2)][1:-1]
    points = plot.placed(edges, [y for y in series.y for _ in range(2)])
    if points:
        floor = plot.y(max(plot.y.low, 0.0))
        ends = (points[-1][0], floor), (points[0][0], floor)
        plot.canvas.area([*points, *ends], role, 0.15)
        plot.canvas.line(points, role, 1.5, dashes)


def _draw_line(plot: Plot, series: Series, role: str, dashes: tuple[float, ...]) -> None:
    if len(series.low):
        _draw_band(plot, series, role)
    points = zip(series.x, series.y, strict=True)
    for known, group in groupby(points, lambda point: all(map(math.isfinite, point))):
        run = plot.placed(*zip(*group, strict=True)) if known else []
        if len(run) > 1:
            plot.canvas.line(run, role, 2.0, dashes)
        for x, y in run if series.marks else []:
            plot.canvas.dot(x, y, role)


def _draw_band(plot: Plot, series: Series, role: str) -> None:
    band = zip(series.x, series.low, series.high, strict=True)
    known = [ends for ends in band if all(map(math.isfinite, ends))]
    below: list[Point] = [(plot.x(x), plot.y(low)) for x, low, _ in known]
    above: list[Point] = [(plot.x(x), plot.y(high)) for x, _, high in known]
    if len(known) > 1:
        plot.canvas.area([*below, *reversed(above)], role, 0.15)


def cell_figure(title: str, pictures: Sequence[tuple[np.ndarray, np.ndarray, int]]) -> str:
    """Pictures with what the attention weighs drawn over them, as an SVG document.

    Args:
        title: above them.
        pictures: (H, W) uint8 grey picture, (h, w) weights of its cells summing to 1, and the side
            in pixels of the square in its middle that the cells cover.
    """
    step = _PICTURE + _GAP
    canvas = _page(_GAP + step * max(1, len(pictures)), _PICTURE + 44, title)
    for number, (picture, cells, side_px) in enumerate(pictures):
        left, top = _GAP + number * step, 32.0
        canvas.picture(png_bytes(picture), "png", (left, top, _PICTURE, _PICTURE))
        scale = _PICTURE / picture.shape[1]
        inner, side = (picture.shape[1] - side_px) / 2 * scale, side_px * scale
        shades = cells / (float(cells.max()) or 1.0)
        patch = (left + inner, top + inner), (side, 0.0), (0.0, side)
        canvas.cells(shaded_cells(patch, shades))
    return canvas.document(title, "The stronger a cell's colour, the more attention it has.")


def _page(width: float, height: float, title: str) -> SvgCanvas:
    canvas = SvgCanvas(width, height)
    canvas.rect((0.0, 0.0, width, height), "paper")
    # Long names in smaller letters.
    size = max(9.0, min(15.0, width * 1.64 / max(1, len(title))))
    canvas.text((width / 2, 22), title, "ink", "middle", size=size)
    return canvas
