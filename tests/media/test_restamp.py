"""Sound that ffmpeg's own filters put where its time stamps say."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from avsync_cli.media.ffmpeg import find_ffmpeg
from avsync_cli.repair.sound_graph import Piece, sound_graph
from tests.clips import CLIP_S, Clips
from tests.read_all import read_all

RATE_HZ = 16_000


def _heard(*source: str, before: str = "") -> np.ndarray:
    """What comes out of the filters of `fix`, which move nothing: samples at 16 kHz."""
    graph = before + sound_graph([Piece(0.0, None, 0.0)], RATE_HZ, 0.0)
    command = [str(find_ffmpeg()), "-nostdin", "-v", "error", *source, "-vn", "-af", graph]
    command += ["-ac", "1", "-f", "f32le", "-"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=120)
    return np.frombuffer(done.stdout, "<f4")


def test_joined_films_are_heard_where_players_have_them(clips: Clips) -> None:
    one, joined = clips.folder / "one.mp4", clips.folder / "joined.mp4"
    clips.make("one.mp4")
    (clips.folder / "list").write_text(f"file '{one}'\n" * 8)
    clips.run(
        "-f", "concat", "-safe", "0", "-i", str(clips.folder / "list"), "-c", "copy", str(joined)
    )
    truth = read_all(joined).sound
    heard = _heard("-i", str(joined))
    lags = []
    for k in range(8):
        start = round((k * CLIP_S + 1.6) * RATE_HZ)  # the joint's overlap is noticed by then
        window, around = (
            truth[start : start + RATE_HZ],
            heard[start - 1600 : start + RATE_HZ + 1600],
        )
        lags.append((int(np.argmax(np.correlate(around, window, "valid"))) - 1600) / RATE_HZ)
    # The filters count from where the file begins, which is before the picture's beginning.
    assert np.abs(np.subtract(lags, lags[0])).max() <= 0.012, lags


@pytest.mark.parametrize(
    ("stamps", "more_s"),
    [
        ("PTS", 0.0),
        ("PTS+0.015*sin(N)/TB", 0.0),  # jitter
        ("PTS+gt(T,1)*0.05/TB", 0.05),  # a gap
        ("PTS-gt(T,1)*0.05/TB", -0.05),  # something comes twice
        ("PTS+gt(T,1)*0.3/TB", 0.3),
        ("PTS+0.006*gt(T,1)/TB", 0.0),  # what nobody notices
    ],
)
def test_lasting_moves_are_followed_and_no_others(stamps: str, more_s: float) -> None:
    tone = ["-f", "lavfi", "-i", "sine=500:r=48000:d=4"]
    heard = _heard(*tone, before=f"asetpts='{stamps}',")
    assert len(heard) / RATE_HZ == pytest.approx(4.0 + more_s, abs=0.005)


@pytest.mark.parametrize(
    ("stamps", "piece", "late_s"),
    [
        ("PTS+0.06*(random(0)-0.5)/TB", 512, 0.0),
        ("PTS+0.06*(random(0)-0.5)/TB", 128, 0.0),
        ("floor(N/2048)*2048", 512, -0.048),  # one stamp for four pieces
        ("PTS-gt(T,1)*0.05/TB", 16_000, -0.05),
    ],
)
def test_stamps_that_jitter_about_another_place_lead_there_in_one_cut(
    stamps: str, piece: int, late_s: float
) -> None:
    ramp = ["-f", "lavfi", "-i", f"aevalsrc=t/20:s={RATE_HZ}:d=16"]  # tells when it was recorded
    heard = _heard(*ramp, before=f"asetnsamples={piece}:p=0,asetpts='{stamps}',")
    late_s_of = np.arange(len(heard)) / RATE_HZ - heard * 20
    settled = late_s_of[9 * RATE_HZ :]
    assert np.ptp(settled) < 0.002
    assert settled.mean() == pytest.approx(late_s, abs=0.012)
