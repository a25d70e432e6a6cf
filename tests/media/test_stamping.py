"""Picture times where stamps are few, missing, in the wrong order, shifted, wrapped or rounded."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from avsync_cli.media.decode import Timeline
from avsync_cli.media.packets import Packet, PacketReader, copied
from avsync_cli.media.probe import probe
from avsync_cli.media.soundness import OrderLog, is_doubtful, judge_stamps
from avsync_cli.media.source import Source
from tests.media_kinds import VIDEO, encoder
from tests.media_surgery import drop_index, telecine, thin_stamps
from tests.read_all import read_all

CODECS = ("h264", "hevc 10 bit", "mpeg2")
TICK_S = Fraction(1, 1000)


def mux(clips, name: str, codec: str, *extra: str, rate: str = "25") -> Path:
    path = clips.folder / name
    if not path.exists():
        video = encoder(VIDEO[codec])
        if video is None:
            pytest.skip(f"no encoder: {codec}")
        sound = {".avi": "pcm_s16le", ".mxf": "pcm_s16le", ".ts": "mp2"}.get(path.suffix, "aac")
        inputs = [*clips.picture(rate), "-i", str(clips.sound())]
        clips.run(*inputs, "-c:v", *video, "-c:a", sound, *extra, str(path))
    return path


def says_why_or_is_right(measure_clip, path: Path) -> str:
    """What the stamps are worth, after it was checked that the offset is right or doubted."""
    with Timeline(path) as timeline:
        for _ in timeline:
            pass
        if timeline.stamps_doubt:
            return "unsound"
    _, offset_s = measure_clip(read_all(path), 0.0)
    assert abs(offset_s) < 0.010
    return timeline.video.stamps


@pytest.mark.parametrize("codec", CODECS)
def test_stamps_on_key_pictures_alone(clips, measure_clip, codec):
    whole = mux(clips, f"whole-{codec[:4]}.ts", codec)
    path = clips.folder / f"keys-{codec[:4]}.ts"
    path.write_bytes(thin_stamps(whole.read_bytes(), lambda n, is_key: is_key))
    assert says_why_or_is_right(measure_clip, path) == "rebuilt"


@pytest.mark.parametrize("grain", ((10, 3), (20, 6)))
@pytest.mark.parametrize("kind", ("mpg", "vob"))
def test_pictures_that_share_a_block_of_a_program_stream(clips, measure_clip, kind, grain):
    """Only the first that begins in a block has a stamp: about half of small ones."""
    noise = ("-vf", f"noise=alls={grain[0]}:allf=t", "-qscale:v", str(grain[1]))
    path = mux(clips, f"sharing{grain[0]}.{kind}", "mpeg2", *noise, "-bf", "2", "-c:a", "mp2")
    video = probe(path).video[0]
    assert (video.fps, video.vfr) == (25, False)
    assert says_why_or_is_right(measure_clip, path) == "sound"


@pytest.mark.parametrize("codec", ("h264", "mpeg2"))
@pytest.mark.parametrize("kind", ("mp4", "mxf"))
def test_stamps_in_the_order_of_decoding(clips, measure_clip, codec, kind):
    ordered = mux(clips, f"ordered-{codec[:4]}.avi", codec)
    path = clips.folder / f"ordered-{codec[:4]}.{kind}"
    sound = "aac" if kind == "mp4" else "copy"
    clips.run("-i", str(ordered), "-c", "copy", "-c:a", sound, str(path))
    says_why_or_is_right(measure_clip, path)


def test_b_pictures_without_numbers_are_put_in_order(clips, measure_clip):
    ordered = mux(clips, "ordered-mpeg4.avi", "mpeg4 B frames")
    path = clips.folder / "ordered-mpeg4.mp4"
    clips.run("-i", str(ordered), "-c", "copy", "-c:a", "aac", str(path))
    assert says_why_or_is_right(measure_clip, path) == "rebuilt"


def test_an_edit_that_cuts_by_the_order_of_decoding_is_doubted(clips):
    """As `ffmpeg -i film.h264 -i sound.wav -c copy film.mp4` writes it."""
    whole = mux(clips, "bare.mkv", "h264", "-bf", "3", "-g", "50")
    bare = clips.folder / "bare.h264"
    clips.run("-i", str(whole), "-map", "0:v", "-c", "copy", str(bare))
    path = clips.folder / "bare.mp4"
    clips.run("-r", "25", "-i", str(bare), "-i", str(clips.sound()), "-c:v", "copy", str(path))
    assert probe(path).video[0].stamps == "unsound"


def test_asf_does_not_say_how_long_the_first_picture_is_held_back(clips, measure_clip):
    path = mux(clips, "reordered.asf", "mpeg4 B frames")
    assert says_why_or_is_right(measure_clip, path) == "unsound"
    assert says_why_or_is_right(measure_clip, mux(clips, "plain.asf", "mpeg4")) == "sound"


def test_a_first_picture_that_is_held_longer_moves_no_other(clips, measure_clip):
    """Half a step longer: counted from it, all others would lie between two steps of 25 fps."""
    sounds, pictures = clips.folder / "held.wav", clips.folder / "held.avi"
    clips.run("-i", str(clips.sound()), "-af", "adelay=20:all=1", str(sounds))
    held = ["-bsf:v", "setts=ts=if(N\\,2*N+1\\,0):time_base=1/50", "-c:v", "mjpeg", "-an"]
    clips.run(*clips.picture("25"), *held, str(pictures))
    path = clips.folder / "held.mkv"
    clips.run("-i", str(pictures), "-i", str(sounds), "-c", "copy", str(path))
    info = probe(path)
    assert (info.video[0].fps, info.video[0].vfr) == (25, False)
    assert float(info.video[0].phase_s) == pytest.approx(-0.020)
    assert says_why_or_is_right(measure_clip, path) == "sound"


def test_a_program_stream_put_together_of_two_goes_on(clips, measure_clip):
    """Both begin at the same time: counted from the first stamp, pictures seem to be missing."""
    noise = ("-vf", "noise=alls=10:allf=t", "-qscale:v", "3")
    one = mux(clips, "half.vob", "mpeg2", *noise, "-bf", "2", "-c:a", "mp2")
    joined = clips.folder / "both.vob"
    joined.write_bytes(2 * one.read_bytes())
    assert says_why_or_is_right(measure_clip, joined) == "sound"
    chunk = read_all(joined)
    second_s = (len(chunk.frames) - len(read_all(one).frames)) / 25
    assert second_s == pytest.approx(len(chunk.frames) / 50, abs=0.1)
    assert abs(measure_clip(chunk, 0.0, second_s)[1]) < 0.025


def test_film_on_a_dvd_is_shown_for_three_fields_and_two(clips, measure_clip):
    """Some of its pictures have no stamp, and there is no even rate to rebuild them by."""
    film, fields = clips.folder / "film.m2v", clips.folder / "fields.m2v"
    noise = ("-vf", "noise=alls=10:allf=t")
    clips.run(*clips.picture("24000/1001"), "-c:v", *encoder(VIDEO["mpeg2"]), *noise, str(film))
    fields.write_bytes(telecine(film.read_bytes()))
    offsets_s = []
    for kind in ("mkv", "vob"):
        path = clips.folder / f"fields.{kind}"
        clips.run("-fflags", "+genpts", "-i", str(fields), "-i", str(clips.sound()), "-map", "0:v",
                  "-map", "1:a", "-c:v", "copy", "-c:a", "ac3", str(path))  # fmt: skip
        assert probe(path).video[0].vfr
        assert probe(path).video[0].stamps == "sound"
        offsets_s.append(measure_clip(read_all(path), 0.0)[1])
    assert offsets_s[0] == pytest.approx(offsets_s[1], abs=0.010)
    with PacketReader(Source.of(path), copied("v:0", fflags="nofillin")) as packets:
        stored = [packet.pts is not None for packet in packets]
    assert 10 <= sum(stored) < 0.9 * len(stored)


@pytest.mark.parametrize("codec", ("h264", "mpeg2"))
def test_mxf_without_an_index(clips, measure_clip, codec):
    whole = mux(clips, f"indexed-{codec[:4]}.mxf", codec)
    path = clips.folder / f"unindexed-{codec[:4]}.mxf"
    path.write_bytes(drop_index(whole.read_bytes()))
    assert path.read_bytes() != whole.read_bytes()
    assert says_why_or_is_right(measure_clip, path) == "order"


@settings(
    max_examples=8,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # shrinking takes minutes
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    codec=st.sampled_from(CODECS),
    keep=st.floats(0.0, 1.0),
    seed=st.integers(0, 1 << 16),
    shift_s=st.sampled_from((0, 7, 3600, 95_441)),
    kind=st.sampled_from(("ts", "m2ts", "mkv", "mp4")),
    grid_ms=st.sampled_from((0, 4, 10)),
)
def test_any_mux_is_right_or_says_why(
    clips, measure_clip, codec, keep, seed, shift_s, kind, grid_ms
):
    whole = mux(clips, f"any-{codec[:4]}-{shift_s}.ts", codec, "-output_ts_offset", str(shift_s))
    path = clips.folder / f"any.{kind}"
    if kind == "ts":
        # A hash, so that which stamps stay does not depend on how many were asked about.
        kept = lambda n, is_key: (seed * 2_654_435_761 + n * 40_503) % 1000 < 1000 * keep  # noqa: E731
        path.write_bytes(thin_stamps(whole.read_bytes(), kept))
    else:
        step = (grid_ms or 1) * (1 if kind == "mkv" else 90)
        rounded = f"setts=pts=round(PTS/{step})*{step}:dts=round(DTS/{step})*{step}"
        mode = ["-mpegts_m2ts_mode", "1"] if kind == "m2ts" else []
        bitstream = ["-bsf:v", rounded] if grid_ms else []
        clips.run("-i", str(whole), "-c", "copy", *bitstream, *mode, str(path))
    says_why_or_is_right(measure_clip, path)


def packets(*stamps: int | None) -> list[Packet]:
    rest = {"stream": 0, "dts": None, "duration": 0, "size": 9, "checksum": 0}
    return [Packet(pts=pts, is_key=k == 0, **rest) for k, pts in enumerate(stamps)]


RANKS = (0, 3, 1, 2, 6, 4, 5)


def test_one_true_stamp_is_enough():
    for k, rank in enumerate(RANKS):
        stamps: list[int | None] = [None] * len(RANKS)
        stamps[k] = 500 + 40 * rank
        found = judge_stamps(packets(*stamps), RANKS, TICK_S, Fraction(25))
        assert (found.kind, found.first_s) == ("rebuilt", Fraction(1, 2))


def test_a_single_stamp_of_the_next_picture_contradicts_nothing():
    stamps = [40 * k if k % 4 else None for k in range(40)]
    stamps[13] = 40 * 14
    found = judge_stamps(packets(*stamps), range(40), TICK_S, Fraction(25), container="mpeg")
    assert (found.kind, found.first_s) == ("rebuilt", 0)


def test_what_cannot_be_rebuilt_says_why():
    few = packets(0, None, None)
    assert judge_stamps(few, None, TICK_S, Fraction(25)).kind == "unsound"
    none = packets(None, None)
    assert judge_stamps(none, (0, 1), TICK_S, Fraction(25)).kind == "order"
    assert judge_stamps(none, (0, 1), TICK_S, Fraction(25), container="mpegts").kind == "unsound"
    assert "1 of 3" in judge_stamps(few, (0, 2, 1), TICK_S, None).reason
    apart = packets(0, 400, None)
    assert "contradict" in judge_stamps(apart, (0, 2, 1), TICK_S, Fraction(25)).reason


def test_complete_stamps_in_the_bitstreams_order_are_sound():
    stamps = [40 * rank for rank in RANKS]
    assert judge_stamps(packets(*stamps), RANKS, TICK_S, Fraction(25)).kind == "sound"
    decoding = packets(*(40 * k for k in range(len(RANKS))))
    found = judge_stamps(decoding, RANKS, TICK_S, Fraction(25), container="mov,mp4")
    assert (found.kind, found.first_s) == ("rebuilt", 0)
    found = judge_stamps(decoding, RANKS, TICK_S, Fraction(25), container="matroska,webm")
    assert (found.kind, "order of decoding" in found.reason) == ("unsound", True)
    assert is_doubtful("h264", decoding)
    assert not is_doubtful("vp9", decoding)
    assert not is_doubtful("h264", packets(*stamps))
    assert is_doubtful("vp9", packets(0, None))


def test_numbers_of_few_bits_go_on():
    log = OrderLog()
    own = "\x1b[1;34m[trace_headers @ 0x55] \x1b[0m[info] "
    assert not log.take_line("[trace_headers @ 0x55] [info] Packet: 9 bytes, key frame, pts 0,")
    assert log.take_line(own + "34          log2_max_pic_order_cnt_lsb_minus4     1 = 0")
    order = [0, 6, 2, 4, 12, 8, 10, 18, 14, 16, 24, 20, 22]
    for number, value in enumerate(order):
        key = " key frame," if number == 0 else ""
        assert log.take_line(f"{own}Packet: 9 bytes,{key} pts 0, dts 0")
        log.take_line(f"{own}22          pic_order_cnt_lsb       000 = {value % 16}")
    assert log.ranks() == [value // 2 for value in order]


def test_pictures_a_thousand_seconds_apart_are_no_joints(clips):
    path = clips.folder / "apart.mkv"
    apart = ["-vf", "settb=1/1000,setpts=N*1000000", "-fps_mode", "passthrough"]
    coded = ["-enc_time_base", "1/1000", "-c:v", "mjpeg", "-c:a", "flac", "-t", "9000"]
    clips.run(*clips.picture("25"), "-i", str(clips.sound()), *apart, *coded, str(path))
    assert probe(path).filler_s > 6000
