"""The sample clip in the repository carries the lag its README names, as any player decodes it."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from avsync_cli.corpus.synthetic_voice import Speech, speak
from avsync_cli.media.ffmpeg import find_ffmpeg
from avsync_cli.timebase import FPS, SAMPLE_RATE_HZ

ROOT = Path(__file__).parents[2]
CLIP = ROOT / "docs" / "sample" / "talker.mp4"
LAG_MS = 120.0
SEED = 7


@pytest.fixture(scope="module")
def make_sample() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_sample", ROOT / "tests" / "make_sample.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def speech(make_sample: ModuleType) -> Speech:
    """The very curves and voice behind the clip, 2 s longer at both ends."""
    return speak(np.random.default_rng(SEED), 18.0, make_sample.VOICE)


def decode(path: Path, *options: str) -> bytes:
    command = [str(find_ffmpeg()), "-v", "error", "-nostdin", "-i", str(path), *options, "pipe:1"]
    return subprocess.run(command, capture_output=True, check=True).stdout


def delay_ms(heard: np.ndarray, reference: np.ndarray) -> float:
    """How late `heard` is against `reference`, by cross-correlation, to one sample."""
    n = 1 << (len(heard) + len(reference)).bit_length()
    product = np.fft.irfft(np.fft.rfft(heard, n) * np.conj(np.fft.rfft(reference, n)), n)
    peak = int(product.argmax())
    return 1000 * (peak - n if peak > n // 2 else peak) / SAMPLE_RATE_HZ


def decode_sound(path: Path) -> np.ndarray:
    raw = decode(path, "-vn", "-ac", "1", "-ar", str(SAMPLE_RATE_HZ), "-f", "f32le")
    return np.frombuffer(raw, np.float32)


def test_the_sound_is_late_by_what_the_readme_says(speech):
    heard = decode_sound(CLIP)
    assert abs(len(heard) / SAMPLE_RATE_HZ - 14.0) < 0.05
    in_sync = speech.sound[2 * SAMPLE_RATE_HZ : 16 * SAMPLE_RATE_HZ]
    assert delay_ms(heard, in_sync) == pytest.approx(LAG_MS, abs=1.0)


def test_the_picture_shows_the_mouth_on_its_own_frames(speech):
    """Dark pixels between the lips follow the curves of the same frame, not of a neighbour."""
    raw = decode(CLIP, "-an", "-f", "rawvideo", "-pix_fmt", "gray")
    frames = np.frombuffer(raw, np.uint8).reshape(-1, 360, 640)
    assert len(frames) == 14 * FPS
    window = frames[:, 218:262, 288:348].reshape(len(frames), -1).astype(np.float64)
    opened = -np.sort(window, axis=1)[:, :150].mean(axis=1)
    wanted = speech.mouth_at(2 + np.arange(len(frames)) / FPS)[1]
    match = {
        lag: np.corrcoef(opened[5 + lag : len(opened) - 5 + lag], wanted[5:-5])[0, 1]
        for lag in range(-3, 4)
    }
    assert max(match, key=match.__getitem__) == 0 and match[0] > 0.7


def test_the_clip_is_small():
    assert CLIP.stat().st_size < 2_000_000


@pytest.mark.parametrize("lag_ms", [-80.0, 200.0])
def test_other_lags_and_kinds_on_demand(make_sample, tmp_path, lag_ms, capsys):
    pictures, in_sync = make_sample.make_impact(2, 50, 0.0)
    same_pictures, moved = make_sample.make_impact(2, 50, lag_ms)
    assert np.array_equal(pictures, same_pictures)
    step = round(abs(lag_ms) * SAMPLE_RATE_HZ / 1000)
    early, late = (in_sync, moved) if lag_ms > 0 else (moved, in_sync)
    assert np.array_equal(early[:-step], late[step:]) and moved.std() > 1e-3

    out, again = tmp_path / "a.mp4", tmp_path / "b.mp4"
    flags = ["--kind", "impact", "--seconds", "2", "--seed", "2", "--lag-ms", str(lag_ms)]
    make_sample.main([*flags, "--out", str(out)])
    make_sample.main([*flags, "--out", str(again)])
    assert delay_ms(decode_sound(out), moved) == pytest.approx(0.0, abs=1.0)
    assert out.read_bytes() == again.read_bytes()
    assert f"{lag_ms:+g} ms" in capsys.readouterr().out
