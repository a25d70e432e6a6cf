"""Files side by side, each in a process of its own that can be lost without losing another file.

A pool of `concurrent.futures` breaks as a whole when one of its processes is killed, and cannot
tell which file it was on; here every process has its own pipe, so that its end names its file.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from multiprocessing import connection, resource_tracker
from pathlib import Path
from typing import Any

from avsync_cli.batch import worker
from avsync_cli.batch.task import Outcome, Task, Watcher, failure
from avsync_cli.cores import usable_cores
from avsync_cli.errors import WorkerError
from avsync_cli.interrupt import SIGNALS, held_back, on_exit
from avsync_cli.media.source import Source

HANG_S = 300.0
"""Silence after which a process counts as hung. It speaks after every two seconds of film; a
stalled ffmpeg is noticed by itself after a fifth of this."""

MAX_STILLBORN = 3
"""Processes in a row that may end before they are ready."""


def shared_threads(threads: int, jobs: int) -> int:
    """Threads for each of `jobs` files at a time: as asked, or an equal share of the cores."""
    return threads or max(1, usable_cores() // jobs)


def side_by_side(
    task: Task, files: Sequence[Source], jobs: int, watcher: Watcher, hang_s: float = HANG_S
) -> Generator[tuple[int, Outcome], None, None]:
    """Judge the files, at most `jobs` at a time: (number, outcome) as they finish.

    Each process loads the model once. One that is killed or falls silent costs the file it was on,
    and is replaced. However the generator is left, no process stays behind.

    Args:
        task: what to do with each file; 0 threads are shared out among the jobs.
        files: what is judged.
        jobs: processes.
        watcher: hears of progress.
        hang_s: silence after which a process is given up.

    Raises:
        AvsyncError: what would meet every other file as well.
    """
    threads = shared_threads(task.settings.threads, jobs)
    task = replace(task, settings=replace(task.settings, threads=threads))
    pool = _Pool(task, files, jobs, watcher, hang_s)
    withdraw = on_exit(pool.kill)
    try:
        yield from pool.run()
    finally:
        pool.kill()
        withdraw()


class _Worker:
    """One process, its pipe, and the file it is on."""

    def __init__(self, task: Task) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=worker.main, args=(theirs, task), daemon=True)
        self.ready = False
        self.number: int | None = None
        self.heard_at = time.monotonic()
        # Started with signals held back: neither it, before it has found its feet, nor we, with a
        # child nobody knows of yet, are to be interrupted. The tracker that comes with the first
        # child lets signals through again, so it goes first. Blocked here, a signal may still come
        # by way of another thread of ours, and its exception waits until the child has been told
        # what to do.
        resource_tracker.ensure_running()
        with held_back(), _signals_held_back():
            self.process.start()
        theirs.close()

    def kill(self) -> None:
        """End the process, and its ffmpeg, at once."""
        pid = self.process.pid
        if pid is None or self.process.exitcode is not None:
            return
        with contextlib.suppress(OSError, ValueError):
            if hasattr(signal, "SIGSTOP"):  # so that it starts no other meanwhile
                os.kill(pid, signal.SIGSTOP)
            children = _children(pid)
            self.process.kill()
            for child in children:  # each leads a group, with what it has started
                with contextlib.suppress(OSError):
                    os.killpg(child, signal.SIGKILL)
                with contextlib.suppress(OSError):
                    os.kill(child, signal.SIGKILL)

    def end_words(self) -> str:
        """How the process ended, once its pipe is closed."""
        self.process.join(timeout=5.0)
        code = self.process.exitcode
        if code is None or code >= 0:
            return f"ended (exit code {code})"
        try:
            return f"was killed ({signal.Signals(-code).name})"
        except ValueError:
            return f"was killed (signal {-code})"


class _Pool:
    def __init__(
        self, task: Task, files: Sequence[Source], jobs: int, watcher: Watcher, hang_s: float
    ) -> None:
        self._task, self._files, self._watcher = task, files, watcher
        self._jobs, self._hang_s = jobs, hang_s
        self._waiting = deque(range(len(files)))
        self._workers: list[_Worker] = []
        self._gone: list[_Worker] = []
        self._stillborn = 0

    def run(self) -> Generator[tuple[int, Outcome], None, None]:
        left = len(self._files)
        while left:
            while len(self._workers) < min(self._jobs, left):
                self._workers.append(_Worker(self._task))
            speaking = connection.wait([w.pipe for w in self._workers], timeout=1.0)
            for one in list(self._workers):
                outcome = self._listen(one) if one.pipe in speaking else self._doubt(one)
                if outcome is not None:
                    left -= 1
                    yield outcome

    def kill(self) -> None:
        for one in self._workers:
            one.kill()
        deadline = time.monotonic() + 0.5
        for one in [*self._workers, *self._gone]:
            with contextlib.suppress(AssertionError, ValueError):
                one.process.join(timeout=max(0.0, deadline - time.monotonic()))

    def _listen(self, one: _Worker) -> tuple[int, Outcome] | None:
        """Take one message; the outcome of a file if it is, or causes, one."""
        try:
            message: Any = one.pipe.recv()
        except (EOFError, OSError):
            hint = "memory may have run out: try fewer --jobs, or the file alone"
            return self._lost(one, f"the process judging it {one.end_words()}", hint)
        one.heard_at = time.monotonic()
        kind = message[0]
        if kind == "fatal":
            raise message[1]
        if kind == "progress":
            self._watcher.advanced(*message[1:])
            return None
        if kind == "ready":
            one.ready, self._stillborn = True, 0
            self._assign(one)
            return None
        _, number, outcome = message
        one.number = None
        self._watcher.ended(number)
        self._assign(one)
        return number, outcome

    def _assign(self, one: _Worker) -> None:
        """Give the worker its next file, or send it home."""
        if not self._waiting:
            self._dismiss(one)
            return
        one.number = self._waiting[0]
        try:
            one.pipe.send((one.number, self._files[one.number]))
        except OSError:  # it is gone; its pipe will say so next time
            one.number = None
            return
        self._waiting.popleft()
        self._watcher.started(one.number)

    def _doubt(self, one: _Worker) -> tuple[int, Outcome] | None:
        """Give up a worker that has been silent for too long."""
        # Loading is not judged by a limit that is meant for a file.
        limit_s = self._hang_s if one.ready else max(self._hang_s, HANG_S)
        if time.monotonic() - one.heard_at < limit_s:
            return None
        what = f"no progress for {limit_s:g} s, given up"
        return self._lost(one, what, "the file may be damaged, or its disk slow")

    def _dismiss(self, one: _Worker) -> None:
        one.kill()
        one.pipe.close()
        self._workers.remove(one)
        self._gone.append(one)

    def _lost(self, one: _Worker, what: str, hint: str) -> tuple[int, Outcome] | None:
        self._dismiss(one)
        number = one.number
        if number is None:
            self._stillborn += 1
            if self._stillborn >= MAX_STILLBORN:
                raise WorkerError(f"processes end before they can work: {what}", hint)
            return None
        self._watcher.ended(number)
        source = self._files[number]
        return number, Outcome((failure(source, what, hint),), source.stamp())


def _children(pid: int) -> list[int]:
    """Children of a process, where the system tells; elsewhere ffmpeg ends by itself when nobody
    reads what it writes."""
    found: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError, ValueError):
            found += [int(word) for word in listing.read_text().split()]
    return found


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
