"""Whether a picture track's time stamps can be believed, and how it is shown where they cannot.

Pictures are stored in the order of decoding, which is not that of showing. Some files give the time
of a few pictures only (transport streams), some give none (avi, mxf without an index), and some
give times in the order of decoding as if it were that of showing. Readers then make stamps up, and
are late by what the decoder holds back. The bitstream itself numbers its pictures in the order of
showing: with that and an even frame rate, the times are rebuilt from a single true stamp.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median

import ffmpeg as ffmpeg_python

from avsync_cli.media.facts import StampKind
from avsync_cli.media.ffmpeg import INPUT, input_args, passthrough_args
from avsync_cli.media.packets import Packet, PacketReader, copied
from avsync_cli.media.source import Source
from avsync_cli.media.stamps import FROM_FILTER

NUMBERED = ("h264", "hevc", "mpeg2video")
"""Codecs whose bitstream numbers its pictures in the order of showing, where ffmpeg can tell."""

UNNUMBERED = ("mpeg4", "mpeg1video", "vc1", "wmv3")
"""Codecs that store pictures out of order in one way only: those that lie between two others (B)
behind the second of them."""

LOOK_PICTURES = 60
"""Pictures that are looked at: two groups of them as a rule."""

SUMMING = ("mov", "avi", "flv", "mxf", "gxf")
"""Containers that store how long pictures last rather than when they are shown."""

SENDING = ("mpegts", "mpeg", "asf")
"""Containers whose stamps count from where decoding begins: without those for showing nobody knows
how long the first picture is held back."""

AS_STORED_S, LEAST_STORED = Fraction(1, 100), 3
"""A reader's time of a picture is the file's if it is so near; that of one or two may be by
chance."""

MOST_REORDERED = 16
"""Pictures that a decoder may hold back, by the standards."""

_TICKS = 90_000
"""A second in the times of decoded pictures."""

_LOG = re.compile(
    FROM_FILTER + r"trace_headers @ [0-9a-fx]+\] \x1b\[0m(?:\[info\] )?"
    r"(?:\d+\s+(?P<name>\w+)\s+[01]+ = (?P<value>\d+)|Packet: [^,]*(?P<key>, key frame)?,)"
)
_SHOWN = re.compile(
    FROM_FILTER + r"Parsed_showinfo_\d+ @ [0-9a-fx]+\] \x1b\[0m(?:\[info\] )?"
    r"n:\s*\d+ pts:\s*(\S+) .*\btype:(.)"
)
_ORDER = ("pic_order_cnt_lsb", "slice_pic_order_cnt_lsb", "temporal_reference")
_FRESH_NAL = (5, 16, 17, 18, 19, 20)
"""Kinds of units from which on pictures are numbered anew: IDR in H.264, IRAP but CRA in HEVC."""


@dataclass(frozen=True)
class Stamping:
    """How a track's time stamps are to be read.

    Attributes:
        kind: see `StampKind`.
        first_s: when the first picture is shown, on the file's own clock, where that is not simply
            its earliest stamp; else None.
        reason: what is wrong with unsound stamps, else "".
    """

    kind: StampKind = "sound"
    first_s: Fraction | None = None
    reason: str = ""


def is_doubtful(codec: str, packets: Sequence[Packet]) -> bool:
    """Whether stamps have to be looked at closely.

    Args:
        codec: ffmpeg's name.
        packets: the track's first, in the order of decoding.
    """
    shown = [packet.pts for packet in packets]
    if None in shown:
        return True
    reorders = codec in NUMBERED + UNNUMBERED
    return reorders and len(shown) > 1 and shown == sorted(shown)  # type: ignore[type-var]


def look_closely(
    file: Source,
    stream: str,
    codec: str,
    fps: Fraction | None,
    *,
    container: str,
    zero_s: Fraction,
    timeout_s: float,
) -> Stamping:
    """Judge a track's stamps by what is stored of them, and by the bitstream's own order.

    Args:
        file, stream, codec: which, and what it is in.
        fps, container, zero_s: as of `judge_stamps`.
        timeout_s: as of `FfmpegStream`.
    """
    order = OrderLog()
    args = copied(stream, fflags="nofillin")
    args[-1:-1] = ["-frames:v", str(LOOK_PICTURES), "-bsf:v", "trace_headers"]
    with PacketReader(
        file, args, loglevel="repeat+level+info", on_line=order.take_line, stall_s=timeout_s
    ) as reader:
        packets = list(reader)
        status = reader.process.finish()
        tick_s = reader.heads[0].tick_s if 0 in reader.heads else Fraction(1, 1000)
    if status != 0 and not packets:
        # A codec whose headers ffmpeg cannot read.
        with PacketReader(file, copied(stream, fflags="nofillin"), stall_s=timeout_s) as reader:
            packets = [packet for packet, _ in zip(reader, range(LOOK_PICTURES), strict=False)]
            tick_s = reader.heads[0].tick_s if 0 in reader.heads else tick_s
    if codec in NUMBERED:
        ranks = order.ranks()
    else:
        ranks = ranks_of_kinds([kind for _, kind in _decoded(file, stream, timeout_s)])
    known = ranks[: len(packets)] if len(ranks) >= len(packets) else None
    stamping = judge_stamps(packets, known, tick_s, fps, container=container, zero_s=zero_s)
    # A reader knows how long each of MPEG-2's pictures lasts: two fields and three in turn, as of
    # film on a DVD, and goes on where a program stream was put together of several. Elsewhere it
    # makes times up, and an even rate tells them better.
    fills = codec == "mpeg2video" and (fps is None or container == "mpeg")
    if known is not None and stamping.kind in ("unsound", "rebuilt") and fills:
        shown = [at_s for at_s, _ in _decoded(file, stream, timeout_s) if at_s is not None]
        if fills_in(shown, packets, known, tick_s):
            return Stamping()
    return stamping


def _decoded(file: Source, stream: str, timeout_s: float) -> list[tuple[Fraction | None, str]]:
    """The first pictures that come out of the decoder: when each is shown as ffmpeg sees it, in s
    on the file's own clock, and of which kind it is."""
    pictures: list[tuple[Fraction | None, str]] = []

    def take_line(line: str) -> bool:
        match = _SHOWN.match(line)
        if match is not None:
            pts, kind = match.groups()
            pictures.append((None if pts == "NOPTS" else Fraction(int(pts), _TICKS), kind))
        return match is not None

    source = ffmpeg_python.input(INPUT, **input_args(), copyts=None, threads=1)
    args = ffmpeg_python.output(
        source[stream].filter("settb", f"1/{_TICKS}").filter("showinfo"),
        "pipe:1",
        format="framecrc",
        vframes=LOOK_PICTURES + MOST_REORDERED,
        **passthrough_args(),
    ).get_args()
    with PacketReader(
        file, args, loglevel="repeat+level+info", on_line=take_line, stall_s=timeout_s
    ) as reader:
        for _ in reader:
            pass
        reader.process.finish()
    return pictures


