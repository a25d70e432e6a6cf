"""Synthetic clips: shapes, determinism, variety, and sync measured from pixels and samples."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from avsync_cli.corpus.synthetic import impact_clip, talker_clip
from avsync_cli.corpus.synthetic_impacts import (
    Contacts,
    draw_contacts,
    draw_impact_scene,
    gap_at,
    impact_sound,
)
from avsync_cli.corpus.synthetic_voice import draw_voice, speak
from avsync_cli.timebase import FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

MAKERS = pytest.mark.parametrize("make", [talker_clip, impact_clip])


def loudness(sound: np.ndarray, count: int) -> np.ndarray:
    """(count,) log energy of 25 ms windows centred on every 10 ms."""
    padded = np.pad(sound.astype(np.float64), 200)
    return np.array([np.log(1e-4 + padded[160 * k : 160 * k + 400].std()) for k in range(count)])


def opening_in_pixels(crops: np.ndarray) -> np.ndarray:
    """(n,) darkness of the darkest part of the mouth region: the gap between the lips."""
    n, size, _ = crops.shape
    lo, hi = int(0.42 * size), int(0.67 * size)
    window = crops[:, lo:hi, int(0.35 * size) : int(0.65 * size)].reshape(n, -1)
    return -np.sort(window.astype(np.float64), axis=1)[:, :60].mean(axis=1)


def correlation_by_lag(
    seen_25hz: np.ndarray, heard_100hz: np.ndarray, lags_10ms: np.ndarray
) -> np.ndarray:
    """Correlation for each lag; a peak at lag > 0 says the sound is late."""
    k = np.arange(12, len(seen_25hz) - 12)
    seen = seen_25hz[k] - seen_25hz[k].mean()
    out = []
    for lag in lags_10ms:
        heard = heard_100hz[4 * k + lag]
        heard = heard - heard.mean()
        out.append(
            float((seen * heard).sum() / np.sqrt((seen**2).sum() * (heard**2).sum() + 1e-12))
        )
    return np.array(out)


@functools.cache
def some_talkers() -> list[tuple[np.ndarray, np.ndarray]]:
    return [talker_clip(np.random.default_rng(seed), 75) for seed in range(24)]


@MAKERS
@pytest.mark.parametrize(("frames", "size"), [(1, 96), (13, 96), (30, 64)])
def test_shapes_and_ranges(make, frames, size):
    crops, sound = make(np.random.default_rng(frames), frames, size)
    assert crops.shape == (frames, size, size) and crops.dtype == np.uint8
    assert sound.shape == (frames * SAMPLES_PER_FRAME,) and sound.dtype == np.float32
    assert np.isfinite(sound).all() and np.abs(sound).max() <= 1.0
    assert crops.std() > 4, "a picture, not a flat field"
    assert np.sqrt((sound**2).mean()) > 1e-3, "sound, not silence"


@MAKERS
def test_same_seed_same_clip_other_seed_other_clip(make):
    crops, sound = make(np.random.default_rng(5), 20)
    again, sound_again = make(np.random.default_rng(5), 20)
    other, sound_other = make(np.random.default_rng(6), 20)
    assert np.array_equal(crops, again) and np.array_equal(sound, sound_again)
    assert np.abs(crops.astype(int) - other.astype(int)).mean() > 5
    assert np.abs(np.corrcoef(sound, sound_other)[0, 1]) < 0.2


def test_identities_differ_more_than_moments_of_one_identity():
    means = []
    within = []
    for seed in range(12):
        crops, _ = talker_clip(np.random.default_rng(seed), 25)
        means.append(crops.mean(axis=0))
        within.append(np.abs(crops - means[-1]).mean())
    between = [np.abs(a - b).mean() for k, a in enumerate(means) for b in means[:k]]
    assert np.median(between) > 3 * np.median(within)


@pytest.mark.parametrize("shift_ms", [-120, 0, 120])
def test_talker_opening_and_loudness_peak_at_the_known_lag(shift_ms):
    """From pixels and samples alone; recorded speakers measured this way peak at about +5 ms."""
    lags = np.arange(-30, 31)
    total = np.zeros(len(lags))
    for crops, sound in some_talkers():
        heard = loudness(np.roll(sound, shift_ms * SAMPLE_RATE_HZ // 1000), 300)
        total += correlation_by_lag(opening_in_pixels(crops), heard, lags)
    peak_ms = 10 * int(lags[total.argmax()])
    assert abs(peak_ms - shift_ms - 10) <= 20
    assert total.max() / 24 > 0.35
    assert total[np.abs(10 * lags - shift_ms) > 150].max() / 24 < 0.5 * total.max() / 24


def test_lips_are_shut_while_a_bilabial_holds_and_sound_returns_when_they_part():
    """Complete closures end where the sound starts: within a few control points."""
    delays = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        speech = speak(rng, 5.0, draw_voice(rng))
        shut = (speech.press > 0.999).astype(int)
        energy = np.abs(speech.sound).reshape(-1, 16).mean(axis=1)
        for release in np.flatnonzero(np.diff(shut) == -1):
            if not 80 < release < len(energy) - 60:
                continue
            assert speech.aperture[release - 5] < 0.01
            held = energy[release - 25 : release - 8]
            if held.mean() < 0.02 * energy.mean():  # voiceless: the burst is the release
                loud = energy[release - 8 : release + 40] > 0.1 * energy.mean()
                assert loud.any()
                delays.append(int(np.argmax(loud)) - 8)
    assert len(delays) >= 10
    assert np.abs(np.median(delays)) <= 8 and np.percentile(np.abs(delays), 90) <= 15


def test_open_vowels_are_louder_than_shut_lips():
    rng = np.random.default_rng(3)
    speech = speak(rng, 20.0, draw_voice(rng))
    energy = np.abs(speech.sound).reshape(-1, 16).mean(axis=1)
    aperture = speech.aperture[: len(energy)]
    wide = energy[aperture > np.quantile(aperture, 0.8)].mean()
    shut = energy[aperture < np.quantile(aperture, 0.2)].mean()
    assert wide > 3 * shut


def test_room_and_noise_do_not_move_the_direct_sound():
    augment = pytest.importorskip("avsync_cli.training.augment", exc_type=ModuleNotFoundError)
    click = np.zeros(16_000, np.float32)
    click[8_000] = 1.0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        heard = augment.augment_sound(click, np.roll(click, 3_000), rng)
        assert int(np.abs(heard).argmax()) == 8_000


def test_an_impact_sounds_within_a_sample_of_its_contact():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        time_s = float(rng.uniform(0.2, 0.5))
        sound = impact_sound(rng, Contacts(np.array([time_s]), np.ones(1), "strike"), 16_000)
        first = int(np.flatnonzero(sound)[0])
        assert 0 <= first - time_s * SAMPLE_RATE_HZ <= 2
        loud = int(np.flatnonzero(np.abs(sound) > 0.25 * np.abs(sound).max())[0])
        assert loud / SAMPLE_RATE_HZ - time_s < 0.010


def test_bodies_touch_at_contacts_and_only_there():
    for seed in range(30):
        contacts = draw_contacts(np.random.default_rng(seed), 4.0)
        assert np.all(np.diff(contacts.times_s) >= 0.1)
        assert np.abs(gap_at(contacts, contacts.times_s)).max() < 1e-9
        between = 0.5 * (contacts.times_s[1:] + contacts.times_s[:-1])
        assert gap_at(contacts, between).min() > 0.01


def test_every_clip_has_contacts():
    for seed in range(20):
        scene = draw_impact_scene(np.random.default_rng(seed), 75, 32)
        times = scene.contacts.times_s
        assert np.count_nonzero((times >= 0) & (times < 3.0)) >= 2


def test_frames_see_the_turn_of_a_bounce_without_bias():
    """The lowest frame of a bounce is the one before or after the contact, as often either."""
    errors_ms: list[float] = []
    for seed in range(80):
        contacts = draw_contacts(np.random.default_rng(seed), 2.0)
        if contacts.kind != "bounce":
            continue
        gap = gap_at(contacts, np.arange(50) / FPS)
        for k in range(1, 49):
            if gap[k] < gap[k - 1] and gap[k] <= gap[k + 1]:
                off = contacts.times_s - k / FPS
                errors_ms.append(1000 * float(off[np.abs(off).argmin()]))
    assert len(errors_ms) > 40 and np.abs(errors_ms).max() < 40
    assert abs(np.mean(errors_ms)) < 5


def test_movement_and_sound_of_impacts_agree_in_the_pixels():
    """Averaged over scenes, pixels change most in the frames around a contact."""
    near, far = [], []
    for seed in range(30):
        scene = draw_impact_scene(np.random.default_rng(seed), 75, 96)
        change = np.abs(np.diff(scene.picture, axis=0)).mean(axis=(1, 2))
        middle = (np.arange(74) + 0.5) / FPS
        away = np.abs(middle[:, None] - scene.contacts.times_s[None]).min(axis=1)
        near.append(change[away < 0.06].mean() if (away < 0.06).any() else np.nan)
        far.append(change[away > 0.2].mean() if (away > 0.2).any() else np.nan)
    ratio = np.array(near) / np.array(far)
    assert np.nanmedian(ratio) > 1.3
