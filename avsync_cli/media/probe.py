"""Looking into a file: container, tracks, sizes, rates, start times. No film is decoded.

One ffmpeg tells it all, so no ffprobe is needed (a test holds that ffprobe would say the same): the
heading of the packets says what each track is, its log (`listing`) the rest. The clock of each
track comes from its first packets: printed rates are rounded to two decimals, and whether a rate
is constant is not printed at all.
"""

from __future__ import annotations

import errno
import functools
import itertools
import os
import stat
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

from avsync_cli.errors import DecodeError, FileMissingError
from avsync_cli.media.clock import STEADY, joint_from_s
from avsync_cli.media.facts import AudioTrack, MediaInfo, VideoTrack
from avsync_cli.media.listing import ListedTrack, Listing, ListingLog
from avsync_cli.media.packets import Packet, PacketReader, StreamHead, copied, first_picture
from avsync_cli.media.soundness import Stamping, is_doubtful, look_closely
from avsync_cli.media.source import Source

PROBE_TIMEOUT_S = 60.0

_LOOK_PACKETS = 100
_LOOK_TOTAL_PACKETS = 3000
_LOOK_S = 5.0

MOST_HELD_S = Fraction(1)
"""The longest that one packet counts as picture or sound."""

_COMMON_RATES = tuple(
    sorted(
        {Fraction(n) for n in (5, 8, 10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 90, 100, 120, 240)}
        | {Fraction(1000 * n, 1001) for n in (12, 15, 24, 30, 48, 60, 120, 240)}
    )
)


@dataclass
class _Look:
    """One track as its heading, its listing and its first packets have it.

    Attributes:
        index: number of its stream in the file.
        packets: its first ones.
    """

    index: int
    head: StreamHead
    listed: ListedTrack
    packets: list[Packet] = field(default_factory=list)

    @property
    def stamps(self) -> list[int]:
        """Of these packets, in ticks; those for decoding where there are no others."""
        stamps = (packet.dts if packet.pts is None else packet.pts for packet in self.packets)
        return [stamp for stamp in stamps if stamp is not None]

    @property
    def paces(self) -> list[int]:
        """The stamps that tell the frame rate: those for decoding where some of the others are
        missing, as in program streams, and none of these."""
        decoded = [packet.dts for packet in self.packets if packet.dts is not None]
        lacking = any(packet.pts is None for packet in self.packets)
        return decoded if lacking and len(decoded) == len(self.packets) else self.stamps

    @property
    def start_s(self) -> Fraction | None:
        stamps = self.stamps
        return min(stamps) * self.head.tick_s if stamps else None


def probe(path: str | os.PathLike[str]) -> MediaInfo:
    """Look into a file without decoding it.

    Missing picture or sound is no error here; decoding raises for it.

    Args:
        path: a name or a `Source`.

    Raises:
        FileMissingError: no such file, not a regular file, or not readable.
        NotMediaError: not a container that avsync opens.
        DecodeError: ffmpeg did not answer.
        FfmpegMissingError: there is no ffmpeg.
    """
    file = Source.of(path)
    check_file(file)
    looked = _look_into(file)
    if not looked.is_copied and any(track.has_data for track in looked.listing.tracks):
        # One track of which nothing is known keeps ffmpeg from copying any.
        looked = _look_into(file, looked.listing.tracks)
    listing, looks = looked.listing, looked.looks
    start_s = _start_s(file) if listing.start_s is None else listing.start_s
    videos = [look for look in looks if look.listed.kind == "video"]
    audios = [look for look in looks if look.listed.kind == "audio"]
    return MediaInfo(
        file=file,
        container=listing.container,
        start_s=start_s,
        duration_s=listing.duration_s,
        video=tuple(_video_track(file, look, n, listing, start_s) for n, look in enumerate(videos)),
        audio=tuple(_audio_track(look, n) for n, look in enumerate(audios)),
        filler_s=looked.filler_s,
    )


def check_file(path: str | os.PathLike[str]) -> None:
    """Raise FileMissingError unless `path` is a regular file that can be opened for reading."""
    file = Source.of(path)
    refuse = functools.partial(file.error, FileMissingError)
    if not file.path:  # else it would be the current folder
        raise FileMissingError("the name of a file is empty", "give its value to a variable first")
    try:
        mode = Path(file.path).stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise refuse("no such file", "check the spelling of the path") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise refuse(f"cannot read the file ({reason})", "check the path and its rights") from None
    if stat.S_ISDIR(mode):
        raise refuse("this is a folder, not a file", "give the files in it, or use --recursive")
    if not stat.S_ISREG(mode):
        what = "not a regular file (a pipe, socket or device)"
        raise refuse(what, "save it to a file on disk first")
    try:
        # Non-blocking so that a path swapped for a pipe meanwhile cannot hang us.
        os.close(os.open(file.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)))
    except OSError as error:
        hint = "check its rights" if error.errno == errno.EACCES else "check the path"
        raise refuse(f"cannot read the file ({error.strerror})", hint) from None


