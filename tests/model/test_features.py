"""Log-mel steps stand where they say and show what there is."""

from __future__ import annotations

import numpy as np
import pytest

from avsync_cli.model.features import centre_crop, edge_pad, log_mel, mel_filters
from avsync_cli.timebase import HOP_SAMPLES, SAMPLE_RATE_HZ


def test_filters_cover_the_voice_band_without_gaps() -> None:
    filters = mel_filters(80)
    assert filters.shape == (257, 80)
    np.testing.assert_allclose(filters.sum(axis=0), 1.0, rtol=1e-5)
    centres = (filters * np.arange(257)[:, None]).sum(axis=0)
    assert (np.diff(centres) >= 0).all()


@pytest.mark.parametrize("hz", [200.0, 1000.0, 4000.0])
def test_a_pure_tone_peaks_in_its_band(hz: float) -> None:
    t = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    mel = log_mel(0.3 * np.sin(2 * np.pi * hz * t).astype(np.float32))
    band = int(mel[20:80].mean(axis=0).argmax())
    bins = mel_filters(80)[:, band]
    found_hz = (bins * np.arange(257)).sum() / bins.sum() * SAMPLE_RATE_HZ / 512
    assert abs(found_hz - hz) < 0.06 * hz + 20


def test_a_click_is_centred_on_its_step() -> None:
    sound = np.zeros(100 * HOP_SAMPLES, np.float32)
    sound[50 * HOP_SAMPLES] = 1.0
    level = log_mel(sound).mean(axis=1)
    assert int(level.argmax()) == 50
    assert level[49] == pytest.approx(level[51], abs=0.3)


def test_louder_sound_is_a_constant_more() -> None:
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 0.1, 8000).astype(np.float32)
    step = log_mel(sound * 2)[5:-5] - log_mel(sound)[5:-5]
    np.testing.assert_allclose(step, np.log(4.0) / 4.0, atol=2e-3)


def test_no_sound_makes_no_steps() -> None:
    assert log_mel(np.zeros(HOP_SAMPLES - 1, np.float32)).shape == (0, 80)


def test_crop_and_padding() -> None:
    crops = np.arange(2 * 96 * 96).reshape(2, 96, 96)
    assert centre_crop(crops, 64)[0, 0, 0] == 16 * 96 + 16
    padded = edge_pad(np.array([1, 2, 3]), 2, 1)
    assert padded.tolist() == [1, 1, 1, 2, 3, 3]
