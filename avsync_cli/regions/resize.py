"""Shrink and sample pictures with numpy alone."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np


@lru_cache(maxsize=64)
def _area_weights(size: int, target: int) -> np.ndarray:
    """(target, size) float32 matrix that averages `size` samples into `target`, rows sum to 1.

    For enlarging it interpolates linearly between sample centres.
    """
    if target >= size:
        centres = np.clip((np.arange(target) + 0.5) * size / target - 0.5, 0, size - 1)
        low = np.floor(centres).astype(int)
        high = np.minimum(low + 1, size - 1)
        weights = np.zeros((target, size), np.float32)
        np.add.at(weights, (np.arange(target), low), 1.0 - (centres - low))
        np.add.at(weights, (np.arange(target), high), centres - low)
    else:
        edges = np.arange(target + 1) * size / target
        cells = np.arange(size)
        inner = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
        weights = (np.maximum(inner, 0.0) * target / size).astype(np.float32)
    weights.setflags(write=False)
    return weights


def resize_area(pictures: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize (n, H, W) pictures to (n, height, width) float32 by area averaging."""
    if pictures.shape[1:3] == (height, width):
        return pictures.astype(np.float32)
    down, rest_y = divmod(pictures.shape[1], height)
    across, rest_x = divmod(pictures.shape[2], width)
    if not rest_y and not rest_x and down * across <= 16:
        return average_cells(pictures, down, across)
    high = pictures.shape[1]
    # Rows are averaged in bands that repeat: the fewer rows a band has, the fewer zeros are added.
    bands = math.gcd(high, height) if height < high else 1
    rows = _area_weights(high // bands, height // bands)
    columns = _area_weights(pictures.shape[2], width)
    banded = pictures.astype(np.float32).reshape(-1, high // bands, pictures.shape[2])
    out: np.ndarray = (rows @ banded).reshape(len(pictures), height, -1) @ columns.T
    return out


def average_cells(pictures: np.ndarray, down: int, across: int) -> np.ndarray:
    """Means of whole cells of `down` x `across` pixels, by adding pictures taken in steps."""
    total = np.zeros(pictures[:, ::down, ::across].shape, np.float32)
    for y in range(down):
        for x in range(across):
            total += pictures[:, y::down, x::across]
    total /= down * across
    return total
