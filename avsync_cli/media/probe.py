"""What is in a file: container, tracks, sizes, rates, start times. No picture is decoded.

One ffmpeg tells both halves, so no ffprobe is needed (a test holds that ffprobe would say the
same). The list of tracks is what ffmpeg prints about its input. The clock of each track comes from
the time stamps of its first packets, copied without decoding: printed rates are rounded to two
decimals, and whether a rate is constant is not printed at all.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import stat
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import ffmpeg as ffmpeg_python

from avsync_cli.errors import FileMissingError
from avsync_cli.media.ffmpeg import (
    INPUT,
    command,
    display_name,
    input_args,
)
from avsync_cli.media.listing import displayed_size, parse_listing
from avsync_cli.media.process import FfmpegStream

PROBE_TIMEOUT_S = 60.0

_LOOK_PACKETS = 100
_LOOK_TOTAL_PACKETS = 3000
_LOOK_S = 5.0
_LOG_LINES = 5000
_COMPLAINTS = 40
_USEFUL = ("Input #0", "Duration:", "Stream #", "rotation of")
_NO_STAMP = -(2**63)

_COMMON_RATES = tuple(
    sorted(
        {Fraction(n) for n in (5, 8, 10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 90, 100, 120, 240)}
        | {Fraction(1000 * n, 1001) for n in (12, 15, 24, 30, 48, 60, 120, 240)}
    )
)


@dataclass(frozen=True)
class VideoTrack:
    """One picture track.

    Attributes:
        index: ffmpeg's stream index in the file.
        position: number among the video tracks, from 0.
        codec: ffmpeg's short name.
        width, height: as displayed, in square pixels, after rotation and sample aspect ratio.
        fps: mean source frame rate; the common rate it rounds to where there is one.
        vfr: whether the first frames come at visibly uneven distances.
        start_s: time stamp of the earliest of the first frames, on the file's own clock.
        is_cover: a still picture attached to the file, not a picture track to judge.
        has_pts: False where the container stores only the order of decoding (avi), so that the
            decoder's delay has to be taken out of the frames' times.
    """

    index: int
    position: int
    codec: str
    width: int
    height: int
    fps: Fraction
    vfr: bool
    start_s: Fraction | None
    is_cover: bool
    has_pts: bool = True


@dataclass(frozen=True)
class AudioTrack:
    """One sound track; `start_s` is its first packet's, which may be codec delay a player skips."""

    index: int
    position: int
    codec: str
    rate_hz: int
    channels: int
    start_s: Fraction | None
    language: str


@dataclass(frozen=True)
class MediaInfo:
    """A file's facts. `start_s` is the player's zero on the file's own clock."""

    path: str
    container: str
    start_s: Fraction
    duration_s: float
    video: tuple[VideoTrack, ...]
    audio: tuple[AudioTrack, ...]


@dataclass
class _Clock:
    """Time base and the first packets' time stamps of one track."""

    tick_s: Fraction = Fraction(1, 1000)
    stamps: list[int] = field(default_factory=list)
    has_pts: bool = True


def probe(path: str | os.PathLike[str]) -> MediaInfo:
    """Look into a file without decoding it.

    Missing picture or sound is no error here; decoding raises for it.

    Raises:
        FileMissingError: no such file, not a regular file, or not readable.
        NotMediaError: not a container that avsync opens.
        DecodeError: ffmpeg did not answer.
        FfmpegMissingError: there is no ffmpeg.
    """
    check_file(path)
    log = _Log()
    with _open_packets(path, log) as packets:
        first = packets.read_block()
        if first is None:
            packets.finish()
        else:
            packets.wait_for(log.complete, PROBE_TIMEOUT_S)
        listing = parse_listing(log.lines, path)
        order = [t for kind in ("video", "audio") for t in listing.tracks if t.kind == kind]
        steady = [n for n, t in enumerate(order) if t.kind == "video" and not t.is_cover]
        clocks = _read_clocks(packets, first or b"", len(order), steady)
    video: list[VideoTrack] = []
    audio: list[AudioTrack] = []
    for track, clock in zip(order, clocks, strict=True):
        start = min(clock.stamps) * clock.tick_s if clock.stamps else None
        if track.kind == "video":
            width, height = displayed_size(track)
            fps, vfr = _frame_rate(track.fps, clock)
            video.append(
                VideoTrack(
                    index=track.index,
                    position=len(video),
                    codec=track.codec,
                    width=width,
                    height=height,
                    fps=fps,
                    vfr=vfr and not track.is_cover,
                    start_s=start,
                    is_cover=track.is_cover,
                    has_pts=clock.has_pts,
                )
            )
        else:
            audio.append(
                AudioTrack(
                    index=track.index,
                    position=len(audio),
                    codec=track.codec,
                    rate_hz=track.rate_hz,
                    channels=track.channels,
                    start_s=start,
                    language=track.language,
                )
            )
    return MediaInfo(
        path=os.fsdecode(path),
        container=listing.container,
        start_s=listing.start_s,
        duration_s=listing.duration_s,
        video=tuple(video),
        audio=tuple(audio),
    )


