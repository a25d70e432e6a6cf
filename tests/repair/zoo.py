"""Every container with all that it can hold beside picture and sound."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from avsync_cli.media.ffmpeg import find_ffmpeg

CREATED = "2020-02-03T04:05:06.000000Z"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How a container is filled.

    Attributes:
        picture, sound: ffmpeg's codecs.
        titles: codec of subtitles, "" for none.
        extras: words for what it alone has; {cover} and {font} stand for files.
        chapters: whether it has chapters and metadata.
    """

    picture: tuple[str, ...] = ("libx264", "-preset", "veryfast", "-bf", "2", "-g", "25")
    sound: str = "aac"
    titles: str = ""
    extras: tuple[str, ...] = ()
    chapters: bool = True


_SERVICE = (
    *("-metadata", "service_name=Canal 7", "-metadata", "service_provider=Someone"),
    *("-mpegts_service_id", "77", "-mpegts_pmt_start_pid", "768", "-mpegts_start_pid", "1280"),
)
_ATTACHED = (
    *("-attach", "{font}", "-metadata:s:t:0", "mimetype=application/x-truetype-font"),
    *("-attach", "{cover}", "-metadata:s:t:1", "mimetype=image/jpeg"),
    *("-metadata:s:t:1", "filename=cover.jpg"),
)

ZOO = {
    ".mp4": Kind(titles="mov_text"),
    ".mov": Kind(titles="mov_text", extras=("-timecode", "10:00:00:00")),
    ".mkv": Kind(titles="srt", extras=_ATTACHED),
    ".webm": Kind(picture=("libvpx", "-deadline", "realtime"), sound="libopus"),
    ".ts": Kind(extras=_SERVICE, chapters=False),
    ".m2ts": Kind(sound="ac3", chapters=False),
    ".mxf": Kind(
        picture=("mpeg2video", "-q:v", "4", "-g", "12", "-bf", "2"),
        sound="pcm_s16le",
        extras=("-timecode", "10:00:00:00"),
    ),
    ".avi": Kind(picture=("mpeg4", "-q:v", "4"), sound="pcm_s16le"),
}


def embellish(
    kind: Kind, clip: Path, target: Path, lag_ms: float, seconds: float, rate: str = "25"
) -> None:
    """Write a clip's beginning, its sound later by `lag_ms`, into a file with everything else."""
    folder = target.parent
    titles, facts = folder / "titles.srt", folder / "facts.txt"
    cover, font = folder / "cover.jpg", folder / "font.ttf"
    titles.write_text("1\n00:00:00,500 --> 00:00:01,500\nHello\n\n")
    facts.write_text(
        f";FFMETADATA1\ntitle=A film = a title\nartist=Ä. Nobody\ncreation_time={CREATED}\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=One\n"
        f"[CHAPTER]\nTIMEBASE=1/1000\nSTART=1000\nEND={round(seconds * 1000)}\ntitle=Two\n"
    )
    font.write_bytes(bytes(range(256)) * 8)
    _run("-f", "lavfi", "-i", "color=red:s=32x32", "-frames:v", "1", "-y", str(cover))
    moved = round(abs(lag_ms) * 48)
    shift = f"adelay={moved}S:all=1" if lag_ms > 0 else f"atrim=start_sample={moved}"
    graph = f"aresample=48000:async=1:first_pts=0,{shift},asetpts=N/SR/TB"
    graph += f",apad=whole_dur={seconds},atrim=end={seconds}"
    words = ["-t", str(seconds), "-i", str(clip)]
    words += ["-f", "lavfi", "-i", f"sine=330:r=48000:d={seconds}"]
    words += ["-i", str(titles), "-i", str(facts)]
    words += ["-map", "0:v:0", "-map", "0:a:0", "-map", "1:a"]
    words += ["-map", "2"] if kind.titles else []
    words += ["-map_metadata", "3"] if kind.chapters else ["-map_metadata", "-1"]
    words += ["-map_chapters", "3" if kind.chapters else "-1"]
    words += ["-c:v", *kind.picture, "-r", rate, "-filter:a:0", graph, "-c:a", kind.sound]
    words += ["-c:s", kind.titles] if kind.titles else []
    words += ["-metadata:s:a:0", "language=deu", "-metadata:s:a:1", "language=fra"]
    words += ["-disposition:a:1", "comment"] if target.suffix in (".mp4", ".mkv") else []
    words += [word.format(cover=cover, font=font) for word in kind.extras]
    _run(*words, "-y", str(target))


def _run(*words: str) -> None:
    command = [str(find_ffmpeg()), "-nostdin", "-v", "error", *words]
    subprocess.run(command, check=True, timeout=300)
