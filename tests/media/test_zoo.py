"""Every kind of file shows picture and sound as far apart as it has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clips import Clips, measure
from tests.media_zoo import CASES, Case, Zoo, picture_begins_s, table
from tests.read_all import read_all


@pytest.fixture(scope="module")
def zoo(clips: Clips) -> Zoo:
    return Zoo(clips)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}.{case.suffix}")
def test_offset_is_the_files(zoo: Zoo, case: Case) -> None:
    if lacking := case.missing():
        pytest.skip(f"this ffmpeg has no encoder for {', '.join(lacking)}")
    path = zoo.file(case)
    chunk = read_all(path, video_track=case.video_track, audio_track=case.audio_track, threads=1)
    begins_s = picture_begins_s(chunk, case.events_s)
    _, offset_s = measure(chunk, case.lag_ms / 1000, begins_s, case.events_s)
    assert offset_s * 1000 == pytest.approx(case.lag_ms, abs=case.tolerance_ms)
    # Early sound makes the picture begin later, unless the container can hide what comes before.
    assert min(begins_s, abs(begins_s + case.lag_ms / 1000)) <= 0.06
    if case.frame is not None:
        assert chunk.frames.shape[1:3] == case.frame


DOCS = Path(__file__).parents[2] / "docs" / "formats.md"
CONTAINERS = "mp4 mov mkv webm avi ts m2ts mpg flv ogv 3gp".split()
PICTURES = ("h264", "hevc 10 bit", "vp9", "av1", "mpeg2 interlaced", "mpeg4", "mjpeg", "prores")
SOUNDS = ("aac", "mp3", "mp2", "ac3", "eac3", "opus", "vorbis", "flac", "pcm 24 bit")
RATES = ("10", "24000/1001", "30000/1001", "60000/1001", "120", "vfr")


def test_nothing_is_missing_from_the_zoo() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert {case.suffix for case in CASES} >= set(CONTAINERS)
    assert {case.video for case in CASES} >= set(PICTURES)
    assert {case.audio for case in CASES} >= set(SOUNDS)
    assert {case.rate for case in CASES} >= set(RATES)
    assert {case.channels for case in CASES} >= set(range(1, 9))
    assert min(case.hz for case in CASES) == 8_000
    assert max(case.hz for case in CASES) == 96_000
    assert all(case.tolerance_ms <= 10 or case.why for case in CASES)
    assert all(case.tolerance_ms <= 25 for case in CASES)


def test_the_documented_table_is_the_zoo() -> None:
    text = DOCS.read_text(encoding="utf-8")
    shown = text.split("<!-- zoo -->\n")[1].split("<!-- /zoo -->")[0].strip().splitlines()
    assert shown == table(), "run `python -m tests.media_zoo` and put it into docs/formats.md"
