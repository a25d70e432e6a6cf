"""Make few speakers look and sound like many.

Whatever moves the sound against the picture would spoil the label, so everything here keeps time:
pictures are moved about in space, sounds coloured, mixed and masked.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from avsync_cli.timebase import SAMPLE_RATE_HZ
from avsync_cli.training.distributed import share, world


def augment_sound(wave: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another room, noise and gain: (S,) float32 to (S,) float32, in time as before.

    Args:
        wave: the sound.
        other: (S,) of another, which is perhaps mixed in.
        rng: the sample's own generator.
    """
    wave = np.array(wave, np.float32)
    if rng.random() < 0.15:
        wave = _room(wave, rng)
    if rng.random() < 0.25:
        wave = _mix(wave, other, rng.uniform(3.0, 25.0))
    if rng.random() < 0.3:
        wave = _mix(wave, _noise(len(wave), rng), rng.uniform(5.0, 35.0))
    gain_db = rng.uniform(-18.0, 8.0)
    loud: np.ndarray = np.clip(wave * 10.0 ** (gain_db / 20.0), -1.0, 1.0)
    return loud.astype(np.float32, copy=False)


def _noise(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Noise between white and brown, by shaping its spectrum."""
    spectrum = np.fft.rfft(rng.standard_normal(samples).astype(np.float32))
    hz = np.arange(len(spectrum)) * SAMPLE_RATE_HZ / samples
    spectrum *= (hz + 50.0) ** -rng.uniform(0.0, 1.0)
    return np.fft.irfft(spectrum, samples).astype(np.float32)


def _room(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Decaying reflections after the direct sound, which stays where it is."""
    tail = int(rng.uniform(0.05, 0.35) * SAMPLE_RATE_HZ)
    decay = np.exp(-np.arange(tail) * (6.9 / tail))
    answer = rng.standard_normal(tail) * decay
    answer *= rng.uniform(0.1, 0.6) / np.sqrt((answer**2).sum())
    answer[0] = 1.0
    size = 1 << (len(wave) + tail - 1).bit_length()
    product = np.fft.rfft(wave, size) * np.fft.rfft(answer, size)
    return np.fft.irfft(product, size)[: len(wave)].astype(np.float32)


def _mix(wave: np.ndarray, other: np.ndarray, snr_db: float) -> np.ndarray:
    power = float((wave * wave).mean())
    other_power = float((other * other).mean())
    if power < 1e-9 or other_power < 1e-12:
        return wave
    gain = math.sqrt(power / other_power * 10.0 ** (-snr_db / 10.0))
    return wave + np.float32(gain) * other


def augment_mel(mel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another microphone and another vocal tract: (F, B) to (F, B).

    A smooth curve over pitch stands for an equaliser, stretching the bands for formants of a
    longer or shorter throat, and blanked bands for telephones and codecs.
    """
    bands = mel.shape[1]
    if rng.random() < 0.5:
        stretch, shift = rng.uniform(0.9, 1.1), rng.uniform(-3.0, 3.0)
        places = np.clip(np.arange(bands) * stretch + shift, 0, bands - 1)
        low = np.floor(places).astype(int)
        high = np.minimum(low + 1, bands - 1)
        part = (places - low).astype(np.float32)
        mel = mel[:, low] * (1 - part) + mel[:, high] * part
    if rng.random() < 0.6:
        knots = rng.normal(0.0, 0.25, size=6)
        curve = np.interp(np.linspace(0, 5, bands), np.arange(6), knots)
        mel = mel + curve.astype(np.float32)
    if rng.random() < 0.3:
        width = int(rng.integers(4, 16))
        at = int(rng.integers(bands - width))
        mel = mel.copy()
        mel[:, at : at + width] = mel.mean()
    return mel


class _Draws:
    """Random numbers for the clips of a batch, drawn for the batch of all processes, so that
    theirs are those of a single one."""

    def __init__(self, clips: int, generator: torch.Generator, device: torch.device) -> None:
        self.clips, self.generator, self.device = clips, generator, device

    def uniform(self, *size: int) -> Tensor:
        """(N, *size) in 0..1."""
        whole = torch.rand(self.clips * world(), *size, generator=self.generator)
        return share(whole).to(self.device)

    def normal(self, *size: int) -> Tensor:
        """(N, *size) around 0."""
        whole = torch.randn(self.clips * world(), *size, generator=self.generator)
        return share(whole).to(self.device)

    def between(self, low: float, high: float) -> Tensor:
        """(N,) in low..high."""
        return self.uniform() * (high - low) + low

    def chance(self, part: float) -> Tensor:
        """(N,) bool, True for so large a part."""
        return self.uniform() < part


def augment_crops(crops: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Random affine, mirror, light, blur, noise and occlusion, one draw a clip.

    Args:
        crops: (N, T, 96, 96) uint8.
        size: side of the picture the model takes.
        generator: source of every random number, on the CPU.

    Returns:
        (N, T, size, size) float32, 0..255.
    """
    draws = _Draws(len(crops), generator, crops.device)
    x = _moved(crops, size, draws)
    coarse = draws.chance(0.25)
    if bool(coarse.any()):
        small = F.avg_pool2d(x[coarse], 2)
        x[coarse] = F.interpolate(small, size=(size, size), mode="bilinear", align_corners=False)
    return _covered(_lit(x, draws), draws)


def _moved(crops: Tensor, size: int, draws: _Draws) -> Tensor:
    """Turned, scaled, stretched, mirrored and moved, and cut to `size`."""
    clips, _, side = crops.shape[:3]
    scale = torch.exp(draws.between(-0.22, 0.18)) * (size / side)
    stretch = torch.exp(draws.between(-0.08, 0.08))
    turn = draws.between(-0.2, 0.2)
    mirror = torch.where(draws.chance(0.5), -1.0, 1.0)
    cos, sin = torch.cos(turn), torch.sin(turn)
    theta = torch.zeros(clips, 2, 3, device=crops.device)
    theta[:, 0, 0], theta[:, 0, 1] = scale * stretch * cos * mirror, -scale * sin
    theta[:, 1, 0], theta[:, 1, 1] = scale * sin * mirror, scale / stretch * cos
    theta[:, 0, 2], theta[:, 1, 2] = draws.between(-0.09, 0.09), draws.between(-0.09, 0.09)
    grid = F.affine_grid(theta, [clips, 1, size, size], align_corners=False)
    # Frames ride along as channels, since all of a clip are sampled at the same places.
    return F.grid_sample(crops.float(), grid, padding_mode="border", align_corners=False)


def _lit(x: Tensor, draws: _Draws) -> Tensor:
    """In another light, by a camera with some noise."""
    size, shape = x.shape[2], (len(x), 1, 1, 1)
    gamma = torch.exp(draws.between(-0.4, 0.4)).view(shape)
    x = 255.0 * (x.clamp(0, 255) / 255.0).pow(gamma)
    x = x * torch.exp(draws.between(-0.3, 0.3)).view(shape) + draws.between(-25, 25).view(shape)
    nothing = torch.zeros((), device=x.device)
    noisy = torch.where(draws.chance(0.4), draws.between(0.0, 8.0), nothing).view(shape)
    noise = draws.normal(1, size, size)[:, 0]
    rolled = [noise.roll((7 * t % size, 13 * t % size), (1, 2)) for t in range(x.shape[1])]
    return x + noisy * torch.stack(rolled, dim=1)


def _covered(x: Tensor, draws: _Draws) -> Tensor:
    """With a plain patch over some clips, as a hand or a microphone would be."""
    size = x.shape[2]
    hidden, places = draws.chance(0.15), draws.uniform(5)
    for i in torch.nonzero(hidden).flatten().tolist():
        part = places[i].tolist()
        high, wide = (6 + int(v * (size // 3 - 6)) for v in part[:2])
        top, left = int(part[2] * (size - high)), int(part[3] * (size - wide))
        x[i, :, top : top + high, left : left + wide] = part[4] * 255.0
    return x
