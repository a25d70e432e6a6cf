"""Synthetic clips whose sync is known exactly: endless talkers and endless impacts.

Pictures are crops as the model sees them, sound is 16 kHz mono; frame k is the scene at exactly
k / 25 s and sample j the sound at exactly j / 16000 s, from the same curves. Nothing here reads a
file; the same generator state gives the same clip on any machine with the same numpy.
"""

from __future__ import annotations

import numpy as np

from avsync_cli.corpus.synthetic_face import Pose, draw_texture, render_crops
from avsync_cli.corpus.synthetic_impacts import draw_impact_scene
from avsync_cli.corpus.synthetic_mouth import draw_looks
from avsync_cli.corpus.synthetic_noise import smooth_noise
from avsync_cli.corpus.synthetic_voice import draw_voice, speak
from avsync_cli.timebase import FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

F32 = np.float32


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
    crops = degrade(rng, render_crops(texture, looks, mouth, pose, size))
    return crops, mix_sound(rng, speech.sound[: frames * SAMPLES_PER_FRAME])


def impact_clip(
    rng: np.random.Generator, frames: int, size: int = 96
) -> tuple[np.ndarray, np.ndarray]:
    """One random scene of things hitting things, seen as a whole frame, in sync.

    Args, returns: as `talker_clip`; a contact at time t sounds from t on, to the sample.
    """
    scene = draw_impact_scene(rng, frames, size)
    return degrade(rng, scene.picture), mix_sound(rng, scene.sound)


def _draw_pose(rng: np.random.Generator, frames: int) -> Pose:
    """A head that sways and nods, and a crop that follows it imperfectly."""
    live = float(rng.uniform(0.1, 1.0))

    def sway(scale: float, step: float) -> np.ndarray:
        return scale * live * smooth_noise(rng, frames, step)

    jitter = float(rng.uniform(0, 0.004))
    return Pose(
        x=np.asarray(
            rng.normal(0, 0.02) + sway(0.012, 18) + jitter * rng.standard_normal(frames), F32
        ),
        y=np.asarray(
            rng.normal(0, 0.02) + sway(0.014, 14) + jitter * rng.standard_normal(frames), F32
        ),
        turn=np.asarray(rng.normal(0, 0.08) + sway(0.04, 25), F32),
        zoom=np.asarray(rng.uniform(0.88, 1.15) * (1 + sway(0.015, 30)), F32),
        yaw=np.asarray(np.clip(rng.normal(0, 0.35) + sway(0.1, 30), -0.7, 0.7), F32),
    )


def _blur(picture: np.ndarray, passes: int) -> np.ndarray:
    """(n, h, w) softened by (1, 2, 1) / 4 in both directions, `passes` times."""
    for _ in range(passes):
        for axis in (1, 2):
            inner = [slice(None)] * 3
            left, right = list(inner), list(inner)
            inner[axis], left[axis], right[axis] = slice(1, -1), slice(0, -2), slice(2, None)
            new = picture.copy()
            new[tuple(inner)] += picture[tuple(left)]
            new[tuple(inner)] += picture[tuple(inner)]
            new[tuple(inner)] += picture[tuple(right)]
            new[tuple(inner)] *= F32(0.25)
            picture = new
    return picture


