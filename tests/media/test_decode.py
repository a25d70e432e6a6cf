"""The timeline's contract: sizes, clock, and filler marked as filler."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from avsync_cli.media import clock
from avsync_cli.media.clock import Epochs, Stretch, timeline_zero
from avsync_cli.media.decode import Timeline
from avsync_cli.media.facts import MediaInfo, VideoTrack
from avsync_cli.media.picture import frame_size
from avsync_cli.media.probe import probe
from avsync_cli.media.sound import to_mono
from avsync_cli.media.source import Source
from tests.read_all import read_all


@pytest.fixture(scope="module")
def clip(clips) -> Path:
    return clips.make("decode.mp4")


# --- shape --------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk_frames", (1, 13, 70, 500))
def test_chunks_follow_on_and_do_not_depend_on_their_size(clip, chunk_frames):
    with Timeline(clip) as timeline:
        (whole,) = timeline
    with Timeline(clip, chunk_frames=chunk_frames) as timeline:
        assert timeline.frame_size == (48, 64)
        chunks = list(timeline)
    assert all(len(chunk.frames) == chunk_frames for chunk in chunks[:-1])
    position = 0
    for chunk in chunks:
        count = len(chunk.frames)
        assert chunk.first_frame == position
        assert chunk.frames.shape == (count, 72, 64)
        assert chunk.frames.dtype == np.uint8
        assert chunk.frame_valid.shape == (count,)
        assert chunk.sound.shape == (count * 640,)
        assert chunk.sound.dtype == np.float32
        assert chunk.sound_valid.shape == (count * 4,)
        assert np.abs(chunk.sound).max() <= 1
        position += count
    # 2.8 s of picture; the last AAC frame may reach a little further.
    assert position in (70, 71)
    np.testing.assert_array_equal(np.concatenate([c.frames for c in chunks]), whole.frames)
    np.testing.assert_array_equal(
        np.concatenate([c.frame_valid for c in chunks]), whole.frame_valid
    )
    np.testing.assert_array_equal(
        np.concatenate([c.sound_valid for c in chunks]), whole.sound_valid
    )
    # The loudest-channel rule works piece by piece, not chunk by chunk.
    np.testing.assert_array_equal(np.concatenate([c.sound for c in chunks]), whole.sound)
    assert whole.frame_valid[:70].all()
    assert whole.sound_valid[:279].all()


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


@pytest.mark.parametrize("pixels", ["yuv420p", "yuvj420p", "yuv444p", "gray", "gbrp"])
def test_planes_are_levels_of_video_whatever_the_file_holds(clips, pixels: str):
    path = clips.folder / f"{pixels}.mkv"
    picture = "color=black:s=64x48:r=25:d=1,drawbox=0:0:32:48:white:fill"
    codec = {"gray": "ffv1", "gbrp": "ffv1", "yuvj420p": "mjpeg"}.get(pixels, "libx264")
    clips.run(
        *["-f", "lavfi", "-i", picture, "-i", str(clips.sound()), "-t", "1"],
        *["-pix_fmt", pixels, "-c:v", codec, "-c:a", "flac", str(path)],
    )
    with Timeline(path) as timeline:
        frame = next(timeline).frames[3]
    assert frame.shape == (72, 64)
    np.testing.assert_allclose(frame[:48, :28], 235, atol=2)
    np.testing.assert_allclose(frame[:48, 36:], 16, atol=2)
    np.testing.assert_allclose(frame[48:], 128, atol=2)


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
    monkeypatch.setattr(clock, "LOOSE_PREROLL_S", 2.0)
    path = clips.make(f"later.{kind}", seconds=8)
    whole = read_all(path)
    part = read_all(path, start_s=5.04, duration_s=1.6)
    info = probe(path)
    assert Stretch.of(info, info.video[0], 5.04, 1.6).seek_s is not None
    assert part.first_frame == 126
    assert len(part.frames) == 40
    np.testing.assert_array_equal(part.frames, whole.frames[126:166])
    assert part.frame_valid.all()
    assert part.sound_valid.all()


@pytest.mark.parametrize("kind", ("mp4", "mkv", "ts"))
def test_sound_after_a_jump_is_in_place(clips, monkeypatch, kind):
    monkeypatch.setattr(clock, "LOOSE_PREROLL_S", 2.0)
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
        ("25", False, "0.021", "-0.019"),  # nearer than 21 ms ahead
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
    track = VideoTrack(
        index=0,
        position=0,
        codec="h264",
        start_s=zero + Fraction(start),
        width=64,
        height=48,
        fps=Fraction(fps),
        vfr=vfr,
    )
    info = file_info("mpegts", zero, (track,))
    assert timeline_zero(info, track) - zero == Fraction(moved)


def file_info(
    container: str, zero: Fraction = Fraction(0), video: tuple[VideoTrack, ...] = ()
) -> MediaInfo:
    return MediaInfo(
        file=Source.of("x"),
        container=container,
        start_s=zero,
        duration_s=1.0,
        video=video,
        audio=(),
    )


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
    epochs = Epochs(file_info("mpegts"))
    assert epochs.is_jump(-0.5)
    assert epochs.is_jump(11)
    assert not epochs.is_jump(5)
    assert not Epochs(file_info("mov,mp4")).is_jump(11)
    assert Epochs(file_info("mov,mp4")).is_jump(3600)
    assert epochs.correction(-100.0) == -100.0
    assert epochs.correction(-100.4) == -100.0
    assert epochs.correction(0.3) == 0.0
    assert epochs.correction(50.0) == 50.0


# --- filler -------------------------------------------------------------------------------------


def test_late_picture_is_filled_and_marked(clips):
    path = clips.folder / "late-picture.mp4"
    late = ["-itsoffset", "0.5", *clips.picture("25")]
    out = [*clips.picture_out("25"), "-fps_mode", "passthrough", "-c:a", "aac"]
    clips.run(*late, "-i", str(clips.sound()), *out, str(path))
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
    coding = ["-c:v", "mpeg2video", "-q:v", "2", "-flags", "+ildct+ilme"]
    marked = ["-vf", "format=yuv420p,setfield=tff"]
    clips.run(
        *(*source, "-i", str(raw), "-i", str(clips.sound(seconds=1)), *marked, *coding),
        *("-c:a", "mp2", str(path)),
    )
    combed = np.abs(np.diff(frames.astype(float), axis=1)).mean()
    shown = read_all(path).frames.mean(axis=3)
    assert np.abs(np.diff(shown, axis=1)).mean() < combed / 5
