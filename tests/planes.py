"""Pictures made up in colours, as a decoder would hand them over."""

from __future__ import annotations

import numpy as np


def as_planes(rgb: np.ndarray) -> np.ndarray:
    """(..., H, W, 3) uint8 to (..., 3 H / 2, W) uint8: see `avsync_cli.regions.planes`."""
    red, green, blue = np.moveaxis(rgb.astype(np.float32) / 255, -1, 0)
    grey = 0.299 * red + 0.587 * green + 0.114 * blue
    *more, height, width = grey.shape
    colours = np.stack([(blue - grey) / 1.772, (red - grey) / 1.402], axis=-3)
    halved = colours.reshape(*more, 2, height // 2, 2, width // 2, 2).mean(axis=(-3, -1))
    below = halved.reshape(*more, height // 2, width)
    return np.rint(np.concatenate([16 + 219 * grey, 128 + 224 * below], axis=-2)).astype(np.uint8)
