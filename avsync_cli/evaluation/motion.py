"""A baseline that learns nothing: does the mouth move while it is loud?

The oldest idea in lip sync (Hershey and Movellan, "Audio Vision: Using Audio-Visual Synchrony to
Locate Sounds", 1999): correlate how much the mouth region changes from frame to frame with the
energy of the sound, and slide one past the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avsync_cli.evaluation.scoring import OpenTrack, Scorer, Scores, Track
from avsync_cli.timebase import SAMPLES_PER_FRAME

POWER_FLOOR = 1e-7
"""-70 dBFS: what is softer counts as silence."""

_FLAT = 1e-6
"""Spread below which a series has nothing to correlate."""


def motion_energy(crops: np.ndarray) -> np.ndarray:
    """(T,) float32 mean change of the lower half of the crops between a frame and its two
    neighbours, in grey levels; at the ends there is only one neighbour.

    Args:
        crops: (T, H, W) uint8.
    """
    lower = crops[:, crops.shape[1] // 2 :].astype(np.int16)
    if len(lower) < 2:
        return np.zeros(len(lower), np.float32)
    change = np.abs(np.diff(lower, axis=0)).mean(axis=(1, 2), dtype=np.float32)
    before, after = np.append(change[:1], change), np.append(change, change[-1:])
    return 0.5 * (before + after)


def log_energy(sound: np.ndarray) -> np.ndarray:
    """(S // 640,) log10 power of every frame's sound."""
    frames = len(sound) // SAMPLES_PER_FRAME
    blocks = np.asarray(sound[: frames * SAMPLES_PER_FRAME], np.float32).reshape(frames, -1)
    return np.log10(np.square(blocks).mean(axis=1) + POWER_FLOOR)


def correlations(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson correlation of x (n,) with every row of y (O, n); 0 where one of them is flat."""
    x = x - x.mean()
    y = y - y.mean(axis=1, keepdims=True)
    size = np.sqrt(np.square(x).sum() * np.square(y).sum(axis=1))
    product = y @ x
    return np.where(size > _FLAT, product / np.maximum(size, _FLAT), 0.0)


class MotionScorer(Scorer):
    """Correlation of mouth motion and loudness."""

    name = "mouth motion / loudness"
    note = "no learning"

    def open(self, track: Track, reach: int, others: Sequence[OpenTrack] = ()) -> OpenTrack:
        return _MotionTrack(track)


class _MotionTrack:
    def __init__(self, track: Track) -> None:
        self._track = track
        self._loud = log_energy(track.sound)

    def scores(self, first: int, frames: int, offsets: np.ndarray, alone: bool = True) -> Scores:
        at = self._track.first_frame + first + np.asarray(offsets)[:, None] + np.arange(frames)
        inside = (at >= 0) & (at < len(self._loud))
        silence = np.float32(np.log10(POWER_FLOOR))
        loud = np.where(inside, self._loud[np.clip(at, 0, len(self._loud) - 1)], silence)
        faces = [
            correlations(motion_energy(self._track.pictures[k][start : start + frames]), loud)
            for k, start in self._track.seen(first, frames)
        ]
        return Scores(np.max(faces, axis=0), "correlation")
