"""Sound moved in a copy is moved for every reader, and nothing else changes.

Two readers look at every copy: avsync's timeline, which honours all time stamps, and a naive one,
which counts frames and samples from the first of each and ignores start times.
"""

from __future__ import annotations

import subprocess
import wave
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from avsync_cli.errors import DecodeError, UsageError
from avsync_cli.files import file_beside
from avsync_cli.media.facts import pick_audio, pick_video
from avsync_cli.media.ffmpeg import find_ffmpeg
from avsync_cli.media.probe import probe
from avsync_cli.repair.check import Finding, check_copy
from avsync_cli.repair.containers import (
    CARRIERS,
    carrier,
    encoder_options,
    is_lossless,
    sound_codec,
)
from avsync_cli.repair.contents import list_contents, read_contents
from avsync_cli.repair.copy import Move, plan_copies, write_copy
from avsync_cli.repair.run import write_checked
from avsync_cli.repair.sound_graph import Piece, sound_graph
from tests.clips import CLIP_S, EVENTS_S, Clips, event_times
from tests.read_all import read_all

VIDEO = {"webm": "libvpx", "avi": "mpeg4", "mpg": "mpeg2video"}

CASES = [
    # container, sound codec, does the container record the codec's delay?
    ("mp4", "aac", True),
    ("mov", "pcm_s16le", True),
    ("mkv", "aac", False),
    ("mkv", "flac", True),
    ("webm", "libopus", True),
    ("ts", "aac", False),
    ("ts", "mp2", False),
    ("avi", "pcm_s16le", True),
    ("avi", "ac3", False),
    ("flv", "aac", False),
    ("mpg", "mp2", False),
]


def make(clips: Clips, kind: str, codec: str, lag_ms: int, *extra: str) -> Path:
    """A clip with its sound late by `lag_ms`, in the samples."""
    path = clips.folder / f"fix-{codec}-{lag_ms:+d}{len(extra)}.{kind}"
    if not path.exists():
        sound = clips.sound(lag_ms / 1000)
        picture = clips.picture_out("25", VIDEO.get(kind, "libx264"))
        clips.run(
            *clips.picture("25"), "-i", str(sound), *picture, "-c:a", codec, *extra, str(path)
        )
    return path


def moved(source: Path, target: Path, pieces: list[Piece], way: str = "", **how: str) -> str:
    """Write the copy, by the best way or by the one named; returns the way."""
    info = probe(source)
    move = the_move(info, pieces, target.suffix, **how)
    recipes = plan_copies(move, list_contents(info, move.into))
    wanted = [recipe for recipe in recipes if way in ("", recipe.way)]
    recipe, finding = write_checked(move, wanted, target, target, lambda _: nullcontext())
    assert finding == Finding()
    return recipe.way


def the_move(info, pieces, suffix, **how):
    return Move(
        info=info,
        video=pick_video(info, 0),
        audio=pick_audio(info, 0),
        pieces=tuple(pieces),
        into=carrier(f"x{suffix}"),
        **how,
    )


def naive_offset_ms(path: Path, near_s: float = 0.0, fps: int = 25) -> float:
    """Clicks minus flashes, frames and samples merely counted."""
    sound_file = path.with_suffix(".naive.wav")
    plain = [str(find_ffmpeg()), "-nostdin", "-v", "error", "-y", "-i", str(path)]
    subprocess.run([*plain, "-ac", "1", "-ar", "48000", str(sound_file)], check=True, timeout=60)
    raw = ["-map", "0:v:0", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    frames = subprocess.run([*plain, *raw], check=True, timeout=60, capture_output=True).stdout
    with wave.open(str(sound_file)) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
    luma = np.frombuffer(frames, np.uint8).reshape(-1, 48 * 64).mean(axis=1)
    luma = (luma - np.median(luma)).clip(4, None) - 4
    power = np.square(sound)
    power = np.where(power > power.max() * 0.02, power, 0.0)
    # The first event may have been cut off or lie in a decoder's warming up.
    events = np.asarray(EVENTS_S[1:])
    flashes = event_times(np.arange(len(luma)) / fps, luma, events)
    clicks = event_times(np.arange(len(sound)) / 48_000, power, events + near_s)
    return float((clicks - flashes).mean() * 1000)


def packets(path: Path, stream: str) -> str:
    """A hash over a stream's packets, times left out."""
    command = [str(find_ffmpeg()), "-nostdin", "-v", "error", "-i", str(path), "-map", stream]
    command += ["-c", "copy", "-f", "streamhash", "-"]
    done = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True)
    return done.stdout.rpartition("=")[2].strip()


