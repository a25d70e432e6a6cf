"""Whether a copy is what was planned: looked at packet by packet, decoded, and laid beside the
source, before it gets its name. ffmpeg's word that all went well counts for nothing: it says so
also when the disk was full at the last moment.

Every check returns "" or what speaks against the copy, in words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg as ffmpeg_python
import numpy as np

from avsync_cli.errors import DecodeError
from avsync_cli.media.ffmpeg import INPUT, input_args, passthrough_args
from avsync_cli.media.packets import PacketReader
from avsync_cli.media.source import Source
from avsync_cli.media.wholeness import is_whole
from avsync_cli.repair.contents import Track
from avsync_cli.repair.copy import Move, Recipe
from avsync_cli.repair.sound_graph import keeps_pitch
from avsync_cli.repair.sound_shift import Heard, measure, windows_of
from avsync_cli.wording import clock

EXACT_MS = 2.0
"""The most that moved sound may lie beside its place: a stamp of Matroska is 1 ms, and two of
them are rounded."""

STAMP_S = 0.001
"""Matroska counts in ms, and mp4 does where a track begins."""

TEMPO_MS = 25.0
"""The same where the speed changes and the pitch does not: pieces of sound are moved about."""

ENDS_WITHIN_S = 0.25
"""Encoders add up to two packets at the end, or keep one back."""


@dataclass(frozen=True, kw_only=True)
class Packets:
    """The packets of one stream, or its decoded pictures.

    Attributes:
        stamps_s: (N,) presentation, else decoding, from the first picture on; NaN where there are
            none.
        are_shown: (N,) whether the stamp is that of presentation.
        lengths_s: (N,) how long each lasts, 0 where that is not known.
        ends_s: when the last one is over.
        tick_s: the unit of the stamps.
        sizes, checksums: (N,) of what is in them.
    """

    stamps_s: np.ndarray
    are_shown: np.ndarray
    lengths_s: np.ndarray
    ends_s: float
    tick_s: Fraction
    sizes: np.ndarray
    checksums: np.ndarray

    def since(self, zero_s: float) -> Packets:
        """The same with another zero."""
        return replace(self, stamps_s=self.stamps_s - zero_s, ends_s=self.ends_s - zero_s)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the checks found.

    Attributes:
        against: what speaks against the copy, "" if nothing does.
        late_ms: sound tracks of which all is late by as much, by their index in the source; empty
            where something else is wrong.
    """

    against: str = ""
    late_ms: Mapping[int, float] = field(default_factory=dict)


def check_copy(move: Move, recipe: Recipe, copy: Path) -> Finding:
    """Compare a copy with its source: packets, stamps, pictures, and where the sound is.

    Raises:
        MediaError: one of the two cannot be read.
    """
    if not is_whole(copy):
        return Finding(against="the end of the copy is missing")
    attached = recipe.contents.attached
    pairs = [pair for pair in recipe.contents.counterparts() if pair[0] not in attached]
    file = Source.of(copy)
    theirs = _from_first_picture(move, pairs, move.info.file, [str(t.index) for t, _ in pairs])
    ours = _from_first_picture(move, pairs, file, [spec for _, spec in pairs])
    if theirs is None or ours is None:
        return Finding(against="the copy has no pictures")
    late_ms: dict[int, float] = {}
    said = []
    for track, spec in pairs:
        one, other = theirs.packets[track.index], ours.packets[track.index]
        if track.index == move.audio.index:
            finding = _check_moved(move, recipe, theirs, ours)
        else:
            finding = _check_copied(track, one, other)
            if not finding.against and track.kind == "video" and not track.is_cover:
                finding = _check_pictures(move.info.file, track, file, spec)
        if finding.against and not finding.late_ms:
            return finding
        late_ms.update(finding.late_ms)
        said.append(finding.against)
    return Finding(against=next(filter(None, said), ""), late_ms=late_ms)


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two files: the streams looked at, and their packets by the tracks' index in the
    source, from the first picture on, which comes `zero_s` after the file's zero."""

    file: Source
    streams: tuple[str, ...]
    zero_s: float
    packets: Mapping[int, Packets]


