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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from avsync_cli.media.decode import TimelineChunk
from tests.clips import CLIP_S, EVENTS_S, Clips
from tests.media_kinds import AUDIO, LAYOUTS, VIDEO, encoder
from tests.media_surgery import (
    cut_by_edit_list,
    jump_stamps,
    shuffle_stamps,
    turn_quarter,
)


@dataclass(frozen=True)
class Case:
    """One animal.

    Attributes:
        name: unique; the file's stem.
        suffix: names the container.
        video, audio: keys of VIDEO and AUDIO.
        rate: frames a second, or "vfr".
        lag_ms: how long after the flashes the clicks come (< 0: before). It lies in the time
            stamps: the later stream starts later.
        note: what else is odd about it.
        size: of the coded picture.
        hz, channels: of the sound.
        filters: for the picture, after its scaling.
        inputs: further inputs, numbered from 2.
        extra: output arguments.
        picture_s, sound_s: lengths.
        events_s: the flashes from the beginning of the picture that count.
        surgery: what is done to the finished file's bytes.
        make: makes the file in a way of its own.
        video_track, audio_track: which to decode.
        frame: (height, width) expected of the decoded frames, where that is the point.
        tolerance_ms: 10, or more with the reason in `why`.
    """

    name: str
    suffix: str
    video: str = "h264"
    audio: str = "aac"
    rate: str = "25"
    lag_ms: int = 0
    note: str = ""
    size: str = "64x48"
    hz: int = 48_000
    channels: int = 1
    filters: str = ""
    inputs: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    picture_s: float = CLIP_S
    sound_s: float = CLIP_S
    events_s: tuple[float, ...] = EVENTS_S
    surgery: Callable[[bytes], bytes] | None = None
    make: Callable[[Zoo, Case, Path], None] | None = None
    video_track: int = 0
    audio_track: int = 0
    frame: tuple[int, int] | None = None
    tolerance_ms: float = 10.0
    why: str = ""

    def missing(self) -> list[str]:
        """What of it the ffmpeg at hand cannot encode."""
        kinds = [(VIDEO, self.video), (AUDIO, self.audio)]
        return [kind for table, kind in kinds if encoder(table[kind]) is None]


class Zoo:
    """Makes the files in a folder, on demand; sources and whole files are made once.

    Args:
        clips: the sources.
    """

    def __init__(self, clips: Clips) -> None:
        self.clips = clips
        self.run = clips.run

    def file(self, case: Case) -> Path:
        """The case's file, made if need be."""
        path = self.clips.folder / f"zoo-{case.name}.{case.suffix}"
        if not path.exists():
            (case.make or Zoo.encode)(self, case, path)
            if case.surgery is not None:
                path.write_bytes(case.surgery(path.read_bytes()))
        return path

    def encode(self, case: Case, path: Path) -> None:
        """The ordinary way: one run of ffmpeg over picture, sound and further inputs."""
        lag = ["-itsoffset", f"{case.lag_ms / 1000:.3f}"] if case.lag_ms else []
        picture = self.clips.picture(case.rate, case.picture_s)
        sound = ["-i", str(self.clips.sound(seconds=case.sound_s))]
        maps = [] if "-map" in case.extra else ["-map", "0:v", "-map", "1:a"]
        self.run(*picture, *lag, *sound, *case.inputs, *maps, *self.codecs(case), str(path))

    def codecs(self, case: Case) -> list[str]:
        """Output arguments: filters, encoders, and what the case adds."""
        video, audio = encoder(VIDEO[case.video]), encoder(AUDIO[case.audio])
        assert video is not None and audio is not None
        out = ["-threads", "1", "-c:v", *video, "-c:a", *audio]
        filters = [] if case.size == "64x48" else [f"scale={case.size}:flags=neighbor"]
        if "interlaced" in case.video:
            filters.append("format=yuv420p,setfield=tff")
        if case.rate == "vfr":
            filters.append("settb=1/90000,setpts=(N+0.35*sin(1.7*N))/(30*TB)")
            out += ["-fps_mode:v", "passthrough", "-enc_time_base:v", "1/90000"]
        filters += [case.filters] if case.filters else []
        if filters and case.video != "copy":
            out += ["-filter:v", ",".join(filters)]
        if case.channels > 1:
            # The click lies in one channel alone, the hardest for a mix: the second, or the
            # centre where there is one.
            channel = 2 if case.channels > 4 else 1
            out += ["-filter:a", f"pan={LAYOUTS[case.channels]}|c{channel}=c0"]
        out += ["-ar", str(case.hz)]
        if case.suffix == "m2ts":
            out += ["-mpegts_m2ts_mode", "1"]
        return [*out, *case.extra]


def _cut_copy(zoo: Zoo, case: Case, path: Path) -> None:
    """Cut off the first 13 frames without coding anew: an edit list hides what lies before."""
    whole = zoo.clips.folder / f"zoo-{case.name}-whole.{case.suffix}"
    zoo.encode(case, whole)
    zoo.run("-ss", "0.52", "-i", str(whole), "-c", "copy", str(path))


