"""Windows cut from a track encoded once are, to rounding, windows encoded by themselves."""

from __future__ import annotations

import numpy as np
import pytest

from avsync_cli.evaluation.windows import (
    TrackFeatures,
    encode_clip_sound,
    pair_scores,
    placed_starts,
    slid_sound,
)
from avsync_cli.model.engine import OnnxEngine
from avsync_cli.model.features import edge_pad
from tests.toy_model import flash_clip, toy_config


class Blurring:
    """An encoder whose features depend on every frame within its context, and on their order."""

    def __init__(self) -> None:
        self.config = toy_config()
        self.encoded = 0

    def encode_visual(self, crops: np.ndarray) -> np.ndarray:
        r = self.config.visual_context
        self.encoded += len(crops)
        level = crops.mean(axis=(1, 2))
        weights = np.arange(1, 2 * r + 2) ** 2.0
        out = np.convolve(level, weights[::-1], mode="valid").astype(np.float32)
        return np.broadcast_to(out[:, None, None, None], (len(out), 8, 2, 2)).copy()


@pytest.fixture
def crops() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (140, 96, 96)).astype(np.uint8)


@pytest.mark.parametrize("frames", [5, 7, 9, 15, 16, 17, 25, 50, 125])
def test_any_window_is_what_it_would_be_alone(crops: np.ndarray, frames: int) -> None:
    engine = Blurring()
    track = TrackFeatures(engine, crops)  # type: ignore[arg-type]
    r = engine.config.visual_context
    for first in (0, 3, 140 - frames):
        alone = engine.encode_visual(edge_pad(crops[first : first + frames], r, r))
        np.testing.assert_allclose(track.window(first, frames), alone, rtol=1e-6)


def test_nothing_outside_a_window_is_seen(crops: np.ndarray) -> None:
    other = crops.copy()
    other[:40], other[90:] = 0, 255
    here, there = (TrackFeatures(Blurring(), c).window(40, 50) for c in (crops, other))  # type: ignore[arg-type]
    np.testing.assert_allclose(here, there, rtol=1e-6)


def test_encoding_once_is_less_work(crops: np.ndarray) -> None:
    engine = Blurring()
    track = TrackFeatures(engine, crops)  # type: ignore[arg-type]
    for frames in (25, 50, 125):
        for first in (0, 7, 15):
            track.window(first, frames)
    alone = sum(3 * (n + 8) for n in (25, 50, 125))
    assert engine.encoded < 0.7 * alone


@pytest.mark.parametrize(("frames", "exact"), [(5, False), (15, False), (25, True), (40, True)])
def test_windows_shorter_than_a_block_go_by_similarity(
    toy: OnnxEngine, frames: int, exact: bool
) -> None:
    crops, sound = flash_clip(120, offset_ms=120, seed=4)
    near = np.arange(-15, 16)
    features = encode_clip_sound(toy, sound, 15)
    for start in placed_starts(120, 0, 120, frames, 15, 3):
        v = TrackFeatures(toy, crops).window(start, frames)
        found = pair_scores(toy, [v], slid_sound(features, start, frames, near, 15))
        assert np.isnan(found.margin).all() != exact
        assert np.isfinite(found.similarity).all()
        if exact:
            assert near[found.margin.argmax()] == 3


def test_windows_are_placed_where_all_offsets_have_sound() -> None:
    assert placed_starts(100, 0, 100, 25, 15, 3) == [15, 37, 60]
    assert placed_starts(40, 0, 40, 25, 15, 3) == [0, 15]
    assert placed_starts(20, 0, 20, 25, 15, 3) == []
