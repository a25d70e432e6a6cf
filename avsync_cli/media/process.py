"""Reading what an ffmpeg writes, so that it cannot hang us.

Commands run without a shell, without stdin, with stderr drained on a thread (an undrained stderr
blocks ffmpeg for good) and stdout read ahead into a bounded queue, so that ffmpeg decodes while the
caller computes, but never far ahead of it.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from avsync_cli.errors import DecodeError, FfmpegMissingError
from avsync_cli.media.child import TAIL_LINES, drain, end, start
from avsync_cli.media.ffmpeg import INSTALL_HINT, clean_line
from avsync_cli.media.source import Source

STALL_S = 60.0
"""Seconds without a byte after which ffmpeg counts as hung."""

PIPE_BYTES = 1 << 20
"""Most that Linux gives a pipe without privileges."""

_FATAL = frozenset((4, 6, 7, 8, 9, 11, 15))
"""Signals that end a program from outside or by its own fault, by number: a shell reports them as
128 and the number, and ffmpeg's own codes beyond 128 are none of these."""


class Ffmpeg:
    """One running ffmpeg, its log drained on a thread.

    The child is killed on `close`, when the object is collected and at interpreter exit; should we
    be killed, it meets a broken pipe and ends by itself.

    Args:
        argv: the whole command.
        path: the input, for messages; a `Source` or a name.
        stdin, stdout: as of `subprocess.Popen`.
        on_line: called on the log's thread with each line; True means "taken", False leaves it
            to the tail kept for error messages.

    Attributes:
        child: the process.

    Raises:
        FfmpegMissingError: it cannot be started.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        path: str | os.PathLike[str],
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
        on_line: Callable[[str], bool] | None = None,
    ) -> None:
        self._file = Source.of(path)
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        try:
            self.child, withdraw = start(argv, stdin=stdin, stdout=stdout)
        except OSError as error:
            what = f"cannot start {argv[0]}: {error.strerror}"
            raise FfmpegMissingError(what, INSTALL_HINT) from error
        self._finalizer = weakref.finalize(self, end, self.child, withdraw)
        # The thread holds the object only through what it needs, never `self`, or that could not be
        # collected while it runs.
        self._log = threading.Thread(
            target=drain, args=(self.child.stderr, on_line, self._tail), daemon=True
        )
        self._log.start()

    @property
    def pid(self) -> int:
        return self.child.pid

    def finish(self, timeout_s: float = 10.0) -> int:
        """Wait for the process, kill it should it take longer, and return its exit status."""
        try:
            status = self.child.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.close()
            status = -9
        self._log.join(timeout=timeout_s)
        return status

    def last_error(self) -> str:
        """The last line ffmpeg logged that is not empty, cleaned; "" if it logged nothing."""
        for line in reversed(list(self._tail)):
            cleaned = clean_line(line, self._file)
            if cleaned:
                return cleaned
        return ""

    def close(self) -> None:
        """Kill ffmpeg if it still runs and free its pipes; may be called at any time, twice too."""
        self._finalizer()
        self._log.join(timeout=5)


class FfmpegStream(Ffmpeg):
    """One running ffmpeg whose stdout is read in blocks of a fixed size; a context manager.

    At most `max_blocks` blocks wait in memory; beyond that the pipe fills and ffmpeg waits.

    Args:
        argv, path, on_line: as of `Ffmpeg`.
        block_bytes: size of a block; the last one may be shorter.
        max_blocks: how many blocks may wait.
        stall_s: seconds without a byte after which `read_block` gives up; None for STALL_S.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        path: str | os.PathLike[str],
        block_bytes: int,
        max_blocks: int = 8,
        on_line: Callable[[str], bool] | None = None,
        stall_s: float | None = None,
    ) -> None:
        super().__init__(argv, path=path, on_line=on_line)
        self._max_blocks = max_blocks
        self._stall_s = STALL_S if stall_s is None else stall_s
        self._blocks: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._eof = False
        self._closed = False
        self._bytes_seen = 0
        _widen_pipe(self.child.stdout)
        self._pump = threading.Thread(
            target=_pump_stdout,
            args=(weakref.ref(self), self.child.stdout, block_bytes, self._changed),
            daemon=True,
        )
        self._pump.start()

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
        what = f"ffmpeg gave nothing for {self._stall_s:g} s"
        raise self._file.error(DecodeError, what, "the file may be damaged, or its disk slow")

    def lines(self) -> Iterator[bytes]:
        """The stream line by line; what no newline ends is left out."""
        rest = b""
        while (block := self.read_block()) is not None:
            *lines, rest = (rest + block).split(b"\n")
            yield from lines

    def check_end(self) -> int:
        """As `finish`, but being killed is no end: what came may be a part of it only.

        Raises:
            DecodeError: a signal ended the process, or ended what a script around it had started.
        """
        status = self.finish()
        number = -status if status < 0 else status - 128
        if number in _FATAL and not self._closed:
            what = f"ffmpeg was killed (signal {number}) before its end"
            hint = "memory may be short, or this ffmpeg has a fault: try another release"
            raise self._file.error(DecodeError, what, hint)
        return status

    def close(self) -> None:
        with self._changed:
            self._closed = self._eof = True
            self._blocks.clear()
            self._changed.notify_all()
        super().close()
        if self._pump is not threading.current_thread():
            self._pump.join(timeout=5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_WHILE_WRITTEN = re.compile(r"file:[^:]*\.avsync-[\w-]+(?:\.\w+)?")
"""The name of a file before it has its own."""


def not_written(target: Path, said: str, hint: str) -> DecodeError:
    """The error of a file that ffmpeg could not write, with its last words.

    >>> said = "Error writing trailer of file:/a b/.avsync-01234567-12-0123456789ab.mxf: Invalid"
    >>> not_written(Path("b.mxf"), said, "").message
    'cannot write b.mxf (Error writing trailer of it: Invalid)'
    """
    said = _WHILE_WRITTEN.sub("it", said)
    what = f"cannot write {Source.of(target).shown}{f' ({said})' if said else ''}"
    return DecodeError(what, hint, os.fspath(target))


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
