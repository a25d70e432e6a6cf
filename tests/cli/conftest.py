"""Clips rendered for the tests, and the program run in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from avsync_cli.cli import mend
from avsync_cli.media.ffmpeg import find_ffmpeg
from avsync_cli.repair import run as repair
from avsync_cli.timebase import FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME
from avsync_cli.verdict.answer import Judgement
from tests.conftest import REPO
from tests.toy_model import build_toy_model, flash_pattern

Run = Callable[..., subprocess.CompletedProcess[bytes]]

Make = Callable[..., Judgement]

LATE: dict[str, Any] = {}
FINE: dict[str, Any] = {"status": "in_sync", "offset_ms": 4.0, "ci_ms": (-16.0, 24.0)}
OPEN: dict[str, Any] = {
    "status": "undecided", "offset_ms": None, "ci_ms": None, "reasons": ["no face found"],
}  # fmt: skip

SECONDS = 8


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder that hears loudness and sees brightness."""
    return build_toy_model(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with late.mp4 (+200 ms), sync.mp4 (0) and early.mkv (-240 ms)."""
    folder = tmp_path_factory.mktemp("clips")
    for name, offset_ms in (("late.mp4", 200), ("sync.mp4", 0), ("early.mkv", -240)):
        render_flashes(folder / name, offset_ms)
    return folder


def render_flashes(path: Path, offset_ms: int) -> None:
    """A picture that grows bright and dark, with a hum that is loud while it is bright."""
    frames = SECONDS * FPS
    pattern = flash_pattern(frames + 100, 3).astype(float)
    # Over three frames, so that no change is sudden enough for a cut.
    soft = np.convolve(pattern, np.ones(3) / 3.0, mode="same")[50 : 50 + frames]
    rng = np.random.default_rng(5)
    texture = rng.integers(0, 24, (frames, 96, 128))
    picture = (90 + 50 * soft[:, None, None] + texture).astype(np.uint8)

    first = 50 * SAMPLES_PER_FRAME - offset_ms * SAMPLE_RATE_HZ // 1000
    loud = np.repeat(pattern, SAMPLES_PER_FRAME)[first : first + frames * SAMPLES_PER_FRAME]
    sound = np.clip(rng.normal(0, 0.3, len(loud)) * np.where(loud > 0.5, 1.0, 0.003), -1, 1)
    sound_file = path.with_suffix(".wav")
    with wave.open(str(sound_file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE_HZ)
        out.writeframes((sound * 32_000).astype("<i2").tobytes())
    command = [str(find_ffmpeg()), "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "gray"]
    command += ["-s", "128x96", "-r", str(FPS), "-i", "pipe:0", "-i", str(sound_file)]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", "-b:a", "96k", str(path)]
    subprocess.run(command, input=picture.tobytes(), check=True, timeout=120)
    sound_file.unlink()


@pytest.fixture
def avsync(tmp_path: Path) -> Run:
    """Run the program: `avsync("score", path, env={...}, input=b"...")`, in an empty folder."""

    def run(
        *args: str | bytes | Path, env: dict[str, str] | None = None, **options: object
    ) -> subprocess.CompletedProcess[bytes]:
        words = [os.fsencode(arg) for arg in args]
        command = [os.fsencode(sys.executable), b"-m", b"avsync_cli", *words]
        around = {**os.environ, "PYTHONPATH": str(REPO), **(env or {})}
        settings: dict[str, object] = {"cwd": tmp_path, "stdin": subprocess.DEVNULL, **options}
        if "input" in settings:
            del settings["stdin"]
        return subprocess.run(  # type: ignore[call-overload, no-any-return]
            command, capture_output=True, timeout=120, env=around, check=False, **settings
        )

    return run


# --- `fix` in this process ------------------------------------------------------------------------


@pytest.fixture(scope="session")
def movie(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Three seconds of picture and sound."""
    path = tmp_path_factory.mktemp("movie") / "movie.mp4"
    command = [str(find_ffmpeg()), "-v", "error", "-f", "lavfi", "-i", "testsrc=s=64x48:d=3:r=25"]
    command += ["-f", "lavfi", "-i", "sine=d=3:r=48000", "-c:v", "mpeg4", "-c:a", "aac", str(path)]
    subprocess.run(command, check=True, timeout=60)
    return path.read_bytes()


@pytest.fixture
def here(tmp_path: Path, movie: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with movie.mp4 in it."""
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "movie.mp4").write_bytes(movie)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def verdicts(monkeypatch: pytest.MonkeyPatch, make_report: Make) -> list[Any]:
    """What is judged, in order: keywords of a report, or something to raise or call."""
    outcomes: list[Any] = []

    def analyse_file(path: object, *_: object) -> Judgement:
        outcome = outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        if callable(outcome):
            outcome = outcome(path)
        return make_report(str(path), **outcome)

    monkeypatch.setattr(mend, "load_model", lambda *_: SimpleNamespace(name="fake", backend="-"))
    monkeypatch.setattr(repair, "analyse_file", analyse_file)
    return outcomes


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
