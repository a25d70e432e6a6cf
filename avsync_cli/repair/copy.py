"""A copy of a file with one sound track moved, and everything else as it was.

Sound is moved in its samples, not only in time stamps or edit lists, so that every player and
every tool sees it moved. Two ways:

* drop: whole packets are left out at the beginning, the rest copied; nothing is encoded. Possible
  where the sound comes earlier and a packet ends near enough; what is left of the move, less than
  half a packet, goes into the time stamps.
* encode: the sound is decoded, cut, filled and resampled to the sample, and encoded again.

The picture is copied in both. The sound then begins with the first picture, so that readers that
ignore start times see it in its place, too.
"""

from __future__ import annotations

import errno
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from avsync_cli.errors import UsageError
from avsync_cli.files import has_no_room, no_room, scratch_folder
from avsync_cli.media.facts import AudioTrack, MediaInfo, VideoTrack
from avsync_cli.media.packets import PacketReader, copied, end_s
from avsync_cli.media.process import FfmpegStream, not_written
from avsync_cli.repair.arguments import EXTRACT, copy_args, extract_args, filled, shown
from avsync_cli.repair.containers import Carrier, encoder_options, sound_codec
from avsync_cli.repair.contents import Contents
from avsync_cli.repair.sound_graph import Piece, sound_graph

NEAR_MS = 10.0
"""The most that a reader who ignores time stamps may be off when packets are dropped."""

STALL_S = 600.0
"""ffmpeg says how far it is twice a second, except while it moves a long file's index forward."""

Progress = Callable[[float, float], None]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one copy is made.

    Attributes:
        way: "drop" or "encode".
        codec: what the moved track is in afterwards.
        contents: what the copy has of the file.
        position: number of the moved track among the copy's sound tracks.
        args: for ffmpeg, from the input on, with stand-ins for names (see `arguments`).
    """

    way: str
    codec: str
    contents: Contents
    position: int
    args: tuple[str, ...]

    def shown(self, source: str, target: str | os.PathLike[str]) -> list[list[str]]:
        """The commands for a person to read and run, without what guards against strange files."""
        extracts = [extract_args(track) for track in self.contents.attached]
        return [shown(args, source, target) for args in (*extracts, list(self.args))]


@dataclass(frozen=True, kw_only=True)
class Move:
    """What a copy is to do: the file, the picture that sound is moved to, the track that is moved.

    Attributes:
        pieces: in order of time, without gaps; the first from the beginning, the last to the end.
        into: the container of the copy.
        pitch: "keep", "shift" or "auto": what happens to it where the speed changes.
        late_ms: by how much the writer was seen to put sound tracks late, by their index: as much
            is taken off.
    """

    info: MediaInfo
    video: VideoTrack
    audio: AudioTrack
    pieces: tuple[Piece, ...]
    into: Carrier
    pitch: str = "auto"
    late_ms: Mapping[int, float] = field(default_factory=dict)

    @property
    def lead_s(self) -> float:
        """When the first picture comes: `lead_of`."""
        return lead_of(self.info, self.video)


def lead_of(info: MediaInfo, video: VideoTrack) -> float:
    """When the first picture comes, seconds after the file's zero; 0 where only order is kept."""
    if video.start_s is None or video.stamps == "order":
        return 0.0
    return max(0.0, float(video.start_s - info.start_s))


def plan_copies(move: Move, contents: Contents) -> list[Recipe]:
    """The ways to make the copy, best first; a later one is for when ffmpeg refuses the former.

    Raises:
        UsageError: a move longer than the file.
    """
    check_pieces(move)
    audio, into = move.audio, move.into
    position = contents.sound_position(audio.index)
    recipes = []

    def add(way: str, contents: Contents, options: dict[str, str], codec: str) -> None:
        args = copy_args(move.info, contents, into, {**_stamp_filters(move, contents), **options})
        recipes.append(
            Recipe(way=way, codec=codec, contents=contents, position=position, args=tuple(args))
        )

    dropped = _drop_filter(move)
    if dropped is not None:
        add("drop", contents, {f"bsf:a:{position}": dropped}, audio.codec)
    codec = sound_codec(into, audio.codec)
    kbps = contents.kbps(audio.index)
    options = encoder_options(codec, position, audio.channels, audio.rate_hz, kbps)
    if into.rates_hz and audio.rate_hz not in into.rates_hz:
        options[f"ar:a:{position}"] = str(into.rates_hz[0])
    options[f"filter:a:{position}"] = _graph(move, codec)
    add("encode", contents, options, codec)
    if contents.data:
        add("encode", contents.without_data(), options, codec)
    return recipes


def _stamp_filters(move: Move, contents: Contents) -> dict[str, str]:
    """Filters for sound tracks that are copied, by a writer that puts them late or early."""
    return {
        f"bsf:a:{contents.sound_position(index)}": (
            f"setts=pts=PTS-({late_ms / 1000:.6f})/TB:dts=DTS-({late_ms / 1000:.6f})/TB"
        )
        for index, late_ms in move.late_ms.items()
        if index != move.audio.index
    }


