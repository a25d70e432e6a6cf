"""One set of strokes for two kinds of paper: SVG for pages, pixels for PNG.

A figure is drawn by calls on a `Canvas`, in units that are pixels at scale 1, and does not know
which of the two it is on. Colours go by their role ("ink", "accent", ...), so that a page can have
a light and a dark set of them.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Literal, Protocol

import numpy as np

from avsync_cli.drawing import raster
from avsync_cli.wording import safe_text

Point = tuple[float, float]
Box = tuple[float, float, float, float]
Anchor = Literal["start", "middle", "end"]

LIGHT: Mapping[str, str] = {
    "paper": "#ffffff",
    "panel": "#f5f7fa",
    "ink": "#16202c",
    "muted": "#566273",
    "grid": "#dde3eb",
    "accent": "#1d5fd1",
    "second": "#8a4fc7",
    "third": "#0b7f86",
    "fourth": "#b0561b",
    "ok": "#14794a",
    "bad": "#bd2f2a",
    "open": "#8f5b00",
}
DARK: Mapping[str, str] = {
    "paper": "#10151c",
    "panel": "#1a222d",
    "ink": "#e9eef5",
    "muted": "#a3b0c0",
    "grid": "#2f3a48",
    "accent": "#6fa8ff",
    "second": "#c59bf2",
    "third": "#4fc3c9",
    "fourth": "#e89b63",
    "ok": "#5bc98f",
    "bad": "#ff8078",
    "open": "#e6b04d",
}
"""Every text colour has a contrast of at least 4.5 to 1 (WCAG 2.2 AA) on paper and panel."""

HEAT = (31, 111, 235)
"""The colour of a heat map, laid over either paper with the value as its opacity."""


class Canvas(Protocol):
    """Something to draw a figure on, `width` by `height` units."""

    width: float
    height: float

    def rect(self, box: Box, role: str, alpha: float = 1.0) -> None:
        """Fill (left, top, width, height)."""

    def line(
        self, points: Sequence[Point], role: str, width: float = 1.0, *, dashed: bool = False
    ) -> None:
        """A line through points."""

    def area(self, points: Sequence[Point], base_y: float, role: str, alpha: float) -> None:
        """Fill between a line through points, x rising, and `base_y` below it."""

    def text(
        self, x: float, y: float, text: str, role: str = "muted", anchor: Anchor = "start"
    ) -> None:
        """A line of text whose feet stand at `y`."""

    def heat(self, box: Box, values: np.ndarray) -> None:
        """(h, w) values 0..1 as cells that fill the box."""


class SvgCanvas:
    """Collects SVG elements; `svg` wraps them up. Colours are CSS classes."""

    FONT_PX = 12

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self._parts: list[str] = []

    def rect(self, box: Box, role: str, alpha: float = 1.0) -> None:
        left, top, width, height = box
        faded = "" if alpha >= 1.0 else f' fill-opacity="{alpha:.3g}"'
        self._parts.append(
            f'<rect class="f-{role}" x="{_n(left)}" y="{_n(top)}" width="{_n(max(0.0, width))}" '
            f'height="{_n(max(0.0, height))}"{faded}/>'
        )

    def line(
        self, points: Sequence[Point], role: str, width: float = 1.0, *, dashed: bool = False
    ) -> None:
        dash = ' stroke-dasharray="4 4"' if dashed else ""
        self._parts.append(
            f'<polyline class="s-{role}" fill="none" stroke-width="{_n(width)}" '
            f'stroke-linejoin="round"{dash} points="{_path(points)}"/>'
        )

    def area(self, points: Sequence[Point], base_y: float, role: str, alpha: float) -> None:
        closed = [*points, (points[-1][0], base_y), (points[0][0], base_y)]
        self._parts.append(
            f'<polygon class="f-{role}" fill-opacity="{alpha:.3g}" points="{_path(closed)}"/>'
        )

    def text(
        self, x: float, y: float, text: str, role: str = "muted", anchor: Anchor = "start"
    ) -> None:
        where = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self._parts.append(
            f'<text class="f-{role}" x="{_n(x)}" y="{_n(y)}"{where}>'
            f"{escape(safe_text(text))}</text>"
        )

    def heat(self, box: Box, values: np.ndarray) -> None:
        left, top, width, height = box
        picture = base64.b64encode(raster.encode_png(heat_pixels(values))).decode("ascii")
        self._parts.append(
            f'<image x="{_n(left)}" y="{_n(top)}" width="{_n(width)}" height="{_n(height)}" '
            'preserveAspectRatio="none" style="image-rendering:pixelated" '
            f'href="data:image/png;base64,{picture}"/>'
        )

    def cursor(self, height: float) -> None:
        """A line that the page's script moves."""
        self._parts.append(f'<line class="cursor" y1="0" y2="{_n(height)}"/>')

    def picture(self, href: str) -> None:
        """A picture, as a data URI, over the whole canvas."""
        self._parts.append(
            f'<image width="{_n(self.width)}" height="{_n(self.height)}" '
            f'preserveAspectRatio="none" href="{escape(href)}"/>'
        )

    def cells(self, box: Box, shades: np.ndarray) -> None:
        """(h, w) shades 0..1 as a grid of cells in colours that do not depend on the page's."""
        left, top, width, height = box
        rows, columns = shades.shape
        high, wide = height / rows, width / columns
        parts = [
            f'<rect x="{_n(left + x * wide)}" y="{_n(top + y * high)}" width="{_n(wide)}" '
            f'height="{_n(high)}" fill-opacity="{0.65 * shades[y, x]:.2f}"/>'
            for y in range(rows)
            for x in range(columns)
        ]
        self._parts.append(
            f'<g class="cells" fill="#ffb000" stroke="#ffffff" stroke-opacity="0.35" '
            f'stroke-width="0.5">{"".join(parts)}</g>'
        )

    def outline(self, box: Box) -> None:
        """The outline of a box, white on a darker one, so that it shows on any picture."""
        left, top, width, height = box
        where = f'x="{_n(left)}" y="{_n(top)}" width="{_n(width)}" height="{_n(height)}"'
        self._parts.append(
            f'<rect {where} fill="none" stroke="#000000" stroke-opacity="0.55" stroke-width="4"/>'
            f'<rect {where} fill="none" stroke="#ffffff" stroke-width="2"/>'
        )

    def svg(self, name: str, title: str, description: str, attributes: str = "") -> str:
        """The whole element, named for people who cannot see it.

        Args:
            name: an id, unique on the page.
            title, description: what the figure shows, and what it says.
            attributes: more of them, as written.
        """
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {_n(self.width)} '
            f'{_n(self.height)}" aria-labelledby="{name}-t {name}-d"{attributes}>'
            f'<title id="{name}-t">{escape(safe_text(title))}</title>'
            f'<desc id="{name}-d">{escape(safe_text(description))}</desc>'
            + "".join(self._parts)
            + "</svg>"
        )


