"""Everything that is in a file, and what of it goes into a copy: all tracks, in their order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from avsync_cli.media.facts import MediaInfo
from avsync_cli.media.wholeness import box
from avsync_cli.repair.containers import Carrier
from avsync_cli.repair.description import Described, describe

LETTERS = {"video": "v", "audio": "a", "subtitle": "s", "data": "d", "attachment": "t"}
"""How ffmpeg calls the kinds of tracks."""

_REBUILT = ("tmcd", "text")
"""QuickTime's data tracks that the writer makes anew: the timecode from the picture's metadata,
chapter names from the chapters."""

_COVER_TYPES = {"mjpeg": "image/jpeg", "png": "image/png", "gif": "image/gif", "bmp": "image/bmp"}


@dataclass(frozen=True, kw_only=True)
class Track:
    """One stream of a file.

    Attributes:
        index: in the file.
        kind: a key of LETTERS.
        codec: ffmpeg's short name, "none" if it knows none.
        kbps: bit rate, 0 if unknown.
        tag: the container's own name of the codec.
        number: the stream's number in the container (a PID in ts), None where it has none.
        is_cover: a still picture that belongs to the file, not to its time.
        flags: the dispositions that are set, such as "default".
        tags: metadata, as text from the file.
    """

    index: int
    kind: str
    codec: str
    kbps: int = 0
    tag: str = ""
    number: int | None = None
    is_cover: bool = False
    flags: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """As a person is told of it."""
        return f"{'cover' if self.is_cover else self.kind} track {self.index} ({self.codec})"


@dataclass(frozen=True, kw_only=True)
class Program:
    """One programme of a transport stream: its number, the PID of its table, name and provider as
    `tags`, and the indices of its streams."""

    number: int
    table_pid: int
    tags: Mapping[str, str]
    streams: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What is in a file, and what of it a copy has.

    Attributes:
        mapped: streams that are copied, in order.
        attached: those that Matroska takes as attachments: fonts, covers and the like.
        left_out: those that the copy cannot have.
        programs: of a transport stream.
        is_described: whether ffprobe said all this; else there may be streams nobody knows of, of
            which subtitles and attachments are copied and data are not.
        index_first: whether an mp4 can play while it loads.
        quicktime_keys: whether there is metadata under QuickTime's own keys.
    """

    mapped: tuple[Track, ...]
    attached: tuple[Track, ...] = ()
    left_out: tuple[Track, ...] = ()
    programs: tuple[Program, ...] = ()
    is_described: bool = True
    index_first: bool = False
    quicktime_keys: bool = False

    @property
    def data(self) -> tuple[Track, ...]:
        """Streams that are copied and are neither picture, sound, subtitle nor attachment."""
        return tuple(track for track in self.mapped if track.kind == "data")

    def without_data(self) -> Contents:
        """The same without data streams, for containers that refuse them."""
        mapped = tuple(track for track in self.mapped if track.kind != "data")
        return replace(self, mapped=mapped, left_out=self.left_out + self.data)

    def sound_position(self, index: int) -> int:
        """Number among the copy's sound tracks of the stream `index`."""
        return [track.index for track in self.mapped if track.kind == "audio"].index(index)

    def kbps(self, index: int) -> int:
        """Bit rate of the stream `index`, 0 if unknown."""
        return next((track.kbps for track in self.mapped if track.index == index), 0)

    def counterparts(self) -> list[tuple[Track, str]]:
        """Every stream of the source that is in the copy, with ffmpeg's name for it there: covers
        come after the tracks."""
        count = dict.fromkeys(LETTERS, 0)
        pairs = []
        last = [track for track in self.mapped if track.is_cover] + list(self.attached)
        for track in [track for track in self.mapped if not track.is_cover] + last:
            pairs.append((track, f"{LETTERS[track.kind]}:{count[track.kind]}"))
            count[track.kind] += 1
        return pairs


