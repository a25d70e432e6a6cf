"""Tiny clips with a known truth: soft flashes in the picture, short clicks in the sound."""

from __future__ import annotations

import subprocess
import wave
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from avsync_cli.media.decode import TimelineChunk
from avsync_cli.media.ffmpeg import find_ffmpeg

EVENTS_S = (0.613, 1.127, 1.689, 2.236)
"""Times of the events: no step of any tested frame rate falls on all of them alike."""

CLIP_S = 2.8
FLASH_SIGMA_S = 0.08
CLICK_SIGMA_S = 0.004
SOURCE_RATE_HZ = 48_000
WIDTH, HEIGHT = 64, 48


def run_ffmpeg(*arguments: str) -> None:
    command = [str(find_ffmpeg()), "-nostdin", "-v", "error", "-y", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def frame_times(rate: str, seconds: float = CLIP_S) -> np.ndarray:
    """Time stamps in seconds of the frames of a clip at "25", "30000/1001", ... or "vfr"."""
    if rate == "vfr":
        n = np.arange(int(seconds * 30))
        return np.asarray((n + 0.35 * np.sin(1.7 * n)) / 30)
    num, _, den = rate.partition("/")
    fps = float(num) / float(den or 1)
    return np.arange(int(seconds * fps)) / fps


@dataclass
class Clips:
    """Makes clips in a folder and measures them once decoded."""

    folder: Path
    raw: dict[str, Path] = field(default_factory=dict)

    run = staticmethod(run_ffmpeg)
    events_s = EVENTS_S

    def picture(self, rate: str, seconds: float = CLIP_S) -> list[str]:
        """ffmpeg arguments for an input whose frame at time t is as bright as the flashes at t."""
        path = self.folder / f"picture-{rate.replace('/', '-')}-{seconds}.gray"
        if not path.exists():
            t = frame_times(rate, seconds)[:, None]
            bumps = np.exp(-0.5 * ((t - np.asarray(EVENTS_S)) / FLASH_SIGMA_S) ** 2).sum(axis=1)
            luma = (16 + 200 * bumps.clip(0, 1)).round().astype(np.uint8)
            path.write_bytes(np.repeat(luma, WIDTH * HEIGHT).tobytes())
        nominal = "30" if rate == "vfr" else rate
        form = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{WIDTH}x{HEIGHT}"]
        return [*form, "-framerate", nominal, "-i", str(path)]

    def picture_out(self, rate: str, codec: str = "libx264") -> list[str]:
        """ffmpeg output arguments that keep the time stamps of `picture`."""
        out = ["-pix_fmt", "yuv420p", "-c:v", codec]
        if codec == "libx264":
            out += ["-preset", "ultrafast", "-bf", "2", "-g", "25"]
        elif codec == "libvpx":
            out += ["-deadline", "realtime", "-cpu-used", "8", "-b:v", "200k", "-g", "25"]
        if rate == "vfr":
            expression = "setpts=(N+0.35*sin(1.7*N))/(30*TB)"
            timing = ["-fps_mode", "passthrough", "-enc_time_base", "1/90000"]
            out += ["-vf", f"settb=1/90000,{expression}", *timing]
        return out

    def sound(self, offset_s: float = 0.0, seconds: float = CLIP_S, channels: int = 1) -> Path:
        """A wave file whose clicks come `offset_s` after the flashes."""
        path = self.folder / f"sound-{offset_s:+.3f}-{seconds}-{channels}.wav"
        if not path.exists():
            t = np.arange(int(seconds * SOURCE_RATE_HZ)) / SOURCE_RATE_HZ
            clicks = np.zeros_like(t)
            for event in EVENTS_S:
                envelope = np.exp(-0.5 * ((t - event - offset_s) / CLICK_SIGMA_S) ** 2)
                clicks += envelope * np.sin(2 * np.pi * 2000 * (t - event - offset_s))
            self.write_wave(path, np.repeat(clicks[:, None] * 0.6, channels, axis=1))
        return path

    @staticmethod
    def write_wave(path: Path, samples: np.ndarray) -> None:
        """(n, C) in -1..1 as 16-bit wave."""
        with wave.open(str(path), "wb") as out:
            out.setnchannels(samples.shape[1])
            out.setsampwidth(2)
            out.setframerate(SOURCE_RATE_HZ)
            out.writeframes((samples * 32767).astype("<i2").tobytes())

    def make(self, name: str, *extra: str, rate: str = "25", seconds: float = CLIP_S) -> Path:
        """A small in-sync clip; `extra` goes before the output's name."""
        path = self.folder / name
        codec, sound = ("libvpx", "libopus") if path.suffix == ".webm" else ("libx264", "aac")
        run_ffmpeg(
            *self.picture(rate, seconds),
            "-i",
            str(self.sound(seconds=seconds)),
            *self.picture_out(rate, codec),
            "-c:a",
            sound,
            *extra,
            str(path),
        )
        return path


def event_times(times_s: np.ndarray, strength: np.ndarray, near_s: Sequence[float]) -> np.ndarray:
    """Centre of the bump in `strength` around each of `near_s`, within a quarter of a second."""
    found = []
    for near in near_s:
        window = np.abs(times_s - near) < 0.25
        weight = strength[window]
        assert weight.sum() > 0, f"nothing near {near} s"
        centre = float((weight * times_s[window]).sum() / weight.sum())
        # Once more around the peak, so that a bump near the edge is not cut off unevenly.
        window = np.abs(times_s - centre) < 0.24
        weight = strength[window]
        found.append(float((weight * times_s[window]).sum() / weight.sum()))
    return np.asarray(found)


def measure(
    chunk: TimelineChunk,
    offset_s: float,
    zero_s: float = 0.0,
    events_s: Sequence[float] = EVENTS_S,
) -> tuple[float, float]:
    """(mean flash time error, mean click - flash time) of a decoded clip, in seconds.

    Args:
        chunk: the whole decoded clip.
        offset_s: where about to look for the clicks, after the flashes.
        zero_s: where the clip's picture begins on the timeline.
        events_s: the flashes, from there.
    """
    frame_s = (chunk.first_frame + np.arange(len(chunk.frames))) / 25
    luma = chunk.frames.mean(axis=(1, 2, 3))
    luma = (luma - np.median(luma)).clip(4, None) - 4
    near = np.asarray(events_s) + zero_s
    flashes = event_times(frame_s, luma, near)
    sample_s = chunk.first_frame / 25 + np.arange(len(chunk.sound)) / 16_000
    power = np.square(chunk.sound, dtype=np.float64)
    power = np.where(power > power.max() * 0.02, power, 0.0)
    clicks = event_times(sample_s, power, near + offset_s)
    return float((flashes - near).mean()), float((clicks - flashes).mean())
