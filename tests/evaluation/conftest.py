"""Flashing clips as the cache keeps them, and engines whose answers can be worked out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avsync_cli.corpus.cache import CachedClip
from avsync_cli.corpus.manifest import Clip
from avsync_cli.evaluation.records import Origin, Rule, WindowRecord
from avsync_cli.model.engine import OnnxEngine
from tests.toy_model import build_toy_model, cached_flashes

MakeClip = Callable[..., CachedClip]


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> OnnxEngine:
    return OnnxEngine(build_toy_model(tmp_path_factory.mktemp("models") / "toy"), threads=1)


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    """`make_clip(name, frames, seed, offset_ms, source)`: a clip in the cache's layout."""

    def make(
        name: str, frames: int = 150, seed: int = 0, offset_ms: int = 0, source: str = "made"
    ) -> CachedClip:
        folder = tmp_path / "cache" / name
        clip = Clip(folder / f"{name}.mp4", source=source, speaker=f"{source} 1", kind="talking")
        return cached_flashes(folder, clip, frames, offset_ms=offset_ms, seed=seed)

    return make


def record(
    best: int,
    *,
    source: str = "a",
    clip: str = "1",
    rule: Rule = "0",
    own: int | None = 0,
    frames: int = 25,
    height: float = 1.0,
    elsewhere: tuple[float, ...] = (-1.0,),
    threshold: float | None = 0.0,
) -> WindowRecord:
    """A window whose score is `height` at `best` frames and -1 elsewhere."""
    score = np.full(31, -1.0, np.float32)
    score[15 + best] = height
    origin = Origin(f"{source}/{clip}", source, f"{source} 1", "talking", rule)
    far = np.array(elsewhere, np.float32)
    return WindowRecord(
        origin=origin, frames=frames, by="decision", threshold=threshold, score=score, own=own,
        elsewhere=far, confidence=score, elsewhere_confidence=far,
    )  # fmt: skip
