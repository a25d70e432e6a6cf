"""A field with an axis below it and one on its left: what every figure is drawn in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from avsync_cli.drawing.canvas import DASHED, LETTER, Canvas, Point


@dataclass(frozen=True, kw_only=True)
class Scale:
    """From values to units along one axis.

    Attributes:
        low, high: the range of values; what lies outside is drawn at its end.
        start, end: where on the canvas the ends of the range lie.
        log: whether equal ratios are equal distances; the range is above 0 then.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high = self._even(self.low), self._even(self.high)
        share = (self._even(min(max(value, self.low), self.high)) - low) / (high - low)
        return float(self.start + share * (self.end - self.start))

    def _even(self, value: float) -> float:
        return math.log(value) if self.log else value

    def holds(self, value: float) -> bool:
        """Whether a value lies within the range."""
        return self.low <= value <= self.high


class Plot:
    """A field of a canvas.

    Args:
        canvas: drawn on.
        x: from left to right.
        y: from the bottom up.
    """

    def __init__(self, canvas: Canvas, x: Scale, y: Scale) -> None:
        self.canvas, self.x, self.y = canvas, x, y
        self.left, self.right, self.bottom, self.top = x.start, x.end, y.start, y.end

    def panel(self) -> None:
        """Colour the field."""
        width, height = self.right - self.left, self.bottom - self.top
        self.canvas.rect((self.left, self.top, width, height), "panel")

    def span(self, low: float, high: float, role: str, alpha: float = 1.0) -> None:
        """Colour what lies between two values of x, at least a unit wide, over the whole height."""
        left, right = self.x(low), self.x(high)
        box = left, self.top, max(right - left, 1.0), self.bottom - self.top
        self.canvas.rect(box, role, alpha)

    def upright(self, value: float, role: str, width: float = 1.0, *, dashed: bool = False) -> None:
        """A line at a value of x, over the whole height."""
        x = self.x(value)
        ends = [(x, self.top), (x, self.bottom)]
        self.canvas.line(ends, role, width, DASHED if dashed else ())

    def level(self, value: float, role: str, *, dashed: bool = False) -> None:
        """A line at a value of y, over the whole width."""
        y = self.y(value)
        ends = [(self.left, y), (self.right, y)]
        self.canvas.line(ends, role, 1.0, DASHED if dashed else ())

    def placed(self, x: Iterable[float], y: Iterable[float]) -> list[Point]:
        """Points on the canvas."""
        return [(self.x(a), self.y(b)) for a, b in zip(x, y, strict=True)]

    def side_label(self, value: float, text: str) -> None:
        """A label of the axis on the left."""
        self.canvas.text((self.left - 6, self.y(value) + 4), text, "muted", "end")

    def ticks_below(
        self, values: Sequence[float], word: Callable[[float], str], drop: float = 17.0
    ) -> None:
        """Ticks with labels below the field, whose feet stand `drop` units below it; a label is
        moved to the left where the canvas ends."""
        for value in values:
            x, text = self.x(value), word(value)
            self.canvas.line([(x, self.bottom), (x, self.bottom + drop - 13)], "muted")
            if x + LETTER * len(text) / 2 > self.canvas.width:
                self.canvas.text((self.canvas.width - 1, self.bottom + drop), text, "muted", "end")
            else:
                self.canvas.text((x, self.bottom + drop), text, "muted", "middle")


def signed(value: float) -> str:
    """A number with its sign; 0 has none."""
    return f"{value:+g}" if value else "0"


def round_ticks(low: float, high: float, about: int) -> list[float]:
    """Round values within low..high, about so many: steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(k * step, 6) + 0.0 for k in range(first, last + 1)]


def time_ticks(start_s: float, end_s: float, about: int) -> list[float]:
    """Whole seconds, minutes or hours within a span, at most so many."""
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400)
    step = next((s for s in steps if (end_s - start_s) / s <= about), 28_800)
    first = math.ceil(start_s / step - 1e-9)
    return [float(k * step) for k in range(first, math.floor(end_s / step + 1e-9) + 1)]
