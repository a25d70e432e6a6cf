"""Strikes by eye and ear: what goes together is found at its lag, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest

from avsync_cli.evaluation.scorers import load_scorer
from avsync_cli.evaluation.scoring import Track
from avsync_cli.evaluation.strikes import StrikeTrack
from avsync_cli.timebase import SAMPLE_RATE_HZ
from avsync_cli.verdict.strikes import (
    NEAR_MS,
    Onsets,
    StrikePeak,
    blow_likelihoods,
    coincidence,
    find_onsets,
    onset_strength,
    strike_peak,
)
from tests.strikes import FRAMES, hammer

STEPS = np.arange(-100, 101)


def peak(track: Track, steps: np.ndarray) -> StrikePeak:
    opened = StrikeTrack(track)
    return strike_peak(opened.curve(0, FRAMES, steps), steps, opened.onsets)


def read(track: Track) -> tuple[float, float]:
    found = peak(track, STEPS)
    return found.offset_ms, found.p


@pytest.mark.parametrize("late_ms", [-440, 0, 130, 600])
def test_a_hammer_is_found_at_its_lag(late_ms: int) -> None:
    found_ms, p = read(hammer(late_ms))
    assert found_ms == pytest.approx(late_ms, abs=NEAR_MS / 2)
    assert p > 0.7


def test_half_a_peak_at_the_end_of_the_scan_is_no_answer() -> None:
    found = peak(hammer(600), np.arange(-64, 65))
    assert found.offset_ms == pytest.approx(600, abs=NEAR_MS / 2)
    assert (found.at_edge, found.p) == (True, 0.0)


def test_a_lag_that_has_an_equal_is_no_answer() -> None:
    onsets = Onsets(np.cumsum([30, 47, 71, 58, 93, 64, 39, 85]), np.ones(8))
    bumps = [np.exp(-(((STEPS - at) / 3.0) ** 2)) for at in (-14, 19)]
    found = [strike_peak(9.0 * bumps[0] + by * bumps[1], STEPS, onsets) for by in (9.0, 8.0, 5.0)]
    assert [peak.stands_out for peak in found] == [False, True, True]
    assert [peak.p > 0.8 for peak in found] == [False, True, True]
    assert found[1].rival > found[2].rival


def test_strikes_that_are_not_heard_are_no_answer() -> None:
    assert read(hammer(0, heard=False))[1] < 0.5
    silent = hammer(0)
    assert read(Track(silent.crops, 0, np.zeros_like(silent.sound)))[1] < 0.5
    still = Track(np.full_like(silent.crops, 90), 0, silent.sound)
    assert read(still)[1] < 0.5


def test_blows_at_even_times_are_not_told_by_one_of_them() -> None:
    assert read(hammer(0))[1] > 0.7
    assert read(hammer(0, period=15))[1] < 0.5


def test_a_lag_that_repeated_sounds_allow_is_a_rival() -> None:
    even = Onsets(np.arange(100, 600, 50), np.ones(10))
    assert even.alike(np.array([0, 50, -100, 25])).tolist() == [1.0, 1.0, 1.0, 0.0]
    assert Onsets(np.zeros(0, int), np.zeros(0)).alike(np.array([10])).tolist() == [0.0]


def test_no_wrong_lag_is_likelier_than_another() -> None:
    """Whatever moves: over all times a blow's likelihood against none is 1 in the mean."""
    shapes = np.random.default_rng(3).normal(size=(500, 2, 6)) ** 3
    likelihoods = blow_likelihoods(shapes.astype(np.float32))
    np.testing.assert_allclose(np.exp(likelihoods).mean(axis=0), 1.0, atol=0.02)
    none = coincidence(likelihoods, Onsets(np.zeros(0, int), np.zeros(0)), 0, STEPS)
    np.testing.assert_allclose(none, 0.0, atol=1e-6)


def test_an_onset_is_where_the_sound_sets_in_however_loud_it_is() -> None:
    sound = np.zeros(SAMPLE_RATE_HZ, np.float32)
    sound[8000:9000] = np.random.default_rng(0).normal(0, 0.2, 1000)
    strength = onset_strength(sound)
    assert abs(int(np.argmax(strength)) - 50) <= 1
    np.testing.assert_allclose(onset_strength(sound / 4), strength, atol=0.1 * strength.max())
    assert onset_strength(np.zeros(160, np.float32)).tolist() == [0.0]
    onsets = find_onsets(strength)
    assert abs(int(onsets.steps[np.argmax(onsets.weights)]) - 50) <= 1
    assert len(find_onsets(np.zeros(30, np.float32)).steps) == 0


def test_it_is_a_row_of_every_table() -> None:
    scorer = load_scorer("strikes")
    assert (scorer.engine, scorer.note) == (None, "no learning")
    track = hammer(80)
    found = scorer.open(track, 15).scores(0, FRAMES, np.arange(-15, 16))
    assert int(np.argmax(found.score)) - 15 == pytest.approx(2, abs=1)
    assert (found.by, found.threshold) == ("similarity", None)
    assert np.isfinite(scorer.open(track, 15).scores(0, 5, np.arange(-15, 16)).score).all()
