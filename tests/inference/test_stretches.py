"""A window that is read by seeking says what it says in a whole reading."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avsync_cli.inference.pipeline import AnalyseOptions, analyse
from avsync_cli.inference.stretches import QUIET_DB, Film, liveliness, pooled
from avsync_cli.media.probe import probe
from avsync_cli.model.engine import OnnxEngine
from tests.inference.test_pipeline import write_clip

OPTIONS = AnalyseOptions(range_ms=600, step_ms=20)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("film") / "film.mkv", 1010, 120)


def test_single_windows_are_those_of_a_whole_reading(toy_engine: OnnxEngine, clip: Path) -> None:
    whole = analyse(clip, OPTIONS, toy_engine)
    film = Film(probe(clip), OPTIONS, toy_engine)
    assert (film.first, film.last) == (0, 4)
    parts = [film.read(window) for window in (0, 3, 4)]
    assert all(part is not None for part in parts)
    together = pooled([part for part in parts if part is not None], film.read_s([0, 3, 4]))
    expected = [w for w in whole.windows if w.start_s in (0.0, 24.0, 32.0)]
    assert [w.start_s for w in together.windows] == [w.start_s for w in expected]
    for found, wanted in zip(together.windows, expected, strict=True):
        assert found.blocks == wanted.blocks
        np.testing.assert_allclose(found.logits, wanted.logits, atol=1e-3)
    assert whole.seconds is not None and together.seconds is not None
    at = np.isin(whole.seconds.start_s, together.seconds.start_s)
    np.testing.assert_allclose(together.seconds.logits, whole.seconds.logits[at], atol=1e-2)
    assert at.sum() == len(together.seconds.start_s)
    assert together.stretches == 3
    assert together.read_s == pytest.approx(sum((8 + 0.8, 8 + 1.6, 8.4 + 0.8)), abs=1.0)
    tracks = {(trace.track, trace.first_frame) for trace in together.traces}
    assert len(tracks) == len(together.traces)


def test_nothing_beyond_the_part_asked_for_is_read(toy_engine: OnnxEngine, clip: Path) -> None:
    part = AnalyseOptions(range_ms=600, step_ms=20, start_s=10.0, duration_s=12.0)
    film = Film(probe(clip), part, toy_engine)
    assert (film.first, film.last) == (1, 2)
    assert film.duration_s == 12.0
    assert film.spans_s(1) == (10.0, 16.0)
    found = film.read(1)
    assert found is not None
    assert found.windows[0].start_s == 10.0


def test_where_there_is_nothing_nothing_is_found(toy_engine: OnnxEngine, clip: Path) -> None:
    film = Film(probe(clip), OPTIONS, toy_engine)
    assert film.promise(0) == 0.0  # a sign that flashes is no face


def test_speech_is_livelier_than_a_hum() -> None:
    at_s = np.arange(0, 8, 0.04)
    speech = -30.0 + 12.0 * np.sin(2 * np.pi * 4.0 * at_s)
    hum = -30.0 + 12.0 * np.sin(2 * np.pi * 0.1 * at_s)
    assert liveliness(speech) > 0.9
    assert liveliness(hum) < 0.1
    assert liveliness(np.full(200, QUIET_DB)) == 0.0
    assert liveliness(speech - 60.0) == 0.0
