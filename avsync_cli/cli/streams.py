"""Standard streams that cannot change what an exit code means.

A program may be started with any of them closed, on a full disk, or with a reader who goes away.
What cannot be said on stderr is lost, and nothing else; an answer that cannot be written is an
error of its own, never taken for a verdict.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
from typing import Any, TextIO, cast

from avsync_cli.errors import WriteError


class OutputClosed(Exception):
    """The reader of stdout went away. No OSError, so that nobody takes it for a file's fault."""


def make_safe() -> None:
    """Put streams in place of the standard ones that fail as this module says, and see to it that
    no file is ever opened under the number of a closed one."""
    with contextlib.suppress(OSError):
        _occupy(0, os.O_RDONLY)
        _occupy(1, os.O_RDONLY)  # to be written to, it fails as a closed one does
        _occupy(2, os.O_WRONLY)
        sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - open to the end
        sys.stdout = _text(_Answer(1, "wb", closefd=False), sys.stdout)
        sys.stderr = _text(_Messages(2, "wb", closefd=False), sys.stderr)


class _Answer(io.FileIO):
    def write(self, data: Any) -> int:
        try:
            while (written := cast("int | None", super().write(data))) is None:
                select.select([], [self], [])  # somebody made it non-blocking, and it is full
            return written
        except OSError as error:
            _abandon(1)
            if isinstance(error, BrokenPipeError):
                raise OutputClosed from None
            raise WriteError(
                f"cannot write the standard output: {error.strerror or error}",
                "make room there, or write somewhere else with --output",
            ) from None


class _Messages(io.FileIO):
    def write(self, data: Any) -> int:
        written: int | None = None
        with contextlib.suppress(OSError):
            written = super().write(data)
        return len(data) if written is None else written


def _text(raw: io.FileIO, before: TextIO | None) -> io.TextIOWrapper:
    """Text on `raw`, encoded as the stream before it was."""
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(before, "encoding", "utf-8"),
        errors=getattr(before, "errors", "backslashreplace"),
        line_buffering=raw.isatty() or isinstance(raw, _Messages),
    )


def _occupy(number: int, flags: int) -> None:
    """Open the null device under the number of a standard stream that is closed."""
    try:
        os.fstat(number)
    except OSError:
        null = os.open(os.devnull, flags)
        if null != number:
            os.dup2(null, number)
            os.close(null)


def _abandon(number: int) -> None:
    """Let what the stream could not take go nowhere: Python flushes it once more at exit, which
    must not fail a second time."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, number)
    os.close(null)
