"""The offset that a clip carries by itself, as its features tell it.

Published clips are often a few frames off: somebody's pipeline lost the priming of a codec, or cut
sound and picture apart. What is measured against a known shift must know that zero; training
undoes it (`training.realign`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avsync_cli.corpus.cache import CachedClip
from avsync_cli.evaluation.windows import encode_clip_sound
from avsync_cli.model.engine import Engine
from avsync_cli.model.features import edge_pad
from avsync_cli.timebase import HOP_MS, HOPS_PER_FRAME

REACH_FRAMES = 15
"""Offsets looked at on either side; what publishers lose is rarely more than 6 frames."""

MOST_FRAMES = 120
"""Frames of a clip that are looked at; more makes few estimates surer."""

PROMINENCE = 0.04
"""How far the best offset's similarity stands above the median of all, at the least."""


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
    features = encode_clip_sound(engine, clip.wave(), REACH_FRAMES)
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
