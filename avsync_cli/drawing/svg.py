"""Figures as SVG: within a page, or as files of their own."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from avsync_cli.drawing.canvas import TEXT_SIZE, Anchor, Box, Point
from avsync_cli.drawing.palette import CELLS, paper_css
from avsync_cli.drawing.pixels import heat_pixels, png_bytes
from avsync_cli.wording import safe_text


class SvgCanvas:
    """Collects SVG elements; `svg` wraps them up. Colours are CSS classes."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self._parts: list[str] = []

    def rect(self, box: Box, role: str, alpha: float = 1.0) -> None:
        faded = "" if alpha >= 1.0 else f' fill-opacity="{alpha:.3g}"'
        self._parts.append(f'<rect class="f-{role}" {_place(box)}{faded}/>')

    def line(
        self, points: Sequence[Point], role: str, width: float = 1.0, dashes: Sequence[float] = ()
    ) -> None:
        dash = f' stroke-dasharray="{" ".join(map(_n, dashes))}"' if dashes else ""
        self._parts.append(
            f'<polyline class="s-{role}" fill="none" stroke-width="{_n(width)}" '
            f'stroke-linejoin="round"{dash} points="{_path(points)}"/>'
        )

    def area(self, points: Sequence[Point], role: str, alpha: float) -> None:
        self._parts.append(
            f'<polygon class="f-{role}" fill-opacity="{alpha:.3g}" points="{_path(points)}"/>'
        )

    def dot(self, x: float, y: float, role: str) -> None:
        self._parts.append(f'<circle class="f-{role}" cx="{_n(x)}" cy="{_n(y)}" r="3"/>')

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
        x, y = map(_n, place)
        more = "" if anchor == "start" else f' text-anchor="{anchor}"'
        more += f' transform="rotate(-90 {x} {y})"' if upwards else ""
        # A style, since those of the page would win over an attribute.
        more += "" if size == TEXT_SIZE else f' style="font-size:{_n(size)}px"'
        self._parts.append(
            f'<text class="f-{role}" x="{x}" y="{y}"{more}>{escape(safe_text(text))}</text>'
        )

    def heat(self, box: Box, values: np.ndarray) -> None:
        look = 'preserveAspectRatio="none" style="image-rendering:pixelated"'
        self.picture(png_bytes(heat_pixels(values)), "png", box, look)

    def cursor(self, height: float) -> None:
        """A line that the page's script moves."""
        self._parts.append(f'<line class="cursor" y1="0" y2="{_n(height)}"/>')

    def picture(
        self, data: bytes, kind: str, box: Box, look: str = 'preserveAspectRatio="none"'
    ) -> None:
        """A picture that fills the box.

        Args:
            data: the file's bytes.
            kind: "png" or "jpeg".
            box: where to.
            look: attributes, as written.
        """
        text = base64.b64encode(data).decode("ascii")
        self._parts.append(f'<image {_place(box)} {look} href="data:image/{kind};base64,{text}"/>')

    def cells(self, cells: Iterable[tuple[Sequence[Point], float]]) -> None:
        """Corners and shades 0..1 of cells, in colours that do not depend on the page's."""
        parts = [
            f'<polygon points="{_path(corners)}" fill-opacity="{0.65 * shade:.2f}"/>'
            for corners, shade in cells
        ]
        self._parts.append(
            f'<g class="cells" fill="{CELLS}" stroke="#ffffff" stroke-opacity="0.35" '
            f'stroke-width="0.5">{"".join(parts)}</g>'
        )

    def outline(self, box: Box) -> None:
        """The outline of a box, white on a darker one, so that it shows on any picture."""
        self._parts.append(
            f'<rect {_place(box)} fill="none" stroke="#000000" stroke-opacity="0.55" '
            f'stroke-width="4"/><rect {_place(box)} fill="none" stroke="#ffffff" '
            'stroke-width="2"/>'
        )

    def svg(
        self, name: str, title: str, description: str, *, attributes: str = "", style: str = ""
    ) -> str:
        """The whole element, named for people who cannot see it.

        Args:
            name: an id, unique on the page.
            title, description: what the figure shows, and what it says.
            attributes: more of them, as written.
            style: CSS of its own.
        """
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {_n(self.width)} '
            f'{_n(self.height)}" aria-labelledby="{name}-t {name}-d"{attributes}>'
            f'<title id="{name}-t">{escape(safe_text(title))}</title>'
            f'<desc id="{name}-d">{escape(safe_text(description))}</desc>'
            + (f"<style>{style}</style>" if style else "")
            + "".join(self._parts)
            + "</svg>"
        )

    def document(self, title: str, description: str) -> str:
        """The figure as a file of its own, which follows the viewer's light or dark mode."""
        style = f"{paper_css()}text{{font:{_n(TEXT_SIZE)}px system-ui,sans-serif}}"
        size = f' width="{self.width:g}" height="{self.height:g}"'
        svg = self.svg("figure", title, description, attributes=size, style=style)
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{svg}\n'


def _place(box: Box) -> str:
    left, top, width, height = box
    return (
        f'x="{_n(left)}" y="{_n(top)}" width="{_n(max(0.0, width))}" '
        f'height="{_n(max(0.0, height))}"'
    )


def _n(value: float) -> str:
    """A number with at most two decimals, and without those it does not need."""
    return f"{value:.2f}".rstrip("0").rstrip(".") or "0"


def _path(points: Sequence[Point]) -> str:
    return " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
