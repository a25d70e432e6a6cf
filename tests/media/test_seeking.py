"""A stretch that is read by seeking is what a reading from the beginning shows at that time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avsync_cli.media.clock import Stretch, why_in_order
from avsync_cli.media.decode import TimelineChunk
from avsync_cli.media.facts import pick_video
from avsync_cli.media.probe import probe
from avsync_cli.timebase import FPS, SAMPLES_PER_FRAME
from tests.clips import SOURCE_RATE_HZ, Clips, frame_times
from tests.media_zoo import CASES, Case, Zoo
from tests.read_all import read_all

LONG_S = 18.0
START_S, LENGTH_S = 13.32, 2.0
"""Beyond the longest run-up, so that there is something to jump over."""

TICK_SAMPLES = 16
"""1 ms: some containers stamp sound in whole ms, so that its first piece lies up to half a ms from
the exact place, in a reading from the beginning or from the middle, to either side."""

COARSE = {"disc-pcm": 24, "edit-two": 24, "sizes": 40, "sizes-mkv": 40}
"""Where it is more: PCM of a DVD, whose packs are stamped a ms or two beside their sound; two edits
and files put together, over whose seam a reading from the beginning stretches the sound by up to
2.5 ms, which it has not yet made up for."""

RESIZED = ("sizes", "sizes-mkv")
"""Pictures whose size changes on the way: begun beyond the change they are scaled from another
size, and rounded otherwise."""

ROUNDED_LEVELS = 3


class BusyClips(Clips):
    """Clips in which no two pictures are alike, nor any two moments of the sound."""

    def picture(self, rate: str, seconds: float = LONG_S) -> list[str]:
        path = self.folder / f"busy-{rate.replace('/', '-')}.gray"
        if not path.exists():
            rng = np.random.default_rng(1)
            blocks = rng.integers(30, 220, (len(frame_times(rate, LONG_S)), 6, 8), np.uint8)
            path.write_bytes(np.repeat(np.repeat(blocks, 8, axis=1), 8, axis=2).tobytes())
        nominal = "30" if rate == "vfr" else rate
        form = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", "64x48"]
        return [*form, "-framerate", nominal, "-i", str(path)]

    def sound(self, offset_s: float = 0.0, seconds: float = LONG_S, channels: int = 1) -> Path:
        path = self.folder / "busy.wav"
        if not path.exists():
            noise = np.random.default_rng(3).normal(0, 0.15, int(LONG_S * SOURCE_RATE_HZ))
            self.write_wave(path, np.convolve(noise, np.ones(12) / 12, "same")[:, None])
        return path


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return Zoo(BusyClips(tmp_path_factory.mktemp("busy")))


def sound_lag(part: np.ndarray, whole: np.ndarray) -> int:
    """By how many samples the one comes after the other."""
    most = 60
    inner = whole[most:-most].astype(np.float64)
    at = range(2 * most + 1)
    match = [float(np.dot(inner, part[lag : lag + len(inner)])) for lag in at]
    return int(np.argmax(match)) - most


def _read(zoo: Zoo, case: Case) -> tuple[TimelineChunk, TimelineChunk, str, bool]:
    """(all of it, a stretch, why that would be read in order, whether it was jumped to)."""
    info = probe(zoo.file(case))
    tracks = {"video_track": case.video_track, "audio_track": case.audio_track}
    whole = read_all(info, **tracks, threads=1)
    part = read_all(info, **tracks, threads=1, start_s=START_S, duration_s=LENGTH_S)
    video = pick_video(info, case.video_track)
    stretch = Stretch.of(info, video, START_S, LENGTH_S)
    return whole, part, why_in_order(info, video), stretch.seek_s is not None


def _same(case: Case, whole: TimelineChunk, part: TimelineChunk) -> None:
    first, count = part.first_frame, len(part.frames)
    assert first == round(START_S * FPS)
    assert count == round(LENGTH_S * FPS)
    apart = np.abs(part.frames.astype(np.int16) - whole.frames[first : first + count])
    assert apart.max() <= (ROUNDED_LEVELS if case.name in RESIZED else 0)
    np.testing.assert_array_equal(part.frame_valid, whole.frame_valid[first : first + count])
    heard = whole.sound[first * SAMPLES_PER_FRAME :][: count * SAMPLES_PER_FRAME]
    assert abs(sound_lag(part.sound, heard)) <= COARSE.get(case.name, TICK_SAMPLES)


JUMPING = ("leap", "restart")
SHORT = ("8k", "long-sound", "long-picture", "long-picture-avi")
"""Cases that are over before the stretch begins, or take too long."""

SHAPES = (
    *("turned", "odd", "odd-vp9", "anamorphic", "anamorphic-mpg", "tiny", "cover-mp4", "cover-mkv"),
    *("titles-mkv", "titles-mov", "titles-ts", "mono-8k", "aac-8k", "aac-7.1", "opus-7.1"),
    *("pcm-6.1", "faststart"),
)
"""Cases that are others in what seeking knows of: container, codecs, rates and starts."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [c for c in CASES if c.name not in (*JUMPING, *SHORT, *SHAPES)],
    ids=lambda case: f"{case.name}.{case.suffix}",
)
def test_a_stretch_is_the_same_as_in_order(busy: Zoo, case: Case) -> None:
    if lacking := case.missing():
        pytest.skip(f"this ffmpeg has no encoder for {', '.join(lacking)}")
    whole, part, in_order, jumped = _read(busy, case)
    _same(case, whole, part)
    # What is not jumped into is not said to be: it is read in order, and says so.
    assert jumped or in_order


@pytest.mark.parametrize("name", ["plain", "aac-mkv", "vfw-b"])
def test_a_stretch_is_the_same_in_three_kinds(busy: Zoo, name: str) -> None:
    """The quick part of the above; "vfw-b" has no stamps to jump by, and is read from its start."""
    case = next(c for c in CASES if c.name == name)
    whole, part, _, jumped = _read(busy, case)
    _same(case, whole, part)
    assert jumped == (name != "vfw-b")


def test_a_file_without_stamps_or_length_is_read_in_order(busy: Zoo) -> None:
    info = probe(busy.file(next(c for c in CASES if c.name == "vfw-b")))
    video = pick_video(info, None)
    assert why_in_order(info, video) == "its pictures have no time stamps to seek by"
    stamped = replace(video, stamps="sound")
    assert why_in_order(info, stamped) == ""
    assert "how long" in why_in_order(replace(info, duration_s=0.0), stamped)


@pytest.mark.parametrize("name", JUMPING)
def test_where_stamps_leap_nothing_is_found_at_a_time(busy: Zoo, name: str) -> None:
    """Time stamps that go on elsewhere: nothing there is taken for what lies in its place."""
    case = next(c for c in CASES if c.name == name)
    info = probe(busy.file(case))
    part = read_all(info, threads=1, start_s=START_S, duration_s=LENGTH_S)
    assert not part.frame_valid.any()
