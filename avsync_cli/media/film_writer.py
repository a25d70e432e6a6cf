"""Pictures in, a film out: frames drawn by us, with the sound of another file as it was.

The frames are avsync's own 25 a second, frame k at k/25 s; the sound is put on the same zero, so
that the copy is exactly as much in or out of sync as the original.
"""

from __future__ import annotations

import contextlib
import functools
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import ffmpeg as ffmpeg_python
import numpy as np

from avsync_cli.errors import AvsyncError, UsageError
from avsync_cli.files import file_beside, has_no_room, no_room
from avsync_cli.media.child import ask, kill_group
from avsync_cli.media.clock import PREROLL_S, Stretch
from avsync_cli.media.facts import AudioTrack, MediaInfo
from avsync_cli.media.ffmpeg import INPUT, VERSION_TIMEOUT_S, command, find_ffmpeg, input_args
from avsync_cli.media.packets import PacketReader, copied
from avsync_cli.media.process import STALL_S, Ffmpeg, not_written
from avsync_cli.media.restamp import FOLLOW, even_stamps
from avsync_cli.media.source import Source
from avsync_cli.media.wholeness import is_whole
from avsync_cli.timebase import FPS

_AAC = {"acodec": "aac", "audio_bitrate": "192k"}

CONTAINERS = {".mp4": _AAC, ".m4v": _AAC, ".mov": _AAC, ".mkv": {"acodec": "flac"}}
"""What can be written, and how the sound is coded in it: where nothing tells a player of the
silence that AAC begins with, without loss and without such a delay."""

_PICTURES = "pipe:0"


@contextmanager
def film_writer(
    target: Path,
    size: tuple[int, int],
    info: MediaInfo,
    audio: AudioTrack,
    stretch: Stretch,
    *,
    lag_s: float = 0.0,
) -> Iterator[Callable[[np.ndarray], None]]:
    """Write a film frame by frame: the block is given a function that appends one.

    The film appears under its name only when the block ends without an exception and all frames
    are in it. A frame is (H, W, 3) uint8, RGB.

    Args:
        target: the new film; its ending is one of CONTAINERS.
        size: (height, width) of the frames, both even.
        info, audio: whose sound it gets.
        stretch: the part of that file's timeline the frames show.
        lag_s: by how much the sound is moved earlier.

    Raises:
        UsageError: the ending is another.
        WriteError: it cannot be written there.
        FfmpegMissingError: there is no ffmpeg.
        DecodeError: ffmpeg gave up or hangs; also from the function.
    """
    if target.suffix.lower() not in CONTAINERS:
        known = ", ".join(CONTAINERS)
        raise UsageError(f"cannot write {Source.of(target).shown}", f"name it with {known}")
    with file_beside(target) as part:
        ffmpeg = Ffmpeg(
            _compose(part, size, info, audio, stretch, lag_s),
            path=info.file,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        pipe = ffmpeg.child.stdin
        assert pipe is not None
        count = 0

        def append(frame: np.ndarray) -> None:
            nonlocal count
            if not _append(ffmpeg, frame):
                raise _failed(ffmpeg, part, target)
            count += 1

        try:
            yield append
            with contextlib.suppress(OSError):
                pipe.close()
            done = ffmpeg.finish(timeout_s=10 * STALL_S) == 0
            # On a disk that is full at the last moment ffmpeg is content all the same.
            if not (done and is_whole(part) and _pictures_in(part) == count):
                raise _failed(ffmpeg, part, target)
        finally:
            with contextlib.suppress(OSError):
                pipe.close()
            ffmpeg.close()


def _pictures_in(film: Path) -> int:
    with PacketReader(film, copied("v:0")) as packets:
        return sum(1 for _ in packets)


def _append(ffmpeg: Ffmpeg, frame: np.ndarray) -> bool:
    """Hand a frame over; False where ffmpeg takes no more."""
    assert ffmpeg.child.stdin is not None
    rest = memoryview(np.ascontiguousarray(frame).tobytes())
    watch = threading.Timer(STALL_S, kill_group, (ffmpeg.child,))
    watch.daemon = True
    watch.start()
    try:
        while rest:
            rest = rest[ffmpeg.child.stdin.write(rest) :]
    except OSError:
        return False
    finally:
        watch.cancel()
    return True


def _failed(ffmpeg: Ffmpeg, part: Path, target: Path) -> AvsyncError:
    ffmpeg.finish(timeout_s=5)
    if has_no_room(part.parent):
        return no_room(target)
    hint = "another ending (.mkv) or another ffmpeg may do it"
    return not_written(target, ffmpeg.last_error(), hint)


def _compose(
    part: Path,
    size: tuple[int, int],
    info: MediaInfo,
    audio: AudioTrack,
    stretch: Stretch,
    lag_s: float,
) -> list[str]:
    height, width = size
    pictures = ffmpeg_python.input(
        _PICTURES, format="rawvideo", pix_fmt="rgb24", s=f"{width}x{height}", r=FPS
    )
    # Times as a player has them: ffmpeg puts the file's start at 0 and bridges joints. The
    # frames' zero lies up to half a step beside that.
    begin_s = stretch.first_frame / FPS + float(stretch.zero_s - info.start_s) + lag_s
    seek_s = max(0.0, begin_s - PREROLL_S)
    options = dict(input_args(), **({"ss": f"{seek_s:.6f}"} if seek_s else {}))
    bounds = {"start": "0"}
    if stretch.end_frame is not None:
        bounds["end"] = f"{(stretch.end_frame - stretch.first_frame) / FPS:.6f}"
    sound = (
        ffmpeg_python.input(INPUT, **options)[audio.spec]
        .filter("asetpts", f"PTS-({begin_s - seek_s:.6f})/TB")
        .filter(*even_stamps())
        .filter("aresample", first_pts=0, **FOLLOW)
        .filter("atrim", **bounds)
    )
    made = ffmpeg_python.output(
        pictures,
        sound,
        f"file:{part}",
        pix_fmt="yuv420p",
        map_metadata=-1,
        **_picture_codec(),
        **CONTAINERS[part.suffix],
    )
    return command(made.overwrite_output().get_args(), info.file)


@functools.cache
def _picture_codec() -> dict[str, str | int]:
    """H.264 where this ffmpeg has an encoder for it, else MPEG-4."""
    _, out = ask([str(find_ffmpeg()), "-hide_banner", "-encoders"], VERSION_TIMEOUT_S)
    if b" libx264 " in out:
        return {"vcodec": "libx264", "preset": "veryfast", "crf": 20}
    return {"vcodec": "mpeg4", "q:v": 4}
