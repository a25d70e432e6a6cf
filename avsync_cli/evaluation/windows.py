"""Score every offset of many short windows: what all the protocols are made from.

A window of n frames is judged from exactly those n frames: beyond them the picture is held, not
shown. The sound it is compared with is that of the clip from R frames before to R frames after;
beyond the clip's ends it is silence, as a player would have it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from avsync_cli.inference.engine import Engine
from avsync_cli.model.features import edge_pad, log_mel
from avsync_cli.timebase import BLOCK_FRAMES, HOP_SAMPLES, HOPS_PER_FRAME


@dataclass(frozen=True)
class WindowCurve:
    """One window's scores.

    Attributes:
        first_frame: of the window, on the clip's timeline.
        frames: n.
        margin: (2 R + 1,) logit "in sync" minus logit "not" at -R..R frames; NaN for windows
            shorter than a block.
        similarity: (2 R + 1,) mean similarity of the encoders' features.
        confidence: (2 R + 1,) log-mean-exp of the attention's confidence over the window's units.
    """

    first_frame: int
    frames: int
    margin: np.ndarray
    similarity: np.ndarray
    confidence: np.ndarray

    @property
    def reach(self) -> int:
        """R in frames."""
        return len(self.similarity) // 2

    def best(self, by: str = "margin") -> int:
        """Offset in frames at which the window fits best."""
        return int(np.argmax(getattr(self, by))) - self.reach


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
    padded = np.pad(
        np.asarray(sound, np.float32),
        ((around + before) * HOP_SAMPLES, (around + after + HOPS_PER_FRAME) * HOP_SAMPLES),
    )
    steps = len(sound) // HOP_SAMPLES + 2 * around
    return engine.encode_sound(log_mel(padded, engine.config.mel_bands))[:steps]


def window_starts(count: int, frames: int, at_most: int) -> list[int]:
    """First frames of at most `at_most` windows spread evenly over `count` frames."""
    if count < frames:
        return []
    fitting = (count - frames) // max(1, frames // 2) + 1
    wanted = min(at_most, fitting)
    if wanted == 1:
        return [(count - frames) // 2]
    return sorted({round(i * (count - frames) / (wanted - 1)) for i in range(wanted)})


def window_curve(
    engine: Engine,
    crops: np.ndarray,
    first_frame: int,
    sound_features: np.ndarray,
    reach: int,
) -> WindowCurve:
    """Score one window at -R..R frames.

    Args:
        engine: the model.
        crops: (n, 96, 96) uint8, the window's frames and no more.
        first_frame: where the window starts on the clip's timeline.
        sound_features: of the whole clip, from `encode_clip_sound` with the same `reach`.
        reach: R in frames.
    """
    frames = len(crops)
    around = engine.config.visual_context
    v = engine.encode_visual(edge_pad(crops, around, around))
    offsets = 2 * reach + 1
    at = (first_frame + np.arange(offsets)[:, None] + np.arange(frames)) * HOPS_PER_FRAME
    at = np.clip(at, 0, len(sound_features) - 1)
    a = sound_features[at]  # (O, n, C)
    similarity = np.einsum("tc,otc->o", v.mean(axis=(2, 3)), a) / frames
    blocks = frames // BLOCK_FRAMES
    if blocks == 0:
        nothing = np.full(offsets, np.nan, np.float32)
        return WindowCurve(first_frame, frames, nothing, similarity, nothing)
    used = blocks * BLOCK_FRAMES
    vb = v[:used].reshape(blocks, BLOCK_FRAMES, *v.shape[1:])
    ab = a[:, :used].reshape(offsets, blocks, BLOCK_FRAMES, -1).transpose(1, 0, 2, 3)
    z, confidence, per_unit = engine.joint(vb, ab)
    units = blocks * z.shape[2]
    z = z.transpose(1, 0, 2, 3).reshape(offsets, units, -1)
    confidence = confidence.transpose(1, 0, 2).reshape(offsets, units)
    logits, _ = engine.decide(z, confidence, per_unit.transpose(1, 0, 2).reshape(offsets, units))
    top = confidence.max(axis=1, keepdims=True)
    pooled = (top + np.log(np.exp(confidence - top).mean(axis=1, keepdims=True)))[:, 0]
    return WindowCurve(first_frame, frames, logits[:, 1] - logits[:, 0], similarity, pooled)


def clip_curves(
    engine: Engine,
    crops: np.ndarray,
    first_frame: int,
    sound: np.ndarray,
    frames: int,
    reach: int,
    at_most: int = 8,
) -> Iterator[WindowCurve]:
    """Curves of up to `at_most` windows of one track, spread evenly over it.

    Windows all of whose offsets find sound in the clip come first in line: only where a clip is
    too short for that do windows reach beyond its ends.
    """
    features = encode_clip_sound(engine, sound, reach)
    total = len(sound) // (HOP_SAMPLES * HOPS_PER_FRAME)
    low = max(0, reach - first_frame)
    high = min(len(crops), total - reach - first_frame)
    if high - low < frames:
        low, high = 0, len(crops)
    for start in window_starts(high - low, frames, at_most):
        at = low + start
        yield window_curve(engine, crops[at : at + frames], first_frame + at, features, reach)
