"""Find cuts on small brightness pictures, one frame at a time."""

from __future__ import annotations

import numpy as np

from avsync_cli.regions.resize import luma, resize_area

THUMB_H, THUMB_W = 18, 32
"""Small enough that camera motion changes little, large enough that a cut changes much."""

CUT_LEVEL = 18.0
"""Mean brightness change (0..255) a cut makes at the least; flicker and blinks stay below."""

CUT_RATIO = 3.0
"""A cut is also this many times the usual change around it, so that a pan is none."""


class ShotDetector:
    """Marks the first frame of every shot; keeps nothing but one thumbnail and a running mean."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self._usual = 0.0

    def push(self, frames: np.ndarray) -> np.ndarray:
        """Whether each of (n, H, W, 3) uint8 frames starts a shot, (n,) bool.

        The first frame ever starts one. Half of the change is measured after both pictures are
        brought to the same mean, so that a flash or a fade of the light alone is not a cut.
        """
        step_y = max(1, frames.shape[1] // (4 * THUMB_H))
        step_x = max(1, frames.shape[2] // (4 * THUMB_W))
        thumbs = resize_area(luma(frames[:, ::step_y, ::step_x]), THUMB_H, THUMB_W)
        starts = np.zeros(len(frames), bool)
        for i, thumb in enumerate(thumbs):
            if self._last is None:
                starts[i] = True
                self._last = thumb
                continue
            change = float(np.abs(thumb - self._last).mean())
            shape = float(np.abs((thumb - thumb.mean()) - (self._last - self._last.mean())).mean())
            change = 0.5 * (change + shape)
            if change > CUT_LEVEL and change > CUT_RATIO * self._usual:
                starts[i] = True
                self._usual = 0.0
            else:
                self._usual += 0.2 * (change - self._usual)
            self._last = thumb
        return starts