@pytest.mark.parametrize("lag_ms", (200, -200))
def test_sound_of_a_rate_that_the_new_codec_has_not(clips, tmp_path, lag_ms):
    """AC-3 begins at 32 kHz: samples are cut at the rate of the file, whatever is written then."""
    source = make(clips, "avi", "adpcm_ima_wav", lag_ms, "-ar", "22050")
    copy = tmp_path / "copy.avi"
    assert moved(source, copy, [Piece(0.0, None, lag_ms)]) == "encode"
    assert probe(copy).audio[0].codec == "ac3"


@pytest.mark.slow
@pytest.mark.parametrize("lag_ms", (200, -200))
@pytest.mark.parametrize(("kind", "codec", "recorded"), CASES)
def test_every_reader_sees_it_moved(clips, measure_clip, tmp_path, kind, codec, recorded, lag_ms):
    source = make(clips, kind, codec, lag_ms)
    copy = tmp_path / f"copy.{kind}"
    if kind in ("webm", "avi"):
        # ffmpeg before 6 writes Opus 6.5 ms early each time, and AC-3 in avi comes 5 ms late;
        # what is moved is what was measured.
        lag_ms = 1000 * measure_clip(read_all(source), lag_ms / 1000, events_s=EVENTS_S[1:])[1]
    way = moved(source, copy, [Piece(0.0, None, lag_ms)])
    _, offset_s = measure_clip(read_all(copy), 0.0, events_s=EVENTS_S[1:])
    assert offset_s * 1000 == pytest.approx(0, abs=10)
    assert naive_offset_ms(copy) == pytest.approx(0, abs=11 if recorded or way == "drop" else 25)
    assert packets(source, "0:v") == packets(copy, "0:v")


@pytest.mark.parametrize("kind", ("mp4", "mkv"))
def test_late_sound_is_moved_without_encoding(clips, tmp_path, kind):
    source = make(clips, kind, "aac", 200)
    copy = tmp_path / f"copy.{kind}"
    assert moved(source, copy, [Piece(0.0, None, 200)]) == "drop"
    kept = packets_of(copy)
    assert len(kept) > 50
    assert kept == packets_of(source)[-len(kept) :]


def packets_of(path: Path) -> list[str]:
    """Hashes of the sound's packets in order."""
    command = [str(find_ffmpeg()), "-nostdin", "-v", "error", "-i", str(path), "-map", "0:a"]
    command += ["-c", "copy", "-f", "framemd5", "-"]
    done = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True)
    return [x.split(",")[5].strip() for x in done.stdout.splitlines() if x[:1] != "#"]


def test_edit_lists_are_not_what_moves_it(clips, tmp_path):
    source = make(clips, "mp4", "aac", 200)
    copy = tmp_path / "copy.mp4"
    moved(source, copy, [Piece(0.0, None, 200)])
    plain = tmp_path / "plain.mkv"
    # Read without its edit list, the copy is at most half a packet off.
    clips.run("-ignore_editlist", "1", "-i", str(copy), "-c", "copy", str(plain))
    assert naive_offset_ms(plain) == pytest.approx(0, abs=11)


