"""Strikes by eye and ear: what goes together is found at its lag, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest

from avsync_cli.evaluation.scorers import load_scorer
from avsync_cli.evaluation.scoring import Track
from avsync_cli.evaluation.strikes import (
    NEAR_MS,
    StrikeTrack,
    onset_strength,
    strike_peak,
    sudden_change,
)
from avsync_cli.timebase import HOP_MS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

FRAMES = 200
STEPS = np.arange(-100, 101)


def hammer(late_ms: float, *, heard: bool = True, every: int = 1) -> Track:
    """A block that swings down and stops dead, irregularly, with a burst of noise at each stop.

    Args:
        late_ms: by how much the bursts come later.
        heard: False puts the bursts at times of their own.
        every: pictures that each new one is held for.
    """
    rng = np.random.default_rng(7)
    strikes = np.cumsum(rng.integers(11, 32, 20))
    strikes = strikes[(strikes > 8) & (strikes < FRAMES - 4)]
    crops = rng.integers(90, 110, (1, 96, 96)).repeat(FRAMES, 0).astype(np.float32)
    gap = np.full(FRAMES, 24)
    for at in strikes:
        gap[at - 6 : at + 1] = [24, 20, 16, 12, 8, 4, 0]
        gap[at + 1 : at + 5] = [0, 6, 12, 18]
    for n in range(FRAMES):
        shown = n - n % every
        crops[n, 30 + gap[shown] : 38 + gap[shown], 40:60] = 220
    crops += rng.normal(0, 1.0, (FRAMES // every + 1, 96, 96)).repeat(every, 0)[:FRAMES]
    sound = rng.normal(0, 1e-3, FRAMES * SAMPLES_PER_FRAME)
    times = strikes if heard else rng.integers(4, FRAMES - 4, len(strikes))
    for at in times:
        first = at * SAMPLES_PER_FRAME + round(late_ms * SAMPLE_RATE_HZ / 1000)
        if 0 <= first < len(sound) - 2000:
            sound[first : first + 2000] += rng.normal(0, 0.3, 2000) * np.exp(-np.arange(2000) / 400)
    return Track(crops.clip(0, 255).astype(np.uint8), 0, sound.astype(np.float32))


def read(track: Track) -> tuple[float, float]:
    found = strike_peak(StrikeTrack(track).curve(0, FRAMES, STEPS), STEPS * HOP_MS)
    return found.offset_ms, found.p


@pytest.mark.parametrize("late_ms", [-440, 0, 130, 600])
def test_a_hammer_is_found_at_its_lag(late_ms: int) -> None:
    found_ms, p = read(hammer(late_ms))
    assert found_ms == pytest.approx(late_ms, abs=NEAR_MS / 2)
    assert p > 0.7


def test_pictures_that_are_held_are_no_stops() -> None:
    found_ms, p = read(hammer(240, every=2))
    assert found_ms == pytest.approx(240, abs=NEAR_MS)
    assert p > 0.7
    moving = np.arange(40)[:, None, None] * np.ones((40, 64, 64))
    held = moving[np.arange(40) // 2 * 2].astype(np.uint8)
    assert sudden_change(held).max() == 0.0


def test_strikes_that_are_not_heard_are_no_answer() -> None:
    assert read(hammer(0, heard=False))[1] < 0.5
    silent = hammer(0)
    assert read(Track(silent.crops, 0, np.zeros_like(silent.sound)))[1] < 0.5
    still = Track(np.full_like(silent.crops, 90), 0, silent.sound)
    assert read(still)[1] < 0.5


def test_an_onset_is_where_the_sound_sets_in_however_loud_it_is() -> None:
    sound = np.zeros(SAMPLE_RATE_HZ, np.float32)
    sound[8000:9000] = np.random.default_rng(0).normal(0, 0.2, 1000)
    strength = onset_strength(sound)
    assert abs(int(np.argmax(strength)) - 50) <= 1
    np.testing.assert_allclose(onset_strength(sound / 4), strength, atol=0.1 * strength.max())
    assert onset_strength(np.zeros(160, np.float32)).tolist() == [0.0]


def test_it_is_a_row_of_every_table() -> None:
    scorer = load_scorer("strikes")
    assert (scorer.engine, scorer.note) == (None, "no learning")
    track = hammer(80)
    found = scorer.open(track, 15).scores(0, FRAMES, np.arange(-15, 16))
    assert int(np.argmax(found.score)) - 15 == pytest.approx(2, abs=1)
    assert (found.by, found.threshold) == ("correlation", None)
    assert np.isfinite(scorer.open(track, 15).scores(0, 5, np.arange(-15, 16)).score).all()
