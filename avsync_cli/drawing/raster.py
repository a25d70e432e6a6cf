"""Drawing on an array of pixels, and PNG without an image library."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from avsync_cli.drawing.lettering import ROWS, text_mask

Color = tuple[int, int, int]


def encode_png(pixels: np.ndarray) -> bytes:
    """A PNG file (ISO/IEC 15948) of (H, W, 3) RGB or (H, W, 4) RGBA uint8 pixels."""
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4) or not pixels.size:
        raise ValueError(f"no picture: {pixels.shape}")
    height, width, channels = pixels.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = pixels.reshape(height, width * channels)
    # Filter 2 ("up") stores what differs from the row above: next to nothing in a drawing.
    above = np.vstack([np.zeros((1, rows.shape[1]), np.uint8), rows[:-1]])
    filtered = np.hstack([np.full((height, 1), 2, np.uint8), rows - above])
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 6, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"IDAT", zlib.compress(filtered.tobytes(), 9)),
            chunk(b"IEND", b""),
        )
    )


def blend(pixels: np.ndarray, left: int, top: int, cover: np.ndarray | float, color: Color) -> None:
    """Mix `color` into (H, W, 3) uint8 pixels; what lies outside is cut off.

    Args:
        pixels: written.
        left, top: where `cover` begins; may be negative.
        cover: (h, w) float, 0..1, how much of each pixel takes the colour.
        color: RGB.
    """
    cover = np.asarray(cover, np.float32)
    height, width = pixels.shape[:2]
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = min(width, left + cover.shape[1]), min(height, top + cover.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    part = pixels[y0:y1, x0:x1]
    share = cover[y0 - top : y1 - top, x0 - left : x1 - left, None]
    mixed = part + share * (np.array(color, np.float32) - part)
    part[:] = (mixed + 0.5).astype(np.uint8)


def draw_rect(
    pixels: np.ndarray,
    box: tuple[float, float, float, float],
    color: Color,
    alpha: float = 1.0,
) -> None:
    """Fill the box (left, top, width, height), its edges where they fall between pixels."""
    left, top, width, height = box
    cover_x, x = _covered(left, left + width, pixels.shape[1])
    cover_y, y = _covered(top, top + height, pixels.shape[0])
    if len(cover_x) and len(cover_y):
        blend(pixels, x, y, alpha * cover_y[:, None] * cover_x[None, :], color)


def _covered(low: float, high: float, limit: int) -> tuple[np.ndarray, int]:
    """How much of each pixel lies between `low` and `high`, and the first pixel of those."""
    low, high = max(0.0, low), min(float(limit), high)
    if high <= low:
        return np.zeros(0, np.float32), 0
    first, last = int(low), int(np.ceil(high))
    edges = np.arange(first, last + 1, dtype=np.float32)
    return np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), first


def draw_frame(
    pixels: np.ndarray,
    box: tuple[float, float, float, float],
    color: Color,
    width: float,
    alpha: float = 1.0,
) -> None:
    """The outline of a box, `width` pixels wide, inside of it."""
    left, top, across, down = box
    if across <= 2 * width or down <= 2 * width:
        draw_rect(pixels, box, color, alpha)
        return
    draw_rect(pixels, (left, top, across, width), color, alpha)
    draw_rect(pixels, (left, top + down - width, across, width), color, alpha)
    draw_rect(pixels, (left, top + width, width, down - 2 * width), color, alpha)
    draw_rect(pixels, (left + across - width, top + width, width, down - 2 * width), color, alpha)


def draw_line(
    pixels: np.ndarray,
    points: Sequence[tuple[float, float]],
    color: Color,
    width: float,
    dash_px: float = 0.0,
) -> None:
    """A line through points with round joints; with `dash_px`, dashes and gaps of that length."""
    # Every stroke is gathered first, so that joints are not painted twice.
    cover = np.zeros(pixels.shape[:2], np.float32)
    walked = 0.0
    for (xa, ya), (xb, yb) in pairwise(points):
        reach = width / 2 + 1
        x0, x1 = int(max(0, min(xa, xb) - reach)), int(max(xa, xb) + reach) + 1
        y0, y1 = int(max(0, min(ya, yb) - reach)), int(max(ya, yb) + reach) + 1
        part = cover[y0:y1, x0:x1]
        length = float(np.hypot(xb - xa, yb - ya))
        if part.size and length:
            xs = np.arange(x0, x0 + part.shape[1]) + 0.5 - xa
            ys = (np.arange(y0, y0 + part.shape[0]) + 0.5 - ya)[:, None]
            along = (xs * (xb - xa) + ys * (yb - ya)) / length
            on = np.clip(along, 0.0, length)
            away = np.hypot(xs - on * (xb - xa) / length, ys - on * (yb - ya) / length)
            near = np.clip(width / 2 + 0.5 - away, 0.0, 1.0)
            if dash_px:
                near *= (along + walked) % (2 * dash_px) < dash_px
            np.maximum(part, near, out=part)
        walked += length
    rows, columns = np.nonzero(cover.any(axis=1))[0], np.nonzero(cover.any(axis=0))[0]
    if len(rows):
        top, left = int(rows[0]), int(columns[0])
        blend(pixels, left, top, cover[top : rows[-1] + 1, left : columns[-1] + 1], color)


def draw_area(
    pixels: np.ndarray,
    points: Sequence[tuple[float, float]],
    base_y: float,
    color: Color,
    alpha: float,
) -> None:
    """Fill between a line through points (x rising) and the level `base_y` below it."""
    xs, ys = np.array(points, np.float64).T
    first, last = max(0, int(xs[0])), min(pixels.shape[1], int(np.ceil(xs[-1])))
    if first >= last:
        return
    tops = np.interp(np.arange(first, last) + 0.5, xs, ys)
    rows = np.arange(pixels.shape[0])[:, None]
    cover = np.clip(np.minimum(rows + 1, base_y) - np.maximum(rows, tops), 0.0, 1.0)
    blend(pixels, first, 0, alpha * cover, color)


def draw_text(
    pixels: np.ndarray,
    x: float,
    y: float,
    text: str,
    color: Color,
    dot_px: int,
    anchor: str = "start",
) -> None:
    """A line of text whose feet stand at `y`, beginning, centred or ending at `x`."""
    mask = text_mask(text, dot_px)
    shift = {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor] * mask.shape[1]
    blend(pixels, round(x - shift), round(y) - ROWS * dot_px, mask, color)
