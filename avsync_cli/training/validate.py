"""A small, fixed measurement during training, on clips of held-out sources and speakers."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from avsync_cli.corpus.cache import CachedClip
from avsync_cli.evaluation.windows import clip_curves
from avsync_cli.model.engine import Engine

CONTEXTS = (5, 15, 25, 50)
"""Window lengths in frames; those shorter than a block are judged by similarity alone."""

REACH = 15
"""Offsets tried on either side in frames, as SyncNet and VocaLiST do."""


def validate(
    engine: Engine, clips: list[CachedClip], windows_a_clip: int = 2
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Share of windows placed within one frame, overall and by source.

    Only talking clips count in the overall figures; others are listed by source.

    Returns:
        overall figures such as "acc25" (decision) and "sim25" (similarity), each in 0..1, and
        the same by source.
    """
    right: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    talking: dict[str, bool] = {}
    for clip in clips:
        crops_all = clip.crops()
        sound = np.asarray(clip.sound(), np.float32) / 32768.0
        track = max(clip.tracks, key=lambda t: t.size * t.count)
        crops = np.asarray(crops_all[track.start : track.start + track.count])
        talking[clip.clip.source] = clip.clip.kind in ("", "talking")
        for frames in CONTEXTS:
            for curve in clip_curves(
                engine, crops, track.first_frame, sound, frames, REACH, windows_a_clip
            ):
                rows = right[clip.clip.source]
                rows[f"sim{frames}"].append(abs(curve.best("similarity")) <= 1)
                if frames >= 25:
                    rows[f"acc{frames}"].append(abs(curve.best()) <= 1)
                    both = curve.margin[REACH], np.delete(curve.margin, range(REACH - 1, REACH + 2))
                    rows[f"cls{frames}"].append(
                        0.5 * float(both[0] > 0) + 0.5 * float(np.mean(both[1] <= 0))
                    )
    by_source = {
        source: {k: float(np.mean(v)) for k, v in rows.items()} for source, rows in right.items()
    }
    pooled: dict[str, list[float]] = defaultdict(list)
    for source, rows in right.items():
        if talking[source]:
            for key, values in rows.items():
                pooled[key] += values
    return {k: float(np.mean(v)) for k, v in pooled.items()}, by_source
