"""Synthetic clips whose sync is known exactly: endless talkers and endless impacts.

Pictures are crops as the model sees them, sound is 16 kHz mono; frame k is the scene at exactly
k / 25 s and sample j the sound at exactly j / 16000 s, from the same curves. Nothing here reads a
file; the same generator state gives the same clip on any machine with the same numpy. What cameras,
rooms and codecs do to either is left to `training.augment`, as for recorded clips.
"""

from __future__ import annotations

import numpy as np

from avsync_cli.corpus.synthetic_face import Pose, draw_texture, render_crops
from avsync_cli.corpus.synthetic_impacts import draw_impact_scene
from avsync_cli.corpus.synthetic_mouth import draw_looks
from avsync_cli.corpus.synthetic_noise import F32, smooth_noise
from avsync_cli.corpus.synthetic_voice import draw_voice, speak
from avsync_cli.timebase import FPS, SAMPLES_PER_FRAME

_NOISE = 0.002
"""Of any microphone, -54 dB: digital silence between words would be unlike any recording."""


def talker_clip(
    rng: np.random.Generator, frames: int, size: int = 96
) -> tuple[np.ndarray, np.ndarray]:
    """One random person talking, seen as a mouth crop, in sync.

    Args:
        rng: the only source of chance.
        frames: length at 25 frames a second, >= 1.
        size: pixels a side.

    Returns:
        crops (frames, size, size) uint8 grey and sound (frames * 640,) float32 in -1..1, where
        crop k is the mouth at k / 25 s and sample j the sound at j / 16000 s.
    """
    speech = speak(rng, frames / FPS, draw_voice(rng))
    mouth = speech.mouth_at(np.arange(frames) / FPS)
    skin = float(np.clip(rng.normal(0.58, 0.14), 0.25, 0.8))
    looks = draw_looks(rng, skin)
    texture = draw_texture(rng, skin, looks)
    pose = _draw_pose(rng, frames)
    picture = render_crops(texture, looks, mouth, pose, size)
    return _recorded(rng, picture, speech.sound[: frames * SAMPLES_PER_FRAME])


def impact_clip(
    rng: np.random.Generator, frames: int, size: int = 96
) -> tuple[np.ndarray, np.ndarray]:
    """One random scene of things hitting things, seen as a whole frame, in sync.

    Args, returns: as `talker_clip`; a contact at time t sounds from t on, to the sample.
    """
    scene = draw_impact_scene(rng, frames, size)
    return _recorded(rng, scene.picture, scene.sound)


def _recorded(
    rng: np.random.Generator, picture: np.ndarray, sound: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A picture of about 0..1 as uint8, and a sound with a microphone's noise."""
    noisy = sound + F32(_NOISE) * rng.standard_normal(len(sound), dtype=F32)
    pixels = np.clip(picture, 0, 1) * F32(255) + F32(0.5)
    return np.asarray(pixels).astype(np.uint8), np.asarray(np.clip(noisy, -1, 1), F32)


def _draw_pose(rng: np.random.Generator, frames: int) -> Pose:
    """A head that sways and nods, and a crop that follows it imperfectly."""
    live = float(rng.uniform(0.1, 1.0))

    def sway(scale: float, step: float) -> np.ndarray:
        return scale * live * smooth_noise(rng, frames, step)

    jitter = float(rng.uniform(0, 0.004))

    def place(scale: float, step: float) -> np.ndarray:
        beside = rng.normal(0, 0.02) + sway(scale, step) + jitter * rng.standard_normal(frames)
        return np.asarray(beside, F32)

    return Pose(
        x=place(0.012, 18),
        y=place(0.014, 14),
        turn=np.asarray(rng.normal(0, 0.08) + sway(0.04, 25), F32),
        zoom=np.asarray(rng.uniform(0.88, 1.15) * (1 + sway(0.015, 30)), F32),
        yaw=np.asarray(np.clip(rng.normal(0, 0.35) + sway(0.1, 30), -0.7, 0.7), F32),
    )
