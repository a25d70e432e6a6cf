"""Find clips that carry an offset of their own, so that training can undo it.

Published clips are often a few frames off: somebody's pipeline lost the priming of a codec, or cut
sound and picture apart, clip by clip. A model trained on a majority of clips in sync sees that well
before it is finished; taught such clips as they are, it would learn to blur its answer instead.

A clip whose two halves agree gets its own estimate; any other the median of its source, if the
source's sure clips share one; what is left is taken as it is. Estimates rest on a zero that other
clips hold: the many that are in sync, and the rendered ones, which are so by construction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from avsync_cli.evaluation.windows import encode_clip_sound
from avsync_cli.inference.engine import Engine
from avsync_cli.model.features import edge_pad
from avsync_cli.timebase import FRAME_MS, HOP_MS, HOPS_PER_FRAME
from avsync_cli.training.cache import CachedClip

REACH_FRAMES = 15
"""Offsets looked at on either side; what publishers lose is rarely more than 6 frames."""

MOST_FRAMES = 120
"""Frames of a clip that are looked at; more makes few estimates surer."""

PROMINENCE = 0.04
"""How far the best offset's similarity stands above the median of all, at the least."""

AGREE_SHARE = 0.6
"""Share of a source's sure clips that must lie within a frame of its median."""

ENOUGH_CLIPS = 3
"""Sure clips a source needs to have an offset of its own."""

DEAD_ZONE_MS = 25.0
"""Smaller offsets are left alone: within what the estimate itself may be off by."""


@dataclass(frozen=True)
class OwnOffset:
    """What one clip says of its own offset.

    Attributes:
        offset_ms: > 0 when its sound is late.
        sure: whether it stands out, and both halves of the clip agree within a frame.
    """

    offset_ms: float
    sure: bool


def own_offset(engine: Engine, clip: CachedClip) -> OwnOffset:
    """Estimate a clip's offset from the similarity of the encoders' features alone."""
    track = max(clip.tracks, key=lambda t: t.size * t.count)
    count = min(track.count, MOST_FRAMES)
    skipped = (track.count - count) // 2
    start = track.start + skipped
    context = engine.config.visual_context
    crops = np.asarray(clip.crops()[start : start + count])
    v = engine.encode_visual(edge_pad(crops, context, context)).mean(axis=(2, 3))
    sound = np.asarray(clip.sound(), np.float32) / 32768.0
    features = encode_clip_sound(engine, sound, REACH_FRAMES)
    offsets = np.arange(-REACH_FRAMES * HOPS_PER_FRAME, REACH_FRAMES * HOPS_PER_FRAME + 1)
    frames = track.first_frame + skipped + np.arange(count)
    at = (frames + REACH_FRAMES) * HOPS_PER_FRAME
    lanes = np.stack(
        [(v * features[np.clip(at + o, 0, len(features) - 1)]).sum(axis=1) for o in offsets]
    )
    curve = lanes.mean(axis=1)
    best = int(np.argmax(curve))
    halves = [
        int(np.argmax(half.mean(axis=1)))
        for half in (lanes[:, : count // 2], lanes[:, count // 2 :])
    ]
    agree = all(abs(h - best) <= HOPS_PER_FRAME for h in halves)
    prominent = float(curve[best] - np.median(curve)) >= PROMINENCE
    return OwnOffset(float(offsets[best]) * HOP_MS, agree and prominent)


def common_offset(found: list[OwnOffset]) -> float | None:
    """The offset in ms that the sure ones of a source share, or None if they share none."""
    sure = np.array([f.offset_ms for f in found if f.sure])
    if len(sure) < ENOUGH_CLIPS:
        return None
    median = float(np.median(sure))
    return median if float(np.mean(np.abs(sure - median) <= FRAME_MS)) >= AGREE_SHARE else None


def realign(
    engine: Engine, clips: list[CachedClip], progress: Callable[[int, int], None] | None = None
) -> dict[str, int]:
    """Offsets to undo, in 10 ms steps by path of the clip; clips left as they are do not appear.

    Rendered clips are exact, and clips without speech too hard to judge: both are left out.

    Args:
        engine: a model far enough trained to place most clips.
        clips: the training clips.
        progress: called with (clips done, clips in all).
    """
    judged = [c for c in clips if c.clip.kind in ("", "talking") and not c.rendered]
    by_source: dict[str, list[tuple[CachedClip, OwnOffset]]] = {}
    for number, clip in enumerate(judged, 1):
        by_source.setdefault(clip.clip.source, []).append((clip, own_offset(engine, clip)))
        if progress is not None:
            progress(number, len(judged))
    undo: dict[str, int] = {}
    for members in by_source.values():
        common = common_offset([found for _, found in members]) or 0.0
        for clip, found in members:
            offset = found.offset_ms if found.sure else common
            if abs(offset) > DEAD_ZONE_MS:
                undo[clip.clip.name] = round(offset / HOP_MS)
    return undo
