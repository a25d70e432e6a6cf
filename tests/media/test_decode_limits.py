"""The timeline at its limits: bounded, clean at every end, honest about damage."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import numpy as np
import pytest

from avsync_cli.errors import (
    AvsyncError,
    DecodeError,
    FileMissingError,
    NoPictureError,
    NoSoundError,
    NotMediaError,
    TooShortError,
    UsageError,
)
from avsync_cli.media.decode import Timeline
from avsync_cli.media.source import Source
from avsync_cli.media.stamps import Stamps
from tests.read_all import read_all


@pytest.fixture(scope="module")
def clip(clips) -> Path:
    return clips.make("limits.mp4")


def children(timeline: Timeline) -> list[int]:
    return [reader._stream.pid for reader in (timeline._picture, timeline._sound)]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_slow_consumer_is_not_read_ahead_of(clips):
    path = clips.make("long.mp4", seconds=30)
    with Timeline(path, chunk_frames=10) as timeline:
        next(timeline)
        time.sleep(1.0)
        frame_bytes = 48 * 64 * 3
        assert timeline._picture._stream.bytes_seen <= (10 + 16 + 4) * frame_bytes
        assert timeline._sound._stream.bytes_seen <= (64 + 4) * 16_384 + 10 * 640 * 4
        # The decoder itself waits on its pipe, so its log does too.
        assert len(timeline._picture._stamps._queue) < 400


@pytest.mark.parametrize("how", ("close", "break", "exception"))
def test_leaving_early_leaves_nothing_behind(clips, how):
    path = clips.make("long.mp4", seconds=30)
    timeline = Timeline(path, chunk_frames=10)
    pids = children(timeline)
    assert all(is_alive(pid) for pid in pids)
    if how == "close":
        next(timeline)
        timeline.close()
        timeline.close()
    elif how == "break":
        with timeline:
            for _ in timeline:
                break
    else:
        with pytest.raises(KeyboardInterrupt), timeline:
            next(timeline)
            raise KeyboardInterrupt
    assert not any(is_alive(pid) for pid in pids)
    assert next(timeline, None) is None


def test_reading_to_the_end_leaves_nothing_behind(clip):
    timeline = Timeline(clip)
    pids = children(timeline)
    list(timeline)
    assert not any(is_alive(pid) for pid in pids)


def test_missing_tracks(clips, clip):
    sound, picture = clips.folder / "no-picture.mp4", clips.folder / "no-sound.mp4"
    clips.run("-i", str(clip), "-vn", "-c", "copy", str(sound))
    clips.run("-i", str(clip), "-an", "-c", "copy", str(picture))
    with pytest.raises(NoPictureError, match=r"no video track: .*no-picture\.mp4"):
        Timeline(sound)
    with pytest.raises(NoSoundError, match=r"no audio track: .*no-sound\.mp4"):
        Timeline(picture)
    with pytest.raises(NoPictureError, match="no video track 3, the file has 1"):
        Timeline(clip, video_track=3)
    with pytest.raises(NoSoundError, match="no audio track 1, the file has 1"):
        Timeline(clip, audio_track=1)


def test_a_cover_is_no_picture(clips, clip):
    cover, path = clips.folder / "cover.png", clips.folder / "song.m4a"
    clips.run("-i", str(clip), "-frames:v", "1", str(cover))
    maps = ["-map", "0:a", "-map", "1:v", "-c", "copy", "-disposition:v", "attached_pic"]
    clips.run("-i", str(clip), "-i", str(cover), *maps, str(path))
    with pytest.raises(NoPictureError, match="only a cover picture"):
        Timeline(path)


def test_second_audio_track(clips, clip, measure_clip):
    path = clips.folder / "two-sounds.mkv"
    maps = ["-map", "0", "-map", "1", "-c:v", "copy", "-c:a", "flac"]
    clips.run("-i", str(clip), "-i", str(clips.sound(0.1)), *maps, str(path))
    for track, offset_s in ((0, 0.0), (1, 0.1)):
        _, found_s = measure_clip(read_all(path, audio_track=track), offset_s)
        assert found_s == pytest.approx(offset_s, abs=0.010)


@pytest.mark.parametrize("kind", ("ts", "mkv", "mp4"))
@pytest.mark.parametrize("share", (0.2, 0.6, 0.95))
def test_cut_short_gives_what_there_is(clips, kind, share):
    front = ("-movflags", "+faststart") if kind == "mp4" else ()
    whole = clips.make(f"to-cut.{kind}", *front, seconds=8)
    data = whole.read_bytes()
    path = clips.folder / f"cut-{share}.{kind}"
    path.write_bytes(data[: int(len(data) * share)])
    try:
        chunk = read_all(path)
    except (DecodeError, NotMediaError, NoSoundError) as error:
        assert share < 0.5, error
        return
    assert len(chunk.frames) <= 202
    assert chunk.frame_valid.any()


def test_index_at_the_end_cut_off(clips, clip):
    path = clips.folder / "no-index.mp4"
    path.write_bytes(clip.read_bytes()[:-2000])
    with pytest.raises(NotMediaError) as caught:
        read_all(path)
    assert str(clips.folder) not in caught.value.message.split(": ", 1)[0]


def test_half_an_mp4_is_told_what_it_lacks(clips, clip):
    path = clips.folder / "half.mp4"
    path.write_bytes(clip.read_bytes()[:4000])
    with pytest.raises(NotMediaError, match="was cut short, or its recording never ended"):
        read_all(path)


def test_garbage_inside_is_an_error_not_a_picture(clips, clip):
    data = bytearray(clip.read_bytes())
    at = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    data[at:end] = bytes(end - at)
    path = clips.folder / "zeroed.mp4"
    path.write_bytes(data)
    with pytest.raises(DecodeError, match="could be decoded") as caught:
        read_all(path)
    assert caught.value.hint
    assert caught.value.path == str(path)


@pytest.mark.parametrize("seed", range(6))
def test_damage_is_survived(clips, clip, seed):
    rng = np.random.default_rng(seed)
    data = bytearray(clip.read_bytes())
    for at in rng.integers(0, len(data), 60):
        data[at] = rng.integers(256)
    path = clips.folder / f"damaged-{seed}.mp4"
    path.write_bytes(data)
    try:
        with Timeline(path, chunk_frames=25) as timeline:
            for chunk in itertools.islice(timeline, 40):
                assert np.isfinite(chunk.sound).all()
    except AvsyncError as error:
        assert error.message.isprintable()


def test_arguments_out_of_range(clip):
    for wrong in (
        {"start_s": -1.0},
        {"start_s": float("nan")},
        {"duration_s": 0.0},
        {"duration_s": float("inf")},
        {"max_height": 0},
        {"chunk_frames": 0},
    ):
        with pytest.raises(UsageError):
            Timeline(clip, **wrong)
    with pytest.raises(FileMissingError):
        Timeline("gone.mp4")


def test_beginning_after_the_end(clip):
    with pytest.raises(TooShortError, match=r"ends at 2\.8\d* s, before the wanted start at 100 s"):
        read_all(clip, start_s=100.0)


def test_stretch_without_picture_is_filler(clips):
    path = clips.folder / "longer-sound.mkv"
    sound = ["-i", str(clips.sound(seconds=6)), "-c:a", "flac"]
    clips.run(*clips.picture("25"), *sound, *clips.picture_out("25"), str(path))
    chunk = read_all(path, start_s=4.0, duration_s=1.0)
    assert len(chunk.frames) == 25
    assert not chunk.frame_valid.any()
    assert chunk.sound_valid.all()


PLAIN = "[Parsed_metadata_5 @ 0x55] [info] frame:1    pts:9  pts_time:9"


def test_stamps_are_taken_from_their_filter_alone():
    own = "\x1b[1;32m[Parsed_{}_5 @ 0x55] \x1b[0m[info] {}"
    stamps = Stamps("picture")
    assert stamps.take_line("\x1b[0m" + own.format("metadata", "frame:0    pts:40  pts_time:0.04"))
    assert stamps.take_line(own.format("metadata", "avsync=1"))
    for line in (PLAIN, f"[info]     title : {PLAIN}", f"\x1b[0m{PLAIN}"):
        assert not stamps.take_line(line)
    assert stamps.pop(Source.of("x")) == (40, 0)
    assert not stamps._queue
    stamps = Stamps("sound")
    line = "n:3 pts:-320 pts_time:-0.02 fmt:flt nb_samples:341 chk:0"
    assert stamps.take_line(own.format("ashowinfo", line))
    assert stamps.pop(Source.of("x")) == (-320, 341)
