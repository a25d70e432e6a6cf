"""Scorers behind one interface, and the pass that asks them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avsync_cli.corpus.cache import CachedClip, CachedTrack
from avsync_cli.errors import ModelError, UsageError
from avsync_cli.evaluation.motion import MotionScorer, correlations, log_energy, motion_energy
from avsync_cli.evaluation.protocol import EvalOptions
from avsync_cli.evaluation.scorers import ModelScorer, load_scorer
from avsync_cli.evaluation.scoring import Track
from avsync_cli.evaluation.sweep import main_tracks, other_positions, own_zero, sweep
from avsync_cli.model.engine import OnnxEngine
from avsync_cli.timebase import SAMPLES_PER_FRAME
from tests.evaluation.conftest import MakeClip
from tests.toy_model import flash_clip, flash_pattern

NEAR = np.arange(-15, 16)


def restless(frames: int, late: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """A picture whose lower half moves while the sound, `late` frames later, is loud."""
    rng = np.random.default_rng(seed)
    moving = flash_pattern(frames + 60, seed)
    crops = np.full((frames, 96, 96), 100, np.uint8)
    noise = rng.integers(0, 120, (frames, 48, 96))
    crops[:, 48:] = np.where(moving[30 : 30 + frames, None, None], noise, 100)
    loud = np.repeat(moving[30 - late : 30 - late + frames], SAMPLES_PER_FRAME)
    return crops, (rng.normal(0, 0.3, len(loud)) * np.where(loud, 1, 0.001)).astype(np.float32)


@pytest.mark.parametrize("late", [-7, 0, 4])
def test_motion_and_loudness_find_a_plain_offset(late: int) -> None:
    crops, sound = restless(200, late)
    opened = MotionScorer().open(Track(crops, 0, sound), 15)
    found = opened.scores(30, 100, NEAR)
    assert abs(int(np.argmax(found.score)) - 15 - late) <= 1
    assert (found.by, found.threshold) == ("correlation", None)
    assert np.abs(found.score).max() <= 1.0


def test_motion_looks_at_the_lower_half_only() -> None:
    crops = np.zeros((10, 96, 96), np.uint8)
    crops[5:, :48] = 200
    assert motion_energy(crops).max() == 0
    crops[5:, 48:] = 200
    assert motion_energy(crops).argmax() in (4, 5)
    assert len(motion_energy(crops[:1])) == 1


def test_what_is_flat_correlates_with_nothing() -> None:
    assert (correlations(np.ones(5), np.random.default_rng(0).normal(size=(3, 5))) == 0).all()
    rising = np.arange(5.0)
    np.testing.assert_allclose(correlations(rising, np.stack([rising, -rising])), [1, -1])
    assert log_energy(np.zeros(1280, np.float32)) == pytest.approx([-7, -7])


@pytest.mark.parametrize("frames", [5, 15, 25, 50])
def test_a_model_says_which_score_it_gives(toy: OnnxEngine, frames: int) -> None:
    crops, sound = flash_clip(150, offset_ms=160, seed=2)
    found = ModelScorer(toy).open(Track(crops, 0, sound), 15).scores(40, frames, NEAR)
    assert found.by == ("decision" if frames >= 25 else "similarity")
    assert found.threshold == (0.0 if frames >= 25 else None)
    assert len(found.confidence) == (31 if frames >= 25 else 0)
    if frames >= 25:
        assert int(np.argmax(found.score)) - 15 == 4


def test_the_pass_records_windows_zeros_and_other_positions(
    toy: OnnxEngine, make_clip: MakeClip
) -> None:
    clip = make_clip("late", 200, seed=5, offset_ms=80)
    (records,) = sweep([ModelScorer(toy)], [clip], (25, 50), 3, lambda _: "own", seed=1)
    assert [r.frames for r in records] == [25, 25, 25, 50, 50, 50]
    for record in records:
        assert record.best == record.own == record.zero == 2
        assert len(record.elsewhere) == 8
        assert record.elsewhere.max() < record.score.max()
    (again,) = sweep([ModelScorer(toy)], [clip], (25, 50), 3, lambda _: "own", seed=1)
    for one, other in zip(records, again, strict=True):
        np.testing.assert_array_equal(one.elsewhere, other.elsewhere)


def test_the_same_windows_whoever_judges(toy: OnnxEngine, make_clip: MakeClip) -> None:
    clips = [make_clip("a", 150, seed=1), make_clip("b", 90, seed=2)]
    ours, theirs = sweep([ModelScorer(toy), MotionScorer()], clips, (5, 25), 3, lambda _: "0")
    assert [(r.origin, r.frames, len(r.elsewhere)) for r in ours] == [
        (r.origin, r.frames, len(r.elsewhere)) for r in theirs
    ]


def test_heads_on_the_same_encoders_share_their_features(
    toy: OnnxEngine, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip("a", 150, seed=1)
    scorers = [ModelScorer(toy), ModelScorer(toy)]
    encoded = []
    encode = toy.encode_visual
    monkeypatch.setattr(toy, "encode_visual", lambda x: encoded.append(len(x)) or encode(x))
    (alone,) = sweep(scorers[:1], [clip], (5, 25), 3, lambda _: "0")
    once = len(encoded)
    both = sweep(scorers, [clip], (5, 25), 3, lambda _: "0")
    assert len(encoded) == 2 * once
    for records in both:
        for one, other in zip(records, alone, strict=True):
            np.testing.assert_array_equal(one.score, other.score)
            np.testing.assert_array_equal(one.elsewhere, other.elsewhere)


def test_other_positions_are_far_and_have_sound() -> None:
    rng = np.random.default_rng(0)
    for first in (0, 30, 75):
        places = first + other_positions(first, 25, 100, rng)
        assert (np.abs(places - first) > 15).all()
        assert places.min() >= 0
        assert places.max() <= 75
    assert len(other_positions(10, 25, 40, rng)) == 0


def test_a_clips_own_zero_needs_enough_of_it_besides_the_window() -> None:
    score = np.zeros(31)
    score[18] = 1.0
    tiles = [(first, score) for first in (0, 25, 50, 75)]
    assert own_zero(tiles, 0, 50) == 3
    assert own_zero(tiles, 10, 50) is None  # touches three of the four


def test_the_largest_face_of_every_stretch(make_clip: MakeClip) -> None:
    clip = make_clip("faces", 150)
    tracks = (
        CachedTrack("face", 0, 0, 80, 0.2),
        CachedTrack("face", 10, 0, 80, 0.4),
        CachedTrack("face", 95, 0, 40, 0.1),
        CachedTrack("frame", 0, 0, 150, 1.0),
    )
    several = CachedClip(clip.clip, clip.folder, clip.frames, tracks)
    assert [t.first_frame for t in main_tracks(several)] == [10, 95]
    alone = CachedClip(clip.clip, clip.folder, clip.frames, tracks[3:])
    assert main_tracks(alone) == list(tracks[3:])


@pytest.mark.parametrize("scorer", ["toy", "motion"])
@pytest.mark.parametrize("frames", [10, 50])
def test_a_smaller_face_that_speaks_is_found_beside_a_larger_one(
    toy: OnnxEngine, scorer: str, frames: int
) -> None:
    crops, sound = restless(200, 4) if scorer == "motion" else flash_clip(200, 160, seed=2)
    still = np.full_like(crops, 100)
    late = 4
    judge = MotionScorer() if scorer == "motion" else ModelScorer(toy)

    def found(track: Track) -> np.ndarray:
        return judge.open(track, 15).scores(40, frames, NEAR).score

    alone, together = found(Track(still, 0, sound)), found(Track(still, 0, sound, ((crops, 0),)))
    speaker = found(Track(crops, 0, sound))
    assert np.ptp(alone) < 0.2 * np.ptp(speaker)
    assert abs(NEAR[together.argmax()] - late) <= 1
    assert together.argmax() == speaker.argmax()


def test_only_faces_that_show_the_whole_window_compete() -> None:
    crops = np.zeros((50, 96, 96), np.uint8)
    track = Track(crops, 10, np.zeros(80 * 640, np.float32), ((crops[:20], 15), (crops, 0)))
    assert track.seen(5, 20) == [(0, 5), (1, 0), (2, 15)]
    assert track.seen(4, 20) == [(0, 4), (2, 14)]
    assert track.seen(6, 20) == [(0, 6), (2, 16)]
    assert track.seen(30, 20) == [(0, 30)]


def test_scorers_by_name(tmp_path: Path) -> None:
    assert load_scorer("motion").note == "no learning"
    with pytest.raises(ModelError, match="no model named"):
        load_scorer("nobody")
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(ModelError):
        load_scorer(str(tmp_path))


def test_options_that_cannot_be_meant(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'wind'"):
        EvalOptions(data=tmp_path, cache=tmp_path, parts=("wind",)).checked()
    options = EvalOptions(data=tmp_path, cache=tmp_path, own_zero=("lab/*", "x"))
    assert [options.rule_of(s) for s in ("lab/one", "x", "y")] == ["own", "own", "0"]
