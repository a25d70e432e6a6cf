"""Score every offset of many short windows: what all the protocols are made from.

A window of n frames is judged from exactly those n frames: beyond them the picture is held, not
shown. The sound it is compared with is that of the clip from R frames before to R frames after;
beyond the clip's ends it is silence, as a player would have it.

A feature depends on r frames on either side. So a track is encoded once, and of every window only
the features within r frames of its two edges are encoded anew, with the picture held there: the
same numbers as encoding the window by itself, for a fraction of the work (see `TrackFeatures`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from avsync_cli.model.engine import Engine
from avsync_cli.model.features import edge_pad
from avsync_cli.timebase import BLOCK_FRAMES, HOP_SAMPLES, HOPS_PER_FRAME


class PairScores(NamedTuple):
    """What a model says of one stretch of picture with several stretches of sound, (O,) each.

    `margin` and `confidence` are NaN for stretches shorter than a block.
    """

    margin: np.ndarray
    similarity: np.ndarray
    confidence: np.ndarray


def encode_clip_sound(engine: Engine, sound: np.ndarray, reach: int) -> np.ndarray:
    """Sound features at 100 Hz from R frames before the clip to R frames after it.

    Args:
        engine: the model.
        sound: (S,) float32 in -1..1, S a multiple of 640.
        reach: R in frames.

    Returns:
        (S // 160 + 8 R, C); entry j belongs to the timeline step j - 4 R.
    """
    before, after = engine.config.sound_context
    around = reach * HOPS_PER_FRAME
    beyond = around + engine.config.edge_steps
    padded = np.pad(
        np.asarray(sound, np.float32),
        ((beyond + before) * HOP_SAMPLES, (beyond + after + HOPS_PER_FRAME) * HOP_SAMPLES),
    )
    steps = len(sound) // HOP_SAMPLES + 2 * around
    return engine.encode_sound(engine.sound_steps(padded))[:steps]


def window_starts(count: int, frames: int, at_most: int) -> list[int]:
    """First frames of at most `at_most` windows spread evenly over `count` frames."""
    if count < frames:
        return []
    fitting = (count - frames) // max(1, frames // 2) + 1
    wanted = min(at_most, fitting)
    if wanted == 1:
        return [(count - frames) // 2]
    return sorted({round(i * (count - frames) / (wanted - 1)) for i in range(wanted)})


def placed_starts(
    track_frames: int, first_frame: int, clip_frames: int, frames: int, reach: int, at_most: int
) -> list[int]:
    """First frames, within a track, of up to `at_most` windows spread evenly over it.

    Windows all of whose offsets find sound in the clip come first in line: only where a clip is
    too short for that do windows reach beyond its ends.

    Args:
        track_frames: length of the track.
        first_frame: where it begins on the clip's timeline.
        clip_frames: length of the clip.
        frames: n.
        reach: R in frames.
        at_most: number of windows.
    """
    low = max(0, reach - first_frame)
    high = min(track_frames, clip_frames - reach - first_frame)
    if high - low < frames:
        low, high = 0, track_frames
    return [low + start for start in window_starts(high - low, frames, at_most)]


class TrackFeatures:
    """Picture features of any window of a track, as if the rest of the track did not exist.

    Args:
        engine: the model.
        crops: (T, 96, 96) uint8, the whole track.
    """

    def __init__(self, engine: Engine, crops: np.ndarray) -> None:
        self._engine = engine
        self._crops = crops
        self._around = engine.config.visual_context
        self._known: dict[tuple[int, int, bool, bool], np.ndarray] = {}

    @property
    def stream(self) -> np.ndarray:
        """(T, C, h, w) features of the track, every frame with its own neighbours as context."""
        return self._held(0, len(self._crops))

    def window(self, first: int, frames: int) -> np.ndarray:
        """(n, C, h, w) features of the n frames from `first` on, the picture held beyond them."""
        r, end = self._around, first + frames
        # Two edges cost 6 r frames of picture, the window by itself n + 2 r.
        if frames <= 4 * r:
            return self._held(first, end)
        if r == 0:
            return self.stream[first:end]
        left = self._held(first, first + 2 * r, after=False)
        right = self._held(end - 2 * r, end, before=False)
        return np.concatenate([left, self.stream[first + r : end - r], right])

    def _held(self, first: int, end: int, before: bool = True, after: bool = True) -> np.ndarray:
        """Features of a stretch, the picture held before or after it, or both; several heads may
        ask for it, and windows often share an edge."""
        key = (first, end, before, after)
        if key not in self._known:
            r = self._around
            seen = edge_pad(self._crops[first:end], r * before, r * after)
            self._known[key] = self._engine.encode_visual(seen)
        return self._known[key]


def slid_sound(
    features: np.ndarray, first_frame: int, frames: int, offsets: np.ndarray, reach: int
) -> np.ndarray:
    """(O, n, C) sound features that a window meets at each offset.

    Args:
        features: of the whole clip, from `encode_clip_sound` with the same `reach`.
        first_frame: of the window, on the clip's timeline.
        frames: n.
        offsets: (O,) in frames; what lies beyond the features repeats the outermost one.
        reach: R in frames.
    """
    at = (first_frame + reach + np.asarray(offsets)[:, None] + np.arange(frames)) * HOPS_PER_FRAME
    return features[np.clip(at, 0, len(features) - 1)]


def pair_scores(engine: Engine, faces: Sequence[np.ndarray], a: np.ndarray) -> PairScores:
    """Judge one stretch of picture with several stretches of sound.

    Of several faces the units of all compete in one softmax, as in a file; the similarity, which
    knows no attention, is that of the face that fits best.

    Args:
        engine: the model.
        faces: (n, C, h, w) features of each face.
        a: (O, n, C) features of the sound.
    """
    offsets, frames = a.shape[:2]
    means = np.stack([v.mean(axis=(2, 3)) for v in faces])
    similarity = (np.einsum("ftc,otc->fo", means, a) / frames).max(axis=0)
    blocks = frames // BLOCK_FRAMES
    if blocks == 0:
        nothing = np.full(offsets, np.nan, np.float32)
        return PairScores(nothing, similarity, nothing)
    used = blocks * BLOCK_FRAMES
    ab = a[:, :used].reshape(offsets, blocks, BLOCK_FRAMES, -1).transpose(1, 0, 2, 3)
    judged = [engine.joint(v[:used].reshape(blocks, BLOCK_FRAMES, *v.shape[1:]), ab) for v in faces]
    # (blocks, O, M, ...) of every face to (O, units, ...), the units of all blocks and faces.
    z, confidence, per_unit = (
        np.concatenate(
            [p.swapaxes(0, 1).reshape(offsets, blocks * p.shape[2], *p.shape[3:]) for p in parts],
            axis=1,
        )
        for parts in zip(*judged, strict=True)
    )
    logits, _ = engine.decide(z, confidence, per_unit)
    top = confidence.max(axis=1, keepdims=True)
    pooled = (top + np.log(np.exp(confidence - top).mean(axis=1, keepdims=True)))[:, 0]
    return PairScores(logits[:, 1] - logits[:, 0], similarity, pooled)
