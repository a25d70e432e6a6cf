"""The media zoo: a small synthetic file of every kind that turns up, each with a known offset.

    python -m tests.media_zoo            # the table of docs/formats.md
    python -m tests.media_zoo FOLDER     # all the files, to look at

A file shows soft flashes and lets short clicks be heard `lag_ms` after them (see
tests/media/conftest.py). Everything is drawn and synthesised here and coded by the ffmpeg at hand;
an encoder that it lacks leaves the case out, and says so.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from avsync_cli.media.decode import TimelineChunk
from tests.clips import CLIP_S, EVENTS_S, Clips
from tests.media_kinds import LAYOUTS
from tests.media_surgery import (
    cut_by_edit_list,
    jump_stamps,
    shuffle_stamps,
    turn_quarter,
)
from tests.zoo_keeper import Case, Zoo, cut_copy, two_sizes, with_cover, with_data, with_titles

_BLACK = ("-f", "lavfi", "-i", f"color=gray:s=96x64:r=25:d={CLIP_S}")
_HUM = ("-f", "lavfi", "-i", f"sine=100:d={CLIP_S}")
_TWO_AND_TWO = ("-map", "2:v", "-map", "0:v", "-map", "3:a", "-map", "1:a")
_SETTS = "-bsf:v"
_LATE_WRAP = ("-output_ts_offset", "95441.3")
_SHORT = (EVENTS_S[0], EVENTS_S[1])

_AS_IS = ("-avoid_negative_ts", "disabled")
"""Else ffmpeg would move the picture by a frame to make room for the encoder's delay."""

_PRIMING = "the encoder's delay is written neither in the stream nor in the container"