@dataclass(frozen=True)
class _Looked:
    """What one run of ffmpeg tells of a file.

    Attributes:
        listing: of the file.
        looks: of its tracks of picture and sound, in its order.
        filler_s: as of `MediaInfo`.
    """

    listing: Listing
    looks: list[_Look]
    filler_s: float

    @property
    def is_copied(self) -> bool:
        """Whether packets came of any track."""
        return any(look.head.codec for look in self.looks)


def _look_into(file: Source, known: Sequence[ListedTrack] | None = None) -> _Looked:
    """Listing, headings and first packets.

    Args:
        file: which.
        known: its tracks, to ask only for packets of those that have data; None asks for all.
    """
    log = ListingLog()
    streams = ["0"] if known is None else [spec for _, spec in _with_data(known)]
    args = copied(*streams, dump_separator=log.mark)
    with PacketReader(
        file, args, loglevel="repeat+level+info", on_line=log.take_line, stall_s=PROBE_TIMEOUT_S
    ) as packets:
        first = next(packets, None)
        heads = [(n, h) for n, h in sorted(packets.heads.items()) if h.kind in ("video", "audio")]
        if not heads:
            packets.process.finish()
        elif not log.wait_for(len(heads), PROBE_TIMEOUT_S):
            what = "ffmpeg says nothing about the file"
            raise file.error(DecodeError, what, "try another release of ffmpeg")
        listing = log.read(file)
        looks = [_Look(track.index, StreamHead(), track) for track in listing.tracks]
        order = range(len(looks)) if known is None else [k for k, _ in _with_data(listing.tracks)]
        by_stream: dict[int, _Look] = {}
        for k, (number, head) in zip(order, heads, strict=False):
            looks[k].head = head
            looks[k].index = number if known is None else looks[k].index
            by_stream[number] = looks[k]
        if first is None:
            return _Looked(listing, looks, 0.0)
        read_all = _read_packets(itertools.chain([first], packets), by_stream)
    joint_s = joint_from_s(listing.container)
    return _Looked(listing, looks, _filler_s(looks, joint_s) if read_all else 0.0)


def _start_s(file: Source) -> Fraction:
    """The player's zero: by how much ffmpeg moves stamps when it is not asked to keep them."""
    firsts = []
    for args in (copied("0"), copied("0", keep_clock=False)):
        with PacketReader(file, args, stall_s=PROBE_TIMEOUT_S) as packets:
            first = next((packet for packet in packets if packet.dts is not None), None)
            if first is None or first.dts is None:
                return Fraction(0)
            firsts.append(first.dts * packets.heads[first.stream].tick_s)
    return firsts[0] - firsts[1]


def _filler_s(looks: Sequence[_Look], joint_s: float) -> float:
    """Time between the first and the last packet in which there is neither picture nor sound.

    Args:
        looks: at all packets.
        joint_s: a longer gap is a joint, and nothing lacks, if packets followed on before.
    """
    shown = sorted(
        (packet.pts * look.head.tick_s, (packet.pts + packet.duration) * look.head.tick_s)
        for look in looks
        for packet in look.packets
        if packet.pts is not None
    )
    filler_s, end_s, steady = Fraction(0), None, STEADY
    for begin_s, until_s in shown:
        gap_s = Fraction(0) if end_s is None else max(Fraction(0), begin_s - end_s)
        if gap_s <= joint_s or steady < STEADY:
            filler_s += gap_s
        steady = steady + 1 if gap_s <= joint_s else 0
        # However long a packet claims to last, a picture that is held for longer shows nothing.
        until_s = min(until_s, begin_s + MOST_HELD_S)
        end_s = until_s if end_s is None else max(end_s, until_s)
    return float(filler_s)


def _with_data(tracks: Sequence[ListedTrack]) -> list[tuple[int, str]]:
    """Places of the tracks whose packets can be copied, and how ffmpeg is asked for each."""
    found = []
    for kind in ("video", "audio"):
        of_kind = [k for k, track in enumerate(tracks) if track.kind == kind]
        found += [(k, f"{kind[0]}:{n}") for n, k in enumerate(of_kind) if tracks[k].has_data]
    return found


def _video_track(
    file: Source, look: _Look, position: int, listing: Listing, zero_s: Fraction
) -> VideoTrack:
    listed, stream = look.listed, f"v:{position}"
    fps, vfr = _frame_rate(look)
    width, height = _displayed_size(file, look, stream, listing.may_be_turned)
    stamping, start_s = Stamping(), look.start_s
    if not listed.is_cover and is_doubtful(look.head.codec, look.packets):
        stamping = look_closely(
            file,
            stream,
            look.head.codec,
            None if vfr else fps,
            container=listing.container,
            zero_s=zero_s,
            timeout_s=PROBE_TIMEOUT_S,
        )
    if stamping.first_s is not None:
        start_s = stamping.first_s
    elif stamping.kind == "order" and start_s is not None:
        # Before a player's zero nothing is shown: those are stamps for the decoder alone.
        start_s = max(start_s, zero_s)
    return VideoTrack(
        **_facts(look, position, start_s),
        width=width,
        height=height,
        fps=fps,
        vfr=vfr and not listed.is_cover,
        phase_s=_phase_s(look, fps),
        is_cover=listed.is_cover,
        stamps=stamping.kind,
        stamps_reason=stamping.reason,
    )


