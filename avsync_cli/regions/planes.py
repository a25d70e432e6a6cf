"""Pictures as a decoder has them: brightness, and both colours at half the size.

A picture is (3 H / 2, W) uint8, ffmpeg's yuv420p: H rows of brightness, 16 (black) to 235 (white),
and below them two planes of (H / 2, W / 2), how much bluer and redder it is than grey, around 128.
Both sides are even. What a model looks at is brightness; colours are made for the face detector
alone, as small as it wants them.
"""

from __future__ import annotations

import numpy as np

from avsync_cli.regions.resize import resize_area

BLACK, LEVELS = 16, 219
"""Brightness of black, and how many levels lie between it and white."""

_TO_RGB = (
    np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]])
    @ np.diag([255 / LEVELS, 255 / 224, 255 / 224])
).astype(np.float32)
"""R, G, B of brightness above black and the colours' distance from grey, ITU-R BT.601."""


def size_of(pictures: np.ndarray) -> tuple[int, int]:
    """(height, width) of (..., 3 H / 2, W) pictures."""
    return pictures.shape[-2] * 2 // 3, pictures.shape[-1]


def brightness(picture: np.ndarray) -> np.ndarray:
    """(..., H, W) uint8 view of the brightness of (..., 3 H / 2, W)."""
    return picture[..., : size_of(picture)[0], :]


def shades(levels: np.ndarray) -> np.ndarray:
    """Brightness as video stores it to float32 grey, 0 (black) .. 255 (white)."""
    grey = levels.astype(np.float32)
    grey -= BLACK
    grey *= 255 / LEVELS
    return np.clip(grey, 0, 255, out=grey)


def small_rgb(
    picture: np.ndarray, part: tuple[int, int, int, int], height: int, width: int
) -> np.ndarray:
    """A part of a picture in colours, shrunk.

    Args:
        picture: (3 H / 2, W) uint8.
        part: top, left, height and width of it, all even.
        height, width: of what is made.

    Returns:
        (3, height, width) float32, R, G and B, 0..255.
    """
    high, wide = size_of(picture)
    top, left, tall, broad = part
    colours = picture[high:].reshape(2, high // 2, wide // 2)
    halved = slice(top // 2, (top + tall) // 2), slice(left // 2, (left + broad) // 2)
    small = np.empty((3, height, width), np.float32)
    small[:1] = resize_area(picture[None, top : top + tall, left : left + broad], height, width)
    small[1:] = resize_area(colours[:, *halved], height, width)
    small -= np.array([BLACK, 128, 128], np.float32)[:, None, None]
    rgb = _TO_RGB @ small.reshape(3, -1)
    return np.clip(rgb, 0, 255, out=rgb).reshape(small.shape)
