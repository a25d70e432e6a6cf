"""A block that hammers: pictures and sound of known lag."""

from __future__ import annotations

import numpy as np

from avsync_cli.evaluation.scoring import Track
from avsync_cli.timebase import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

FRAMES = 200


def blows(period: int | None = None) -> np.ndarray:
    """Frames in which the block lands: every `period`, or at irregular times."""
    rng = np.random.default_rng(7)
    strikes = np.cumsum(rng.integers(15, 36, 20) if period is None else np.full(40, period))
    return strikes[(strikes > 8) & (strikes < FRAMES - 8)]


def hammer(late_ms: float, *, heard: bool = True, period: int | None = None) -> Track:
    """A block that swings down ever faster and stops dead, with a burst of noise at each stop.

    Args:
        late_ms: by how much the bursts come later.
        heard: False puts the bursts at times of their own.
        period: frames from one blow to the next; None for blows at irregular times.
    """
    strikes, rng = blows(period), np.random.default_rng(8)
    crops = rng.integers(90, 110, (1, 96, 96)).repeat(FRAMES, 0).astype(np.float32)
    gap = np.full(FRAMES, 24)
    for at in strikes:
        gap[at - 6 : at + 1] = [24, 23, 21, 18, 14, 8, 0]
        gap[at + 1 : at + 8] = [0, 3, 7, 11, 15, 19, 22]
    for n in range(FRAMES):
        crops[n, 30 + gap[n] : 38 + gap[n], 40:60] = 220
    crops += rng.normal(0, 1.0, crops.shape)
    sound = rng.normal(0, 1e-3, FRAMES * SAMPLES_PER_FRAME)
    times = strikes if heard else rng.integers(4, FRAMES - 4, len(strikes))
    for at in times:
        first = at * SAMPLES_PER_FRAME + round(late_ms * SAMPLE_RATE_HZ / 1000)
        if 0 <= first < len(sound) - 2000:
            sound[first : first + 2000] += rng.normal(0, 0.3, 2000) * np.exp(-np.arange(2000) / 400)
    return Track(crops.clip(0, 255).astype(np.uint8), 0, sound.astype(np.float32))
