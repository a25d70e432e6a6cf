"""A small, fixed measurement during training, on clips of held-out sources and speakers."""

from __future__ import annotations

from collections import defaultdict

from avsync_cli.corpus.cache import CachedClip
from avsync_cli.evaluation.records import NEAR_FRAMES, WindowRecord
from avsync_cli.evaluation.scoring import Scorer
from avsync_cli.evaluation.sweep import sweep
from avsync_cli.evaluation.tables import mean

CONTEXTS = (5, 15, 25, 50)
"""Window lengths in frames; our own model judges those shorter than a block by similarity alone."""

JUDGED_BY = ("acc15", "acc25", "acc50")
"""Figures whose mean decides which model is the best."""

WINDOWS_A_CLIP = 2


def validate(
    scorer: Scorer, clips: list[CachedClip]
) -> tuple[float, dict[str, float], dict[str, dict[str, float]]]:
    """Share of windows placed within one frame of 0, overall and by source.

    Only talking clips count in the overall figures; others are listed by source.

    Returns:
        how good the model is, 0..1; overall figures such as "acc25", of windows of 25 frames; and
        the same by source.
    """
    (records,) = sweep([scorer], clips, CONTEXTS, WINDOWS_A_CLIP, lambda _: "0")
    sources: dict[str, list[WindowRecord]] = defaultdict(list)
    for record in records:
        sources[record.origin.source].append(record)
    overall = _figures([r for r in records if r.origin.kind in ("", "talking")])
    score = mean([overall.get(name, 0.0) for name in JUDGED_BY])
    return score, overall, {source: _figures(members) for source, members in sources.items()}


def _figures(records: list[WindowRecord]) -> dict[str, float]:
    right: dict[str, list[bool]] = defaultdict(list)
    for record in records:
        right[f"acc{record.frames}"].append(abs(record.best) <= NEAR_FRAMES)
    return {name: mean(values) for name, values in right.items()}