class PixelCanvas:
    """Draws on an array of pixels in the light colours.

    Args:
        width, height: in units.
        scale: pixels a unit; letters are two dots a unit of it less one, so 2 reads well.
    """

    def __init__(self, width: float, height: float, scale: int = 2) -> None:
        self.width, self.height, self._scale = width, height, scale
        self.pixels = np.zeros((round(height * scale), round(width * scale), 3), np.uint8)
        self.pixels[:] = rgb(LIGHT["paper"])

    def rect(self, box: Box, role: str, alpha: float = 1.0) -> None:
        left, top, width, height = (side * self._scale for side in box)
        raster.draw_rect(self.pixels, (left, top, width, height), rgb(LIGHT[role]), alpha)

    def line(
        self, points: Sequence[Point], role: str, width: float = 1.0, *, dashed: bool = False
    ) -> None:
        dash_px = 4.0 * self._scale if dashed else 0.0
        placed = self._placed(points)
        raster.draw_line(self.pixels, placed, rgb(LIGHT[role]), width * self._scale, dash_px)

    def area(self, points: Sequence[Point], base_y: float, role: str, alpha: float) -> None:
        placed = self._placed(points)
        raster.draw_area(self.pixels, placed, base_y * self._scale, rgb(LIGHT[role]), alpha)

    def text(
        self, x: float, y: float, text: str, role: str = "muted", anchor: Anchor = "start"
    ) -> None:
        color, scale = rgb(LIGHT[role]), self._scale
        raster.draw_text(
            self.pixels, x * scale, y * scale, safe_text(text), color, max(1, scale), anchor
        )

    def heat(self, box: Box, values: np.ndarray) -> None:
        left, top, width, height = (round(side * self._scale) for side in box)
        rows = np.minimum(np.arange(height) * values.shape[0] // height, values.shape[0] - 1)
        columns = np.minimum(np.arange(width) * values.shape[1] // width, values.shape[1] - 1)
        raster.blend(self.pixels, left, top, values[np.ix_(rows, columns)], HEAT)

    def png(self) -> bytes:
        """The picture as a file."""
        return raster.encode_png(self.pixels)

    def _placed(self, points: Sequence[Point]) -> list[Point]:
        return [(x * self._scale, y * self._scale) for x, y in points]


def heat_pixels(values: np.ndarray) -> np.ndarray:
    """(h, w) values 0..1 to (h, w, 4) RGBA uint8."""
    pixels = np.empty((*values.shape, 4), np.uint8)
    pixels[..., :3] = HEAT
    pixels[..., 3] = np.rint(255 * np.clip(values, 0.0, 1.0))
    return pixels


def palette_css(palette: Mapping[str, str]) -> str:
    """The colours as CSS variables, for a `:root` block."""
    return "".join(f"--{role}:{color};" for role, color in palette.items())


def role_css() -> str:
    """The classes that figures use, f-<role> to fill and s-<role> to stroke."""
    return "".join(
        f".f-{role}{{fill:var(--{role})}}.s-{role}{{stroke:var(--{role})}}" for role in LIGHT
    )


def rgb(color: str) -> raster.Color:
    """ "#rrggbb" as three numbers 0..255."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _n(value: float) -> str:
    """A number with at most two decimals, and without those it does not need."""
    return f"{value:.2f}".rstrip("0").rstrip(".") or "0"


def _path(points: Sequence[Point]) -> str:
    return " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
