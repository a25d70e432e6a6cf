"""What the phone recogniser says of the clips' sound, kept beside their crops.

The recogniser stays as it is, so its features need making once: of every clip as it is, and of a
few copies with noise, other sound and rooms, since features cannot be given those afterwards.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from avsync_cli.corpus.cache import CachedClip
from avsync_cli.corpus.progress import Stage, counted
from avsync_cli.files import open_whole
from avsync_cli.model.engine import Engine
from avsync_cli.timebase import HOP_SAMPLES
from avsync_cli.training.augment import augment_sound

VERSIONS = 4
"""Copies of a clip's sound that are heard: as it is, the others augmented; each 30 kB a second."""

CLEAN_SHARE = 0.4
"""Share of the windows that hear the clip as it is."""

MARGIN_STEPS = 100
"""Steps kept beyond either end of a clip; further out nothing changes that training asks for."""


def heard_path(clip: CachedClip, version: int) -> Path:
    """Where a version of a clip's features lies."""
    return clip.folder / f"phones-{version}.npy"


def hear(engine: Engine, sound: np.ndarray, margin_steps: int) -> np.ndarray:
    """(S,) float32 sound, S a multiple of 160, to (S // 160 + 2 margin, 144) float16.

    Step j belongs to the timeline step j - margin; beyond the sound there is silence.
    """
    around = (margin_steps + engine.config.edge_steps) * HOP_SAMPLES
    return engine.sound_steps(np.pad(np.asarray(sound, np.float32), around)).astype(np.float16)


def hear_clips(
    engine: Engine, clips: Sequence[CachedClip], seed: int, progress: Stage | None = None
) -> None:
    """Make the features of all clips that lack them; a killed call loses one clip."""
    for clip in counted(clips, len(clips), progress):
        for version in range(VERSIONS):
            path = heard_path(clip, version)
            if not path.exists():
                rng = np.random.default_rng([seed, version, zlib.crc32(clip.folder.name.encode())])
                sound = _raw(clip)
                if version:
                    other = _raw(clips[int(rng.integers(len(clips)))])
                    sound = augment_sound(sound, np.resize(other, len(sound)), rng)
                with open_whole(path) as file:
                    np.save(file, hear(engine, sound, MARGIN_STEPS))


def _raw(clip: CachedClip) -> np.ndarray:
    sound = np.load(clip.folder / "sound.npy", allow_pickle=False)
    return np.asarray(sound, np.float32) / 32768.0


def augment_steps(steps: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(F, 144) features of another voice and microphone: shifted, with some noise and gaps."""
    spread = steps.std(axis=0) + 1e-3
    shift = rng.normal(0.0, 0.2, size=steps.shape[1]) * spread
    noise = rng.standard_normal(steps.shape, dtype=np.float32) * (0.1 * spread)
    kept = rng.random(steps.shape[1]) >= rng.uniform(0.0, 0.15)
    return ((steps + shift + noise) * kept).astype(np.float32)
