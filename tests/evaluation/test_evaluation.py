"""Windows, metrics and calibration, with a model whose answers can be worked out."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from avsync_cli.corpus.cache import CachedClip, CachedTrack
from avsync_cli.corpus.manifest import Clip
from avsync_cli.errors import DataError
from avsync_cli.evaluation import calibrate as calibration
from avsync_cli.evaluation.calibrate import fit, fit_seconds, likelihood, outcome
from avsync_cli.evaluation.logistic import logistic_fit
from avsync_cli.evaluation.match import fit_match, peaks
from avsync_cli.evaluation.metrics import bootstrap_interval, calibration_error
from avsync_cli.evaluation.protocol import EvalOptions, evaluate_scorers
from avsync_cli.evaluation.scorers import ModelScorer
from avsync_cli.evaluation.scoring import Track
from avsync_cli.evaluation.trials import Origin, Trial, clip_pieces, likely_zero, move_sound, trials
from avsync_cli.evaluation.windows import encode_clip_sound, placed_starts, window_starts
from avsync_cli.inference.evidence import Evidence, MediaSummary, SecondCurves, WindowResult
from avsync_cli.model.engine import OnnxEngine
from avsync_cli.timebase import SAMPLES_PER_FRAME
from avsync_cli.verdict.posterior import Constants
from tests.toy_model import build_toy_model, cached_flashes, flash_clip

REACH = 15
NEAR = np.arange(-REACH, REACH + 1)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> OnnxEngine:
    return OnnxEngine(build_toy_model(tmp_path_factory.mktemp("models") / "toy"), threads=1)


def cached(folder: Path, frames: int, seed: int, source: str = "made") -> CachedClip:
    """A flashing clip as the cache keeps it, its first crop at timeline frame 3."""
    made = cached_flashes(folder, Clip(folder, source=source), frames, seed=seed)
    return dataclasses.replace(made, tracks=(CachedTrack("frame", 3, 3, frames - 3, 1.0),))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[CachedClip]:
    root = tmp_path_factory.mktemp("cache")
    return [cached(root / str(i), 160 + 20 * i, seed=i) for i in range(3)]


@pytest.mark.parametrize("shift", [-6, 0, 9])
def test_windows_find_the_offset(engine: OnnxEngine, shift: int) -> None:
    crops, sound = flash_clip(200, offset_ms=40 * shift, seed=4)
    opened = ModelScorer(engine).open(Track(crops, 0, sound), REACH)
    for start in placed_starts(200, 0, 200, 50, REACH, 4):
        found = opened.scores(start, 50, NEAR)
        assert found.score.shape == (2 * REACH + 1,)
        assert NEAR[found.score.argmax()] == shift


def test_a_window_sees_no_more_than_its_own_frames(engine: OnnxEngine) -> None:
    crops, sound = flash_clip(120, seed=2)
    other = crops.copy()
    other[:20], other[70:] = 0, 255
    features = encode_clip_sound(engine, sound, REACH)
    assert len(features) == (120 + 2 * REACH) * 4
    ours, theirs = (
        ModelScorer(engine).open(Track(c, 0, sound), REACH).scores(20, 50, NEAR)
        for c in (crops, other)
    )
    np.testing.assert_array_equal(ours.score, theirs.score)


def test_window_starts() -> None:
    assert window_starts(49, 50, 3) == []
    assert window_starts(50, 50, 3) == [0]
    assert window_starts(300, 50, 3) == [0, 125, 250]
    assert window_starts(300, 50, 1) == [125]


def test_bootstrap_by_groups_is_wider_than_by_members() -> None:
    groups = [[1.0] * 20, [1.0] * 20, [0.0] * 20, [0.5] * 20]
    low, high = bootstrap_interval(groups)
    single = bootstrap_interval([[v for g in groups for v in g]])
    assert low < 0.625 < high
    assert high - low > 2 * (single[1] - single[0])
    assert (low, high) == bootstrap_interval(groups)
    assert all(math.isnan(v) for v in bootstrap_interval([]))


def test_calibration_error() -> None:
    assert calibration_error([1.0] * 4, [True] * 4) == pytest.approx(0.0)
    assert calibration_error([0.95] * 20, [True] * 10 + [False] * 10) == pytest.approx(0.45)
    mixed = calibration_error([0.95] * 10 + [0.25] * 10, [True] * 10 + [False] * 10)
    assert mixed == pytest.approx(0.5 * 0.05 + 0.5 * 0.25)
    assert math.isnan(calibration_error([], []))


def test_moving_sound() -> None:
    sound = np.arange(1, 641, dtype=np.float32)
    late, early = move_sound(sound, 1), move_sound(sound, -2)
    assert (late[:160] == 0).all()
    assert late[160] == 1
    assert early[0] == 321
    assert (early[320:] == 0).all()
    np.testing.assert_array_equal(move_sound(sound, 0), sound)


def test_pieces_of_a_stretch(clips: list[CachedClip]) -> None:
    crops = clips[0].crops()
    (whole,) = clip_pieces(clips[0], crops, 0, clips[0].frames)
    assert (whole.first_frame, len(whole.crops), whole.last) == (3, clips[0].frames - 3, True)
    (part,) = clip_pieces(clips[0], crops, 50, 40)
    assert part.first_frame == 0
    np.testing.assert_array_equal(part.crops, crops[50:90])
    assert clip_pieces(clips[0], crops, 0, 20) == []


def test_fitted_constants_explain_better_and_are_honest(
    engine: OnnxEngine, clips: list[CachedClip]
) -> None:
    samples = trials(engine, clips, likely_zero(engine), seed=0)
    assert len(samples) >= 9
    fitted = fit(samples)
    assert likelihood(samples, fitted) >= likelihood(samples, {"scale": 0.1})
    measured = outcome(trials(engine, clips, likely_zero(engine), seed=1), fitted)
    assert measured["right"] > 0.8
    assert measured["ece"] < 0.25


def test_the_split_test_is_not_fitted_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def build_cache(
        clips: list[Clip], *_: object, **__: object
    ) -> tuple[list[object], list[object]]:
        seen.extend(clip.path.name for clip in clips)
        return [], []

    monkeypatch.setattr(calibration, "build_cache", build_cache)
    rows = "path,split,kind\na.mp4,,\nb.mp4,test,talking\nc.mp4,train,talking\nd.mp4,,impact\n"
    (tmp_path / "clips.csv").write_text(rows)
    with pytest.raises(DataError, match=r"no clip of .*clips\.csv can be calibrated on"):
        calibration.calibrate_bundle(tmp_path, tmp_path / "clips.csv", tmp_path, lambda *_: None)
    assert seen == ["a.mp4", "c.mp4"]


def test_nothing_to_fit_to_is_said() -> None:
    with pytest.raises(DataError):
        fit([])


def test_logistic_fit_finds_what_made_the_labels() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 2, 20_000)
    design = np.stack([x, np.ones_like(x)], axis=1)
    y = (rng.random(20_000) < 1 / (1 + np.exp(-(1.5 * x - 0.7)))).astype(float)
    scale, bias = logistic_fit(design, y, np.full(len(x), 1 / len(x)))
    assert scale == pytest.approx(1.5, abs=0.1)
    assert bias == pytest.approx(-0.7, abs=0.1)
    two = np.array([[-1.0, 1.0], [1.0, 1.0]])
    separable, _ = logistic_fit(two, np.array([0.0, 1.0]), np.full(2, 0.5))
    assert np.isfinite(separable)


def _stretches(rng: np.random.Generator, mean: float, count: int) -> list[Evidence]:
    """Stretches of one window each whose peak wanders about `mean`, less so the longer they are."""
    offsets = np.arange(-1000, 1001, 40)
    bump = np.exp(-0.5 * (offsets / 60.0) ** 2)
    made = []
    for _ in range(count):
        blocks = float(rng.choice([1.0, 3.0, 6.0]))
        height = mean + rng.normal(0.0, 3.0 / blocks)
        curve = (height + 8.0) * bump - 8.0
        window = WindowResult(
            start_s=0.0, end_s=blocks, logits=curve.astype(np.float32), blocks=blocks
        )
        media = MediaSummary(
            duration_s=blocks,
            fps=25.0,
            vfr=False,
            width=0,
            height=0,
            audio_hz=16_000,
            audio_track=0,
        )
        made.append(Evidence(offsets_ms=offsets, windows=[window], media=media))
    return made


def _seconds(scale: float, rng: np.random.Generator) -> Trial:
    """Seconds whose peak lies where a softmax of their log-odds, times `scale`, says it does."""
    whole = _stretches(rng, 0.0, 1)[0]
    rows = rng.normal(0.0, 3.0, (1000, len(whole.offsets_ms)))
    sharp = np.exp(scale * rows)
    chance = np.cumsum(sharp / sharp.sum(axis=1, keepdims=True), axis=1)
    true = np.argmax(chance > rng.random((len(rows), 1)), axis=1)
    # Each moved so that its true offset is the middle of the scan.
    moved = np.stack([np.roll(r, r.size // 2 - at) for r, at in zip(rows, true, strict=True)])
    seconds = SecondCurves(np.arange(1000.0), whole.offsets_ms, moved.astype(np.float16))
    evidence = dataclasses.replace(whole, seconds=seconds)
    origin = Origin(clip="made", source="made", speaker="made", kind="talking", rule="0")
    return Trial(origin=origin, seconds=1000.0, truth_ms=0.0, evidence=evidence)


@pytest.mark.parametrize("scale", [0.5, 1.5])
def test_seconds_are_believed_as_far_as_they_are_right(scale: float) -> None:
    made = _seconds(scale, np.random.default_rng(0))
    found = fit_seconds([made], {"outlier": 0.001, "scale": 3.0})["second_scale"]
    assert found == pytest.approx(scale, rel=0.2)


def test_fit_match_finds_the_level_between_true_and_exchanged_pairs() -> None:
    rng = np.random.default_rng(0)
    true, exchanged = _stretches(rng, 3.0, 300), _stretches(rng, -1.0, 300)
    constants = Constants.of(fit_match(true, exchanged, {}))
    assert constants.match_level == pytest.approx(1.0, abs=0.4)
    assert constants.match_growth > 0
    odds = [[p.odds(constants) for p in peaks(group, {})] for group in (true, exchanged)]
    assert np.mean(np.array(odds[0]) > 0) > 0.9
    assert np.mean(np.array(odds[1]) < 0) > 0.9
    known = peaks(true, {})[0]
    longer = dataclasses.replace(known, height=2.0, blocks=8.0).odds(constants)
    assert longer > dataclasses.replace(known, height=2.0, blocks=2.0).odds(constants) > 0
    assert fit_match(true, [], {}) == {}


def test_sound_is_stored_on_the_same_clock(clips: list[CachedClip]) -> None:
    assert all(len(c.sound()) == c.frames * SAMPLES_PER_FRAME for c in clips)


def test_a_clips_own_offset_cancels_out_against_its_rest(
    engine: OnnxEngine, tmp_path: Path
) -> None:
    clip = cached(tmp_path / "off", 300, seed=9)
    crops, sound = flash_clip(300, offset_ms=200, seed=9)
    np.save(clip.folder / "sound.npy", np.rint(sound * 32767).astype(np.int16))
    options = EvalOptions(data=tmp_path, cache=tmp_path, contexts=(25, 50), windows_a_clip=4)
    placement = evaluate_scorers([ModelScorer(engine)], [clip], options)[0].placement
    rows = {r.frames: r for r in placement if r.source == "all"}
    for row in rows.values():
        assert row.within == 0.0
        assert row.median_frames == 5.0
        assert row.own_windows == 4
        assert row.own_within == 1.0
    assert len(crops) == 300
