"""Pictures in, a film out: frames drawn by us, with the sound of another file as it was.

The frames are avsync's own 25 a second, frame k at k/25 s; the sound is put on the same zero, so
that the copy is exactly as much in or out of sync as the original.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import threading
from collections import deque
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import ffmpeg as ffmpeg_python
import numpy as np

from avsync_cli.errors import DecodeError, FfmpegMissingError, UsageError
from avsync_cli.files import file_beside
from avsync_cli.interrupt import on_exit
from avsync_cli.media.ffmpeg import (
    INPUT,
    INSTALL_HINT,
    VERSION_TIMEOUT_S,
    ask,
    clean_line,
    command,
    display_name,
    find_ffmpeg,
    input_args,
    kill_group,
    start,
)
from avsync_cli.media.probe import AudioTrack, MediaInfo
from avsync_cli.media.process import STALL_S, TAIL_LINES, _pump_stderr
from avsync_cli.timebase import FPS

_AAC = {"acodec": "aac", "audio_bitrate": "192k"}

CONTAINERS = {".mp4": _AAC, ".m4v": _AAC, ".mov": _AAC, ".mkv": {"acodec": "flac"}}
"""What can be written, and how the sound is coded in it: where nothing tells a player of the
silence that AAC begins with, without loss and without such a delay."""

_PICTURES = "pipe:0"

_RUN_UP_S = 2.0
"""How far before the wanted start a jump aims, for decoders that need a run-up."""


class FilmWriter:
    """Writes a film frame by frame; a context manager.

    It appears under its name only when the block ends without an exception and ffmpeg is content.

    Args:
        target: the new film; its ending is one of CONTAINERS.
        size: (height, width) of the frames, both even.
        info, audio: whose sound it gets.
        zero_s: the frames' zero on that file's own clock, as `Timeline.zero_s`.
        start_s, duration_s: the part of that file's timeline the frames show.

    Raises:
        UsageError: the ending is another, or the folder cannot be written to.
        FfmpegMissingError: there is no ffmpeg.
    """

    def __init__(
        self,
        target: Path,
        size: tuple[int, int],
        info: MediaInfo,
        audio: AudioTrack,
        *,
        zero_s: Fraction,
        start_s: float = 0.0,
        duration_s: float | None = None,
    ) -> None:
        if target.suffix.lower() not in CONTAINERS:
            known = ", ".join(CONTAINERS)
            raise UsageError(f"cannot write {display_name(target)}", f"name it with {known}")
        self._target, self._path = target, info.path
        self._place = contextlib.ExitStack()
        self._part = self._place.enter_context(file_beside(target))
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        argv = self._compose(size, info, audio, zero_s, start_s, duration_s)
        self._withdraw = on_exit(self._kill)
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._process, self._ended = start(
                argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
            )
        except OSError as error:
            self._withdraw()
            self._place.close()
            raise FfmpegMissingError(f"cannot start ffmpeg: {error}", INSTALL_HINT) from error
        self._drain = threading.Thread(
            target=_pump_stderr, args=(self._process.stderr, None, self._tail), daemon=True
        )
        self._drain.start()

    def _compose(
        self,
        size: tuple[int, int],
        info: MediaInfo,
        audio: AudioTrack,
        zero_s: Fraction,
        start_s: float,
        duration_s: float | None,
    ) -> list[str]:
        height, width = size
        pictures = ffmpeg_python.input(
            _PICTURES, format="rawvideo", pix_fmt="rgb24", s=f"{width}x{height}", r=FPS
        )
        # Times as a player has them: ffmpeg puts the file's start at 0 and bridges joints. The
        # frames' zero lies up to half a step beside that.
        begin_s = start_s + float(zero_s - info.start_s)
        seek_s = max(0.0, begin_s - _RUN_UP_S)
        options = dict(input_args(), **({"ss": f"{seek_s:.6f}"} if seek_s else {}))
        bounds = {"start": "0"} | ({} if duration_s is None else {"end": f"{duration_s:.6f}"})
        sound = (
            ffmpeg_python.input(INPUT, **options)[str(audio.index)]
            .filter("asetpts", f"PTS-({begin_s - seek_s:.6f})/TB")
            .filter("aresample", **{"async": 1, "first_pts": 0})
            .filter("atrim", **bounds)
        )
        made = ffmpeg_python.output(
            pictures,
            sound,
            f"file:{self._part}",
            pix_fmt="yuv420p",
            map_metadata=-1,
            **_picture_codec(),
            **CONTAINERS[self._target.suffix.lower()],
        )
        return command(made.overwrite_output().get_args(), info.path)

    def write(self, frame: np.ndarray) -> None:
        """Append one (H, W, 3) uint8 RGB frame.

        Raises:
            DecodeError: ffmpeg gave up or hangs.
        """
        assert self._process is not None and self._process.stdin is not None
        rest = memoryview(np.ascontiguousarray(frame).tobytes())
        watch = threading.Timer(STALL_S, kill_group, (self._process,))
        watch.daemon = True
        watch.start()
        try:
            while rest:
                rest = rest[self._process.stdin.write(rest) :]
        except OSError:
            raise self._failed() from None
        finally:
            watch.cancel()

    def _failed(self) -> DecodeError:
        self._drain.join(timeout=5)
        lines = (clean_line(line, self._path) for line in reversed(list(self._tail)))
        said = next((line for line in lines if line), "")
        return DecodeError(
            f"cannot write {display_name(self._target)}{f' ({said})' if said else ''}",
            "another ending (.mkv) or another ffmpeg may do it",
            os.fspath(self._target),
        )

    def _kill(self) -> None:
        if getattr(self, "_process", None) is not None:
            assert self._process is not None
            kill_group(self._process)
            with contextlib.suppress(subprocess.TimeoutExpired, OSError):
                self._process.wait(timeout=5)

    def __enter__(self) -> FilmWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._end()
            self._place.__exit__(kind, value, trace)
            return
        with self._place:
            try:
                self._complete()
            finally:
                self._end()

    def _complete(self) -> None:
        """Have ffmpeg write the rest.

        Raises:
            DecodeError: it could not.
        """
        assert self._process is not None and self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            status = self._process.wait(timeout=10 * STALL_S)
        except subprocess.TimeoutExpired:
            status = -9
        if status != 0 or self._part.stat().st_size == 0:
            raise self._failed()

    def _end(self) -> None:
        assert self._process is not None and self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._kill()
        self._ended()
        self._withdraw()


@functools.cache
def _picture_codec() -> dict[str, str | int]:
    """H.264 where this ffmpeg has an encoder for it, else MPEG-4."""
    _, out = ask([str(find_ffmpeg()), "-hide_banner", "-encoders"], VERSION_TIMEOUT_S)
    if b" libx264 " in out:
        return {"vcodec": "libx264", "preset": "veryfast", "crf": 20}
    return {"vcodec": "mpeg4", "q:v": 4}
