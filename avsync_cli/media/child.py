"""Starting other programs so that they can neither outlive us nor eat the machine."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from avsync_cli.interrupt import held_back, on_exit
from avsync_cli.media.limits import bound_memory

TAIL_LINES = 40
"""Lines of a log that are kept for messages."""

MAX_LINE_BYTES = 16_384


def start(
    argv: Sequence[str],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
) -> tuple[subprocess.Popen[bytes], Callable[[], None]]:
    """A child that leads a process group of its own and is killed should we be ended by a signal.

    Its log has colours, whatever the person who runs us wants for ours: see `stamps`.

    Args:
        argv: the whole command.
        stdin, stdout, stderr: as of `subprocess.Popen`; pipes are not buffered.

    Returns:
        the child, and a function to call once it has ended: it need not be killed any more.

    Raises:
        OSError, ValueError: it cannot be started.
    """
    outside = {name: value for name, value in os.environ.items() if name not in _COLOURLESS}
    # An interrupt between starting a child and noting it would leave it running on its own.
    with held_back():
        child = subprocess.Popen(
            list(argv),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            bufsize=0,
            process_group=0,
            env=outside | {"AV_LOG_FORCE_COLOR": "1"},
        )
        withdraw = on_exit(functools.partial(kill_group, child))
    bound_memory(child.pid)
    return child, withdraw


_COLOURLESS = ("NO_COLOR", "AV_LOG_FORCE_NOCOLOR")


def kill_group(child: subprocess.Popen[bytes]) -> None:
    """Kill a process that leads a group of its own, and whatever it has started itself: an ffmpeg
    is often a script around another one. Harmless when all of them have ended."""
    with contextlib.suppress(OSError):
        if child.returncode is None and hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        child.kill()


def end(child: subprocess.Popen[bytes], withdraw: Callable[[], None]) -> None:
    """Kill and reap what `start` gave; harmless when it has already ended."""
    kill_group(child)
    withdraw()
    with contextlib.suppress(subprocess.TimeoutExpired, OSError):
        child.wait(timeout=5)


def ask(argv: Sequence[str], timeout_s: float) -> tuple[int, bytes]:
    """Exit code and stdout of a program that is asked a short question; it does not outlive us.

    Raises:
        OSError, ValueError: it cannot be started.
        subprocess.TimeoutExpired: it was killed for taking longer.
    """
    child, withdraw = start(argv, stderr=subprocess.DEVNULL)
    with child:
        try:
            out = child.communicate(timeout=timeout_s)[0]
        except BaseException:
            kill_group(child)
            raise
        finally:
            withdraw()
    return child.returncode, out


def drain(log: Any, on_line: Callable[[str], bool] | None, tail: deque[str]) -> None:
    """Read a child's log to its end: one that nobody reads would block it.

    Args:
        log: its stderr; closed at the end.
        on_line: called with each line; True means "taken", False leaves it to `tail`.
        tail: gets the lines that are left.
    """
    rest = b""
    with contextlib.closing(log):
        while True:
            try:
                data = log.read(65_536)
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