def test_sound_without_loss_keeps_every_sample(clips, tmp_path):
    source = make(clips, "mov", "pcm_s16le", 200)
    copy = tmp_path / "copy.mov"
    assert moved(source, copy, [Piece(0.0, None, 200)]) == "encode"
    before, after = samples(source), samples(copy)
    np.testing.assert_array_equal(after, before[9600:])
    early = tmp_path / "early.mov"
    moved(source, early, [Piece(0.0, None, -100)])
    np.testing.assert_array_equal(samples(early), np.concatenate([np.zeros(4800), before]))


def samples(path: Path) -> np.ndarray:
    command = [str(find_ffmpeg()), "-nostdin", "-v", "error", "-i", str(path), "-map", "0:a:0"]
    command += ["-f", "s16le", "-"]
    done = subprocess.run(command, check=True, timeout=60, capture_output=True)
    return np.frombuffer(done.stdout, "<i2")


def test_a_lag_in_the_time_stamps_becomes_one_in_the_samples(clips, measure_clip, tmp_path):
    path, copy = clips.folder / "stamped-fix.mkv", tmp_path / "copy.mkv"
    late = ["-itsoffset", "0.15", "-i", str(clips.sound())]
    clips.run(*clips.picture("25"), *late, *clips.picture_out("25"), "-c:a", "flac", str(path))
    moved(path, copy, [Piece(0.0, None, 150)])
    _, offset_s = measure_clip(read_all(copy), 0.0)
    assert offset_s * 1000 == pytest.approx(0, abs=10)
    assert naive_offset_ms(copy) == pytest.approx(0, abs=10)


def test_splices_are_moved_piece_by_piece(clips, tmp_path):
    # Clicks of the first half come 120 ms late, of the second 80 ms early.
    rate, source, copy = 48_000, tmp_path / "spliced.mkv", tmp_path / "copy.mkv"
    late, early = clips.sound(0.12), clips.sound(-0.08)
    cut = int(1.4 * rate)
    joined = np.concatenate([wave_samples(late)[:cut], wave_samples(early)[cut:]])
    clips.write_wave(tmp_path / "joined.wav", joined[:, None] / 32767)
    clips.run(
        *clips.picture("25"), "-i", str(tmp_path / "joined.wav"), *clips.picture_out("25"),
        "-c:a", "flac", str(source),
    )  # fmt: skip
    moved(source, copy, [Piece(0.0, 1.4, 120.0), Piece(1.4, None, -80.0)])
    sound = samples(copy).astype(float)
    clicks = event_times(np.arange(len(sound)) / rate, np.square(sound), EVENTS_S)
    np.testing.assert_allclose(clicks, EVENTS_S, atol=0.002)