def _two_sizes(zoo: Zoo, case: Case, path: Path) -> None:
    """The picture is twice as large from 1.4 s on."""
    parts = []
    for number, (size, cut) in enumerate((("64x48", "end=1.4"), ("128x96", "start=1.4"))):
        part = path.with_suffix(f".{number}.ts")
        picture, sound = zoo.clips.picture(case.rate), ["-i", str(zoo.clips.sound())]
        filters = f"trim={cut},scale={size}"
        out = [*zoo.codecs(case), "-filter:v", filters, "-filter:a", f"atrim={cut}"]
        fixed = ["-muxdelay", "0", "-muxpreload", "0", "-output_ts_offset", "10"]
        zoo.run(*picture, *sound, *out, *fixed, str(part))
        parts.append(part.read_bytes())
    joined = b"".join(parts)
    if case.suffix == "ts":
        path.write_bytes(joined)
        return
    whole = path.with_suffix(".ts")
    whole.write_bytes(joined)
    zoo.run("-i", str(whole), "-c", "copy", str(path))


def _with_cover(zoo: Zoo, case: Case, path: Path) -> None:
    """A still picture as the first video stream."""
    cover = zoo.clips.folder / "zoo-cover.jpg"
    if not cover.exists():
        zoo.run("-f", "lavfi", "-i", "color=white:s=320x320", "-frames:v", "1", str(cover))
    picture, sound = zoo.clips.picture(case.rate), ["-i", str(zoo.clips.sound())]
    maps = ["-map", "2:v", "-map", "0:v", "-map", "1:a", "-c:v:0", "copy"]
    out = [*zoo.codecs(case), *maps, "-disposition:v:0", "attached_pic"]
    if case.suffix == "mkv":
        maps = ["-map", "0:v", "-map", "1:a", "-attach", str(cover)]
        out = [*zoo.codecs(case), *maps, "-metadata:s:t:0", "mimetype=image/jpeg"]
        zoo.run(*picture, *sound, *out, str(path))
        return
    zoo.run(*picture, *sound, "-i", str(cover), *out, str(path))


def _with_titles(zoo: Zoo, case: Case, path: Path) -> None:
    """Subtitles, and a data stream where the container has them."""
    titles = zoo.clips.folder / "zoo-titles.srt"
    titles.write_text("1\n00:00:00,200 --> 00:00:02,000\nStream #0:9: Video: none\n\n")
    picture, sound = zoo.clips.picture(case.rate), ["-i", str(zoo.clips.sound())]
    maps = ["-map", "2:s", "-map", "0:v", "-map", "1:a"]
    zoo.run(*picture, *sound, "-i", str(titles), *maps, *zoo.codecs(case), str(path))


def _with_data(zoo: Zoo, case: Case, path: Path) -> None:
    """A stream of private data first."""
    notes = zoo.clips.folder / "zoo-notes.bin"
    notes.write_bytes(bytes(range(256)))
    maps = ("-map", "2:d", "-map", "0:v", "-map", "1:a", "-c:d", "copy")
    zoo.encode(replace(case, inputs=("-f", "data", "-i", str(notes)), extra=maps), path)


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
    Case("edit-cut", "mp4", "h264", "aac", make=_cut_copy, note="its first 13 frames hidden",
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
    Case("sizes", "ts", "mpeg2", "mp2", make=_two_sizes, note="another size from 1.4 s on",
         frame=(48, 64)),
    Case("sizes-mkv", "mkv", "h264", "mp2", make=_two_sizes, note="another size from 1.4 s on",
         frame=(48, 64)),
    # Tracks.
    Case("tracks-mkv", "mkv", "mpeg4", "flac", lag_ms=120, note="second video and audio track",
         inputs=(*_BLACK, *_HUM), extra=_TWO_AND_TWO, video_track=1, audio_track=1, frame=(48, 64)),
    Case("tracks-mp4", "mp4", "mpeg4", "aac", lag_ms=-120, note="second video and audio track",
         inputs=(*_BLACK, *_HUM), extra=_TWO_AND_TWO, video_track=1, audio_track=1, frame=(48, 64)),
    Case("tracks-ts", "ts", "mpeg2", "mp2", lag_ms=80, note="second video and audio track",
         inputs=(*_BLACK, *_HUM), extra=_TWO_AND_TWO, video_track=1, audio_track=1, frame=(48, 64)),
    Case("cover-mp4", "mp4", make=_with_cover, note="a cover as first video stream",
         frame=(48, 64)),
    Case("cover-mkv", "mkv", make=_with_cover, note="a cover as attachment", frame=(48, 64)),
    Case("titles-mkv", "mkv", make=_with_titles, note="subtitles"),
    Case("titles-mov", "mov", "mpeg4", "pcm 16 bit", make=_with_titles,
         note="subtitles and time code", extra=("-c:s", "mov_text", "-timecode", "01:00:00:00")),
    Case("titles-ts", "ts", "mpeg2", "mp2", note="a data stream", lag_ms=40,
         make=_with_data),
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
