"""What an animal of the media zoo is, and how one is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tests.clips import CLIP_S, EVENTS_S, Clips
from tests.media_kinds import AUDIO, LAYOUTS, VIDEO, encoder


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


def cut_copy(zoo: Zoo, case: Case, path: Path) -> None:
    """Cut off the first 13 frames without coding anew: an edit list hides what lies before."""
    whole = zoo.clips.folder / f"zoo-{case.name}-whole.{case.suffix}"
    zoo.encode(case, whole)
    zoo.run("-ss", "0.52", "-i", str(whole), "-c", "copy", str(path))


def two_sizes(zoo: Zoo, case: Case, path: Path) -> None:
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


def with_cover(zoo: Zoo, case: Case, path: Path) -> None:
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


def with_titles(zoo: Zoo, case: Case, path: Path) -> None:
    """Subtitles, and a data stream where the container has them."""
    titles = zoo.clips.folder / "zoo-titles.srt"
    titles.write_text("1\n00:00:00,200 --> 00:00:02,000\nStream #0:9: Video: none\n\n")
    picture, sound = zoo.clips.picture(case.rate), ["-i", str(zoo.clips.sound())]
    maps = ["-map", "2:s", "-map", "0:v", "-map", "1:a"]
    zoo.run(*picture, *sound, "-i", str(titles), *maps, *zoo.codecs(case), str(path))


def with_data(zoo: Zoo, case: Case, path: Path) -> None:
    """A stream of private data first."""
    notes = zoo.clips.folder / "zoo-notes.bin"
    notes.write_bytes(bytes(range(256)))
    maps = ("-map", "2:d", "-map", "0:v", "-map", "1:a", "-c:d", "copy")
    zoo.encode(replace(case, inputs=("-f", "data", "-i", str(notes)), extra=maps), path)
