"""The timeline's contract: sizes, clock, filler marked as filler, bounded, clean at every end."""

from __future__ import annotations

import itertools
import time
from fractions import Fraction
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
    UsageError,
)
from avsync_cli.media import decode
from avsync_cli.media.clock import Epochs
from avsync_cli.media.decode import Timeline, read_all, timeline_zero
from avsync_cli.media.picture import frame_size
from avsync_cli.media.probe import MediaInfo, VideoTrack, probe
from avsync_cli.media.sound import to_mono
from avsync_cli.media.stamps import Stamps


@pytest.fixture(scope="module")
def clip(clips) -> Path:
    return clips.make("decode.mp4")


def children(timeline: Timeline) -> list[int]:
    return [reader._stream.pid for reader in (timeline._picture, timeline._sound)]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


# --- shape --------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk_frames", (1, 13, 70, 500))
def test_chunks_follow_on_and_do_not_depend_on_their_size(clip, chunk_frames):
    whole = read_all(clip)
    with Timeline(clip, chunk_frames=chunk_frames) as timeline:
        assert timeline.frame_size == (48, 64)
        chunks = list(timeline)
    assert all(len(chunk.frames) == chunk_frames for chunk in chunks[:-1])
    position = 0
    for chunk in chunks:
        count = len(chunk.frames)
        assert chunk.first_frame == position
        assert chunk.frames.shape == (count, 48, 64, 3)
        assert chunk.frames.dtype == np.uint8
        assert chunk.frame_valid.shape == (count,)
        assert chunk.sound.shape == (count * 640,)
        assert chunk.sound.dtype == np.float32
        assert chunk.sound_valid.shape == (count * 4,)
        assert np.abs(chunk.sound).max() <= 1
        position += count
    assert position == 70
    np.testing.assert_array_equal(np.concatenate([c.frames for c in chunks]), whole.frames)
    np.testing.assert_array_equal(
        np.concatenate([c.frame_valid for c in chunks]), whole.frame_valid
    )
    np.testing.assert_array_equal(
        np.concatenate([c.sound_valid for c in chunks]), whole.sound_valid
    )
    # The loudest-channel rule works piece by piece, not chunk by chunk.
    np.testing.assert_array_equal(np.concatenate([c.sound for c in chunks]), whole.sound)
    assert whole.frame_valid.all()
    assert whole.sound_valid[:-2].all()


@pytest.mark.parametrize(
    ("width", "height", "limit", "expected"),
    [
        (1920, 1080, 360, (360, 640)),
        (1080, 1920, 360, (360, 202)),
        (640, 360, 720, (360, 640)),
        (641, 361, 720, (360, 640)),
        (3, 3, 360, (2, 2)),
        (1, 1, 360, (2, 2)),
        (20_000, 100, 360, (8, 1440)),
        (2, 4000, 360, (360, 2)),
    ],
)
def test_frame_size(width, height, limit, expected):
    assert frame_size(width, height, limit) == expected


def test_frames_are_scaled_and_upright(clips, clip):
    wide = clips.folder / "decode-wide.mp4"
    clips.run("-i", str(clip), "-c", "copy", "-aspect", "8:3", str(wide))
    assert read_all(wide, duration_s=0.2).frames.shape[1:3] == (48, 128)
    assert read_all(wide, duration_s=0.2, max_height=24).frames.shape[1:3] == (24, 64)


def test_colour_order_is_rgb(clips):
    path = clips.folder / "red.mkv"
    red = ["-f", "lavfi", "-i", "color=red:s=64x48:r=25:d=1"]
    clips.run(*red, "-i", str(clips.sound()), "-t", "1", "-c:a", "flac", str(path))
    colour = read_all(path).frames[3].mean(axis=(0, 1))
    assert colour[0] > 200
    assert colour[1:].max() < 60


def test_quarter_turn_is_undone(clips, tmp_path):
    path, turned = tmp_path / "upright.mp4", tmp_path / "turned.mp4"
    picture = ["-f", "lavfi", "-i", "color=black:s=64x48:r=25:d=1,drawbox=0:0:64:12:white:fill"]
    clips.run(*picture, "-i", str(clips.sound()), "-t", "1", "-c:v", "libx264", str(path))
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = bytes.fromhex(
        "00000000" + "00010000" + "00000000" + "ffff0000" + "0" * 32 + "40000000"
    )
    turned.write_bytes(data)
    frame = read_all(turned).frames[5].mean(axis=2)
    assert frame.shape == (64, 48)
    # The white top edge is the right edge after a quarter turn clockwise.
    assert frame[:, -8:].min() > 180
    assert frame[:, :30].max() < 60


