"""Finding ffmpeg, and running it so that it can neither hang us nor outlive us.

Commands are composed elsewhere with ffmpeg-python and come here as argument lists. They run
without a shell, without stdin, with stderr drained on a thread of its own (an undrained stderr
blocks ffmpeg for good) and stdout read ahead into a bounded queue, so that ffmpeg decodes while
the caller computes, but never far ahead of it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import subprocess
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from avsync_cli.errors import DecodeError, FfmpegMissingError

ENV_FFMPEG = "AVSYNC_FFMPEG"

STALL_S = 60.0
"""Seconds without a byte after which ffmpeg counts as hung."""

PIPE_BYTES = 1 << 20
"""Most that Linux gives a pipe without privileges."""

TAIL_LINES = 40
MAX_LINE_BYTES = 16_384

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,avi,flv,asf,ogg,mxf,nut,dv,gxf,wtv,"
    "wav,w64,mp3,aac,ac3,eac3,flac,aiff,caf"
)
"""Demuxers that may open a file. None of them opens a second file or a network address; playlists
(hls, dash, concat, imf), image sequences, scripts and devices are left out for that reason."""

_INSTALL_HINT = (
    f"install ffmpeg, or `pip install imageio-ffmpeg`, or set {ENV_FFMPEG} to the program's path"
)


def _runs(program: str | Path) -> bool:
    try:
        done = subprocess.run(
            [str(program), "-version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0 and done.stdout.startswith(b"ffmpeg version")


def find_ffmpeg() -> Path:
    """The ffmpeg to use: AVSYNC_FFMPEG, then PATH, then the imageio-ffmpeg wheel's own.

    Raises:
        FfmpegMissingError: none of the three is there, or the one asked for does not run.
    """
    return _find_ffmpeg(os.environ.get(ENV_FFMPEG, ""), os.environ.get("PATH", ""))


@functools.cache
def _find_ffmpeg(wanted: str, search_path: str) -> Path:
    if wanted:
        found = shutil.which(wanted, path=search_path)
        if found is None or not _runs(found):
            raise FfmpegMissingError(
                f"{ENV_FFMPEG} names {wanted!r}, which is not an ffmpeg that runs",
                f"unset {ENV_FFMPEG}, or set it to the path of an ffmpeg program",
            )
        return Path(found)
    found = shutil.which("ffmpeg", path=search_path)
    if found is not None and _runs(found):
        return Path(found)
    try:
        import imageio_ffmpeg

        bundled = imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError, OSError):
        bundled = ""
    if bundled and _runs(bundled):
        return Path(bundled)
    raise FfmpegMissingError("no ffmpeg found", _INSTALL_HINT)


def find_ffprobe() -> Path | None:
    """The ffprobe that sits beside the ffmpeg in use, or None.

    Only the neighbour counts: an ffprobe of another release may read the same file differently.
    """
    program = find_ffmpeg()
    name = "ffprobe.exe" if program.suffix.lower() == ".exe" else "ffprobe"
    beside = program.with_name(name)
    return beside if os.access(beside, os.X_OK) and beside.is_file() else None


def ffmpeg_version() -> str:
    """The version as ffmpeg itself writes it, such as "5.1.9-0+deb12u1" or "n7.1"."""
    return _version(find_ffmpeg())


@functools.cache
def _version(program: Path) -> str:
    out = run_text([str(program), "-version"], timeout_s=30).stdout
    match = re.match(r"ffmpeg version (\S+)", out)
    return match.group(1) if match else "unknown"


def passthrough_args() -> dict[str, str]:
    """Output arguments that make ffmpeg hand over every frame once, neither doubled nor dropped.

    The option was renamed in 5.1 and the old name later removed.
    """
    match = re.match(r"n?(\d+)\.(\d+)", ffmpeg_version())
    old = match is not None and (int(match.group(1)), int(match.group(2))) < (5, 1)
    return {"vsync": "0"} if old else {"fps_mode": "passthrough"}


def input_args() -> dict[str, Any]:
    """Arguments before every input: local files only, known demuxers only."""
    return {"protocol_whitelist": "file", "format_whitelist": FORMATS}


def input_url(path: str | os.PathLike[str]) -> str:
    """`path` as a name that ffmpeg can only take for a local file, whatever characters it has."""
    return f"file:{Path(os.fsdecode(path)).absolute()}"


INPUT = "avsync-input"
"""Stands for the input's name while a command is composed: ffmpeg-python cannot take names that
are not UTF-8, and no name of a file can then be mistaken for anything else."""


def command(
    args: Sequence[str], path: str | os.PathLike[str], loglevel: str = "level+error"
) -> list[str]:
    """The whole command: program, the flags of every run, and `args` with INPUT filled in.

    Args:
        args: from ffmpeg-python's get_args, for an input named INPUT.
        path: the input.
        loglevel: as ffmpeg takes it.
    """
    url = input_url(path)
    flags = ["-nostdin", "-hide_banner", "-nostats", "-loglevel", loglevel]
    return [str(find_ffmpeg()), *flags, *(url if arg == INPUT else arg for arg in args)]


def run_text(
    argv: Sequence[str], *, timeout_s: float, path: str | os.PathLike[str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a short command to its end; its output as text, undecodable bytes replaced.

    Raises:
        DecodeError: it did not end within `timeout_s`, or could not be started.
    """
    try:
        return subprocess.run(
            list(argv),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired as error:
        raise DecodeError(
            f"ffmpeg did not answer within {timeout_s:g} s{_about(path)}",
            "the file may be damaged, or its disk slow",
            None if path is None else os.fsdecode(path),
        ) from error
    except OSError as error:
        raise FfmpegMissingError(
            f"cannot start {argv[0]}: {error.strerror}", _INSTALL_HINT
        ) from error


def _about(path: str | os.PathLike[str] | None) -> str:
    return "" if path is None else f": {display_name(path)}"


def display_name(path: str | os.PathLike[str]) -> str:
    """The path as one printable line: control characters and undecodable bytes escaped."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def clean_line(line: str, path: str | os.PathLike[str] | None = None) -> str:
    """A line of ffmpeg's log without addresses and without the path, fit to show to a person."""
    if path is not None:
        url = input_url(path).encode("utf-8", "replace").decode("utf-8")
        for name in (url, url.removeprefix("file:")):
            line = line.replace(name, "the file")
    line = re.sub(r"\[([^\]@]+?) @ 0x[0-9a-f]+\]\s*", r"\1: ", line)
    line = re.sub(r"\[(?:repeat|info|warning|error|fatal|panic)\]\s*", "", line)
    return "".join(c if c.isprintable() else " " for c in line).strip()[:300]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill and reap; harmless when it has already ended."""
    with contextlib.suppress(OSError):
        process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired, OSError):
        process.wait(timeout=5)


class FfmpegStream:
    """One running ffmpeg whose stdout is read in blocks of a fixed size.

    At most `max_blocks` blocks wait in memory; beyond that the pipe fills and ffmpeg waits. The
    child is killed on `close`, on leaving the `with` block, when the object is collected and at
    interpreter exit; should we be killed, it meets a broken pipe and ends by itself.

    Args:
        argv: the whole command.
        path: the input, for messages.
        block_bytes: size of a block; the last one may be shorter.
        max_blocks: how many blocks may wait.
        on_line: called on the stderr thread with each line; True means "taken", False leaves it
            to the tail kept for error messages.
        stall_s: seconds without a block after which `read_block` gives up.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        path: str | os.PathLike[str],
        block_bytes: int,
        max_blocks: int = 8,
        on_line: Callable[[str], bool] | None = None,
        stall_s: float = STALL_S,
    ) -> None:
        self.path = path
        self._block_bytes = block_bytes
        self._max_blocks = max_blocks
        self._on_line = on_line
        self._stall_s = stall_s
        self._blocks: deque[bytes] = deque()
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._changed = threading.Condition()
        self._eof = False
        self._closed = False
        self._bytes_seen = 0
        try:
            self._process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
            )
        except OSError as error:
            raise FfmpegMissingError(
                f"cannot start {argv[0]}: {error.strerror}", _INSTALL_HINT
            ) from error
        _widen_pipe(self._process.stdout)
        self._finalizer = weakref.finalize(self, _end, self._process)
        # The threads hold the object only through what they need, never `self`, or it could not
        # be collected while they run.
        ref = weakref.ref(self)
        assert self._process.stdout is not None and self._process.stderr is not None
        self._threads = [
            threading.Thread(
                target=_pump_stdout,
                args=(ref, self._process.stdout, block_bytes, self._changed),
                daemon=True,
            ),
            threading.Thread(
                target=_pump_stderr,
                args=(self._process.stderr, on_line, self._tail),
                daemon=True,
            ),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def bytes_seen(self) -> int:
        """Bytes read from ffmpeg so far, waiting ones included."""
        return self._bytes_seen

    def read_block(self) -> bytes | None:
        """The next block, or None at the end of the stream.

        Raises:
            DecodeError: nothing came for `stall_s` seconds; ffmpeg is killed.
        """
        with self._changed:
            # Counted from the last byte, not from the last whole block: slow is not hung.
            seen, deadline = self._bytes_seen, time.monotonic() + self._stall_s
            while not self._blocks and not self._eof:
                self._changed.wait(max(0.0, deadline - time.monotonic()))
                if self._bytes_seen != seen:
                    seen, deadline = self._bytes_seen, time.monotonic() + self._stall_s
                elif time.monotonic() >= deadline:
                    break
            if self._blocks:
                block = self._blocks.popleft()
                self._changed.notify_all()
                return block
            if self._eof:
                return None
        self.close()
        raise DecodeError(
            f"ffmpeg gave nothing for {self._stall_s:g} s: {display_name(self.path)}",
            "the file may be damaged, or its disk slow",
            os.fsdecode(self.path),
        )

    def finish(self, timeout_s: float = 10.0) -> int:
        """After the end of the stream: wait for the process, return its exit status."""
        try:
            status = self._process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.close()
            status = -9
        self._threads[1].join(timeout=timeout_s)
        return status

    def last_error(self) -> str:
        """The last line ffmpeg logged that is not empty, cleaned; "" if it logged nothing."""
        for line in reversed(list(self._tail)):
            cleaned = clean_line(line, self.path)
            if cleaned:
                return cleaned
        return ""

    def close(self) -> None:
        """Kill ffmpeg if it still runs and free its pipes; may be called at any time, twice too."""
        with self._changed:
            self._closed = self._eof = True
            self._blocks.clear()
            self._changed.notify_all()
        self._finalizer()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=5)

    def __enter__(self) -> FfmpegStream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _widen_pipe(pipe: Any) -> None:
    """Let a pipe hold a frame or two, not the usual 64 KiB: fewer switches between processes."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _pump_stdout(
    ref: weakref.ref[FfmpegStream], pipe: Any, block_bytes: int, changed: threading.Condition
) -> None:
    buffer = bytearray(block_bytes)
    view = memoryview(buffer)
    filled = 0
    with contextlib.closing(pipe):
        while True:
            try:
                count = pipe.readinto(view[filled:])
            except (OSError, ValueError):
                count = 0
            filled += count or 0
            with changed:
                stream = ref()
                if stream is None or stream._closed:
                    return
                stream._bytes_seen += count or 0
                if not count:
                    if filled:
                        stream._blocks.append(bytes(view[:filled]))
                    stream._eof = True
                    changed.notify_all()
                    return
                if filled == block_bytes:
                    stream._blocks.append(bytes(buffer))
                    filled = 0
                    changed.notify_all()
                full = len(stream._blocks) >= stream._max_blocks
                while full:
                    del stream
                    changed.wait(1.0)
                    stream = ref()
                    if stream is None or stream._closed:
                        return
                    full = len(stream._blocks) >= stream._max_blocks
                del stream


def _pump_stderr(pipe: Any, on_line: Callable[[str], bool] | None, tail: deque[str]) -> None:
    rest = b""
    with contextlib.closing(pipe):
        while True:
            try:
                data = pipe.read(65_536)
            except (OSError, ValueError):
                data = b""
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            rest = rest[-MAX_LINE_BYTES:]
            for raw in lines:
                _take_line(raw, on_line, tail)
    if rest:
        _take_line(rest, on_line, tail)


def _take_line(raw: bytes, on_line: Callable[[str], bool] | None, tail: deque[str]) -> None:
    line = raw[:MAX_LINE_BYTES].decode("utf-8", "replace").rstrip("\r")
    if on_line is None or not on_line(line):
        tail.append(line)
