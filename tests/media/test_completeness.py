"""What a file declares against what it holds, and which of its tracks a player would choose."""

from __future__ import annotations

from pathlib import Path

import pytest

from avsync_cli.inference.evidence import MediaSummary
from avsync_cli.inference.summary import summarise
from avsync_cli.media.decode import Timeline


def told(path: Path, **how: float) -> tuple[MediaSummary, list[str]]:
    with Timeline(path, **how) as timeline:
        read_s = sum(len(chunk.frames) for chunk in timeline) / 25
        return summarise(timeline, read_s)


WRITTEN = {
    "mp4": ("-movflags", "+faststart"),
    "mov": ("-movflags", "+faststart", "-c:a", "pcm_s16le"),
    "mkv": (),
    "avi": ("-c:v", "mpeg4", "-c:a", "pcm_s16le"),
    "flv": ("-ar", "44100"),
    "mxf": ("-c:v", "mpeg2video", "-c:a", "pcm_s16le"),
    "wmv": ("-c:v", "wmv2", "-bf", "0", "-c:a", "wmav2"),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_file_cut_in_half_is_incomplete(clips, kind):
    whole = clips.make(f"complete.{kind}", *WRITTEN[kind], seconds=8)
    media, remarks = told(whole)
    assert (media.complete, media.declared_s) == (True, pytest.approx(8.0, abs=0.1))
    assert media.decoded_s == pytest.approx(8.0, abs=0.2)
    assert remarks == []
    data = whole.read_bytes()
    cut = clips.folder / f"cut.{kind}"
    cut.write_bytes(data[: len(data) // 2])
    media, _ = told(cut)
    assert media.complete is False
    assert media.declared_s == pytest.approx(8.0, abs=0.1)
    assert 0 < media.decoded_s < 6.5


@pytest.mark.parametrize("kind", ("mp4", "mkv", "mxf"))
def test_a_file_that_cannot_be_read_in_its_middle_is_incomplete(clips, kind):
    data = clips.make(f"complete.{kind}", *WRITTEN[kind], seconds=8).read_bytes()
    size = len(data)
    broken = clips.folder / f"broken.{kind}"
    broken.write_bytes(data[: size // 2] + bytes(size // 4) + data[size * 3 // 4 :])
    media, remarks = told(broken)
    assert media.complete is False
    assert media.decoded_s == pytest.approx(8.0, abs=0.2)
    assert [r for r in remarks if r.startswith("neither picture nor sound from 0:0")] == remarks[:1]


def test_a_fragmented_file_that_breaks_off_is_incomplete(clips):
    fragmented = ("-movflags", "frag_keyframe+empty_moov+default_base_moof")
    whole = clips.make("fragmented.mp4", *fragmented, seconds=8)
    assert told(whole)[0].complete is True
    data = whole.read_bytes()
    for name, left in (("short", data[: len(data) // 2]), ("zeros", data[: len(data) // 2])):
        broken = clips.folder / f"{name}.mp4"
        broken.write_bytes(left + bytes(len(data) // 2 if name == "zeros" else 0))
        media, remarks = told(broken)
        assert media.complete is False
        assert "the file breaks off within a fragment" in remarks


@pytest.mark.parametrize(
    ("kind", "part", "how"),
    [
        ("mkv", "a cluster", ("-live", "1")),
        ("webm", "a cluster", ("-c:v", "libvpx", "-c:a", "libopus", "-live", "1")),
        ("ogv", "a page", ("-c:v", "libtheora", "-c:a", "libvorbis", "-ac", "2")),
    ],
)
def test_a_stream_that_was_kept_and_breaks_off_is_incomplete(clips, kind, part, how):
    whole = clips.make(f"stream.{kind}", *how, seconds=8)
    media, remarks = told(whole)
    assert (media.complete, remarks) == (True, [])
    data = whole.read_bytes()
    cut = clips.folder / f"stream-cut.{kind}"
    for left in (len(data) * 3 // 4, len(data) - 1):
        cut.write_bytes(data[:left])
        media, remarks = told(cut)
        assert media.complete is False
        assert f"the file breaks off within {part}" in remarks


ANOTHER = "the file goes on with another recording, which is not judged"


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("ts", ("-c:a", "mp2", "-mpegts_start_pid", "512")),
        ("ogv", ("-c:v", "libtheora", "-c:a", "libvorbis", "-ac", "2")),
        ("flv", ("-ar", "44100")),
        ("mp4", ()),
        ("wmv", ("-c:v", "wmv2", "-bf", "0", "-c:a", "wmav2")),
    ],
)
def test_a_recording_behind_another_is_told_of(clips, kind, how):
    first = how[:-2] if "-mpegts_start_pid" in how else how
    one = clips.make(f"one.{kind}", *first, seconds=4)
    other = clips.make(f"other.{kind}", *how, seconds=3)
    media, remarks = told(one)
    assert ANOTHER not in remarks
    assert media.complete is True
    both = clips.folder / f"both.{kind}"
    both.write_bytes(one.read_bytes() + other.read_bytes())
    media, remarks = told(both)
    assert ANOTHER in remarks
    assert media.complete is False


@pytest.mark.parametrize("kind", ["ts", "mkv", "avi"])
def test_recordings_that_are_read_as_one_are_one(clips, kind):
    how = ("-c:v", "mpeg4", "-c:a", "mp2")
    one = clips.make(f"first.{kind}", *how, seconds=4)
    both = clips.folder / f"twice.{kind}"
    both.write_bytes(one.read_bytes() * 2)
    assert ANOTHER not in told(both)[1]


def test_a_part_that_was_asked_for_says_nothing_about_the_rest(clips):
    media, _ = told(clips.make("complete.mkv", seconds=8), duration_s=2.0)
    assert (media.complete, media.decoded_s) == (None, None)


def test_transport_streams_declare_nothing(clips):
    media, _ = told(clips.make("complete.ts", "-c:a", "mp2"))
    assert (media.complete, media.declared_s) == (True, None)


def test_titles_may_last_longer(clips):
    titles, path = clips.folder / "late.srt", clips.folder / "late-titles.mkv"
    titles.write_text(
        "1\n00:00:01,000 --> 00:00:02,000\na\n\n2\n00:00:09,000 --> 00:00:10,000\nb\n\n"
    )
    clips.run("-i", str(clips.make("short.mkv")), "-i", str(titles), "-c:v", "copy", str(path))
    media, _ = told(path)
    assert media.declared_s == pytest.approx(10.0, abs=0.2)
    assert media.complete is True


def test_picture_and_sound_of_different_length(clips):
    path = clips.folder / "lengths.mkv"
    sound = ["-i", str(clips.sound(seconds=5)), "-c:a", "flac"]
    clips.run(*clips.picture("25"), *sound, *clips.picture_out("25"), str(path))
    media, remarks = told(path)
    assert media.complete is True
    assert remarks == ["the picture ends at 0:03, the sound at 0:05"]


@pytest.mark.parametrize(("rate", "told_of"), [("2", True), ("5", False)])
def test_a_talk_of_few_pictures_is_told_to_have_too_few(clips, rate: str, told_of: bool):
    path = clips.folder / f"slow-{rate}.mkv"
    sound = ["-i", str(clips.sound(seconds=3)), "-c:a", "flac"]
    clips.run(*clips.picture(rate), *sound, *clips.picture_out(rate), str(path))
    _, remarks = told(path)
    words = f"too few pictures to see lips move: {rate} a second"
    assert (words in remarks) == told_of


@pytest.mark.parametrize(("flags", "chosen"), [(("0", "default"), 1), (("0", "0"), 0)])
def test_a_player_takes_the_default_track_then_the_first(clips, flags, chosen):
    path = clips.folder / f"default-{chosen}.mkv"
    clip = clips.make("short.mkv")
    dispositions = [part for n, flag in enumerate(flags) for part in (f"-disposition:a:{n}", flag)]
    maps = ["-map", "0:v", "-map", "0:a", "-map", "0:a", "-c", "copy"]
    clips.run("-i", str(clip), *maps, *dispositions, str(path))
    with Timeline(path) as timeline:
        assert timeline.audio.position == chosen
    with Timeline(path, audio_track=0) as timeline:
        assert timeline.audio.position == 0
