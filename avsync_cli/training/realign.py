"""Find clips that carry an offset of their own, so that training can undo it.

Published clips are often a few frames off: somebody's pipeline lost the priming of a codec, or cut
sound and picture apart, clip by clip. A model trained on a majority of clips in sync sees that well
before it is finished; taught such clips as they are, it would learn to blur its answer instead.

A clip whose two halves agree gets its own estimate; any other the median of its source, if the
source's sure clips share one; what is left is taken as it is. Estimates rest on a zero that other
clips hold: the many that are in sync, and the rendered ones, which are so by construction.
"""

from __future__ import annotations

import numpy as np

from avsync_cli.corpus.cache import CachedClip
from avsync_cli.corpus.progress import Stage, counted
from avsync_cli.evaluation.own_offset import OwnOffset, own_offset
from avsync_cli.model.engine import Engine
from avsync_cli.timebase import FRAME_MS, HOP_MS

AGREE_SHARE = 0.6
"""Share of a source's sure clips that must lie within a frame of its median."""

ENOUGH_CLIPS = 3
"""Sure clips a source needs to have an offset of its own."""

DEAD_ZONE_MS = 25.0
"""Smaller offsets are left alone: within what the estimate itself may be off by."""


def common_offset(found: list[OwnOffset]) -> float | None:
    """The offset in ms that the sure ones of a source share, or None if they share none."""
    sure = np.array([f.offset_ms for f in found if f.sure])
    if len(sure) < ENOUGH_CLIPS:
        return None
    median = float(np.median(sure))
    return median if float(np.mean(np.abs(sure - median) <= FRAME_MS)) >= AGREE_SHARE else None


def realign(
    engine: Engine, clips: list[CachedClip], progress: Stage | None = None
) -> dict[str, int]:
    """Offsets to undo, in 10 ms steps by the clip's key; clips left as they are do not appear.

    Rendered clips are exact, and clips without speech too hard to judge: both are left out.

    Args:
        engine: a model far enough trained to place most clips.
        clips: the training clips.
        progress: called with (clips done, clips in all).
    """
    judged = [c for c in clips if c.clip.kind in ("", "talking") and not c.rendered]
    by_source: dict[str, list[tuple[CachedClip, OwnOffset]]] = {}
    for clip in counted(judged, len(judged), progress):
        by_source.setdefault(clip.clip.source, []).append((clip, own_offset(engine, clip)))
    undo: dict[str, int] = {}
    for members in by_source.values():
        common = common_offset([found for _, found in members]) or 0.0
        for clip, found in members:
            offset = found.offset_ms if found.sure else common
            if abs(offset) > DEAD_ZONE_MS:
                undo[clip.clip.key] = round(offset / HOP_MS)
    return undo
