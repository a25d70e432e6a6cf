"""What a figure is drawn on: SVG for pages, pixels for PNG.

A figure is drawn by calls on a `Canvas`, in units that are pixels at scale 1, and does not know
which of the two it is on. Colours go by their role in the palette, so that a page can have a light
and a dark set of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np

Point = tuple[float, float]
Box = tuple[float, float, float, float]
"""Left, top, width, height."""

Anchor = Literal["start", "middle", "end"]

TEXT_SIZE = 12.0
"""Height of a line of text in units; a letter is about `LETTER` wide then."""

LETTER = 6.6

ROOMY = 560.0
"""Canvases at least so wide have room for whole sentences."""

DASHED = (4.0, 4.0)
"""A dash and a gap, in units."""


class Canvas(Protocol):
    """Something to draw a figure on, `width` by `height` units."""

    width: float
    height: float

    def rect(self, box: Box, role: str, alpha: float = 1.0) -> None:
        """Fill a box."""

    def line(
        self, points: Sequence[Point], role: str, width: float = 1.0, dashes: Sequence[float] = ()
    ) -> None:
        """A line through points; with `dashes`, strokes and gaps of these lengths in turn."""

    def area(self, points: Sequence[Point], role: str, alpha: float) -> None:
        """Fill the inside of an outline."""

    def dot(self, x: float, y: float, role: str) -> None:
        """Mark a point."""

    def text(
        self,
        place: Point,
        text: str,
        role: str = "muted",
        anchor: Anchor = "start",
        *,
        size: float = TEXT_SIZE,
        upwards: bool = False,
    ) -> None:
        """A line of text whose feet stand at `place`, turned to run upwards if asked."""

    def heat(self, box: Box, values: np.ndarray) -> None:
        """(h, w) values 0..1 as cells that fill the box."""
