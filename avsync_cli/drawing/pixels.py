"""Figures as pixels, through Pillow: letters, strokes and PNG."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator, Sequence
from itertools import cycle, pairwise
from math import hypot

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from avsync_cli.drawing.canvas import TEXT_SIZE, Anchor, Box, Point
from avsync_cli.drawing.palette import HEAT, LIGHT, rgb
from avsync_cli.wording import safe_text

Color = tuple[int, int, int]

_FINER = 2
"""Every pixel is drawn as so many by so many, since Pillow's strokes have hard edges."""

_PLAIN = str.maketrans({"–": "-", "×": "x"})
"""Signs of ours that Pillow's own font lacks."""

_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}


class PixelCanvas:
    """Draws on an array of pixels in the light colours.

    Args:
        width, height: in units.
        scale: pixels a unit.
    """

    def __init__(self, width: float, height: float, scale: int) -> None:
        self.width, self.height = width, height
        self._fine = scale * _FINER
        size = round(width * scale) * _FINER, round(height * scale) * _FINER
        self._image = Image.new("RGB", size, LIGHT["paper"])
        self._pen = pen(self._image)

    @property
    def pixels(self) -> np.ndarray:
        """(H, W, 3) uint8, RGB."""
        return np.asarray(self._image.reduce(_FINER))

    def rect(self, box: Box, role: str, alpha: float = 1.0) -> None:
        left, top, width, height = (side * self._fine for side in box)
        fill_rect(self._pen, (left, top, width, height), rgb(LIGHT[role]), alpha)

    def line(
        self, points: Sequence[Point], role: str, width: float = 1.0, dashes: Sequence[float] = ()
    ) -> None:
        fill, wide = rgb(LIGHT[role]), max(1, round(width * self._fine))
        for stroke in _strokes(points, dashes) if dashes else [points]:
            self._pen.line(self._placed(stroke), fill=fill, width=wide, joint="curve")

    def area(self, points: Sequence[Point], role: str, alpha: float) -> None:
        self._pen.polygon(self._placed(points), fill=(*rgb(LIGHT[role]), round(255 * alpha)))

    def dot(self, x: float, y: float, role: str) -> None:
        self._pen.ellipse(self._placed([(x - 3, y - 3), (x + 3, y + 3)]), fill=rgb(LIGHT[role]))

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
        ((x, y),) = self._placed([place])
        letters = font(size * self._fine)
        if not upwards:
            write(self._pen, (x, y), text, letters, rgb(LIGHT[role]), anchor)
            return
        ascent, descent = letters.getmetrics()
        length = round(letters.getlength(plain(text)))
        cover = Image.new("L", (length, ascent + descent))
        ImageDraw.Draw(cover).text((0, ascent), plain(text), 255, letters, anchor="ls")
        end = {"start": length, "middle": length // 2, "end": 0}[anchor]
        self._pen.bitmap(
            (round(x) - ascent, round(y) - end),
            cover.transpose(Image.Transpose.ROTATE_90),
            fill=rgb(LIGHT[role]),
        )

    def heat(self, box: Box, values: np.ndarray) -> None:
        left, top, width, height = (round(side * self._fine) for side in box)
        cells = Image.fromarray(heat_pixels(values))
        cells = cells.resize((width, height), Image.Resampling.NEAREST)
        self._image.paste(cells, (left, top), cells)

    def png(self) -> bytes:
        """The picture as a file."""
        return png_bytes(self.pixels)

    def _placed(self, points: Sequence[Point]) -> list[Point]:
        return [(x * self._fine, y * self._fine) for x, y in points]


def _strokes(points: Sequence[Point], dashes: Sequence[float]) -> Iterator[list[Point]]:
    """The dashes of a line through points; lengths are strokes and gaps in turn."""
    lengths = cycle(dashes)
    left, inked = next(lengths), True
    stroke = [points[0]]
    for (xa, ya), (xb, yb) in pairwise(points):
        length = hypot(xb - xa, yb - ya)
        at = 0.0
        while length - at > left:
            at += left
            place = xa + (xb - xa) * at / length, ya + (yb - ya) * at / length
            if inked:
                yield [*stroke, place]
            stroke, left, inked = [place], next(lengths), not inked
        left -= length - at
        stroke.append((xb, yb))
    if inked:
        yield stroke


# --- Pillow's part --------------------------------------------------------------------------------


def pen(image: Image.Image) -> ImageDraw.ImageDraw:
    """What draws on an RGB picture; colours may have an opacity as a fourth number."""
    return ImageDraw.Draw(image, "RGBA")


def fill_rect(on: ImageDraw.ImageDraw, box: Box, color: Color, alpha: float = 1.0) -> None:
    """Fill a box of pixels, at least one of them; Pillow counts the last ones in."""
    left, top, width, height = box
    ends = max(round(left + width) - 1, round(left)), max(round(top + height) - 1, round(top))
    on.rectangle((round(left), round(top), *ends), fill=(*color, round(255 * alpha)))


def write(
    on: ImageDraw.ImageDraw,
    place: Point,
    text: str,
    letters: ImageFont.FreeTypeFont,
    color: Color,
    anchor: Anchor = "start",
) -> None:
    """A line of text whose feet stand at `place`."""
    on.text(place, plain(text), color, letters, anchor=_ANCHORS[anchor])


def plain(text: str) -> str:
    """`text` as it is written on pixels."""
    return safe_text(text).translate(_PLAIN)


@functools.cache
def font(size: float) -> ImageFont.FreeTypeFont:
    """Pillow's own font, so that pictures are alike on every machine.

    Args:
        size: pixels from line to line.
    """
    found = ImageFont.load_default(size)
    assert isinstance(found, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return found


def heat_pixels(values: np.ndarray) -> np.ndarray:
    """(h, w) values 0..1 to (h, w, 4) RGBA uint8."""
    pixels = np.empty((*values.shape, 4), np.uint8)
    pixels[..., :3] = rgb(HEAT)
    pixels[..., 3] = np.rint(255 * np.clip(values, 0.0, 1.0))
    return pixels


def png_bytes(pixels: np.ndarray) -> bytes:
    """(H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA uint8 pixels as a PNG file."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", optimize=True)
    return out.getvalue()
