"""Find cuts on small brightness pictures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from avsync_cli.regions.planes import shades
from avsync_cli.regions.resize import resize_area

THUMB_H, THUMB_W = 18, 32
"""Small enough that camera motion changes little, large enough that a cut changes much."""

CUT_LEVEL = 14.0
"""Mean brightness change (0..255) a cut makes at the least; flicker and blinks stay below."""

CUT_SHARE = 0.4
"""A cut changes at least this share of the picture; a lamp, an arm or a ball changes less."""

PIXEL_CHANGE = 10.0
"""Brightness change from which a thumbnail's pixel counts as changed."""

CUT_RATIO = 3.0
"""A cut is also this many times the usual change around it, so that a pan is none."""

AHEAD = 3
"""Frames looked ahead: when the old picture is back within them it was a flash, no cut."""


class ShotDetector:
    """Marks the first frame of every shot; keeps nothing but one thumbnail and a running mean."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self._usual = 0.0

    def push(self, frames: Sequence[np.ndarray], ahead: Sequence[np.ndarray]) -> np.ndarray:
        """Whether each of n >= 1 frames starts a shot, (n,) bool.

        Args:
            frames: brightness of the next frames, (H, W) uint8 as video stores it; the first ever
                starts a shot.
            ahead: up to `AHEAD` frames that follow them; fewer only at the end of the video.
        """
        thumbs = thumbnails(list(chain(frames, ahead))).reshape(len(frames) + len(ahead), -1)
        starts = np.zeros(len(frames), bool)
        last = thumbs[0] if self._last is None else self._last
        changes, shares = _changes(
            np.vstack([last, thumbs[: len(frames) - 1]]), thumbs[: len(frames)]
        )
        for i, (change, share) in enumerate(zip(changes, shares, strict=True)):
            starts[i] = (
                change > CUT_LEVEL
                and share > CUT_SHARE
                and change > CUT_RATIO * self._usual
                and not _returns(
                    thumbs[i - 1] if i else last, thumbs[i + 1 : i + 1 + AHEAD], change
                )
            )
            self._usual = 0.0 if starts[i] else self._usual + 0.2 * (change - self._usual)
        if self._last is None:
            starts[0] = True
        self._last = thumbs[len(frames) - 1]
        return starts


def thumbnails(frames: Sequence[np.ndarray]) -> np.ndarray:
    """(n, THUMB_H, THUMB_W) float32 grey of n >= 1 frames' brightness as video stores it."""
    height, width = frames[0].shape[:2]
    step_y = max(1, height // (4 * THUMB_H))
    step_x = max(1, width // (4 * THUMB_W))
    thinned = np.stack([frame[::step_y, ::step_x] for frame in frames])
    return resize_area(shades(thinned), THUMB_H, THUMB_W)


def _returns(last: np.ndarray, coming: np.ndarray, change: float) -> bool:
    """Whether the picture before a change comes back among the next ones."""
    return bool((_changes(last[None], coming)[0] < 0.35 * change).any())


def _changes(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean change of brightness, and the share of the picture that changed: (n,) each of (n, P).

    Half of the change is measured after both pictures are brought to the same mean, and only what
    changed both ways counts for the share, so that neither a fade of the light nor something
    bright in a part of the picture is a cut.
    """
    moved = after - before
    plain, shape = np.abs(moved), np.abs(moved - moved.mean(axis=1, keepdims=True))
    change = 0.5 * (plain.mean(axis=1) + shape.mean(axis=1))
    return change, (np.minimum(plain, shape) > PIXEL_CHANGE).mean(axis=1)
