"""Where something in the picture moves fast and then does not: what a strike looks like.

A stick, a hand or a ball is fastest, and blurred, in the last pictures before it hits, and slow or
still in the next. Motion is the change of brightness from one picture to the next, with the
camera's own taken out, in squares of several places; nothing is known of what moves.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from avsync_cli.regions.shots import ShotDetector
from avsync_cli.timebase import HOP_MS

ROWS = 6
"""Squares a picture's height, each half over its neighbours: large enough for what swings into
one to stop in it, small enough for little else to move there."""

_REACH_PX = 8
"""How far a camera may move from one picture to the next."""

_STEADIER = 0.85
"""Share to which the median change must fall for a shift of the picture to be the camera's: what
fills half of the picture and moves is none."""

_HELD_LEVELS = 0.02
"""Mean change below which a picture is the one before, held: files with fewer pictures than their
rate says have such, and a stop and a start at each of them that nobody saw."""

_FLOOR_LEVELS = 0.3
"""Change that noise and compression make."""

_SOON, _LATER = 3, 10
"""Steps of 10 ms: about a picture, and about the three within which a thing swings and stops."""


def squares(height: int, width: int) -> np.ndarray:
    """(C, 4) int left, top, width and height of the squares in a picture, in pixels."""
    side = max(2, height // ROWS)
    step = max(1, side // 2)
    tops, lefts = (np.arange(0, max(1, size - side + 1), step) for size in (height, width))
    top, left = np.meshgrid(tops, lefts, indexing="ij")
    across, down = np.minimum(side, width), np.minimum(side, height)
    sizes = np.broadcast_to([across, down], (top.size, 2))
    return np.concatenate([np.stack([left.ravel(), top.ravel()], axis=1), sizes], axis=1)


def contact_strength(pictures: np.ndarray, times_s: np.ndarray, first_s: float) -> np.ndarray:
    """(n, 2, C) float32 how much like a blow each square's motion is, in steps of 10 ms.

    Two views of its log: first, what it is, and how far it falls within the next two pictures;
    second, what it is within 30 ms, against what it is 100 ms later and before. A step at which a
    thing hits is one or two pictures later than that at which they are largest.

    Args:
        pictures: (T, H, W) uint8 brightness, some 72 lines of it.
        times_s: (T,) when each is shown, rising.
        first_s: time of the first step; the last is that of the last picture.
    """
    count = max(0, 1 + int((times_s[-1] - first_s) * 1000 / HOP_MS)) if len(times_s) else 0
    new = _new_ones(pictures)
    pictures, times_s = pictures[new], times_s[new]
    if len(pictures) < 4:
        return np.zeros((count, 2, len(squares(*pictures.shape[1:]))), np.float32)
    level = np.log(_FLOOR_LEVELS + _motion(pictures))
    after = np.concatenate([level[1:], level[-1:], level[-1:]])
    stop = level + np.maximum(level - np.minimum(after[:-1], after[1:]), 0.0)
    middles = (times_s[1:] + times_s[:-1]) / 2
    at = first_s + np.arange(count) * HOP_MS / 1000
    before = np.clip(np.searchsorted(middles, at) - 1, 0, len(middles) - 2)
    share = (at - middles[before]) / np.maximum(middles[before + 1] - middles[before], 1e-3)
    share = np.clip(share, 0.0, 1.0)[:, None]
    stop, level = (x[before] * (1.0 - share) + x[before + 1] * share for x in (stop, level))
    found: np.ndarray = np.stack([stop, _swing(level)], axis=1)
    return found.astype(np.float32)


def _swing(level: np.ndarray) -> np.ndarray:
    """(n, C) how far each step of 10 ms is faster than what comes before and after it."""
    steps = np.arange(len(level))
    soon, after, before = (
        level[np.clip(steps + by, 0, len(level) - 1)] for by in (_SOON, _LATER, -_LATER)
    )
    swing: np.ndarray = np.maximum(level, soon) - 0.5 * after - 0.25 * before
    return swing


def _new_ones(pictures: np.ndarray) -> np.ndarray:
    """(T,) bool, False for pictures that are the one before."""
    steps = np.array(
        [_change(a, b).mean() > _HELD_LEVELS for a, b in pairwise(pictures)],
        bool,
    )
    return np.concatenate([np.ones(min(1, len(pictures)), bool), steps])


def _motion(pictures: np.ndarray) -> np.ndarray:
    """(T - 1, C) mean change of brightness in each square from each picture to the next."""
    places = squares(*pictures.shape[1:])
    left, top, across, down = places.T
    starts = ShotDetector().push(list(pictures), [])
    found = np.zeros((len(pictures) - 1, len(places)), np.float32)
    window = np.outer(*(np.hanning(side) for side in pictures.shape[1:]))
    waves = (np.fft.rfft2((p - p.mean()) * window) for p in pictures)
    pairs = zip(pairwise(pictures), pairwise(waves), strict=True)
    for k, ((before, after), both) in enumerate(pairs):
        if starts[k + 1]:  # a cut moves nothing
            found[k] = found[max(0, k - 1)]
            continue
        area = np.pad(_without_camera(before, after, both), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
        inside = area[top + down, left + across] - area[top, left + across]
        found[k] = (inside - area[top + down, left] + area[top, left]) / (across * down)
    return found


def _change(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    change: np.ndarray = np.abs(after.astype(np.float64) - before)
    return change


def _without_camera(
    before: np.ndarray, after: np.ndarray, waves: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Change of brightness after the one shift of the whole picture that leaves less of it.

    Args:
        before, after: (H, W) pictures.
        waves: their spectra, as of `_motion`.
    """
    plain = _change(before, after)
    down, across = _shift(*waves, before.shape)
    edge = _REACH_PX
    if (down, across) == (0, 0) or min(plain.shape) <= 3 * edge:
        return plain
    moved = _change(before, np.roll(after, (-down, -across), (0, 1)))
    inner = (slice(edge, -edge), slice(edge, -edge))
    if np.median(moved[inner]) >= _STEADIER * np.median(plain[inner]):
        return plain
    for axis, by in ((0, down), (1, across)):  # what came in at an edge was not seen before
        gone = slice(-by, None) if by > 0 else slice(0, -by)
        moved[(gone, slice(None)) if axis == 0 else (slice(None), gone)] = 0.0
    return moved


def _shift(first: np.ndarray, then: np.ndarray, shape: tuple[int, ...]) -> tuple[int, int]:
    """By how many pixels down and across a picture of a shape moved, by phase correlation of its
    spectra."""
    cross = then * np.conj(first)
    size = np.abs(cross)
    peaks = np.fft.irfft2(cross / (size + 1e-3 * size.max() + 1e-9), s=shape)
    near = np.roll(peaks, (_REACH_PX, _REACH_PX), (0, 1))[: 2 * _REACH_PX + 1, : 2 * _REACH_PX + 1]
    down, across = np.unravel_index(int(near.argmax()), near.shape)
    return int(down) - _REACH_PX, int(across) - _REACH_PX
