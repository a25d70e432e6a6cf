"""Whether a file goes on with another recording where what is read of it ends.

Recordings put end to end are one film to some readers (of mpg, avi, mkv) and only the first of them
to others: what follows has tracks, or a beginning, of its own, which nothing in the first names.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO

from avsync_cli.media.facts import MediaInfo
from avsync_cli.media.wholeness import box, looked_at

_LOOK_BYTES = 1 << 20
_LOOK_SHARE = 8
"""An eighth of a transport stream, or a megabyte, is looked at at either end."""

_PACKET_BYTES = (188, 192, 204)
"""Of a transport stream: as sent, with a time in front, with a correction behind."""

_SYNC = 0x47
_MOST_BOXES = 100_000

_FLV_HEAD = re.compile(rb"FLV\x01[\x01\x04\x05]\0\0\0\x09\0\0\0\0", re.DOTALL)
_ASF_HEAD = re.compile(
    re.escape(bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")) + rb".{12}\x01\x02", re.DOTALL
)
"""Header object of ASF: its identity, size, number of objects, and two fixed bytes."""


def goes_on(info: MediaInfo) -> bool:
    """Whether another recording follows in the file, of which nothing is read."""
    looks: dict[str, Callable[[BinaryIO, int], bool]] = {
        "mpegts": _other_pids,
        "ogg": _other_serials,
        "mov": _second_ftyp,
        "flv": _second_head(_FLV_HEAD),
        "asf": _second_head(_ASF_HEAD),
    }
    return looked_at(info, looks) is True


def _other_pids(file: BinaryIO, size: int) -> bool:
    """Whether the picture at a transport stream's end is no track of its beginning."""
    look = min(_LOOK_BYTES, size // _LOOK_SHARE)
    file.seek(0)
    first = set(_pictures(file.read(look)))
    file.seek(size - look)
    last = set(_pictures(file.read(look)))
    return bool(first and last) and first.isdisjoint(last)


def _pictures(data: bytes) -> Iterator[int]:
    """Numbers of the tracks of which pictures begin (ISO/IEC 13818-1, 2.4.3)."""
    places = ((at, step) for step in _PACKET_BYTES for at in range(step))
    begin, step = next(
        (
            (at, step)
            for at, step in places
            if len(data) > 8 * step and set(data[at : at + 8 * step : step]) == {_SYNC}
        ),
        (len(data), 188),
    )
    for at in range(begin, len(data) - 187, step):
        packet = data[at : at + 188]
        begins, has_more, has_payload = packet[1] & 0x40, packet[3] & 0x20, packet[3] & 0x10
        payload = 5 + packet[4] if has_more else 4
        start = packet[payload : payload + 4]
        if begins and has_payload and start[:3] == b"\0\0\1" and start[3:] and start[3] >> 4 == 0xE:
            yield (packet[1] & 0x1F) << 8 | packet[2]


def _other_serials(file: BinaryIO, size: int) -> bool:
    """Whether the last page of an Ogg is of no stream that begins at its head (RFC 3533, 4)."""
    file.seek(0)
    head = file.read(_LOOK_BYTES)
    begun = {head[m.start() + 14 : m.start() + 18] for m in re.finditer(rb"OggS\0[\2\3]", head)}
    file.seek(max(0, size - _LOOK_BYTES))
    tail = file.read()
    # A page that is cut before it says whose it is tells nothing.
    at = tail.rfind(b"OggS\0", 0, len(tail) - 13)
    # Of recordings as short as that, all beginnings are in what was looked at.
    anew = re.search(rb"OggS\0[^\2\3].*OggS\0[\2\3]", head, re.DOTALL)
    return at >= 0 and (bool(anew) or tail[at + 14 : at + 18] not in begun)


def _second_ftyp(file: BinaryIO, size: int) -> bool:
    """Whether a box that only begins a file stands within an mp4, which has no fragments."""
    at, is_second = 0, False
    for number in range(_MOST_BOXES):
        if at >= size:
            break
        file.seek(at)
        kind, length = box(file)
        if not length or kind == b"moof":
            return False
        is_second |= number > 0 and kind == b"ftyp"
        at += length
    return is_second


def _second_head(head: re.Pattern[bytes]) -> Callable[[BinaryIO, int], bool]:
    """Whether what begins a file stands in it once more."""

    def look(file: BinaryIO, size: int) -> bool:
        del size
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return head.search(data, 1) is not None

    return look
