"""Known shifts and certainty, with a model that really finds offsets."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from avsync_cli.evaluation.certainty import stretches, summarise
from avsync_cli.evaluation.motion import MotionScorer
from avsync_cli.evaluation.records import Origin, ShiftRow, Stretch
from avsync_cli.evaluation.remembering import RememberingEngine
from avsync_cli.evaluation.scorers import ModelScorer
from avsync_cli.evaluation.shifts import cached_shifts, refined_peak, summaries
from avsync_cli.evaluation.showcase import showcase
from avsync_cli.evaluation.trials import clip_pieces, move_sound
from avsync_cli.inference.pipeline import AnalyseOptions, analyse_tracks
from avsync_cli.model.config import ModelConfig, Sound
from avsync_cli.model.engine import OnnxEngine
from tests.evaluation.conftest import MakeClip
from tests.toy_model import build_toy_model


class Counting:
    """The toy model, counting what it is asked."""

    def __init__(self, engine: OnnxEngine) -> None:
        self.engine = engine
        self.name, self.version, self.backend = engine.name, engine.version, engine.backend
        self.calibration: dict[str, float] = {}
        self.config: ModelConfig = engine.config
        self.pictures = self.pairs = self.steps = self.heard = 0

    def encode_visual(self, crops: np.ndarray) -> np.ndarray:
        self.pictures += len(crops)
        return self.engine.encode_visual(crops)

    def sound_steps(self, sound: np.ndarray) -> np.ndarray:
        self.heard += len(sound) // 160 - 2 * self.config.edge_steps
        return self.engine.sound_steps(sound)

    def encode_sound(self, mel: np.ndarray) -> np.ndarray:
        self.steps += len(mel)
        return self.engine.encode_sound(mel)

    def joint(self, v: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self.pairs += a.shape[0] * a.shape[1]
        return self.engine.joint(v, a)

    def decide(self, z: np.ndarray, c: np.ndarray, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.engine.decide(z, c, s)


@pytest.mark.parametrize("sound", ["log-mel", "phones"])
def test_a_remembering_engine_says_the_same_for_less(
    tmp_path: Path, sound: Sound, make_clip: MakeClip
) -> None:
    toy = OnnxEngine(build_toy_model(tmp_path, sound=sound))
    clip = make_clip("one", 110, seed=1)
    wave = np.asarray(clip.sound(), np.float32) / 32768
    pieces = clip_pieces(clip, clip.crops(), 0, clip.frames)
    plain, kept = Counting(toy), Counting(toy)
    remembering = RememberingEngine(kept)
    for shift in (0, 4, -8):
        moved = move_sound(wave, shift)
        options = AnalyseOptions(range_ms=400)
        expected = analyse_tracks(pieces, moved, options, plain)
        found = analyse_tracks(pieces, moved, options, remembering)
        for one, other in zip(expected.windows, found.windows, strict=True):
            np.testing.assert_allclose(one.logits, other.logits, atol=2e-3)
    assert kept.pictures * 3 == plain.pictures
    assert kept.pairs < 0.75 * plain.pairs
    assert kept.steps < 0.75 * plain.steps
    assert kept.heard < 0.9 * plain.heard


def test_a_model_that_finds_offsets_follows_every_shift(
    toy: OnnxEngine, make_clip: MakeClip
) -> None:
    clips = [make_clip("long", 110, seed=1, offset_ms=80), make_clip("short", 90, seed=2)]
    rows = cached_shifts(ModelScorer(toy), clips, (-10, 3))
    assert [r.shift_ms for r in rows] == [-400, 120]  # the short one is left out
    assert all(r.right and r.way == "cache" for r in rows)
    assert [r.moved_ms for r in rows] == pytest.approx([-400, 120], abs=15)
    found = summaries(rows)
    assert [(s.source, s.speaker) for s in found] == [("all", ""), ("made", ""), ("made", "made 1")]
    assert (found[0].clips, found[0].shifts, found[0].clips_right) == (1, 2, 1.0)
    assert found[0].within_20 == 1.0


def test_baselines_are_asked_for_their_best_offset(make_clip: MakeClip) -> None:
    rows = cached_shifts(MotionScorer(), [make_clip("flat", 110, seed=1)], (5,))
    assert len(rows) == 1
    assert rows[0].decided


def test_summaries_count_clips_by_all_their_shifts() -> None:
    def row(path: str, error: float) -> ShiftRow:
        right = error <= 40
        return ShiftRow(
            path=path, source=path[0], speaker="", way="cache", shift_ms=40, moved_ms=40 + error,
            right=right, confidence=0.9, decided=right,
        )  # fmt: skip

    (every, a, _) = summaries([row("a1", 0), row("a1", 100), row("a2", 15), row("b1", 30)])
    assert (every.clips, every.shifts) == (3, 4)
    assert (every.within_10, every.within_20, every.within_40) == (0.25, 0.5, 0.75)
    assert every.median_ms == 22.5
    assert every.clips_right == pytest.approx(2 / 3)
    assert every.decided == 0.75
    assert a.clips_right == 0.5
    assert summaries([]) == []


def test_a_peak_between_frames() -> None:
    x = np.arange(-5, 6)
    assert refined_peak(-((x - 1.3) ** 2.0), 5) == pytest.approx(1.3)
    assert refined_peak(x.astype(float), 5) == 5.0


def test_certainty_of_verdicts(toy: OnnxEngine, make_clip: MakeClip) -> None:
    clips = [make_clip(str(i), 110, seed=i, source=f"s{i}") for i in range(2)]
    found = stretches(toy, clips, lambda _: "0", seed=0)
    assert [s.seconds for s in found] == [1.48, 3.0, 4.4] * 2
    assert found == stretches(toy, clips[::-1], lambda _: "0", seed=0)
    whole = [s for s in found if s.seconds == 4.4]
    assert all(s.right for s in whole)
    strangers = stretches(toy, clips, lambda _: "0", swapped=True)
    assert all(math.isnan(s.truth_ms) and not s.right for s in strangers)
    own = stretches(toy, clips, lambda _: "own")
    assert all(s.seconds == 1.48 for s in own)  # half a clip at most
    said = summarise(found, strangers, {"undecided_below": 0.7})
    assert said.bar == 0.7
    assert said.rows[0].stretches == 6
    assert said.strangers == 6
    assert sum(b[2] for b in said.bins) == 6


def test_a_calibrated_set_reads_so() -> None:
    rng = np.random.default_rng(0)
    found = []
    for i in range(1500):
        sure = float(rng.random())
        guess = 0.0 if rng.random() < sure else 200.0
        origin = Origin(str(i), f"s{i % 4}", "", "", "0")
        found.append(
            Stretch(
                origin=origin, seconds=1.5, truth_ms=0.0, guess_ms=guess, confidence=sure,
                decided=sure >= 0.8, covered=guess == 0.0,
            )
        )  # fmt: skip
    said = summarise(found, [], {})
    every = said.rows[0]
    assert every.ece < 0.06
    assert every.wrong == pytest.approx(0.1, abs=0.05)  # confidences of 0.8..1, 0.9 in the mean
    assert every.undecided == pytest.approx(0.8, abs=0.04)
    assert every.ece_ci[0] <= every.ece_ci[1] < 0.09
    coverage, risk = [r[1] for r in said.risk], [r[2] for r in said.risk]
    assert coverage == sorted(coverage)
    assert risk[-1] == pytest.approx(0.5, abs=0.05)
    assert math.isnan(said.strangers_decided)


def test_pictures_of_the_attention(toy: OnnxEngine, make_clip: MakeClip) -> None:
    shown = showcase(toy, [make_clip("a", 110, seed=1)], seed=0)
    (trace,) = shown.traces
    assert trace.at_s[0] == 0.5
    assert np.mean(trace.weight) == pytest.approx(1.0)
    assert len(trace.sound_s) == len(trace.sound_db) == 110
    assert [m.name.split()[1] for m in shown.maps] == ["talker", "talker", "impacts"]
    for maps in shown.maps:
        assert maps.pictures.shape == (4, 96, 96)
        np.testing.assert_allclose(maps.cells.sum(axis=(1, 2)), 1.0, rtol=1e-5)