# --- clock --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", ("25", "30", "50", "60000/1001", "24000/1001", "120", "12", "vfr"))
def test_nearest_frame_has_no_bias(clips, measure_clip, rate):
    path = clips.make(f"bias-{rate.replace('/', '-')}.mp4", rate=rate)
    late_s, offset_s = measure_clip(read_all(path), 0.0)
    # The last frame that rounds to a step would be 12 ms off at 60 fps, 16 at 120.
    assert abs(late_s) < 0.005
    assert abs(offset_s) < 0.005


@pytest.mark.parametrize("codec", ("mpeg4", "libx264"))
def test_avi_without_time_stamps(clips, measure_clip, codec):
    path = clips.folder / f"reordered-{codec}.avi"
    sound = ["-i", str(clips.sound()), "-c:a", "pcm_s16le"]
    clips.run(*clips.picture("25"), *sound, "-c:v", codec, "-bf", "2", "-q:v", "2", str(path))
    _, offset_s = measure_clip(read_all(path), 0.0)
    assert abs(offset_s) < 0.010


@pytest.mark.parametrize("kind", ("mp4", "mkv", "webm", "ts"))
def test_starting_later_gives_the_same(clips, monkeypatch, kind):
    monkeypatch.setattr(decode, "LOOSE_PREROLL_S", 2.0)
    path = clips.make(f"later.{kind}", seconds=8)
    whole = read_all(path)
    part = read_all(path, start_s=5.04, duration_s=1.6)
    assert decode._seek_target(probe(path), probe(path).video[0], 5.04) is not None
    assert part.first_frame == 126
    assert len(part.frames) == 40
    np.testing.assert_array_equal(part.frames, whole.frames[126:166])
    assert part.frame_valid.all()
    assert part.sound_valid.all()


@pytest.mark.parametrize("kind", ("mp4", "mkv", "ts"))
def test_sound_after_a_jump_is_in_place(clips, monkeypatch, kind):
    monkeypatch.setattr(decode, "LOOSE_PREROLL_S", 2.0)
    path = clips.folder / f"noise.{kind}"
    wave = clips.folder / "noise.wav"
    noise = np.random.default_rng(3).normal(0, 0.1, 8 * 48_000)
    clips.write_wave(wave, np.convolve(noise, np.ones(8) / 8, "same")[:, None])
    picture = [*clips.picture("25", 8), "-i", str(wave), *clips.picture_out("25")]
    clips.run(*picture, "-c:a", "aac", "-b:a", "128k", str(path))
    whole = read_all(path).sound[126 * 640 : 166 * 640]
    part = read_all(path, start_s=5.04, duration_s=1.6).sound
    lags = range(-40, 41)
    match = [float(np.dot(whole[200:-200], np.roll(part, lag)[200:-200])) for lag in lags]
    assert abs(lags[int(np.argmax(match))]) <= 8  # half a millisecond


@pytest.mark.parametrize(
    ("fps", "vfr", "start", "moved"),
    [
        ("25", False, "0.021", "0.021"),
        ("25", False, "0.007", "0.007"),
        ("25", False, "0.033", "-0.007"),
        ("25", False, "1.213", "0.013"),
        ("50", False, "0.013", "-0.007"),
        ("12.5", False, "0.021", "-0.019"),
        ("30", False, "0.021", "0"),
        ("25", True, "0.021", "0"),
    ],
)
def test_zero_is_where_25_fps_frames_are(fps, vfr, start, moved):
    zero = Fraction(7, 5)
    track = VideoTrack(0, 0, "h264", 64, 48, Fraction(fps), vfr, zero + Fraction(start), False)
    info = MediaInfo("x", "mpegts", zero, 1.0, (track,), ())
    expected = Fraction(moved)
    if fps == "25" and start == "0.021":
        expected -= Fraction(1, 25)  # 19 ms back is nearer than 21 ahead
    assert timeline_zero(info, track) - zero == expected


def test_stamps_wrap_around(clips, measure_clip):
    # 33 bits of 90 kHz end at 95443.7 s; the clip passes that in its middle.
    path = clips.make("wrap.ts", "-output_ts_offset", "95441.3")
    chunk = read_all(path)
    assert 68 <= len(chunk.frames) <= 72
    _, offset_s = measure_clip(chunk, 0.0)
    assert abs(offset_s) < 0.010


