"""What tests of every room may ask for."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from avsync_cli.cores import usable_cores
from avsync_cli.inference.evidence import BlockResult, Evidence, MediaSummary, Region, WindowResult
from avsync_cli.model.engine import OnnxEngine
from avsync_cli.verdict.answer import Judgement, Segment, Tolerance, TrackResult, Verdict
from tests.clips import Clips, measure
from tests.toy_model import build_toy_model

REPO = Path(__file__).resolve().parent.parent


def pytest_configure() -> None:
    """Give each of several test processes one thread: they share the cores as it is."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, "1")


def pytest_xdist_auto_num_workers() -> int:
    """One process more than cores: each waits now and then for a program that it has started."""
    return usable_cores() + 1


_LONG_ROOMS = ("real", "repair", "training", "verdict", "cli", "media", "batch", "evaluation")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the rooms whose modules take longest: none is to be left to one process alone."""

    def rank(item: pytest.Item) -> int:
        parts = item.path.parts
        return next((n for n, room in enumerate(_LONG_ROOMS) if room in parts), len(_LONG_ROOMS))

    items.sort(key=rank)


@pytest.fixture(autouse=True)
def _no_outside_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No configuration of the person who runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith("AVSYNC_") and name not in ("AVSYNC_FFMPEG", "AVSYNC_DATA"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard() -> Iterator[None]:
    """Programs we start hear Ctrl-C, even where the tests run behind a shell's `&`, which has them
    ignore it and hand that on."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """Makes tiny clips with a known truth."""
    return Clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="session")
def measure_clip() -> Callable[..., object]:
    """`tests.clips.measure`."""
    return measure


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy model, built once a session."""
    return build_toy_model(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture(scope="session")
def toy_engine(toy_folder: Path) -> OnnxEngine:
    """The toy model, loaded."""
    return OnnxEngine(toy_folder, threads=1)


@pytest.fixture
def repo() -> Path:
    """The repository's root."""
    return REPO


def make_track(number: int = 0, **more: object) -> TrackResult:
    """A face in the middle of the picture whose sound is 200 ms late."""
    settings: dict[str, object] = {
        "track": number,
        "start_s": 1.0,
        "end_s": 3.0,
        "boxes": np.tile([0.25, 0.25, 0.5, 0.5], (5, 1)),
        "judged_s": 2.0,
        "speaking": 0.75,
        "offset_ms": 200.0,
        "offset_ci_ms": (180.0, 220.0),
        "height": 3.5,
        "margin": 5.25,
        "confidence": 0.97,
        "kept": True,
        "reason": "",
    }
    return TrackResult(**{**settings, **more})  # type: ignore[arg-type]


def build_report(
    path: str = "holiday.mp4",
    *,
    status: str = "out_of_sync",
    offset_ms: float | None = 120.0,
    ci_ms: tuple[float, float] | None = (110.0, 130.0),
    confidence: float = 0.98,
    reasons: list[str] | None = None,
    segments: list[Segment] | None = None,
    blocks: list[BlockResult] | None = None,
    drift: float | None = None,
    fps: float = 25.0,
    tolerance: Tolerance | None = None,
    range_ms: int = 1000,
) -> Judgement:
    """A report as inference leaves it, with plain figures."""
    offsets = np.arange(-range_ms, range_ms + 1, 10)
    centre = 0.0 if offset_ms is None else offset_ms
    score = 4.0 * np.exp(-(((offsets - centre) / 60.0) ** 2)) - 2.0
    p = np.exp(score) / np.exp(score).sum()
    blocks = make_blocks(4) if blocks is None else blocks
    if segments is None and status != "undecided":
        segments = [
            Segment(
                start_s=0.0,
                end_s=250.0,
                offset_ms=offset_ms,
                offset_ci_ms=ci_ms,
                confidence=confidence,
                status=status,
            )
        ]  # type: ignore[arg-type]
    direction = "none"
    if offset_ms:
        direction = "audio_late" if offset_ms > 0 else "audio_early"
    verdict = Verdict(
        status=status,  # type: ignore[arg-type]
        offset_ms=offset_ms,
        offset_ci_ms=ci_ms,
        direction=direction,  # type: ignore[arg-type]
        confidence=confidence,
        p_sync=0.03,
        drift_ms_per_min=drift,
        reasons=reasons or [],
        segments=segments or [],
        curve=p,
        curve_score=score,
    )
    evidence = Evidence(
        offsets_ms=offsets,
        windows=[WindowResult(start_s=0.0, end_s=4.0, logits=score.astype(np.float32), blocks=4.0)],
        blocks=blocks,
        media=MediaSummary(
            duration_s=250.0,
            fps=fps,
            vfr=False,
            width=1920,
            height=1080,
            audio_hz=48_000,
            audio_track=0,
        ),
        judged_s=4.0,
    )
    return Judgement(path, evidence, verdict, tolerance or Tolerance("ebu", 40.0, 60.0))


def make_blocks(count: int, unused: tuple[int, ...] = ()) -> list[BlockResult]:
    """One block a second of face 0, confidences rising, the `unused` ones left out as silent."""
    used = max(1, count - len(unused))
    return [
        BlockResult(
            start_s=float(k),
            end_s=float(k + 1),
            region=Region("face", 0, (0.25, 0.25, 0.5, 0.5)),
            confidence=float(k) - count / 2.0,
            weight=0.0 if k in unused else 1.0 / used,
            p_sync=0.25,
            used=k not in unused,
            reason="silence" if k in unused else "",
        )
        for k in range(count)
    ]


@pytest.fixture
def make_report() -> Callable[..., Judgement]:
    """`build_report`, for tests."""
    return build_report
