"""Packets as ffmpeg hands them over, told by its framecrc format: no text of the file is in it.

Nothing is decoded. A heading says what each stream is; then comes a line for each packet.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

import ffmpeg as ffmpeg_python

from avsync_cli.media.facts import MediaInfo, VideoTrack
from avsync_cli.media.ffmpeg import INPUT, command, input_args
from avsync_cli.media.process import FfmpegStream

_NO_STAMP = -(2**63)
_HEADING = re.compile(rb"#(\w+) (\d+):\s+(.*)")
_PACKET = re.compile(
    rb"(\d+),\s*(-?\d+),\s*(-?\d+),\s*(-?\d+),\s*(\d+),\s*0x([0-9a-f]+)(,\s*F=0x0)?"
)

_CHANNELS = {
    "mono": 1,
    "stereo": 2,
    "downmix": 2,
    "binaural": 2,
    "quad": 4,
    "hexagonal": 6,
    "octagonal": 8,
    "cube": 8,
    "hexadecagonal": 16,
}


@dataclass
class StreamHead:
    """What the heading says of one stream; 0 or "" where it says nothing.

    Attributes:
        kind: "video", "audio", "subtitle", "data" or "attachment".
        codec: ffmpeg's short name.
        tick_s: the unit of its stamps.
        width, height: as coded.
        aspect: of its pixels, width by height.
        rate_hz, channels: of sound.
    """

    kind: str = ""
    codec: str = ""
    tick_s: Fraction = Fraction(1, 1000)
    width: int = 0
    height: int = 0
    aspect: Fraction = Fraction(1)
    rate_hz: int = 0
    channels: int = 0


@dataclass(frozen=True, kw_only=True)
class Packet:
    """One packet; stamps are in ticks of its stream, None where there are none.

    Attributes:
        stream: number of its stream among those asked for.
        dts, pts: stamps for decoding and for showing.
        duration: in ticks, 0 if unknown.
        size, checksum: of its payload, in bytes, and by Adler-32.
        is_key: whether decoding can begin with it.
    """

    stream: int
    dts: int | None
    pts: int | None
    duration: int
    size: int
    checksum: int
    is_key: bool


class PacketReader:
    """Iterator over packets; a context manager that ends ffmpeg on leaving.

    Args:
        path: the file, a name or a `Source`.
        args: from `copied` or `first_picture`.
        loglevel, on_line, stall_s: as of `command` and `FfmpegStream`.

    Attributes:
        heads: of the streams asked for, by number; complete once the first packet is there.
        process: the ffmpeg that is read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        args: Sequence[str],
        *,
        loglevel: str = "level+error",
        on_line: Callable[[str], bool] | None = None,
        stall_s: float | None = None,
    ) -> None:
        self.heads: dict[int, StreamHead] = {}
        self.process = FfmpegStream(
            command(args, path, loglevel),
            path=path,
            block_bytes=2048,
            on_line=on_line,
            stall_s=stall_s,
        )
        self._lines = self.process.lines()

    def __iter__(self) -> Iterator[Packet]:
        return self

    def __next__(self) -> Packet:
        for line in self._lines:
            if match := _PACKET.match(line):
                stream, dts, pts, duration, size = (int(group) for group in match.groups()[:5])
                return Packet(
                    stream=stream,
                    dts=_stamp(dts),
                    pts=_stamp(pts),
                    duration=duration,
                    size=size,
                    checksum=int(match.group(6), 16),
                    is_key=match.group(7) is None,
                )
            if match := _HEADING.match(line):
                name, number, value = match.groups()
                head = self.heads.setdefault(int(number), StreamHead())
                _take_heading(head, name.decode(), value.decode("utf-8", "replace"))
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.close()


def copied(*streams: str, keep_clock: bool = True, **options: Any) -> list[str]:
    """Arguments for the packets of some streams as the file has them.

    Args:
        streams: such as "v:0", or "0" for all.
        keep_clock: on the file's own clock; else on a player's, which begins at 0.
        options: further ones for the input.
    """
    clock = {"copyts": None} if keep_clock else {}
    source = ffmpeg_python.input(INPUT, **clock, **input_args(), **options)
    args = ffmpeg_python.output(
        source,
        "pipe:1",
        format="framecrc",
        c="copy",
        copy_unknown=None,
        copyinkf=None,
        copypriorss=1,
        flush_packets=1,
    ).get_args()
    for stream in streams:
        args[-1:-1] = ["-map", stream if stream == "0" else f"0:{stream}"]
    return list(args)


def first_picture(stream: str) -> list[str]:
    """Arguments for the heading of a stream's decoded pictures: as a player turns them."""
    source = ffmpeg_python.input(INPUT, **input_args(), threads=1)
    args = ffmpeg_python.output(source[stream], "pipe:1", format="framecrc", vframes=1).get_args()
    return list(args)


def end_s(info: MediaInfo, video: VideoTrack) -> float:
    """When the last picture ends, seconds from the file's zero; nothing is decoded."""
    end = Fraction(0)
    with PacketReader(info.file, copied(video.spec)) as packets:
        for packet in packets:
            tick_s = packets.heads[0].tick_s
            if packet.pts is not None:
                span = max(packet.duration * tick_s, 1 / video.fps)
                end = max(end, packet.pts * tick_s + span)
    return float(end - info.start_s)


def _stamp(number: int) -> int | None:
    return None if number == _NO_STAMP else number


def _take_heading(head: StreamHead, name: str, value: str) -> None:
    if name == "media_type":
        head.kind = value
    elif name == "codec_id":
        head.codec = value
    elif name == "tb" and (ratio := _ratio(value)):
        head.tick_s = ratio
    elif name == "dimensions" and (match := re.fullmatch(r"(\d+)x(\d+)", value)):
        head.width, head.height = int(match.group(1)), int(match.group(2))
    elif name == "sar" and (ratio := _ratio(value)):
        # Beyond any real shape of a pixel.
        head.aspect = ratio if Fraction(1, 10) <= ratio <= 10 else Fraction(1)
    elif name == "sample_rate" and value.isdecimal():
        head.rate_hz = int(value)
    elif name == "channel_layout_name":
        head.channels = channel_count(value)


def _ratio(text: str) -> Fraction | None:
    """ "4/3" as a fraction; None for what is absent or has a zero."""
    above, _, below = text.partition("/")
    if not (above.isdecimal() and below.isdecimal() and int(above) and int(below)):
        return None
    return Fraction(int(above), int(below))


def channel_count(layout: str) -> int:
    """How many channels a layout has as ffmpeg names it: "mono", "5.1(side)", "12 channels"."""
    if match := re.match(r"(\d+) channels", layout):
        return int(match.group(1))
    if match := re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", layout):
        return sum(int(group) for group in match.groups() if group)
    if match := re.match(r"ambisonic (\d+)", layout):
        return (int(match.group(1)) + 1) ** 2
    return _CHANNELS.get(re.split(r"[\s(]", layout)[0], 2)