@pytest.mark.parametrize("first_s", (0, 5000))
def test_joined_streams_carry_on_together(clips, measure_clip, first_s):
    one = clips.make(f"one-{first_s}.ts", "-output_ts_offset", str(first_s))
    two = clips.make(f"two-{first_s}.ts", "-output_ts_offset", "900")
    joined = clips.folder / f"joined-{first_s}.ts"
    joined.write_bytes(one.read_bytes() + two.read_bytes())
    chunk = read_all(joined)
    assert 136 <= len(chunk.frames) <= 146
    _, offset_s = measure_clip(chunk, 0.0)
    assert abs(offset_s) < 0.010
    _, offset_s = measure_clip(chunk, 0.0, len(chunk.frames) / 25 - clips_length(two))
    assert abs(offset_s) < 0.025


def clips_length(path: Path) -> float:
    return len(read_all(path).frames) / 25


def test_both_tracks_take_the_same_correction():
    epochs = Epochs("mpegts")
    assert epochs.is_jump(-0.5)
    assert epochs.is_jump(11)
    assert not epochs.is_jump(5)
    assert not Epochs("mov,mp4").is_jump(11)
    assert Epochs("mov,mp4").is_jump(3600)
    assert epochs.correction(-100.0) == -100.0
    assert epochs.correction(-100.4) == -100.0
    assert epochs.correction(0.3) == 0.0
    assert epochs.correction(50.0) == 50.0


# --- filler -------------------------------------------------------------------------------------


def test_late_picture_is_filled_and_marked(clips):
    path = clips.folder / "late-picture.mp4"
    late = ["-itsoffset", "0.5", *clips.picture("25")]
    clips.run(*late, "-i", str(clips.sound()), *clips.picture_out("25"), "-c:a", "aac", str(path))
    chunk = read_all(path)
    assert len(chunk.frames) == 83  # 0.5 s + 2.8 s, rounded up
    # The first frame, at 0.5 s, reaches 60 ms back.
    assert np.flatnonzero(chunk.frame_valid).tolist() == list(range(12, 83))
    assert (chunk.frames[0] == chunk.frames[12]).all()
    assert not chunk.sound_valid[-45:].any()
    assert chunk.sound_valid[:275].all()


def test_late_sound_is_silence_and_marked(clips):
    path = clips.folder / "late-sound.mkv"
    late = ["-itsoffset", "0.5", "-i", str(clips.sound())]
    clips.run(*clips.picture("25"), *late, *clips.picture_out("25"), "-c:a", "flac", str(path))
    chunk = read_all(path)
    first = int(np.flatnonzero(chunk.sound_valid)[0])
    assert first in (49, 50, 51)
    assert (chunk.sound[: first * 160 - 160] == 0).all()
    assert chunk.frame_valid[:70].all()
    assert not chunk.frame_valid[72:].any()


def test_gap_in_sound_is_marked_and_nothing_slides(clips, measure_clip):
    path = clips.folder / "gap-sound.mkv"
    # 1.3 to 1.5 s are missing, between two events.
    gap = ["-af", "asetnsamples=480,aselect='not(between(t,1.299,1.499))'"]
    sound = ["-i", str(clips.sound()), *gap, "-c:a", "pcm_s16le"]
    clips.run(*clips.picture("25"), *sound, *clips.picture_out("25"), str(path))
    chunk = read_all(path)
    missing = np.flatnonzero(~chunk.sound_valid[:275])
    assert 18 <= len(missing) <= 23
    assert missing.min() >= 128
    assert missing.max() <= 152
    _, offset_s = measure_clip(chunk, 0.0)
    assert abs(offset_s) < 0.010


def test_gap_in_picture_is_marked(clips):
    path = clips.folder / "gap-picture.mkv"
    gap = ["-vf", "select='not(between(t,1.0,1.5))'", "-fps_mode", "passthrough"]
    out = [*clips.picture_out("25"), *gap, "-enc_time_base", "1/1000", "-c:a", "flac"]
    clips.run(*clips.picture("25"), "-i", str(clips.sound()), *out, str(path))
    chunk = read_all(path)
    # Frames 24 (0.96 s) and 38 (1.52 s) are there; each reaches 60 ms, one frame, into the gap.
    assert np.flatnonzero(~chunk.frame_valid).tolist() == list(range(26, 37))