def fills_in(
    shown_s: Sequence[Fraction], packets: Sequence[Packet], ranks: Sequence[int], tick_s: Fraction
) -> bool:
    """Whether a reader's times of pictures, of which the file says only some, always go on and are
    the file's own wherever it has one. The last of them do not count, as in `judge_stamps`.

    Args:
        shown_s: the reader's, in the order of showing.
        packets, ranks, tick_s: as of `judge_stamps`.

    >>> rest = {"stream": 0, "dts": None, "duration": 0, "size": 9, "checksum": 0}
    >>> at = lambda pts: Packet(pts=pts, is_key=True, **rest)
    >>> stored = [at(0), at(None), at(33), at(117), at(83)]
    >>> shown_s = [Fraction(ms, 1000) for ms in (0, 33, 83, 117, 150)]
    >>> fills_in(shown_s, stored, [0, 4, 1, 3, 2], Fraction(1, 1000))
    True
    >>> late_s = [at_s + Fraction(1, 20) for at_s in shown_s]
    >>> fills_in(late_s, stored, [0, 4, 1, 3, 2], Fraction(1, 1000))
    False
    """
    settled = packets[:-MOST_REORDERED] or packets
    stored = [
        (ranks[k], packet.pts * tick_s)
        for k, packet in enumerate(settled)
        if packet.pts is not None and ranks[k] < len(shown_s)
    ]
    goes_on = all(a < b for a, b in itertools.pairwise(shown_s[: len(settled)]))
    near = sum(abs(shown_s[rank] - at_s) <= AS_STORED_S for rank, at_s in stored)
    return goes_on and len(stored) >= LEAST_STORED and near >= 0.9 * len(stored)


def ranks_of_kinds(kinds: Sequence[str]) -> list[int]:
    """Of each picture, in the order of decoding, its place in the order of showing, by the kinds
    of pictures in the order of showing.

    >>> ranks_of_kinds("IBBPBP")
    [0, 3, 1, 2, 5, 4]
    """
    ranks: list[int] = []
    between: list[int] = []
    for place, kind in enumerate(kinds):
        if kind == "B":
            between.append(place)
        else:
            ranks += [place, *between]
            between = []
    return ranks + between


