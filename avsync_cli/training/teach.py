"""A new tower first learns to say what an older sound encoder says.

A model whose sound side is exchanged then stands where it stood before, or farther: picture, joint
layers and attention go on meeting the features that they have learnt on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from avsync_cli.corpus.cache import CachedClip
from avsync_cli.corpus.progress import Stage, counted
from avsync_cli.model.config import MEL_EDGE_STEPS
from avsync_cli.model.encoders import SoundEncoder
from avsync_cli.model.features import log_mel
from avsync_cli.model.phones import PhoneEncoder
from avsync_cli.timebase import HOP_MS, HOP_SAMPLES, HOPS_PER_FRAME
from avsync_cli.training.dataset import read_at
from avsync_cli.training.heard import CLEAN_SHARE, MARGIN_STEPS, VERSIONS, augment_steps, heard_path

STEPS = 400
"""Enough: of the bundled encoder's features held-out clips then have a cosine of 0.915; 0.888 after
100."""

BATCH = 24
FRAMES = 30
LEARNING_RATE = 2e-3
WARMUP = 30
_BEYOND_STEPS = 20
"""Steps by which a stretch may begin before its clip, or end after it."""


def teach(
    tower: PhoneEncoder,
    old: SoundEncoder,
    clips: Sequence[CachedClip],
    seed: int,
    progress: Stage | None = None,
    steps: int = STEPS,
) -> list[float]:
    """Teach a tower an older encoder's features; the recogniser itself stays as it is.

    The tower hears phones of the clips as they are or with noise, as `heard` has kept them, the
    older encoder log-mel of the clips as they are.

    Args:
        tower: changed in place.
        old: says what is right.
        clips: whose phones are kept.
        seed: of every random choice; the same seed teaches the same.
        progress: told of the steps done.
        steps: of the optimiser.

    Returns:
        1 - cosine, the mean of a batch, step by step.
    """
    rng = np.random.default_rng(seed)
    share = np.sqrt([float(clip.frames) for clip in clips])
    device = next(tower.parameters()).device
    old = old.to(device).eval()
    tower.train()
    optimizer = torch.optim.AdamW(
        [p for p in tower.parameters() if p.requires_grad],
        lr=LEARNING_RATE, weight_decay=0.02, betas=(0.9, 0.98),
    )  # fmt: skip
    losses = []
    for step in counted(range(steps), steps, progress):
        rate = 0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, (step + 1) / WARMUP) * rate
        drawn = rng.choice(len(clips), BATCH, p=share / share.sum())
        pairs = [_stretch(clips[i], old, tower, rng) for i in drawn]
        mel, phones = (
            torch.from_numpy(np.stack(parts)).to(device) for parts in zip(*pairs, strict=True)
        )
        with torch.no_grad():
            right = old(mel)
        loss = (1.0 - (right * tower(phones)).sum(dim=2)).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def _stretch(
    clip: CachedClip, old: SoundEncoder, tower: PhoneEncoder, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """What both encoders take of a random stretch of a clip, for `FRAMES` frames."""
    last = clip.frames * HOPS_PER_FRAME - FRAMES * HOPS_PER_FRAME + _BEYOND_STEPS
    first = int(rng.integers(-_BEYOND_STEPS, max(last, 1 - _BEYOND_STEPS)))
    sound, count = clip.sound(), old.config.sound_hops(FRAMES) + 2 * MEL_EDGE_STEPS
    low = (first - old.config.sound_context[0] - MEL_EDGE_STEPS) * HOP_SAMPLES
    wave = read_at(sound, low + np.arange(count * HOP_SAMPLES))
    mel = log_mel(wave)[MEL_EDGE_STEPS:-MEL_EDGE_STEPS]

    version = 0 if rng.random() < CLEAN_SHARE else int(rng.integers(1, VERSIONS))
    kept = np.load(heard_path(clip, version), mmap_mode="r", allow_pickle=False)
    late = round(clip.clip.offset_ms / HOP_MS)
    start = first - tower.config.sound_context[0] + late + MARGIN_STEPS
    at = np.clip(start + np.arange(tower.config.sound_hops(FRAMES)), 0, len(kept) - 1)
    return mel, augment_steps(np.asarray(kept[at], np.float32), rng)
