"""Rendered talkers and impacts as entries of the cache: exact sync, endless identities."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from avsync_cli.corpus import cache
from avsync_cli.corpus.cache import CachedClip, CachedTrack
from avsync_cli.corpus.manifest import Clip
from avsync_cli.corpus.synthetic import impact_clip, talker_clip
from avsync_cli.timebase import FPS

CLIP_FRAMES = 6 * FPS
"""Long enough for several phrases and pauses."""

TALKERS_IN_FIVE = 4
"""Of five rendered clips this many talk; the rest are impacts."""

RENDER_FORMAT = 3
"""Raise when the renderer changes."""


def rendered_clips(count: int, seed: int, cache_dir: Path) -> list[CachedClip]:
    """`count` rendered clips, made once and kept in the cache."""
    return [_one(i, seed, cache_dir) for i in range(count)]


def _one(number: int, seed: int, cache_dir: Path) -> CachedClip:
    talks = number % 5 < TALKERS_IN_FIVE
    name = f"rendered|{RENDER_FORMAT}|{seed}|{number}|{CLIP_FRAMES}"
    folder = cache_dir / hashlib.sha256(name.encode()).hexdigest()[:32]
    if not (folder / cache.ENTRY).is_file():
        render = talker_clip if talks else impact_clip
        crops, sound = render(np.random.default_rng([seed, number]), CLIP_FRAMES)
        track = CachedTrack("face" if talks else "frame", 0, 0, CLIP_FRAMES, 0.5)
        stored = cache.as_stored(sound)
        cache.write_entry(folder, [track], crops, np.ones(CLIP_FRAMES, bool), stored)
    kind = "talking" if talks else "impact"
    clip = Clip(folder, source=f"rendered {kind}", split="train", kind=kind)
    return cache.open_entry(clip, folder, rendered=True)
