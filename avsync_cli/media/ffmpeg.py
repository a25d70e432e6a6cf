"""Finding ffmpeg, and the parts that every command for it has in common.

Commands are composed elsewhere with ffmpeg-python and run in `process`, as argument lists, never
through a shell.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avsync_cli.errors import FfmpegMissingError
from avsync_cli.media.child import ask
from avsync_cli.media.limits import MAX_PIXELS
from avsync_cli.media.source import Source

ENV_FFMPEG = "AVSYNC_FFMPEG"

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,avi,flv,asf,ogg,mxf,nut,dv,gxf,wtv,"
    "wav,w64,mp3,aac,ac3,eac3,flac,aiff,caf"
)
"""Demuxers that may open a file. None of them opens a second file or a network address; playlists
(hls, dash, concat, imf), image sequences, scripts and devices are left out for that reason."""

INSTALL_HINT = (
    f"install ffmpeg, or `pip install imageio-ffmpeg`, or set {ENV_FFMPEG} to the program's path"
)


VERSION_TIMEOUT_S = 30.0


@functools.cache
def _says(program: str) -> str:
    """What a program answers to `-version`; "" if it does not, not in time, or not as ffmpeg."""
    try:
        code, out = ask([program, "-version"], VERSION_TIMEOUT_S)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return ""
    known = code == 0 and out.startswith(b"ffmpeg version")
    return out.decode("utf-8", "replace") if known else ""


def find_ffmpeg() -> Path:
    """The ffmpeg to use: AVSYNC_FFMPEG, then PATH, then the imageio-ffmpeg wheel's own.

    Raises:
        FfmpegMissingError: none of the three is there, or the one asked for does not run.
    """
    return _find_ffmpeg(os.environ.get(ENV_FFMPEG, ""), os.environ.get("PATH", ""))


@functools.cache
def _find_ffmpeg(wanted: str, search_path: str) -> Path:
    if wanted:
        found = shutil.which(wanted, path=search_path)
        if found is None or not _says(found):
            raise FfmpegMissingError(
                f"{ENV_FFMPEG} names {wanted!r}, which is not an ffmpeg that runs",
                f"unset {ENV_FFMPEG}, or set it to the path of an ffmpeg program",
            )
        return Path(found)
    found = shutil.which("ffmpeg", path=search_path)
    if found is not None and _says(found):
        return Path(found)
    try:
        import imageio_ffmpeg

        bundled = imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError, OSError):
        bundled = ""
    if bundled and _says(bundled):
        return Path(bundled)
    raise FfmpegMissingError("no ffmpeg found", INSTALL_HINT)


def find_ffprobe() -> Path | None:
    """The ffprobe that sits beside the ffmpeg in use, or None.

    Only the neighbour counts: an ffprobe of another release may read the same file differently.
    """
    program = find_ffmpeg()
    name = "ffprobe.exe" if program.suffix.lower() == ".exe" else "ffprobe"
    beside = program.with_name(name)
    return beside if os.access(beside, os.X_OK) and beside.is_file() else None


def ffmpeg_version() -> str:
    """The version as ffmpeg itself writes it, such as "5.1.9-0+deb12u1" or "n7.1"."""
    match = re.match(r"ffmpeg version (\S+)", _says(str(find_ffmpeg())))
    return match.group(1) if match else "unknown"


def passthrough_args() -> dict[str, str]:
    """Output arguments that make ffmpeg hand over every frame once, neither doubled nor dropped.

    The option was renamed in 5.1 and the old name later removed.
    """
    match = re.match(r"n?(\d+)\.(\d+)", ffmpeg_version())
    old = match is not None and (int(match.group(1)), int(match.group(2))) < (5, 1)
    return {"vsync": "0"} if old else {"fps_mode": "passthrough"}


def input_args() -> dict[str, Any]:
    """Arguments before every input: local files only, known demuxers only, no giant pictures."""
    return {
        "protocol_whitelist": "file",
        "format_whitelist": FORMATS,
        "max_pixels": MAX_PIXELS,
    }


INPUT = "avsync-input"
"""Stands for the input's name while a command is composed: ffmpeg-python cannot take names that
are not UTF-8, and no name of a file can then be mistaken for anything else."""


def command(
    args: Sequence[str], path: str | os.PathLike[str], loglevel: str = "level+error"
) -> list[str]:
    """The whole command: program, the flags of every run, and `args` with INPUT filled in.

    Args:
        args: from ffmpeg-python's get_args, for an input named INPUT.
        path: the input.
        loglevel: as ffmpeg takes it.
    """
    url = Source.of(path).url
    flags = ["-nostdin", "-hide_banner", "-nostats", "-loglevel", loglevel]
    return [str(find_ffmpeg()), *flags, *(url if arg == INPUT else arg for arg in args)]


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def clean_line(line: str, path: str | os.PathLike[str]) -> str:
    """A line of ffmpeg's log without colours, addresses and the path, fit to show to a person."""
    line = _COLOUR.sub("", line)
    url = Source.of(path).url.encode("utf-8", "replace").decode("utf-8")
    for name in (url, url.removeprefix("file:")):
        line = line.replace(name, "the file")
    line = re.sub(r"\[([^\]@]+?) @ 0x[0-9a-f]+\]\s*", r"\1: ", line)
    line = re.sub(r"\[(?:repeat|info|warning|error|fatal|panic)\]\s*", "", line)
    return "".join(c if c.isprintable() else " " for c in line).strip()[:300]