def check_pieces(move: Move) -> None:
    """Raise UsageError unless every lag is a number and shorter than the file."""
    file, duration_s = move.info.file, move.info.duration_s
    for piece in move.pieces:
        if not (math.isfinite(piece.offset_ms) and math.isfinite(piece.drift_ms_per_min)):
            raise UsageError(f"the offset must be a number of ms, not {piece.offset_ms}")
        if 0 < duration_s <= abs(piece.offset_ms) / 1000:
            what = f"an offset of {piece.offset_ms:g} ms is longer than the file"
            raise file.error(UsageError, what, f"stay below {duration_s * 1000:.0f} ms")


def _graph(move: Move, codec: str) -> str:
    """The filter graph for the moved track."""
    graph = sound_graph(
        move.pieces,
        move.audio.rate_hz,
        move.lead_s,
        move.pitch,
        nudge_ms=move.late_ms.get(move.audio.index, 0.0),
    )
    if move.into.fills:
        lasts_s = end_s(move.info, move.video) - move.lead_s
        samples = round(lasts_s * move.audio.rate_hz)
        graph += f",apad=whole_len={samples},atrim=end_sample={samples}"
    if codec == "opus" and move.audio.channels == 6:
        graph += ",aformat=channel_layouts=5.1"  # the encoder knows no other layout of six
    return graph


# --- Dropping packets -----------------------------------------------------------------------------


def _drop_filter(move: Move) -> str | None:
    """The bitstream filter that moves the sound earlier by whole packets, or None."""
    pieces = move.pieces
    if len(pieces) != 1 or pieces[0].drift_ms_per_min or pieces[0].offset_ms <= 0:
        return None
    # Between containers of two kinds the filters count in the unit of the one and not the other.
    alike = move.info.is_in({"ts": "mpegts"}.get(move.into.family, move.into.family))
    if move.audio.codec not in move.into.drops or not alike:
        return None
    move_s = pieces[0].offset_ms / 1000
    first_s = move.lead_s + move_s
    stamps = packet_times(move.info, move.audio, first_s + 1.0)
    if not stamps:
        return None
    nearest = min(stamps, key=lambda stamp: abs(stamp - first_s))
    if abs(nearest - first_s) * 1000 > NEAR_MS:
        return None
    # Half a millisecond, so that rounding of the limit drops no packet that is meant to stay.
    return (
        f"noise=drop='lt(pts*tb,{nearest - 0.0005:.6f})',"
        f"setts=pts=PTS-{move_s:.6f}/TB:dts=DTS-{move_s:.6f}/TB"
    )


def packet_times(info: MediaInfo, audio: AudioTrack, until_s: float) -> list[float]:
    """Time stamps of a track's first packets, seconds from the file's zero, up to `until_s`."""
    times: list[float] = []
    with PacketReader(info.file, copied(audio.spec)) as packets:
        for packet in packets:
            if packet.pts is not None:
                times.append(float(packet.pts * packets.heads[0].tick_s - info.start_s))
                if times[-1] > until_s:
                    break
    return times


# --- Writing --------------------------------------------------------------------------------------


def write_copy(
    info: MediaInfo,
    recipes: Sequence[Recipe],
    partial: Path,
    target: Path,
    progress: Progress | None = None,
) -> Recipe:
    """Write the copy into `partial` by the first recipe that ffmpeg carries out.

    Args:
        info: the file.
        recipes: from `plan_copies`.
        partial: where; overwritten.
        target: its name later, for messages.
        progress: called with (seconds done, seconds in all).

    Returns:
        the recipe that was used. ffmpeg is content with what it wrote, which says little.

    Raises:
        DecodeError: none of them worked.
        WriteError: the disk is full.
    """
    said = ""
    for recipe in recipes:
        status, said = _carry_out(recipe, info, partial, progress)
        if status == 0 and partial.stat().st_size > 0:
            return recipe
    if has_no_room(partial.parent) or os.strerror(errno.ENOSPC) in said:
        raise no_room(target)
    raise not_written(target, said, _another_kind(info.path, target))


def _another_kind(path: str, target: Path) -> str:
    """Which kinds of file may do where this one could not be written.

    >>> _another_kind("a.mov", Path("b.mxf")), _another_kind("a.mkv", Path("b.mkv"))
    ("a track may not fit this kind of file: keep the input's extension, or take .mkv", '')
    """
    kind = target.suffix.lower()
    ways = ["keep the input's extension"] if Path(path).suffix.lower() != kind else []
    ways += ["take .mkv"] if kind != ".mkv" else []
    return f"a track may not fit this kind of file: {', or '.join(ways)}" if ways else ""


def _carry_out(
    recipe: Recipe, info: MediaInfo, partial: Path, progress: Progress | None
) -> tuple[int, str]:
    with scratch_folder() as scratch:
        for track in recipe.contents.attached:
            place = scratch / f"{EXTRACT}-{track.index}"
            status, said = _run(filled(extract_args(track), info, place, scratch), info, None)
            if status != 0 or not place.exists():
                return status or -1, said
        return _run(filled(list(recipe.args), info, partial, scratch), info, progress)


def _run(argv: Sequence[str], info: MediaInfo, progress: Progress | None) -> tuple[int, str]:
    with FfmpegStream(argv, path=info.file, block_bytes=64, stall_s=STALL_S) as stream:
        for line in stream.lines():
            match = re.fullmatch(rb"out_time_us=(\d+)", line.strip())
            if match and progress is not None:
                progress(int(match.group(1)) / 1e6, info.duration_s)
        return stream.finish(timeout_s=60.0), stream.last_error()