def wave_samples(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


@pytest.mark.parametrize("pitch", ("shift", "keep"))
def test_drift_is_taken_out(clips, tmp_path, pitch):
    # Sound that runs 2 % slow and begins 30 ms late: its lag grows by 1200 ms a minute.
    rate, source, copy = 48_000, tmp_path / "drifting.mkv", tmp_path / "copy.mkv"
    t = np.arange(int(CLIP_S * rate)) / rate
    clicks = np.zeros_like(t)
    for event in EVENTS_S:
        at = event * 1.02 + 0.03
        clicks += np.exp(-0.5 * ((t - at) / 0.004) ** 2) * np.sin(2 * np.pi * 2000 * (t - at))
    clips.write_wave(tmp_path / "slow.wav", clicks[:, None] * 0.6)
    clips.run(
        *clips.picture("25"), "-i", str(tmp_path / "slow.wav"), *clips.picture_out("25"),
        "-c:a", "flac", str(source),
    )  # fmt: skip
    moved(source, copy, [Piece(0.0, None, 30.0, 1200.0)], pitch=pitch)
    sound = samples(copy).astype(float)
    found = event_times(np.arange(len(sound)) / rate, np.square(sound), EVENTS_S)
    # Keeping the pitch means moving short pieces of sound about.
    np.testing.assert_allclose(found, EVENTS_S, atol=0.002 if pitch == "shift" else 0.025)
    # The same copy is not what other plans would have made, nor is one of other sound.
    other = the_move(probe(source), [Piece(0.0, None, 110.0, 1200.0)], ".mkv", pitch=pitch)
    recipe = plan_copies(other, list_contents(other.info, other.into))[-1]
    assert recipe.way == "encode"
    assert "too late" in check_copy(other, recipe, copy).against
    mute = tmp_path / "mute.mkv"
    clips.run("-i", str(copy), "-c:v", "copy", "-af", "volume=0", "-c:a", "flac", str(mute))
    assert "another" in check_copy(other, recipe, mute).against


def test_a_small_drift_is_exact_over_hours():
    graph = sound_graph([Piece(0.0, None, 0.0, 40.0)], 48_000, 0.0)
    rates = [int(word.partition("=")[2]) for word in graph.split(",") if "rate=" in word]
    resampled = int(
        graph.partition("asetpts=N/SR/TB,asetrate")[2].split("aresample=")[1].split(",")[0]
    )
    speed = rates[0] / resampled
    assert abs(speed - (1 + 40 / 60_000)) * 3 * 3600 < 0.001


def test_everything_else_is_kept(clips, tmp_path):
    titles, chapters = tmp_path / "t.srt", tmp_path / "c.txt"
    titles.write_text("1\n00:00:00,500 --> 00:00:01,500\nHello\n")
    chapters.write_text(
        ";FFMETADATA1\ntitle=A film\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=One\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=1000\nEND=2800\ntitle=Two\n"
    )
    source, copy = tmp_path / "film.mkv", tmp_path / "copy.mkv"
    sound = str(clips.sound(0.2, channels=2))
    clips.run(
        *clips.picture("25"), "-i", sound, "-i", sound, "-i", str(titles), "-i", str(chapters),
        "-attach", str(titles), "-metadata:s:t", "mimetype=text/plain",
        "-map", "1:a", "-map", "0:v", "-map", "2:a", "-map", "3:s", "-map_metadata", "4",
        *clips.picture_out("25"), "-c:a", "aac", "-metadata:s:a:0", "language=deu",
        "-metadata:s:a:1", "language=fra", "-disposition:a:1", "default", "-c:s", "srt",
        str(source),
    )  # fmt: skip
    for lag_ms, way in ((200, "drop"), (-200, "encode")):
        assert moved(source, copy, [Piece(0.0, None, lag_ms)]) == way
        for stream in ("0:v", "0:a:1", "0:s"):
            assert packets(source, stream) == packets(copy, stream), (way, stream)
        assert packets(source, "0:a:0") != packets(copy, "0:a:0")
        told = [listing(path) for path in (source, copy)]
        assert told[0] == told[1]
        assert "title : A film" in " ".join(" ".join(told[1]).split())


def listing(path: Path) -> list[str]:
    """What ffmpeg says about tracks, chapters and metadata, without sizes and rates."""
    command = [str(find_ffmpeg()), "-nostdin", "-hide_banner", "-i", str(path)]
    lines = subprocess.run(command, timeout=60, capture_output=True, text=True).stderr.splitlines()
    skipped = ("Duration", "DURATION", "ENCODER", "encoder", "from '", "At least", "0x")
    plain = [line.split(", 1k tbn")[0] for line in lines if not any(w in line for w in skipped)]
    return [line for line in plain if line.strip()]


def test_refusals(clips, tmp_path):
    source = make(clips, "mp4", "aac", 200)
    info = probe(source)
    contents = list_contents(info, CARRIERS[".mp4"])
    with pytest.raises(UsageError, match="kind of file"):
        carrier("x.txt")
    with pytest.raises(UsageError, match="longer than the file"):
        plan_copies(the_move(info, [Piece(0.0, None, -2900)], ".mp4"), contents)
    with pytest.raises(UsageError, match="a number of ms"):
        plan_copies(the_move(info, [Piece(0.0, None, float("nan"))], ".mp4"), contents)
    # H.264 does not go into webm.
    recipes = plan_copies(the_move(info, [Piece(0.0, None, 200)], ".webm"), contents)
    target = tmp_path / "x.webm"
    with (
        pytest.raises(DecodeError, match=r"cannot write .*x\.webm"),
        file_beside(target) as partial,
    ):
        write_copy(info, recipes, partial, target)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", sorted(CARRIERS))
def test_carriers_name_codecs_they_take(kind):
    into = CARRIERS[kind]
    assert {into.lossy, into.lossless} <= into.codecs
    assert sound_codec(into, "dts") == into.lossy
    assert is_lossless(sound_codec(into, "pcm_s16le")) or into.lossless == into.lossy


def test_bit_rates_never_fall_below_the_sources():
    assert encoder_options("aac", 0, 2, 48_000, 320)["b:a:0"] == "320k"
    assert encoder_options("aac", 1, 2, 48_000, 0)["b:a:1"] == "192k"
    assert encoder_options("ac3", 0, 6, 48_000, 500)["b:a:0"] == "640k"
    assert "b:a:0" not in encoder_options("flac", 0, 2, 48_000, 900)
    assert encoder_options("opus", 0, 2, 44_100, 0)["ar:a:0"] == "48000"
    vorbis = encoder_options("vorbis", 0, 1, 16_000, 0)
    assert "q:a:0" in vorbis and "b:a:0" not in vorbis, "its encoder refuses most of them"


def test_data_that_quicktime_rebuilds_is_not_copied():
    streams = [
        ("video", "h264", "avc1"), ("audio", "aac", "mp4a"), ("data", "none", "tmcd"),
        ("data", "bin_data", "gpmd"), ("data", "bin_data", "text"),
    ]  # fmt: skip
    said = [
        {"index": n, "codec_type": kind, "codec_name": codec, "codec_tag_string": tag}
        for n, (kind, codec, tag) in enumerate(streams)
    ]
    said[1]["bit_rate"] = "129123"
    contents = read_contents({"streams": said}, CARRIERS[".mov"])
    assert [track.index for track in contents.mapped] == [0, 1, 3]
    assert [track.index for track in contents.data] == [3]
    assert contents.kbps(1) == 129
    without = contents.without_data()
    assert [track.index for track in without.left_out] == [3]


def test_an_index_at_the_front_stays_there(clips, tmp_path):
    source = make(clips, "mp4", "aac", 200)
    assert not list_contents(probe(source), CARRIERS[".mp4"]).index_first
    front, copy = tmp_path / "front.mp4", tmp_path / "copy.mp4"
    clips.run("-i", str(source), "-c", "copy", "-movflags", "+faststart", str(front))
    moved(front, copy, [Piece(0.0, None, 200)])
    head = copy.read_bytes()[:2000]
    assert 0 < head.find(b"moov") < (head.find(b"mdat") if b"mdat" in head else 2001)


def test_sound_that_becomes_shorter_is_no_damage(tmp_path: Path) -> None:
    # Film of 24 frames shown at 25: the sound, left as it was, goes on after the picture.
    source, target = tmp_path / "fast.mov", tmp_path / "fixed.mov"
    picture = ["-f", "lavfi", "-i", "testsrc=s=64x48:d=67.2:r=10"]
    sound = ["-f", "lavfi", "-i", "sine=d=70:r=8000"]
    command = [str(find_ffmpeg()), "-v", "error", *picture, *sound]
    command += ["-c:v", "mpeg4", "-c:a", "pcm_s16le", str(source)]
    subprocess.run(command, check=True, timeout=60)
    moved(source, target, [Piece(0.0, None, 0.0, 2500.0)])
    assert probe(target).duration_s == pytest.approx(67.2, abs=0.1)