def judge_stamps(
    packets: Sequence[Packet],
    ranks: Sequence[int] | None,
    tick_s: Fraction,
    fps: Fraction | None,
    *,
    container: str = "",
    zero_s: Fraction | None = None,
) -> Stamping:
    """How stamps are to be read.

    Args:
        packets: the track's first, in the order of decoding, with the stamps that are stored.
        ranks: of each, its place in the order of showing, from 0; None if unknown.
        tick_s: unit of the stamps.
        fps: frame rate, None where it is uneven.
        container: ffmpeg's name of the demuxer.
        zero_s: the player's zero; what lies before it is not shown.

    >>> rest = {"stream": 0, "dts": None, "duration": 0, "size": 9, "checksum": 0}
    >>> at = lambda pts: Packet(pts=pts, is_key=True, **rest)
    >>> judge_stamps([at(80), at(None), at(None)], [0, 2, 1], Fraction(1, 1000), Fraction(25))
    Stamping(kind='rebuilt', first_s=Fraction(2, 25), reason='')
    """
    stamped = [(k, packet.pts) for k, packet in enumerate(packets) if packet.pts is not None]
    if not stamped:
        none = Stamping("unsound", None, "no picture has a time stamp")
        return Stamping("order") if set(SENDING).isdisjoint(container.split(",")) else none
    complete = len(stamped) == len(packets)
    if complete and (ranks is None or _in_order([pts for _, pts in stamped], ranks)):
        return Stamping()
    few = f"{len(stamped)} of {len(packets)} pictures have a time stamp"
    what = "the pictures' time stamps are in the order of decoding" if complete else few
    # Where stamps are sums of durations, the first picture shown has the first stamp. Elsewhere
    # nobody knows whether that was meant for the decoder.
    known = not complete or not set(SUMMING).isdisjoint(container.split(","))
    if ranks is None or fps is None or not packets[0].is_key or not known:
        return Stamping("unsound", None, f"{what}, and their times cannot be rebuilt")
    if complete:
        first_s = min(pts for _, pts in stamped) * tick_s
        if zero_s is not None and first_s < zero_s:
            # By these stamps an edit cuts off others than those that are shown first.
            return Stamping("unsound", None, f"{what}, and the file begins after the first of them")
        return Stamping("rebuilt", first_s)
    # The last ones may have predecessors that come after the look.
    settled = [stamp for stamp in stamped if stamp[0] < len(packets) - MOST_REORDERED] or stamped
    firsts = [pts * tick_s - ranks[k] / fps for k, pts in settled]
    first_s = median(firsts)
    # Writers of program streams stamp a picture with the next one's time now and then.
    if sum(abs(each - first_s) > Fraction(1, 2) / fps for each in firsts) > 0.1 * len(firsts):
        return Stamping("unsound", None, f"{what}, and they contradict the frame rate")
    return Stamping("rebuilt", first_s)


def _in_order(stamps: Sequence[int], ranks: Sequence[int]) -> bool:
    """Whether pictures are shown in the bitstream's order; equal stamps do not contradict it. The
    last ones do not count: what is shown before them may come after the look."""
    shown = sorted(range(len(stamps)), key=lambda k: ranks[k])
    ordered = [stamps[k] for k in shown]
    return sum(a > b for a, b in itertools.pairwise(ordered)) <= 0.1 * len(ordered)


class OrderLog:
    """Takes ffmpeg's log of a bitstream's headers: the order in which its pictures are shown.

    Numbers in the bitstream have few bits and start again now and then; here they go on.
    """

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._bits = 0
        self._base, self._high = 0, 0
        self._waiting = False
        self._is_key = False

    def take_line(self, line: str) -> bool:
        """Called with each line of the log; True if it was one of a header."""
        match = _LOG.match(line)
        if match is None:
            return False
        if match.group("name") is None:
            self._finish_picture()
            self._waiting, self._is_key = True, match.group("key") is not None
            return True
        name, value = match.group("name"), int(match.group("value"))
        fresh = self._is_key and name == "nal_unit_type" and value in _FRESH_NAL
        if name == "log2_max_pic_order_cnt_lsb_minus4":
            self._bits = value + 4
        elif self._waiting and (name == "group_start_code" or fresh):
            self._base = self._high = max(self._numbers, default=-1) + 1
        elif self._waiting and name in _ORDER:
            self._number(value)
        return True

    def ranks(self) -> list[int]:
        """Of each picture, in the order of decoding, its place in the order of showing."""
        self._finish_picture()
        places = sorted(range(len(self._numbers)), key=self._numbers.__getitem__)
        return sorted(range(len(places)), key=places.__getitem__)  # the permutation's inverse

    def _number(self, value: int) -> None:
        number = self._base + value
        if self._bits:
            # The one nearest to the highest yet: what the bits leave out is a multiple of this.
            step = 1 << self._bits
            number += round((self._high - number) / step) * step
        self._numbers.append(number)
        self._high = max(self._high, number)
        self._waiting = False

    def _finish_picture(self) -> None:
        """A picture without a number of its own begins a count, or comes in its turn."""
        if self._waiting:
            in_turn = max(self._numbers, default=-1) + 1
            self._numbers.append(self._base if self._bits else in_turn)
        self._waiting = False
