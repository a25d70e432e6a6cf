"""Whether a file holds what it declares: its declared length against what was decoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avsync_cli.errors import MediaError
from avsync_cli.media.facts import MediaInfo
from avsync_cli.media.packets import PacketReader, copied

DECLARING = ("mov", "matroska", "avi", "flv", "asf", "mxf", "gxf", "wtv", "nut")
"""Containers whose header or index says how long they are. Of the others ffmpeg tells what it finds
at their end."""

_HEADER_BYTES = 1 << 16
_LONGEST_S = 1e6
"""Eleven days: what claims more is damaged."""

_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
SHORT_S = 1.0
"""What may lack: of the last packets of a track no successor says how long they last."""

APART_S = 1.0
"""Picture and sound that end further apart than this are worth a remark."""


@dataclass(frozen=True)
class Ends:
    """Where the picture and the sound that were decoded end, seconds from the timeline's zero."""

    picture_s: float
    sound_s: float

    @property
    def last_s(self) -> float:
        return max(self.picture_s, self.sound_s)


def declared_s(info: MediaInfo) -> float | None:
    """The length that the file itself declares; None if it declares none."""
    if not info.is_in(*DECLARING):
        return None
    declared = info.duration_s
    if info.is_in("avi", "asf"):
        # Of a file that was cut, ffmpeg tells what is left, or nothing.
        try:
            with Path(info.path).open("rb") as file:
                head = file.read(_HEADER_BYTES)
        except OSError:
            head = b""
        header_s = _avi_header_s(head) if info.is_in("avi") else _asf_header_s(head)
        declared = max(declared, header_s if header_s < _LONGEST_S else 0.0)
    return declared if declared > 0 else None


def _avi_header_s(head: bytes) -> float:
    main, extended = head.find(b"avih"), head.find(b"dmlh")
    if main < 0:
        return 0.0
    # Beyond a gigabyte the main header counts the first part alone, and the extended one all.
    in_all = _number(head, extended + 8, 4) if extended >= 0 else 0
    return max(_number(head, main + 24, 4), in_all) * _number(head, main + 8, 4) / 1e6


def _asf_header_s(head: bytes) -> float:
    at = head.find(_ASF_PROPERTIES)
    if at < 0:
        return 0.0
    is_live = _number(head, at + 88, 4) & 1
    lasts_s = _number(head, at + 64, 8) / 1e7 - _number(head, at + 80, 8) / 1e3
    return 0.0 if is_live else max(0.0, lasts_s)


def _number(head: bytes, at: int, size: int) -> int:
    return int.from_bytes(head[at : at + size], "little")


def is_complete(info: MediaInfo, ends: Ends) -> bool:
    """Whether what was decoded reaches to the length that the file declares.

    Where it does not, another track may, titles for one: all packets are looked at then.
    """
    wanted_s = declared_s(info)
    if wanted_s is None or _reaches(info, ends.last_s, wanted_s):
        return True
    try:
        with PacketReader(info.file, copied("0")) as packets:
            return any(
                _reaches(info, float(packet.pts * packets.heads[packet.stream].tick_s), wanted_s)
                for packet in packets
                if packet.pts is not None and packets.heads[packet.stream].kind == "subtitle"
            )
    except MediaError:
        return False


def _reaches(info: MediaInfo, end_s: float, wanted_s: float) -> bool:
    """Some containers count their length from the player's zero, some from their clock's own."""
    return max(end_s, end_s + float(info.start_s)) >= wanted_s - SHORT_S