def _from_first_picture(
    move: Move, pairs: Sequence[tuple[Track, str]], file: Source, streams: Sequence[str]
) -> Side | None:
    found = {
        track.index: packets
        for (track, _), packets in zip(pairs, read_packets(file, streams), strict=True)
    }
    shown_s = found[move.video.index].stamps_s
    zero_s = float(np.nanmin(shown_s, initial=np.inf))
    if not np.isfinite(zero_s):
        return None
    packets = {index: each.since(zero_s) for index, each in found.items()}
    return Side(file=file, streams=tuple(streams), zero_s=zero_s, packets=packets)


def read_packets(file: Source, streams: Sequence[str], *, decoded: bool = False) -> list[Packets]:
    """All packets of some streams as ffmpeg reads them for a copy, joints bridged.

    Args:
        file: whose.
        streams: their indices, or names such as "a:0".
        decoded: take pictures in place of packets.

    Raises:
        DecodeError: there are no such streams, or nothing in them.
    """
    source = ffmpeg_python.input(INPUT, **input_args())
    how: dict[str, Any] = {"c": "copy", "copyinkf": None, "copy_unknown": None}
    args = ffmpeg_python.output(
        *(source[stream] for stream in streams),
        "pipe:1",
        format="framecrc",
        **(passthrough_args() if decoded else how),
    ).get_args()
    rows: list[list[tuple[float, int, int, int, bool]]] = [[] for _ in streams]
    with PacketReader(file, args) as packets:
        for packet in packets:
            stamp = packet.dts if packet.pts is None else packet.pts
            time = np.nan if stamp is None else float(stamp)
            row = (time, packet.duration, packet.size, packet.checksum, packet.pts is not None)
            rows[packet.stream].append(row)
        if packets.process.check_end() != 0 and not any(rows):
            raise file.error(DecodeError, f"cannot be read ({packets.process.last_error()})")
        heads = packets.heads
    found = []
    for number, of_stream in enumerate(rows):
        tick_s = heads[number].tick_s if number in heads else Fraction(1, 1000)
        table = np.array(of_stream, np.float64).reshape(-1, 5)
        ends = (table[:, 0] + table[:, 1]) * float(tick_s)
        found.append(
            Packets(
                stamps_s=table[:, 0] * float(tick_s),
                are_shown=table[:, 4] > 0,
                lengths_s=table[:, 1] * float(tick_s),
                ends_s=float(np.nanmax(ends, initial=-np.inf)),
                tick_s=tick_s,
                sizes=table[:, 2],
                checksums=table[:, 3],
            )
        )
    return found


def _check_copied(track: Track, theirs: Packets, ours: Packets) -> Finding:
    """Whether a track that was not to be changed is the same."""
    if len(ours.sizes) != len(theirs.sizes):
        count = f"{len(ours.sizes)} of {len(theirs.sizes)}"
        return Finding(against=f"{count} packets of the {track.words} are there")
    if track.is_cover:
        return Finding()
    # Containers wrap the packets of some codecs in another way; pictures are compared decoded.
    changed = not _same_payload(theirs, ours) and np.array_equal(ours.sizes, theirs.sizes)
    if track.kind != "video" and changed:
        return Finding(against=f"the {track.words} is not what it was")
    late_s = _late_s(theirs, ours)
    within_s = max(STAMP_S, float(theirs.tick_s + ours.tick_s)) + 1e-6
    if not np.nanmax(np.abs(late_s), initial=0.0) > within_s:
        return Finding()
    worst = int(np.nanargmax(np.abs(late_s)))
    at, by_ms = clock(float(theirs.stamps_s[worst])), 1000 * float(late_s[worst])
    steady = track.kind == "audio" and np.nanmax(late_s) - np.nanmin(late_s) <= within_s
    return Finding(
        against=f"the {track.words} is moved by {by_ms:.0f} ms at {at}",
        late_ms={track.index: 1000 * float(np.nanmean(late_s))} if steady else {},
    )


def _late_s(theirs: Packets, ours: Packets) -> np.ndarray:
    """(N,) how much later each packet comes; NaN where one of the two has a time to be shown at
    and the other has none: in a program stream that depends on where its blocks begin."""
    late_s = ours.stamps_s - theirs.stamps_s
    alike = ours.are_shown == theirs.are_shown
    return np.where(alike, late_s, np.nan) if alike.any() else late_s


def _same_payload(theirs: Packets, ours: Packets) -> bool:
    pairs = (theirs.checksums, ours.checksums), (theirs.sizes, ours.sizes)
    return all(np.array_equal(*pair) for pair in pairs)