def test_opposite_phase_does_not_cancel(clips):
    path = clips.folder / "opposite.mkv"
    clips.run(
        *clips.picture("25"),
        *("-i", str(clips.sound(channels=2)), "-af", "aeval=val(0)|-val(1):c=same"),
        *(*clips.picture_out("25"), "-c:a", "pcm_s16le", str(path)),
    )
    assert np.abs(read_all(path).sound).max() > 0.3


@pytest.mark.parametrize("layout", ("5.1", "7.1"))
def test_centre_channel_is_kept(clips, layout):
    path = clips.folder / f"centre-{layout}.mkv"
    pan = f"pan={layout}|FC=c0"
    sound = ["-i", str(clips.sound()), "-af", pan, "-c:a", "pcm_s16le"]
    clips.run(*clips.picture("25"), *sound, *clips.picture_out("25"), str(path))
    assert np.abs(read_all(path).sound).max() > 0.15


def test_more_channels_than_layouts(clips):
    path = clips.folder / "many.mkv"
    sound = ["-i", str(clips.sound(channels=12)), "-c:a", "pcm_s16le"]
    clips.run(*clips.picture("25"), *sound, *clips.picture_out("25"), str(path))
    assert probe(path).audio[0].channels == 12
    assert np.abs(read_all(path).sound).max() > 0.3


def test_to_mono():
    tone = np.sin(np.arange(1600, dtype=np.float32))
    np.testing.assert_allclose(to_mono(np.stack([tone, tone], 1)), tone, rtol=1e-6)
    np.testing.assert_allclose(to_mono(np.stack([tone, -tone], 1)), tone, rtol=1e-6)
    np.testing.assert_allclose(to_mono(np.stack([tone, 0 * tone], 1)), tone / 2, rtol=1e-6)
    assert (to_mono(np.zeros((10, 2), np.float32)) == 0).all()


def test_interlaced_is_deinterlaced(clips):
    path, raw = clips.folder / "interlaced.ts", clips.folder / "interlaced.gray"
    rng = np.random.default_rng(1)
    frames = np.zeros((25, 48, 64), np.uint8)
    frames[:, 0::2] = rng.choice([40, 200], 25)[:, None, None]
    frames[:, 1::2] = rng.choice([40, 200], 25)[:, None, None]
    raw.write_bytes(frames.tobytes())
    source = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", "64x48", "-framerate", "25"]
    coding = ["-c:v", "mpeg2video", "-q:v", "2", "-flags", "+ildct+ilme", "-top", "1"]
    marked = ["-vf", "format=yuv420p,setfield=tff"]
    clips.run(
        *(*source, "-i", str(raw), "-i", str(clips.sound(seconds=1)), *marked, *coding),
        *("-c:a", "mp2", str(path)),
    )
    combed = np.abs(np.diff(frames.astype(float), axis=1)).mean()
    shown = read_all(path).frames.mean(axis=3)
    assert np.abs(np.diff(shown, axis=1)).mean() < combed / 5


# --- limits and ends ----------------------------------------------------------------------------


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


def test_second_audio_track(clips, clip):
    path = clips.folder / "two-sounds.mkv"
    maps = ["-map", "0", "-map", "1", "-c:v", "copy", "-c:a", "flac"]
    clips.run("-i", str(clip), "-i", str(clips.sound(0.1)), *maps, str(path))
    first, second = (read_all(path, audio_track=n).sound for n in (0, 1))
    assert np.argmax(np.abs(second)) - np.argmax(np.abs(first)) == pytest.approx(1600, abs=40)


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
    except (DecodeError, NotMediaError) as error:
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


def test_beginning_after_the_end_is_empty(clip):
    chunk = read_all(clip, start_s=100.0)
    assert len(chunk.frames) == 0
    assert len(chunk.sound) == 0


def test_stamps_are_taken_from_their_filter_alone():
    stamps = Stamps("picture")
    assert stamps.take_line("[Parsed_metadata_5 @ 0x55] [info] frame:0    pts:40  pts_time:0.04")
    assert stamps.take_line("[Parsed_metadata_5 @ 0x55] [info] avsync=1")
    assert not stamps.take_line("    title : [Parsed_metadata_5 @ 0x55] frame:1 pts:9 pts_time:9")
    assert stamps.pop("x") == (40, 0)
    assert stamps.pop("x", wait=False) is None
    stamps = Stamps("sound")
    line = "[Parsed_ashowinfo_2 @ 0x55] n:3 pts:-320 pts_time:-0.02 fmt:flt nb_samples:341 chk:0"
    assert stamps.take_line(line)
    assert stamps.pop("x") == (-320, 341)