def check_file(path: str | os.PathLike[str]) -> None:
    """Raise FileMissingError unless `path` is a regular file that can be opened for reading."""
    name = display_name(path)

    def refuse(what: str, hint: str) -> FileMissingError:
        return FileMissingError(f"{what}: {name}", hint, os.fsdecode(path))

    try:
        mode = Path(os.fsdecode(path)).stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise refuse("no such file", "check the spelling of the path") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise refuse(f"cannot read the file ({reason})", "check the path and its rights") from None
    if stat.S_ISDIR(mode):
        raise refuse("this is a folder, not a file", "give the files in it, or use --recursive")
    if not stat.S_ISREG(mode):
        raise refuse(
            "not a regular file (a pipe, socket or device)", "save it to a file on disk first"
        )
    try:
        # Non-blocking so that a path swapped for a pipe meanwhile cannot hang us.
        os.close(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)))
    except OSError as error:
        hint = "check its rights" if error.errno == errno.EACCES else "check the path"
        raise refuse(f"cannot read the file ({error.strerror})", hint) from None


class _Log:
    """What ffmpeg prints of use up to and including the description of its input.

    Complaints before it and the tags in it may be without end; few of either are kept.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.complete = threading.Event()
        self._begun = False

    def take_line(self, line: str) -> bool:
        if line.startswith("Output #0"):
            self.complete.set()
        if self.complete.is_set():
            return True
        self._begun |= line.startswith("Input #0")
        if not self._begun:
            del self.lines[: max(0, len(self.lines) - _COMPLAINTS)]
            self.lines.append(line)
        elif len(self.lines) < _LOG_LINES and any(word in line for word in _USEFUL):
            self.lines.append(line)
        return True


def _open_packets(path: str | os.PathLike[str], log: _Log) -> FfmpegStream:
    source = ffmpeg_python.input(INPUT, copyts=None, **input_args())
    args = ffmpeg_python.output(
        source["v?"],
        source["a?"],
        "pipe:1",
        format="framecrc",
        c="copy",
        copyinkf=None,
        copypriorss=1,
        flush_packets=1,
    ).get_args()
    return FfmpegStream(
        command(args, path, "repeat+info"),
        path=path,
        block_bytes=2048,
        on_line=log.take_line,
        stall_s=PROBE_TIMEOUT_S,
    )


def _read_clocks(
    packets: FfmpegStream, first: bytes, tracks: int, steady: Sequence[int]
) -> list[_Clock]:
    """Time stamps of each track's first packets; reads on only as long as it must.

    Args:
        packets: ffmpeg writing framecrc lines.
        first: what was read of them already.
        tracks: how many tracks there are.
        steady: those whose frame rate is wanted.
    """
    clocks = [_Clock() for _ in range(tracks)]
    deadline = time.monotonic() + _LOOK_S
    rest = b""
    total = 0
    block: bytes | None = first
    while block:
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            if match := re.match(rb"#tb (\d+): (\d+)/(\d+)", line):
                n, num, den = (int(g) for g in match.groups())
                if n < tracks and num and den:
                    clocks[n].tick_s = Fraction(num, den)
            elif match := re.match(rb"(\d+),\s*(-?\d+),\s*(-?\d+),", line):
                total += 1
                n, dts, pts = (int(group) for group in match.groups())
                if n < tracks and (pts != _NO_STAMP or dts != _NO_STAMP):
                    clocks[n].has_pts &= pts != _NO_STAMP
                    clocks[n].stamps.append(pts if pts != _NO_STAMP else dts)
        enough = all(len(clocks[n].stamps) >= _LOOK_PACKETS for n in steady)
        if enough and all(clock.stamps for clock in clocks):
            break
        if total >= _LOOK_TOTAL_PACKETS or time.monotonic() > deadline:
            break
        block = packets.read_block()
    return clocks


def _frame_rate(listed: str, clock: _Clock) -> tuple[Fraction, bool]:
    """(rate, uneven) from the listed mean rate (two decimals) and the first time stamps."""
    stamps = sorted(set(clock.stamps))
    steps = [(b - a) * clock.tick_s for a, b in itertools.pairwise(stamps)]
    # The reordered end of the look misses frames; only the front is complete.
    steps = steps[: max(1, len(steps) - 8)] if len(stamps) >= _LOOK_PACKETS else steps
    mean = sum(steps, Fraction(0)) / len(steps) if steps else Fraction(0)
    vfr = False
    if len(steps) >= 4 and mean > 0:
        middle = sorted(steps)[len(steps) // 2]
        slack = max(clock.tick_s * Fraction(3, 2), middle / 10)
        vfr = sum(abs(step - middle) > slack for step in steps) > len(steps) * 0.05
    rate = Fraction(listed) if listed else (1 / mean if mean else Fraction(0))
    if not 0 < rate <= 1000:
        rate = 1 / mean if mean else Fraction(25)
    near = min(_COMMON_RATES, key=lambda common: abs(common - rate))
    if abs(near - rate) <= max(Fraction(6, 1000), near / 5000):
        rate = near
    return rate.limit_denominator(1001), vfr
