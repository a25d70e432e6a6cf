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

import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ffmpeg as ffmpeg_python

from avsync_cli.errors import DecodeError, UsageError
from avsync_cli.fix.containers import (
    Carrier,
    carrier,
    encoder_options,
    sound_codec,
)
from avsync_cli.fix.contents import Contents, Track, list_contents
from avsync_cli.fix.sound_graph import Piece, sound_graph
from avsync_cli.media.facts import AudioTrack, MediaInfo, VideoTrack
from avsync_cli.media.ffmpeg import INPUT, command, input_args
from avsync_cli.media.packets import PacketReader, copied
from avsync_cli.media.probe import probe
from avsync_cli.media.process import FfmpegStream
from avsync_cli.media.source import Source

OUTPUT = "avsync-output"
"""Stands for the output's name while a command is composed, as INPUT does for the input's."""

NEAR_MS = 10.0
"""The most that a reader who ignores time stamps may be off when packets are dropped."""

STALL_S = 600.0
"""ffmpeg says how far it is twice a second, except while it moves a long file's index forward."""

Progress = Callable[[float, float], None]


@dataclass(frozen=True)
class Recipe:
    """How one copy is made: the ffmpeg arguments, with INPUT and OUTPUT in place of names.

    Attributes:
        way: "drop" or "encode".
        args: from the input on; the output's name is last.
        codec: what the moved track is in afterwards.
        left_out: words for tracks that cannot be copied.
        shortens_s: by how much the sound ends earlier, and with it a file whose sound is longest.
    """

    way: str
    args: tuple[str, ...]
    codec: str
    left_out: tuple[str, ...] = ()
    shortens_s: float = 0.0

    def argv(self, source: str | os.PathLike[str], target: str | os.PathLike[str]) -> list[str]:
        """The whole command, for `source` and `target`."""
        filled = command(self.args[:-1], source, "level+error")
        return [*filled, f"file:{Path(os.fsdecode(target)).absolute()}"]

    def shown(self, source: str, target: str | os.PathLike[str]) -> list[str]:
        """The command for a person to read and run, without what guards against strange files."""
        begin = self.args.index("-i")
        return ["ffmpeg", "-i", f"file:{source}", *self.args[begin + 2 : -1], f"file:{target}"]


def plan_copies(
    info: MediaInfo,
    video: VideoTrack,
    audio: AudioTrack,
    pieces: Sequence[Piece],
    suffix: str,
    *,
    pitch: str = "auto",
) -> list[Recipe]:
    """The ways to make the copy, best first; a later one is for when ffmpeg refuses the former.

    Args:
        info, video, audio: the file, the picture it is moved to, and the track to move.
        pieces: in order of time, without gaps; the first from the beginning, the last to the end.
        suffix: extension of the copy.
        pitch: "keep", "shift" or "auto"; what happens to it where the speed changes.

    Raises:
        UsageError: a container that is not written, or a move longer than the file.
    """
    into = carrier(f"x{suffix}")
    check_pieces(info, pieces)
    contents = list_contents(info.path)
    lead_s = lead_of(info, video)
    recipes = []
    dropped = _drop_filter(info, audio, pieces, into, lead_s)
    if dropped is not None:
        position = contents.sound_position(audio.index)
        recipes.append(_recipe("drop", contents, {f"bsf:a:{position}": dropped}, audio.codec))
    codec = sound_codec(into, audio.codec)
    position = contents.sound_position(audio.index)
    options = encoder_options(
        codec, position, audio.channels, audio.rate_hz, contents.kbps(audio.index)
    )
    graph = sound_graph(pieces, audio.rate_hz, lead_s, pitch)
    if codec == "opus" and audio.channels == 6:
        graph += ",aformat=channel_layouts=5.1"  # the encoder knows no other layout of six
    options[f"filter:a:{position}"] = graph
    recipes.append(_recipe("encode", contents, options, codec))
    if contents.data:
        recipes.append(_recipe("encode", contents.without_data(), options, codec))
    shortens_s = _shortened_s(info, pieces[-1])
    return [replace(recipe, shortens_s=shortens_s) for recipe in recipes]


def _shortened_s(info: MediaInfo, last: Piece) -> float:
    """By how much sound that reaches to the file's end is over earlier in the copy."""
    end_s = last.start_s + (info.duration_s - last.start_s - last.offset_ms / 1000) / last.speed
    return max(0.0, info.duration_s - end_s)


