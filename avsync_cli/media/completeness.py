"""Whether a file holds what it declares: its declared length against what was decoded."""

from __future__ import annotations

from dataclasses import dataclass

from avsync_cli.errors import MediaError
from avsync_cli.media.facts import MediaInfo
from avsync_cli.media.packets import PacketReader, copied

DECLARING = ("mov", "matroska", "avi", "flv", "asf", "mxf", "gxf", "wtv", "nut")
"""Containers whose header or index says how long they are. Of the others ffmpeg tells what it finds
at their end."""

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
    return info.duration_s if info.duration_s > 0 and info.is_in(*DECLARING) else None


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
