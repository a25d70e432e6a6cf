"""Whether a file goes as far as it says itself: the last thing a writer writes may be an index that
nobody misses who reads from the beginning."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, TypeVar

from avsync_cli.media.facts import MediaInfo

Said = TypeVar("Said")

_BLOCKS = {".ts": 188, ".m2ts": 192, ".mts": 192, ".mpg": 2048, ".mpeg": 2048, ".vob": 2048}
"""Bytes of a transport stream's packets, and of a program stream's packs as ffmpeg fills them."""


def is_whole(path: Path) -> bool:
    """Whether the last part of a container ends with the file; True for kinds that do not say.

    Args:
        path: a file that ffmpeg has just written; its extension names the container.
    """
    kind = path.suffix.lower()
    size = path.stat().st_size
    if kind in _BLOCKS:
        return size > 0 and size % _BLOCKS[kind] == 0
    step = _STEPS.get(kind)
    if step is None:
        return True
    with path.open("rb") as file:
        at = 0
        while at < size:
            file.seek(at)
            length = step(file)
            if length <= 0:
                return False
            at += length
    return at == size and size > 0


def looked_at(info: MediaInfo, looks: Mapping[str, Callable[[BinaryIO, int], Said]]) -> Said | None:
    """What one of `looks`, by kind of container, says of a file and its size in bytes; None if none
    is for it, or it cannot be read."""
    look = next((look for kind, look in looks.items() if info.is_in(kind)), None)
    if look is None:
        return None
    try:
        with Path(info.path).open("rb") as file:
            return look(file, file.seek(0, os.SEEK_END))
    except (OSError, ValueError):  # a file of no bytes cannot be mapped
        return None


def box(file: BinaryIO) -> tuple[bytes, int]:
    """Kind and length of a box of mp4, its head included; 0 if there is none."""
    head = file.read(16)
    length = int.from_bytes(head[:4], "big")
    if length == 1:
        length = int.from_bytes(head[8:16], "big")
    return head[4:8], length if len(head) >= 8 and length >= 8 else 0


def begins_as_mp4(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins with a box that an mp4 or mov begins with, whatever its name says."""
    try:
        with Path(os.fsdecode(path)).open("rb") as file:
            return box(file)[0] in (b"ftyp", b"mdat", b"wide", b"free", b"skip")
    except OSError:
        return False


def _chunk(file: BinaryIO) -> int:
    """Length of a chunk of RIFF."""
    head = file.read(8)
    length = int.from_bytes(head[4:8], "little")
    return 8 + length + length % 2 if len(head) == 8 else 0


def element(file: BinaryIO) -> tuple[bytes, int, int | None]:
    """Kind of an element of EBML, and lengths of its head and of what it holds: None where nobody
    came to fill that in; a head of 0 if there is none."""
    kind = file.read(1)
    if not kind or not kind[0]:
        return b"", 0, None
    kind += file.read(8 - kind[0].bit_length())
    mark = file.read(1)
    if not mark or not mark[0]:
        return kind, 0, None
    more = 8 - mark[0].bit_length()
    value = int.from_bytes(bytes([mark[0] & (0xFF >> (more + 1))]) + file.read(more), "big")
    is_unknown = value == (1 << (7 * (more + 1))) - 1
    return kind, len(kind) + 1 + more, None if is_unknown else value


def _element(file: BinaryIO) -> int:
    _, head, length = element(file)
    return 0 if length is None else head + length


def _triplet(file: BinaryIO) -> int:
    """Length of a key, a length and a value of MXF."""
    head = file.read(17)
    if len(head) < 17 or head[:4] != b"\x06\x0e\x2b\x34":
        return 0
    if head[16] < 0x80:
        return 17 + head[16]
    more = head[16] & 0x7F
    return 17 + more + int.from_bytes(file.read(more), "big")


_STEPS: dict[str, Callable[[BinaryIO], int]] = {
    **dict.fromkeys((".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2"), lambda file: box(file)[1]),
    **dict.fromkeys((".mkv", ".webm"), _element),
    ".avi": _chunk,
    ".mxf": _triplet,
}
