"""Sound moved by a known amount is found moved by that amount."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avsync_cli.errors import DecodeError, FileMissingError, NoSoundError, UsageError
from avsync_cli.evaluation.shifted_copy import SOUND_CODECS, shift_sound
from avsync_cli.media.packets import end_s
from avsync_cli.media.probe import probe
from tests.read_all import read_all


@pytest.fixture(scope="module")
def clip(clips) -> Path:
    return clips.make("to-shift.mp4")


@pytest.mark.parametrize("offset_ms", (-200, -37.5, 0, 37.5, 200))
@pytest.mark.parametrize("kind", ("mp4", "mov", "mkv", "ts"))
def test_moves_by_that_much(clips, clip, measure_clip, kind, offset_ms):
    path = clips.folder / f"shifted{offset_ms:+}.{kind}"
    shift_sound(clip, path, offset_ms)
    chunk = read_all(path)
    _, offset_s = measure_clip(chunk, offset_ms / 1000)
    assert offset_s * 1000 == pytest.approx(offset_ms, abs=10)
    # The picture is as long as before, and the sound ends with it, but for whole AAC frames.
    assert 70 <= len(chunk.frames) <= (2800 + 3 * 1024 / 48) / 40 + 1
    info = probe(path)
    begin_s = float(info.video[0].start_s - info.start_s)
    assert end_s(info, info.video[0]) - begin_s == pytest.approx(2.8, abs=0.002)


def test_there_and_back(clips, clip, measure_clip):
    there, back = clips.folder / "there.mkv", clips.folder / "back.mkv"
    shift_sound(clip, there, 120)
    shift_sound(there, back, -120)
    _, before_s = measure_clip(read_all(clip), 0.0)
    _, after_s = measure_clip(read_all(back), 0.0)
    assert after_s == pytest.approx(before_s, abs=0.001)


def test_a_lag_in_the_time_stamps_is_kept(clips, measure_clip):
    path, moved = clips.folder / "stamped.mp4", clips.folder / "stamped-moved.mkv"
    late = ["-itsoffset", "0.15", "-i", str(clips.sound())]
    clips.run(*clips.picture("25"), *late, *clips.picture_out("25"), "-c:a", "aac", str(path))
    shift_sound(path, moved, -50)
    _, offset_s = measure_clip(read_all(moved), 0.1)
    assert offset_s * 1000 == pytest.approx(100, abs=10)


def test_picture_is_copied_untouched(clips, clip):
    path = clips.folder / "untouched.mkv"
    shift_sound(clip, path, 80)
    np.testing.assert_array_equal(read_all(path).frames[:70], read_all(clip).frames[:70])
    assert probe(path).video[0].codec == "h264"


def test_refusals_leave_nothing_behind(clips, clip, tmp_path):
    with pytest.raises(UsageError, match="kind of file"):
        shift_sound(clip, tmp_path / "x.txt", 10)
    with pytest.raises(UsageError, match="longer than the file"):
        shift_sound(clip, tmp_path / "x.mkv", -2800)
    with pytest.raises(UsageError, match="a number of ms"):
        shift_sound(clip, tmp_path / "x.mkv", float("nan"))
    with pytest.raises(UsageError, match="same file"):
        shift_sound(clip, clip, 10)
    with pytest.raises(UsageError, match="cannot write"):
        shift_sound(clip, tmp_path / "none" / "x.mkv", 10)
    with pytest.raises(FileMissingError):
        shift_sound(tmp_path / "gone.mp4", tmp_path / "x.mkv", 10)
    silent = clips.folder / "silent.mp4"
    clips.run("-i", str(clip), "-an", "-c", "copy", str(silent))
    with pytest.raises(NoSoundError):
        shift_sound(silent, tmp_path / "x.mkv", 10)
    # H.264 does not go into webm.
    with pytest.raises(DecodeError, match="cannot write"):
        shift_sound(clip, tmp_path / "x.webm", 10)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_target_is_replaced_whole(clips, clip, tmp_path):
    path = tmp_path / "x.mkv"
    path.write_text("old")
    shift_sound(clip, path, 10)
    assert probe(path).audio
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.mkv"]
    assert path.stat().st_mode & 0o400


def test_every_extension_is_a_container_we_open():
    assert {".mp4", ".mkv"} <= set(SOUND_CODECS)