def _check_pictures(source: Source, track: Track, copy: Source, spec: str) -> Finding:
    """Whether the same pictures come out of the decoder."""
    (theirs,) = read_packets(source, [str(track.index)], decoded=True)
    (ours,) = read_packets(copy, [spec], decoded=True)
    if len(ours.sizes) != len(theirs.sizes):
        return Finding(against=f"{len(ours.sizes)} of {len(theirs.sizes)} pictures are there")
    if not _same_payload(theirs, ours):
        return Finding(against="pictures are not what they were")
    return Finding()


def _check_moved(move: Move, recipe: Recipe, theirs: Side, ours: Side) -> Finding:
    """Whether the moved sound is all there, and where it should be."""
    index = move.audio.index
    against = _check_moved_packets(move, recipe, theirs.packets[index], ours.packets[index])
    if against:
        return Finding(against=against)
    tempo = any(keeps_pitch(piece.speed, move.pitch) for piece in move.pieces)
    within_ms = TEMPO_MS if tempo else EXACT_MS
    # What fills the sound up to the last picture cuts it there, too.
    cut_s = theirs.packets[move.video.index].ends_s if move.into.fills else math.inf
    windows = windows_of(move.pieces, move.lead_s, theirs.packets[index].ends_s, cut_s)
    sides = [
        Heard(
            file=side.file,
            track=track,
            channels=move.audio.channels,
            zero_s=side.zero_s,
            beside=side.streams,
        )
        for side, track in ((theirs, move.audio.position), (ours, recipe.position))
    ]
    heard = measure(sides[0], sides[1], windows, move.audio.rate_hz, within_ms, move.pitch)
    for window, late_ms in heard:
        if late_ms is None:
            return Finding(against=f"at {clock(window.at_s)} the sound is another")
    lags = np.array([late_ms for _, late_ms in heard if late_ms is not None])
    worst = int(np.argmax(np.abs(lags))) if len(lags) else 0
    if not len(lags) or abs(lags[worst]) <= within_ms:
        return Finding()
    lag_ms, at = float(lags[worst]), clock(heard[worst][0].at_s)
    side = "late" if lag_ms > 0 else "early"
    steady = recipe.way == "encode" and np.ptp(lags) <= 1.0
    return Finding(
        against=f"at {at} the sound is {abs(lag_ms):.1f} ms too {side}",
        late_ms={index: float(np.median(lags))} if steady else {},
    )


def _widest_gap_s(packets: Packets) -> float:
    """The most that one packet begins beside the end of the one before."""
    gaps_s = packets.stamps_s[1:] - packets.stamps_s[:-1] - packets.lengths_s[:-1]
    return float(np.nanmax(np.abs(gaps_s[packets.lengths_s[:-1] > 0]), initial=0.0))


def _check_moved_packets(move: Move, recipe: Recipe, theirs: Packets, ours: Packets) -> str:
    """What speaks against the moved sound's packets, or ""."""
    count = len(ours.sizes)
    if not count:
        return "the copy has no sound"
    last = move.pieces[-1]
    if recipe.way == "drop":
        if not np.array_equal(ours.checksums, theirs.checksums[-count:]):
            return "the sound that was copied is not what it was"
        planned_s = theirs.stamps_s[-count:] - last.offset_ms / 1000.0
        beside_s = np.nanmax(np.abs(ours.stamps_s - planned_s), initial=0.0)
        if beside_s > 2 * max(STAMP_S, float(theirs.tick_s + ours.tick_s)):
            return f"the sound's time stamps are {1000 * beside_s:.1f} ms beside the plan"
    elif (gap_s := _widest_gap_s(ours)) > 3 * STAMP_S:
        return f"the sound's time stamps jump by {1000 * gap_s:.0f} ms"
    start_s = last.start_s - move.lead_s if len(move.pieces) > 1 else 0.0
    offset_s = last.offset_at(start_s + move.lead_s) / 1000.0
    ends_s = start_s + (theirs.ends_s - start_s - offset_s) / last.speed
    if not move.into.fills and ours.ends_s < ends_s - ENDS_WITHIN_S:
        return f"the sound ends at {clock(ours.ends_s)}, not at {clock(ends_s)}"
    return ""
