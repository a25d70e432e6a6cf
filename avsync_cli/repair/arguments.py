"""ffmpeg's arguments for a copy that keeps what it can, with stand-ins for the names of files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ffmpeg as ffmpeg_python

from avsync_cli.media.facts import MediaInfo
from avsync_cli.media.ffmpeg import INPUT, command, input_args
from avsync_cli.repair.containers import Carrier
from avsync_cli.repair.contents import LETTERS, Contents, Track

OUTPUT = "avsync-output"
"""Stands for the output's name while a command is composed, as INPUT does for the input's."""

EXTRACT = "avsync-attached"
"""Stands, with a number behind it, for a file that is taken out of the input to be attached."""

_PIDS = range(16, 0x1FFF)
"""Numbers of streams that a transport stream's writer takes."""


def copy_args(
    info: MediaInfo, contents: Contents, into: Carrier, options: Mapping[str, str]
) -> list[str]:
    """Arguments for a copy of `contents`.

    Args:
        info: the file.
        contents: what the copy is to have.
        into: its container.
        options: what is done to sound.
    """
    source = ffmpeg_python.input(INPUT, **input_args())
    streams: list[Any] = [source[str(track.index)] for track in contents.mapped]
    if not contents.is_described:
        streams += [source["s?"], source["t?"]] if into.attaches else [source["s?"]]
    settings: dict[str, Any] = {
        "c": "copy",
        "map_metadata": "0",  # without it the writer forgets when the film was made
        "copyinkf": None,  # also pictures that nothing before them lets decode
        "strict": "-2",  # FLAC, Opus and TrueHD in mp4 count as experimental in old releases
        # Picture waits for the encoder's first sound; the usual limit on it is for live streams.
        "max_muxing_queue_size": 100_000,
        **options,
    }
    args = list(ffmpeg_python.output(*streams, OUTPUT, **settings).get_args())
    words = [*_flag_words(contents), *_container_words(info, contents, into)]
    return [*args[:-1], *words, args[-1]]


def extract_args(track: Track) -> list[str]:
    """Arguments that take an attachment out of the file."""
    name = f"{EXTRACT}-{track.index}"
    guards = [word for key, value in input_args().items() for word in (f"-{key}", str(value))]
    if track.kind == "attachment":
        taken = [f"-dump_attachment:{track.index}", name]
        return [*guards, *taken, "-i", INPUT, "-t", "0", "-c", "copy", "-f", "null", "-"]
    taken = ["-map", f"0:{track.index}", "-c", "copy", "-frames:v", "1", "-f", "rawvideo"]
    return [*guards, "-i", INPUT, *taken, name]


def filled(args: Sequence[str], info: MediaInfo, target: Path, scratch: Path) -> list[str]:
    """The whole command, that also says how far it is."""
    words = []
    for word in command(args, info.file, "level+error"):
        if word.startswith(EXTRACT):
            word = f"{scratch.absolute()}/{word}"
        words.append(f"file:{target.absolute()}" if word == OUTPUT else word)
    words[-1:-1] = ["-progress", "pipe:1", "-y"]
    return words


def shown(args: Sequence[str], source: str, target: str | os.PathLike[str]) -> list[str]:
    """The command for a person to read and run, without what guards against strange files."""
    guards = {f"-{key}" for key in input_args()}
    words = ["ffmpeg"]
    skip = False
    for word in args:
        if skip or word in guards:
            skip = not skip
            continue
        words.append({INPUT: f"file:{source}", OUTPUT: f"file:{target}"}.get(word, word))
    return words


# --- What is not sound ----------------------------------------------------------------------------


def _flag_words(contents: Contents) -> Iterator[str]:
    """Of several tracks of a kind ffmpeg makes the first one the default where none is, unless it
    is told of any track what to do."""
    for kind in LETTERS:
        places = [n for n, t in enumerate(contents.mapped) if t.kind == kind and not t.is_cover]
        tracks = [contents.mapped[place] for place in places]
        if len(tracks) > 1 and not any("default" in track.flags for track in tracks):
            yield from (f"-disposition:{places[0]}", "+".join(tracks[0].flags) or "0")


def _container_words(info: MediaInfo, contents: Contents, into: Carrier) -> Iterator[str]:
    if into.family == "mov":
        flags = "+faststart" * contents.index_first
        flags += "+use_metadata_tags" * contents.quicktime_keys
        yield from ("-movflags", flags) if flags else ()
    if into.family == "matroska":
        # Else the writer makes some track a default one where none is.
        yield from ("-default_mode", "passthrough")
        for number, track in enumerate(contents.attached):
            yield from ("-attach", f"{EXTRACT}-{track.index}")
            yield from _metadata(f"s:t:{number}", track.tags)
    if into.family == "ts" and not into.renumbers and info.is_in("mpegts"):
        yield from _transport_words(contents)


def _transport_words(contents: Contents) -> Iterator[str]:
    """Numbers, names and PIDs of a transport stream."""
    places = {track.index: place for place, track in enumerate(contents.mapped)}
    for place, track in enumerate(contents.mapped):
        if track.number is not None and track.number in _PIDS:
            yield from ("-streamid", f"{place}:{track.number}")
    table = min((program.table_pid for program in contents.programs), default=0)
    if table in range(0x20, 0x1FFB):
        yield from ("-mpegts_pmt_start_pid", str(table))
    for number, program in enumerate(contents.programs):
        streams = [f"st={places[index]}" for index in program.streams if index in places]
        yield from ("-program", ":".join([f"program_num={program.number}", *streams]))
        yield from _metadata(f"p:{number}", program.tags)


def _metadata(of: str, tags: Mapping[str, str]) -> Iterator[str]:
    """Metadata as ffmpeg takes it; what no argument can hold is left out."""
    for key, value in tags.items():
        if "=" not in key and "\0" not in key + value:
            yield from (f"-metadata:{of}", f"{key}={value}")
