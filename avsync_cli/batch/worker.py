"""The process that judges files for another: what it hears, what it says, how it ends.

It is told (number, source), and says ("ready",), ("progress", number, done_s, total_s),
("done", number, outcome), or ("fatal", error) for what no file would survive.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from multiprocessing.connection import Connection

from avsync_cli.batch.task import Task, judge_file, load_engine, log_to_stderr
from avsync_cli.errors import AvsyncError
from avsync_cli.interrupt import end_with_starter

SAY_EVERY_S = 0.5
"""Least time between two words of progress: a reader who is busy must not hold the work up."""


def main(pipe: Connection, task: Task) -> None:
    """Judge what the pipe names until it is closed."""
    _live_and_die_alone()
    log_to_stderr(task.verbose)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            engine = load_engine(task)
            pipe.send(("ready",))
            while True:
                number, source = pipe.recv()
                pipe.send(("done", number, judge_file(task, engine, source, _Teller(pipe, number))))
        except AvsyncError as error:
            pipe.send(("fatal", error))


class _Teller:
    """Tells of progress on one file, now and then."""

    def __init__(self, pipe: Connection, number: int) -> None:
        self._pipe, self._number = pipe, number
        self._said_at = 0.0

    def __call__(self, done_s: float, total_s: float) -> None:
        if time.monotonic() - self._said_at >= SAY_EVERY_S:
            self._said_at = time.monotonic()
            self._pipe.send(("progress", self._number, done_s, total_s))


def _live_and_die_alone() -> None:
    """A process group of our own, which Ctrl-C in the terminal does not reach, and an end when our
    starter is gone."""
    if hasattr(os, "setpgid"):
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        # Blocked while we were being started, and ffmpeg would inherit that.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
    end_with_starter()