def check_pieces(info: MediaInfo, pieces: Sequence[Piece]) -> None:
    """Raise UsageError unless every lag is a number and shorter than the file."""
    for piece in pieces:
        if not (math.isfinite(piece.offset_ms) and math.isfinite(piece.drift_ms_per_min)):
            raise UsageError(f"the offset must be a number of ms, not {piece.offset_ms}")
        if 0 < info.duration_s <= abs(piece.offset_ms) / 1000:
            raise UsageError(
                f"an offset of {piece.offset_ms:g} ms is longer than the file: {info.file.shown}",
                f"stay below {info.duration_s * 1000:.0f} ms",
            )


def lead_of(info: MediaInfo, video: VideoTrack) -> float:
    """When the first picture comes, seconds after the file's zero (0 where only order is kept)."""
    if video.start_s is None or not video.has_pts:
        return 0.0
    return max(0.0, float(video.start_s - info.start_s))


# --- Dropping packets -----------------------------------------------------------------------------


def _drop_filter(
    info: MediaInfo,
    audio: AudioTrack,
    pieces: Sequence[Piece],
    into: Carrier,
    lead_s: float,
) -> str | None:
    """The bitstream filter that moves the sound earlier by whole packets, or None."""
    if len(pieces) != 1 or pieces[0].drift_ms_per_min or pieces[0].offset_ms <= 0:
        return None
    if audio.codec not in into.drops:
        return None
    move_s = pieces[0].offset_ms / 1000
    first_s = lead_s + move_s
    stamps = packet_times(info, audio, first_s + 1.0)
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


def _recipe(way: str, contents: Contents, options: dict[str, str], codec: str) -> Recipe:
    source = ffmpeg_python.input(INPUT, **input_args())
    streams: list[Any] = [source[str(track.index)] for track in contents.kept]
    settings: dict[str, Any] = {
        "c": "copy",
        "strict": "-2",  # FLAC, Opus and TrueHD in mp4 count as experimental in old releases
        # Picture waits for the encoder's first sound; the usual limit on it is for live streams.
        "max_muxing_queue_size": 100_000,
        **contents.output_options,
        **options,
    }
    args = ffmpeg_python.output(*streams, OUTPUT, **settings).get_args()
    return Recipe(way, tuple(args), codec, tuple(_words(track) for track in contents.left_out))


def _words(track: Track) -> str:
    return f"{track.kind} track {track.index} ({track.codec})"


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
        the recipe that was used.

    Raises:
        DecodeError: none of them worked, or the copy is shorter than the file.
    """
    said = ""
    for recipe in recipes:
        status, said = _carry_out(recipe, info, partial, progress)
        if status == 0 and partial.stat().st_size > 0:
            _check_length(info, recipe, partial, target)
            return recipe
    raise DecodeError(
        f"cannot write {Source.of(target).shown}{f' ({said})' if said else ''}",
        "a track may not fit this kind of file: keep the input's extension, or take .mkv",
        os.fspath(target),
    )


def _carry_out(
    recipe: Recipe, info: MediaInfo, partial: Path, progress: Progress | None
) -> tuple[int, str]:
    argv = recipe.argv(info.path, partial)
    argv[-1:-1] = ["-progress", "pipe:1", "-y"]
    rest = b""
    with FfmpegStream(argv, path=info.path, block_bytes=64, stall_s=STALL_S) as stream:
        while (block := stream.read_block()) is not None:
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                match = re.fullmatch(rb"out_time_us=(\d+)", line.strip())
                if match and progress is not None:
                    progress(int(match.group(1)) / 1e6, info.duration_s)
        return stream.finish(timeout_s=60.0), stream.last_error()


def _check_length(info: MediaInfo, recipe: Recipe, partial: Path, target: Path) -> None:
    """Raise DecodeError for a copy that ffmpeg gave up on half way, as it does on damaged files."""
    written = probe(partial)
    tracks = (len(written.video), len(written.audio))
    missing_s = info.duration_s - recipe.shortens_s - written.duration_s
    # Time stamps that restart make the length a guess in containers that are made to be joined.
    joined = any(name in info.container.split(",") for name in ("mpegts", "mpeg"))
    longest_s = max(2.0, 0.1 * info.duration_s if joined else 0.01 * info.duration_s)
    if tracks != (len(info.video), len(info.audio)) or (missing_s > longest_s and not joined):
        raise DecodeError(
            f"the copy lacks {max(missing_s, 0.0):.0f} s of {info.file.shown}",
            "the file is damaged: repair it first",
            os.fspath(target),
        )
