"""Claps whose moment is known: two sticks that shut, or two hands that meet, at any frame rate."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from tests.clips import run_ffmpeg

HEIGHT, WIDTH = 180, 320
RATE_HZ = 48_000
CLAP_S = 3.481


def slate_frame(time_s: float, clap_s: float, hands: bool, backdrop: np.ndarray) -> np.ndarray:
    """(H, W) uint8 what a camera sees at one moment.

    Both fall ever faster for 0.16 s. Sticks stay shut; hands part slowly 0.12 s later.
    """
    picture = backdrop.copy()
    until = np.clip((clap_s - time_s) / 0.16, 0.0, 1.0)
    gap = 1.0 - (1.0 - until) ** 2
    drift = 3.0 * np.sin(1.3 * time_s)
    y, x = np.ogrid[0:HEIGHT, 0:WIDTH]
    if hands:
        gap = max(gap, min(1.0, max(0.0, time_s - clap_s - 0.12) / 0.6))
        for side in (-1, 1):
            middle = 160 + drift + side * (14 + 45 * gap)
            picture[((x - middle) / 14) ** 2 + ((y - 95) / 24) ** 2 < 1] = 205
        return picture
    left, top = round(110 + drift), 80
    picture[top : top + 70, left : left + 100] = 40
    angle = 0.55 * gap
    along = (x - left) * np.cos(angle) - (top - y) * np.sin(angle)
    across = (top - y) * np.cos(angle) - (x - left) * np.sin(angle)
    stick = (along >= 0) & (along <= 100) & (across >= 0) & (across <= 10)
    picture[stick] = np.where((along[stick] // 12) % 2 == 0, 235, 25)
    return picture


def slate_pictures(
    fps: float, seconds: float, clap_s: float | None = CLAP_S, hands: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """(N, H, W) uint8 frames with camera noise, and (N,) their times; no clap for None."""
    rng = np.random.default_rng(5)
    backdrop = np.kron(rng.integers(70, 150, (9, 16)), np.ones((20, 20))).astype(np.uint8)
    times_s = np.arange(int(seconds * fps)) / fps
    shown = [slate_frame(t, 1e9 if clap_s is None else clap_s, hands, backdrop) for t in times_s]
    field = rng.normal(0, 2.0, (8, HEIGHT, WIDTH))
    noise = field[rng.integers(0, 8, len(shown))]
    return (np.stack(shown) + noise).clip(0, 255).astype(np.uint8), times_s


def slate_sound(seconds: float, clap_s: float | None, rate_hz: int = RATE_HZ) -> np.ndarray:
    """(S,) float32 a murmur, hiss and a clap that begins at `clap_s`."""
    rng = np.random.default_rng(6)
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    voice = sum(np.sin(2 * np.pi * 130 * k * time_s) / k for k in range(1, 12))
    sound = 0.03 * voice * (np.sin(2 * np.pi * 2.1 * time_s) > 0.2) * (time_s < seconds / 3)
    sound = sound + rng.normal(0, 1e-3, len(sound))
    if clap_s is not None:
        first = round(clap_s * rate_hz)
        count = min(len(sound) - first, round(0.2 * rate_hz))
        fade = np.exp(-np.arange(count) / (0.02 * rate_hz))
        sound[first : first + count] += rng.normal(0, 0.4, count).clip(-0.9, 0.9) * fade
    return sound.astype(np.float32).clip(-1, 1)


def write_slate(
    path: Path, fps: str, late_ms: float, seconds: float = 4.5, hands: bool = False
) -> None:
    """A film of a clap whose sound is `late_ms` late."""
    number, _, under = fps.partition("/")
    pictures, _ = slate_pictures(float(number) / float(under or 1), seconds, hands=hands)
    raw, sound = path.with_suffix(".gray"), path.with_suffix(".wav")
    raw.write_bytes(pictures.tobytes())
    samples = slate_sound(seconds, CLAP_S + late_ms / 1000.0)
    with wave.open(str(sound), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        out.writeframes((samples * 32767).astype("<i2").tobytes())
    form = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{WIDTH}x{HEIGHT}", "-framerate", fps]
    out_form = ["-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "20"]
    run_ffmpeg(*form, "-i", str(raw), "-i", str(sound), *out_form, "-c:a", "aac", str(path))
    raw.unlink()
    sound.unlink()