def degrade(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """What cameras and codecs do to (n, h, w) float32 of about 0..1; returns uint8."""
    n, height, width = picture.shape
    coarse = float(rng.uniform(1.0, 2.4)) if rng.random() < 0.35 else 1.0
    if coarse > 1.05:  # few pixels on the face: sampled coarsely, scaled up again
        picture = _blur(picture, 1)
        rows = np.arange(height) / coarse
        cols = np.arange(width) / coarse
        small = picture[
            :,
            np.minimum((np.arange(int(height / coarse) + 2) * coarse).astype(int), height - 1),
        ][:, :, np.minimum((np.arange(int(width / coarse) + 2) * coarse).astype(int), width - 1)]
        r, c = rows.astype(int), cols.astype(int)
        fr, fc = (rows - r).astype(F32)[None, :, None], (cols - c).astype(F32)[None, None, :]
        tall = small[:, r] * (1 - fr) + small[:, r + 1] * fr
        picture = tall[:, :, c] * (1 - fc) + tall[:, :, c + 1] * fc
    picture = _blur(picture, int(rng.integers(0, 4)))
    gain, lift = float(rng.uniform(0.75, 1.12)), float(rng.uniform(-0.06, 0.1))
    flicker = F32(1 + rng.uniform(0, 0.01) * smooth_noise(rng, n, 6)).reshape(n, 1, 1)
    picture = picture * (flicker * F32(gain)) + F32(lift)
    if rng.random() < 0.5:
        picture = np.clip(picture, 0, 1) ** F32(rng.uniform(0.7, 1.4))
    grain = float(rng.uniform(0, 0.018))
    # One field of noise read from a random place each frame: cheap and never still.
    field = rng.standard_normal(2 * height * width, dtype=F32) * F32(grain)
    for k in range(n):
        at = int(rng.integers(height * width))
        picture[k] += field[at : at + height * width].reshape(height, width)
    return np.asarray(np.clip(picture, 0, 1) * F32(255) + F32(0.5)).astype(np.uint8)


def _convolve(sound: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    n = 1 << (len(sound) + len(kernel)).bit_length()
    product = np.fft.rfft(sound, n) * np.fft.rfft(kernel, n)
    return np.asarray(np.fft.irfft(product, n)[: len(sound)])


def mix_sound(rng: np.random.Generator, dry: np.ndarray) -> np.ndarray:
    """Room, microphone, noise and level around a clean sound; the direct sound does not move.

    Args:
        dry: (samples,) at 16 kHz.

    Returns:
        (samples,) float32 in -1..1.
    """
    samples = len(dry)
    sound = dry.astype(np.float64)
    if rng.random() < 0.5:
        decay = float(rng.uniform(0.03, 0.25))
        tail = np.arange(int(SAMPLE_RATE_HZ * min(0.5, 4 * decay)))
        room = rng.standard_normal(len(tail)) * np.exp(-tail / (SAMPLE_RATE_HZ * decay))
        room[: int(rng.uniform(30, 200))] = 0
        room *= rng.uniform(0.1, 0.8) / (np.sqrt((room**2).sum()) + 1e-9)
        room[0] = 1.0
        sound = _convolve(sound, room)
    power = float(np.sqrt((sound**2).mean())) + 1e-5
    t = np.arange(samples) / SAMPLE_RATE_HZ
    behind = np.zeros(samples)
    kind = rng.random()
    if kind < 0.75:  # hiss of any colour
        spectrum = np.fft.rfft(rng.standard_normal(samples))
        f = np.maximum(np.fft.rfftfreq(samples, 1 / SAMPLE_RATE_HZ), 40)
        behind = np.fft.irfft(spectrum * f ** (-rng.uniform(0, 1.2)), samples)
    if kind > 0.6:  # hum or held chords
        step = int(SAMPLE_RATE_HZ * rng.uniform(0.2, 1.2))
        base = float(rng.uniform(50, 400))
        chord = np.zeros(samples)
        for start in range(0, samples, step):
            part = t[start : start + step]
            fade = np.minimum(1, np.arange(len(part)) / 300) * np.exp(-part + part[0])
            for _ in range(3):
                note = base * 2 ** (int(rng.integers(0, 24)) / 12)
                chord[start : start + step] += fade * np.sin(2 * np.pi * note * part)
        behind = behind / (behind.std() + 1e-9) + chord / (chord.std() + 1e-9)
    snr_db = float(rng.uniform(3, 45))
    sound = sound + behind * (power * 10 ** (-snr_db / 20) / (behind.std() + 1e-9))
    level = 10 ** (rng.uniform(-32, -14) / 20)
    sound *= level / (np.sqrt((sound**2).mean()) + 1e-9)
    return np.asarray(np.clip(sound, -1, 1), F32)
