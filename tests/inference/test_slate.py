"""A clap is found to half a frame where there is one, and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from avsync_cli.inference.slate import find_clap, read_clap
from avsync_cli.media.probe import probe
from avsync_cli.timebase import SAMPLE_RATE_HZ
from tests.slates import CLAP_S, slate_pictures, slate_sound, write_slate

SECONDS = 4.5
REPO = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("AVSYNC_DATA") or REPO.parent / "shared" / "data") / "train"
SAMPLE = REPO / "docs" / "sample"


@pytest.mark.parametrize("hands", [False, True], ids=["sticks", "hands"])
@pytest.mark.parametrize("fps", [24.0, 25.0, 30_000 / 1001, 50.0])
def test_a_clap_is_found_to_half_a_frame(fps: float, hands: bool) -> None:
    clap_s, late_ms = (CLAP_S + 0.4 / fps, -240.0) if hands else (CLAP_S, 62.0)
    pictures, times_s = slate_pictures(fps, SECONDS, clap_s, hands)
    sound = slate_sound(SECONDS, clap_s + late_ms / 1000, SAMPLE_RATE_HZ)
    clap = find_clap(pictures, times_s, sound, 1000.0)
    assert clap is not None
    assert clap.offset_ms == pytest.approx(late_ms, abs=500 / fps)
    assert clap.sound_s == pytest.approx(clap_s + late_ms / 1000, abs=0.001)
    assert abs(clap.frame - np.ceil(clap_s * fps)) <= 1
    assert clap.frame_ms == pytest.approx(1000 / fps)


def test_a_clap_out_of_reach_is_none() -> None:
    pictures, times_s = slate_pictures(25.0, SECONDS)
    sound = slate_sound(SECONDS, CLAP_S - 0.7, SAMPLE_RATE_HZ)
    assert find_clap(pictures, times_s, sound, 500.0) is None
    assert find_clap(pictures, times_s, sound, 1000.0) is not None


def test_what_is_not_both_seen_and_heard_once_is_none() -> None:
    pictures, times_s = slate_pictures(25.0, SECONDS)
    still, _ = slate_pictures(25.0, SECONDS, None)
    sound = slate_sound(SECONDS, CLAP_S, SAMPLE_RATE_HZ)
    assert find_clap(pictures, times_s, sound, 1000.0) is not None
    assert find_clap(still, times_s, sound, 1000.0) is None
    assert find_clap(pictures, times_s, slate_sound(SECONDS, None, SAMPLE_RATE_HZ), 1000.0) is None
    assert find_clap(pictures, times_s, np.roll(sound, 8000) + sound, 1000.0) is None
    noise = np.random.default_rng(1).normal(0, 0.1, len(sound)).astype(np.float32)
    assert find_clap(pictures, times_s, noise, 1000.0) is None
    assert find_clap(pictures, times_s, np.zeros_like(sound), 1000.0) is None
    assert find_clap(pictures[:3], times_s[:3], sound, 1000.0) is None
    assert find_clap(pictures, times_s, sound[:100], 1000.0) is None


@pytest.mark.parametrize("fps", ["24", "25", "30000/1001", "50"])
def test_the_clap_of_a_file_is_found_in_its_own_frames(tmp_path: Path, fps: str) -> None:
    path = tmp_path / "slate.mp4"
    write_slate(path, fps, 62.0)
    clap = read_clap(probe(path), None, None, 1000.0)
    assert clap is not None
    assert clap.offset_ms == pytest.approx(62.0, abs=clap.frame_ms / 2)
    assert clap.frame == pytest.approx(CLAP_S * 1000 / clap.frame_ms, abs=1.5)


def test_the_sample_has_no_clap() -> None:
    clips = [p for p in SAMPLE.iterdir() if p.suffix == ".mp4"]
    assert clips
    assert [read_clap(probe(p), None, None, 2000.0) for p in clips] == [None] * len(clips)


def test_people_who_talk_do_not_clap() -> None:
    clips = sorted((DATA / "talking").glob("X-LANCE__MSDWILD/*.mp4"))[:3]
    clips += sorted((DATA / "talking").glob("Lukeli0425__VASP/*.mp4"))[:6]
    if not clips:
        pytest.skip("SHARED DATA IS MISSING: nothing of real speech was looked at")
    assert [p.name for p in clips if read_clap(probe(p), None, None, 1000.0)] == []