CASES: tuple[Case, ...] = (
    # Containers and codecs, each with another rate, lag and sound.
    Case("plain", "mp4", "h264", "aac", "25", 40, channels=2),
    Case("hevc", "mp4", "hevc 10 bit", "ac3", "24", -120, channels=6),
    Case("av1", "mp4", "av1", "opus", "30", 80, channels=2),
    Case("mpeg4", "mp4", "mpeg4 B frames", "mp3", "12", 120, hz=44_100, channels=2),
    Case("prores", "mov", "prores", "pcm 24 bit", "24000/1001", -40, channels=8, hz=96_000),
    Case("mjpeg", "mov", "mjpeg", "pcm 8 bit", "15", 200, hz=8_000),
    Case("alac", "mov", "h264", "alac", "60", -80, hz=88_200, channels=2),
    Case("flac", "mkv", "h264", "flac", "120", 40, hz=96_000, channels=3),
    Case("vorbis", "mkv", "vp8", "vorbis", "10", -200, hz=22_050, channels=2),
    Case("eac3", "mkv", "hevc 10 bit", "eac3", "60000/1001", 120, channels=6),
    Case("ffv1", "mkv", "ffv1", "pcm 24 bit", "100", -40, channels=4, hz=32_000),
    Case("vp9", "webm", "vp9", "opus", "30000/1001", 80, channels=6),
    Case("av1-webm", "webm", "av1", "vorbis", "25", -120, channels=2),
    Case("vfw", "avi", "mpeg4", "mp3", "25", 0, channels=2, extra=_AS_IS, tolerance_ms=25,
         why=_PRIMING),
    Case("vfw-b", "avi", "mpeg4 B frames", "pcm 16 bit", "30000/1001", 0, hz=11_025),
    Case("camera", "avi", "mjpeg", "adpcm", "15", 0, hz=16_000),
    Case("disc-avi", "avi", "h264", "ac3", "24000/1001", 0, channels=6),
    Case("broadcast", "ts", "mpeg2 interlaced", "mp2", "25", 80, channels=2),
    Case("cable", "ts", "h264", "eac3", "60000/1001", -40, channels=6),
    Case("hevc-ts", "ts", "hevc 10 bit", "aac", "50", 120, channels=2),
    Case("bluray", "m2ts", "h264", "ac3", "24000/1001", -120, channels=6),
    Case("avchd", "m2ts", "mpeg2", "ac3", "50", 40, channels=2),
    Case("program", "mpg", "mpeg2 interlaced", "mp2", "30000/1001", 80, channels=2),
    Case("disc", "vob", "mpeg2", "ac3", "25", -80, channels=6),
    Case("disc-pcm", "vob", "mpeg2 interlaced", "pcm dvd", "25", 40, channels=2),
    Case("vcd", "mpg", "mpeg1", "mp2", "24", 120, hz=44_100, channels=2),
    Case("flash", "flv", "flv1", "mp3", "25", 40, hz=44_100, channels=2),
    Case("stream", "flv", "h264", "aac", "30", -80, channels=2),
    Case("theora", "ogv", "theora", "vorbis", "24", 0, channels=2),
    Case("theora-late", "ogv", "theora", "opus", "25", 200, channels=2),
    Case("phone", "3gp", "h263", "aac", "15", 120, size="176x144", hz=16_000),
    Case("phone-4", "3gp", "mpeg4", "aac", "10", -200, hz=8_000),
    Case("windows", "wmv", "wmv2", "wma2", "25", 80, hz=44_100, channels=2),
    Case("master", "mxf", "mpeg2", "pcm 16 bit", "25", 0),
    Case("nut", "nut", "mpeg4", "mp2", "25", 40, channels=2),
    # Sound.
    Case("mono-8k", "mkv", "mpeg4", "pcm 16 bit", "25", 40, hz=8_000),
    Case("aac-8k", "mp4", "mpeg4", "aac", "25", -40, hz=8_000),
    Case("aac-96k", "mp4", "mpeg4", "aac", "25", 40, hz=96_000, channels=2),
    Case("aac-7.1", "mp4", "mpeg4", "aac", "25", -40, channels=8),
    Case("opus-7.1", "mkv", "mpeg4", "opus", "25", 40, channels=8),
    Case("opus-mp4", "mp4", "mpeg4", "opus", "25", -40, channels=2),
    Case("flac-mp4", "mp4", "mpeg4", "flac", "25", 40, hz=96_000, channels=5,
         extra=("-strict", "-2")),
    Case("pcm-6.1", "mov", "mpeg4", "pcm 24 bit", "25", -40, channels=7),
    Case("mp3-mkv", "mkv", "mpeg4", "mp3", "25", 40, hz=22_050, channels=2),
    Case("aac-mkv", "mkv", "mpeg4", "aac", "25", 40, channels=2),
    # Frame rates.
    Case("vfr-mp4", "mp4", rate="vfr", lag_ms=40, note="uneven frames"),
    Case("vfr-webm", "webm", "vp8", "vorbis", rate="vfr", lag_ms=-40, note="uneven frames"),
    Case(
        "vfr-gaps",
        "mkv",
        "mpeg4",
        "flac",
        "60",
        80,
        "every other few frames missing, and two gaps",
        filters="select='lt(mod(n*n,11),7)*not(between(t,0.82,0.92)+between(t,1.36,1.46))'",
        extra=("-fps_mode:v", "passthrough"),
    ),
    Case(
        "screen",
        "mp4",
        "h264",
        "aac",
        "60",
        -80,
        "frames only where the picture changes",
        filters="mpdecimate=hi=1:lo=1:frac=0",
        extra=("-fps_mode:v", "passthrough"),
    ),
    # Time stamps.
    Case(
        "doubled",
        "mkv",
        "mjpeg",
        "flac",
        "25",
        40,
        "every fifth frame has the time stamp of the one before",
        extra=(_SETTS, "setts=ts='if(eq(mod(N,5),3),PREV_OUTPTS,TS)'"),
    ),
    Case(
        "shuffled",
        "ts",
        "mpeg2",
        "mp2",
        "25",
        40,
        "time stamps that jump back and forth by 60 ms",
        extra=("-bf", "0"),
        surgery=shuffle_stamps,
    ),
    Case("wrap", "ts", lag_ms=120, note="33 bit wrap in the middle", extra=_LATE_WRAP),
    Case(
        "wrap-m2ts",
        "m2ts",
        "mpeg2",
        "ac3",
        "25",
        -120,
        "33 bit wrap in the middle",
        extra=_LATE_WRAP,
    ),
    Case(
        "wrap-start",
        "ts",
        "h264",
        "aac",
        "50",
        200,
        "33 bit wrap between the streams' starts",
        extra=("-muxdelay", "0", "-muxpreload", "0", "-output_ts_offset", "95443.6"),
    ),
    Case(
        "leap",
        "ts",
        "mpeg2",
        "mp2",
        "25",
        80,
        "time stamps leap by an hour in mid-file",
        surgery=functools.partial(jump_stamps, after_s=1.4, by_s=3600.0),
    ),
    Case(
        "restart",
        "ts",
        "h264",
        "mp2",
        "30",
        -80,
        "time stamps start again in mid-file",
        extra=("-output_ts_offset", "5000"),
        surgery=functools.partial(jump_stamps, after_s=1.4, by_s=-4990.0),
    ),
    Case("late-start", "mkv", "mpeg4", "flac", lag_ms=40, extra=("-output_ts_offset", "3600"),
         note="starts at one hour"),
    Case("fragments", "mp4", lag_ms=-80, note="fragmented",
         extra=("-movflags", "frag_keyframe+delay_moov+default_base_moof")),
    Case("faststart", "mp4", lag_ms=80, note="index first", extra=("-movflags", "+faststart")),
    Case("live", "mkv", "h264", "aac", "30", 80, "neither duration nor index",
         extra=("-live", "1")),
    # Edit lists and start offsets.
    Case("edit-cut", "mp4", "h264", "aac", make=cut_copy, note="its first 13 frames hidden",
         events_s=tuple(e - 0.52 for e in EVENTS_S[1:])),
    Case(
        "edit-two",
        "mov",
        "mpeg4",
        "pcm 16 bit",
        note="two edits: 1.3 to 1.5 s left out",
        extra=("-video_track_timescale", "48000"),
        surgery=functools.partial(cut_by_edit_list, from_s=1.3, to_s=1.5, scale=48_000),
        events_s=(EVENTS_S[0], EVENTS_S[1], EVENTS_S[2] - 0.2, EVENTS_S[3] - 0.2),
    ),
    *(
        Case(f"start{lag:+d}-{kind}", kind, video, audio, "25", lag, "one stream starts 2 s later",
             extra=("-avoid_negative_ts", "make_zero"))
        for kind, video, audio in (
            ("mp4", "h264", "aac"),
            ("mov", "mpeg4", "pcm 16 bit"),
            ("mkv", "mpeg4", "flac"),
            ("webm", "vp8", "opus"),
            ("ts", "mpeg2", "mp2"),
            ("mpg", "mpeg2", "mp2"),
            ("flv", "flv1", "mp3"),
        )
        for lag in (-2000, 2000)
    ),
    # Pictures.
    Case("turned", "mp4", lag_ms=40, note="a quarter turn", surgery=turn_quarter, frame=(64, 48)),
    Case("odd", "mkv", "h264 4:4:4", "aac", size="65x49", note="odd size", frame=(48, 64)),
    Case("odd-vp9", "webm", "vp9", "opus", size="35x67", note="odd size", frame=(66, 34)),
    Case("anamorphic", "mp4", size="72x58", note="pixels 16:11", extra=("-aspect", "1.8054"),
         frame=(58, 104)),
    Case("anamorphic-mpg", "mpg", "mpeg2", "mp2", note="16:9 in the codec",
         extra=("-aspect", "16:9"), frame=(48, 84)),
    Case("tiny", "mp4", "h264", "aac", "25", 40, size="16x16", note="16×16", frame=(16, 16)),
    Case("8k", "mp4", "h264", "aac", "10", 40, size="7680x4320", note="8K", frame=(360, 640),
         picture_s=1.5, sound_s=1.5, events_s=_SHORT, extra=("-tune", "zerolatency")),
    Case("sizes", "ts", "mpeg2", "mp2", make=two_sizes, note="another size from 1.4 s on",
         frame=(48, 64)),
    Case("sizes-mkv", "mkv", "h264", "mp2", make=two_sizes, note="another size from 1.4 s on",
         frame=(48, 64)),
    # Tracks.
    Case("tracks-mkv", "mkv", "mpeg4", "flac", lag_ms=120, note="second video and audio track",
         inputs=(*_BLACK, *_HUM), extra=_TWO_AND_TWO, video_track=1, audio_track=1, frame=(48, 64)),
    Case("tracks-mp4", "mp4", "mpeg4", "aac", lag_ms=-120, note="second video and audio track",
         inputs=(*_BLACK, *_HUM), extra=_TWO_AND_TWO, video_track=1, audio_track=1, frame=(48, 64)),
    Case("tracks-ts", "ts", "mpeg2", "mp2", lag_ms=80, note="second video and audio track",
         inputs=(*_BLACK, *_HUM), extra=_TWO_AND_TWO, video_track=1, audio_track=1, frame=(48, 64)),
    Case("cover-mp4", "mp4", make=with_cover, note="a cover as first video stream",
         frame=(48, 64)),
    Case("cover-mkv", "mkv", make=with_cover, note="a cover as attachment", frame=(48, 64)),
    Case("titles-mkv", "mkv", make=with_titles, note="subtitles"),
    Case("titles-mov", "mov", "mpeg4", "pcm 16 bit", make=with_titles,
         note="subtitles and time code", extra=("-c:s", "mov_text", "-timecode", "01:00:00:00")),
    Case("titles-ts", "ts", "mpeg2", "mp2", note="a data stream", lag_ms=40,
         make=with_data),
    # Lengths.
    Case("long-sound", "mp4", picture_s=1.5, events_s=_SHORT, lag_ms=40, note="picture ends first"),
    Case("long-picture", "mkv", "mpeg4", "flac", sound_s=1.5, events_s=_SHORT, lag_ms=-40,
         note="sound ends first"),
    Case("long-picture-avi", "avi", "mpeg4", "mp3", sound_s=1.5, events_s=_SHORT,
         note="sound ends first", extra=_AS_IS, tolerance_ms=25, why=_PRIMING),
)  # fmt: skip


