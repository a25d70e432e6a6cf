"""Everything that is in a file, and what of it goes into a copy: all tracks, in their order."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import ffmpeg as ffmpeg_python

from avsync_cli.media.ffmpeg import INPUT, command, input_args
from avsync_cli.media.process import FfmpegStream

_STREAM = re.compile(
    r" {2,4}Stream #0:(\d+)(?:\[0x[0-9a-f]+\])?(?:\([^)]*\))?: "
    r"(Video|Audio|Subtitle|Data|Attachment)(?:: ([^\s,]+)(.*))?"
)
_REBUILT = ("tmcd", "text", "tx3g / 0x0")
"""QuickTime's data tracks that the writer makes anew: the timecode from the picture's metadata,
chapter names from the chapters."""

_LOG_LINES = 5000


@dataclass(frozen=True)
class Track:
    """One stream as ffmpeg lists it; `kbps` is 0 where it does not say."""

    index: int
    kind: str
    codec: str
    kbps: int = 0
    tag: str = ""


@dataclass(frozen=True)
class Contents:
    """All streams of a file.

    Attributes:
        kept: those a copy has, in order.
        left_out: those that it cannot have.
        output_options: what the writer has to be told for a true copy.
    """

    kept: tuple[Track, ...]
    left_out: tuple[Track, ...] = ()
    output_options: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> tuple[Track, ...]:
        """Kept streams that are neither picture, sound, subtitle nor attachment."""
        return tuple(track for track in self.kept if track.kind == "data")

    def without_data(self) -> Contents:
        """The same without data streams, for containers that refuse them."""
        kept = tuple(track for track in self.kept if track.kind != "data")
        return replace(self, kept=kept, left_out=self.left_out + self.data)

    def sound_position(self, index: int) -> int:
        """Number among the copy's sound tracks of the stream `index`."""
        sound = [track.index for track in self.kept if track.kind == "audio"]
        return sound.index(index)

    def kbps(self, index: int) -> int:
        """Bit rate of the stream `index`, 0 if unknown."""
        return next((track.kbps for track in self.kept if track.index == index), 0)


def list_contents(path: str | os.PathLike[str]) -> Contents:
    """List what is in a file; reads its header only.

    Raises:
        DecodeError: ffmpeg did not answer.
    """
    source = ffmpeg_python.input(INPUT, **input_args())
    # Asked for nothing, ffmpeg lists the input before it says so; but a listing wants an output.
    args = ffmpeg_python.output(source, "pipe:1", format="ffmetadata", c="copy").get_args()
    lines: list[str] = []

    def take(line: str) -> bool:
        if len(lines) < _LOG_LINES:
            lines.append(line)
        return True

    argv = command(args, path, "repeat+info")
    with FfmpegStream(argv, path=path, block_bytes=4096, on_line=take) as stream:
        while stream.read_block() is not None:
            pass
        stream.finish()
    contents = parse_contents(lines)
    if Path(os.fsdecode(path)).suffix.lower() in (".mp4", ".m4v", ".mov", ".qt"):
        options = ["+faststart"] if _index_first(path) else []
        if any(re.match(r"\s+com\.apple\.quicktime\.", line) for line in lines):
            options.append("+use_metadata_tags")
        if options:
            contents = replace(contents, output_options={"movflags": "".join(options)})
    return contents


def parse_contents(lines: Sequence[str]) -> Contents:
    """Read the listing of ffmpeg's input."""
    tracks: dict[int, Track] = {}
    for line in lines:
        if line.startswith(("Output #0", "Stream mapping")):
            break
        match = _STREAM.match(line)
        if match is None:
            continue
        index, kind, codec, rest = match.groups(default="")
        rate = re.search(r", (\d+) kb/s", rest)
        tag = re.search(r"\(([^()/]{1,4}) / 0x[0-9A-Fa-f]+\)", rest)
        tracks[int(index)] = Track(
            int(index),
            kind.lower(),
            codec or "none",
            int(rate.group(1)) if rate else 0,
            tag.group(1).strip() if tag else "",
        )
    kept = tuple(track for track in tracks.values() if not _is_rebuilt(track))
    return Contents(kept)


def _is_rebuilt(track: Track) -> bool:
    return track.kind == "data" and track.tag in _REBUILT


def _index_first(path: str | os.PathLike[str]) -> bool:
    """Whether an mp4's index comes before its media, so that it can play while it loads."""
    try:
        with Path(os.fsdecode(path)).open("rb") as file:
            for _ in range(64):
                head = file.read(16)
                if len(head) < 8:
                    return False
                size, kind = int.from_bytes(head[:4], "big"), head[4:8]
                if kind in (b"moov", b"mdat"):
                    return kind == b"moov"
                if size == 1:
                    size = int.from_bytes(head[8:16], "big")
                if size < 8:
                    return False
                file.seek(size - len(head), os.SEEK_CUR)
    except OSError:
        pass
    return False