def list_contents(info: MediaInfo, into: Carrier) -> Contents:
    """What is in a file, and what of it fits into a container; reads the head only."""
    said = describe(info.path)
    contents = _undescribed(info) if said is None else read_contents(said, into)
    if into.family == "mov":
        contents = replace(contents, index_first=_index_first(info.path))
    return contents


def read_contents(said: Described, into: Carrier) -> Contents:
    """Sort what ffprobe says: see `Contents`."""
    mapped, attached, left_out = [], [], []
    for track in map(_read_track, said["streams"]):
        if track.kind == "data" and track.tag in _REBUILT:
            continue
        lasting = track.is_cover or track.kind == "attachment"
        if lasting and into.attaches:
            attached.append(_with_type(track))
        elif lasting and not (track.is_cover and into.family == "mov"):
            left_out.append(track)
        else:
            mapped.append(track)
    keys = {key for part in (said.get("format", {}), *said["streams"]) for key in _tags(part)}
    return Contents(
        mapped=tuple(mapped),
        attached=tuple(attached),
        left_out=tuple(left_out),
        programs=tuple(map(_read_program, said.get("programs", ()))),
        quicktime_keys=any(key.startswith("com.apple.quicktime.") for key in keys),
    )


def _read_track(stream: Mapping[str, Any]) -> Track:
    kind = str(stream.get("codec_type", "data"))
    tags = _tags(stream)
    rate = str(stream.get("bit_rate") or tags.get("BPS") or "0")
    number = str(stream.get("id", ""))
    flags = stream.get("disposition", {})
    return Track(
        index=int(stream["index"]),
        kind=kind if kind in LETTERS else "data",
        codec=str(stream.get("codec_name", "none")),
        kbps=round(int(rate) / 1000) if rate.isdecimal() and len(rate) < 12 else 0,
        tag=str(stream.get("codec_tag_string", "")),
        number=int(number, 16) if number.startswith("0x") else None,
        is_cover=bool(flags.get("attached_pic")),
        flags=tuple(str(name) for name, is_set in flags.items() if is_set),
        tags=tags,
    )


def _read_program(program: Mapping[str, Any]) -> Program:
    return Program(
        number=int(program["program_num"]),
        table_pid=int(program["pmt_pid"]),
        tags=_tags(program),
        streams=tuple(int(stream["index"]) for stream in program["streams"]),
    )


def _tags(part: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in part.get("tags", {}).items()}


def _with_type(track: Track) -> Track:
    """The track with the type of contents and the file's name that an attachment must have."""
    known = {key.lower(): value for key, value in track.tags.items()}
    kind = known.pop("mimetype", "") or _COVER_TYPES.get(track.codec, "application/octet-stream")
    ending = kind.rpartition("/")[2].replace("jpeg", "jpg")
    name = known.pop("filename", "") or f"{'cover' if track.is_cover else 'attachment'}.{ending}"
    kept = {key: value for key, value in known.items() if key != "duration"}
    return replace(track, tags={"filename": name, "mimetype": kind, **kept})


def _undescribed(info: MediaInfo) -> Contents:
    """What is known without ffprobe: picture and sound."""
    tracks = [
        Track(index=track.index, kind="video", codec=track.codec, is_cover=track.is_cover)
        for track in info.video
    ] + [Track(index=track.index, kind="audio", codec=track.codec) for track in info.audio]
    mapped = sorted((t for t in tracks if not t.is_cover), key=lambda track: track.index)
    covers = tuple(track for track in tracks if track.is_cover)
    return Contents(mapped=tuple(mapped), left_out=covers, is_described=False)


def _index_first(path: str | os.PathLike[str]) -> bool:
    """Whether an mp4's index comes before its media, so that it can play while it loads."""
    try:
        with Path(os.fsdecode(path)).open("rb") as file:
            at, length = 0, 0
            for _ in range(64):
                at = file.seek(at + length)
                kind, length = box(file)
                if not length or kind in (b"moov", b"mdat"):
                    return kind == b"moov"
    except OSError:
        pass
    return False