def picture_begins_s(chunk: TimelineChunk, events_s: Sequence[float]) -> float:
    """Where on the timeline the picture begins, from where its flashes are, to 20 ms."""
    luma = chunk.frames.mean(axis=(1, 2, 3))
    at_s = (chunk.first_frame + np.arange(len(luma))) / 25
    starts = np.arange(0, 2.5, 0.02)
    seen = np.interp(starts[:, None] + np.asarray(events_s), at_s, luma).sum(axis=1)
    return float(starts[int(np.argmax(seen))])


def table() -> list[str]:
    """Rows of Markdown: what every case is."""
    rows = ["| file | picture | sound | frames a second | sound comes | what is odd |"]
    rows.append("|---|---|---|---|---|---|")
    for case in CASES:
        sound = f"{case.audio}, {LAYOUTS[case.channels]}, {case.hz / 1000:g} kHz"
        picture = f"{case.video}, {case.size.replace('x', '×')}"
        lag = f"{abs(case.lag_ms)} ms {'late' if case.lag_ms > 0 else 'early'}"
        cells = [f".{case.suffix}", picture, sound, case.rate, lag if case.lag_ms else "in sync"]
        rows.append("| " + " | ".join([*cells, case.note]) + " |")
    return rows


def main() -> None:
    """Print the table, or fill a folder."""
    if len(sys.argv) < 2:
        print("\n".join(table()))
        return
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    zoo = Zoo(Clips(folder))
    for case in CASES:
        lacking = case.missing()
        print(f"no encoder: {', '.join(lacking)}" if lacking else zoo.file(case))


if __name__ == "__main__":
    main()