def _phase_s(look: _Look, fps: Fraction) -> Fraction:
    """See `VideoTrack.phase_s`: the first picture may be held longer than the others."""
    stamps = sorted(look.stamps)
    counted = [(stamp - stamps[0]) * look.head.tick_s * fps for stamp in stamps] or [Fraction(0)]
    middle = counted[len(counted) // 2]
    beside = median(count - middle - round(count - middle) for count in counted)
    return (middle + beside - round(middle + beside)) / fps


def _audio_track(look: _Look, position: int) -> AudioTrack:
    facts = _facts(look, position, look.start_s)
    return AudioTrack(**facts, rate_hz=look.head.rate_hz, channels=look.head.channels)


def _facts(look: _Look, position: int, start_s: Fraction | None) -> dict[str, Any]:
    """What is known of any track."""
    listed, where = look.listed, {"index": look.index, "position": position, "start_s": start_s}
    said = {"is_default": listed.is_default, "language": listed.language, "title": listed.title}
    return {"codec": look.head.codec, **where, **said}


def _displayed_size(file: Source, look: _Look, stream: str, may_be_turned: bool) -> tuple[int, int]:
    """(width, height) in square pixels, after rotation."""
    head = look.head
    width = max(1, round(head.width * head.aspect)) if head.width else 0
    if not may_be_turned or not width or look.listed.is_cover:
        return width, head.height
    # Whether it is turned is not asked of the log, but seen: ffmpeg turns what it decodes, by
    # quarter turns as a player does; at other angles the frame keeps its size.
    with PacketReader(file, first_picture(stream), stall_s=PROBE_TIMEOUT_S) as decoded:
        next(decoded, None)
        shown = decoded.heads.get(0, head)
    turned = (shown.width, shown.height, 1 / shown.aspect) == (head.height, head.width, head.aspect)
    return (head.height, width) if turned else (width, head.height)


def _read_packets(packets: Iterable[Packet], looks: dict[int, _Look]) -> bool:
    """Take each track's first packets; reads on only as long as it must.

    Args:
        packets: of all streams.
        looks: by stream number; those of them that are picture or sound.

    Returns:
        whether these were all there are.
    """
    deadline = time.monotonic() + _LOOK_S
    steady = [
        look for look in looks.values() if look.head.kind == "video" and not look.listed.is_cover
    ]
    for total, packet in enumerate(packets, 1):
        look = looks.get(packet.stream)
        if look is not None:
            look.packets.append(packet)
        enough = all(len(look.packets) >= _LOOK_PACKETS for look in steady)
        if enough and all(look.packets for look in looks.values()):
            return False
        if total >= _LOOK_TOTAL_PACKETS or time.monotonic() > deadline:
            return False
    return True


def _frame_rate(look: _Look) -> tuple[Fraction, bool]:
    """(rate, uneven) from the listed mean rate (two decimals) and the first time stamps."""
    stamps, tick_s, listed = sorted(set(look.paces)), look.head.tick_s, look.listed.fps
    steps = [(b - a) * tick_s for a, b in itertools.pairwise(stamps)]
    # The reordered end of the look misses frames; only the front is complete.
    steps = steps[: max(1, len(steps) - 8)] if len(stamps) >= _LOOK_PACKETS else steps
    mean = sum(steps, Fraction(0)) / len(steps) if steps else Fraction(0)
    middle = sorted(steps)[len(steps) // 2] if steps else Fraction(0)
    vfr = False
    if len(steps) >= 4 and mean > 0:
        slack = max(tick_s * Fraction(3, 2), middle / 10)
        vfr = sum(abs(step - middle) > slack for step in steps) > len(steps) * 0.05
        usual = [step for step in steps if abs(step - middle) < middle / 2]
        mean = mean if vfr else sum(usual, Fraction(0)) / len(usual)
    rate = Fraction(listed) if listed else (1 / mean if mean else Fraction(0))
    # Some rates are the codec's, and the stamps another's.
    if not 0 < rate <= 1000 or (middle > 0 and not Fraction(2, 3) < middle * rate < Fraction(3, 2)):
        rate = 1 / mean if mean else Fraction(25)
    near = min(_COMMON_RATES, key=lambda common: abs(common - rate))
    if abs(near - rate) <= max(Fraction(6, 1000), near / 5000):
        rate = near
    return rate.limit_denominator(1001), vfr
