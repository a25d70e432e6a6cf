"""Smooth chance: what wanders, and what is uneven, in rendered scenes."""

from __future__ import annotations

import numpy as np

F32 = np.float32


def ease(t: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, smooth between."""
    t = np.clip(t, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def value_noise(rng: np.random.Generator, side: int, cells: float) -> np.ndarray:
    """(side, side) float32 smooth noise of about unit variance with `cells` bumps a side."""
    n = int(cells) + 3
    knots = rng.standard_normal((n, n)).astype(F32)
    at = (np.arange(side) / side * cells + rng.random()).astype(F32)
    left = at.astype(np.int64)
    f = ease(at - left)[:, None]
    rows = knots[left] * (1 - f) + knots[left + 1] * f
    out = rows[:, left] * (1 - f[:, 0]) + rows[:, left + 1] * f[:, 0]
    return np.asarray(out * F32(1.3), F32)


def smooth_noise(rng: np.random.Generator, points: int, step: float) -> np.ndarray:
    """(points,) wandering curve of about unit variance that changes over `step` points."""
    knots = int(points / step) + 4
    values = rng.standard_normal(knots)
    where = np.arange(points) / step + rng.random()
    left = where.astype(np.int64)
    f = ease(where - left)
    mixed = values[left] * (1 - f) + values[left + 1] * f
    return np.asarray(mixed / np.sqrt(0.75))
