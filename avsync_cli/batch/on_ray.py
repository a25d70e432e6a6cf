"""Files on a Ray cluster: Ray places them, tries again after a lost process or node, and tells.

Nothing is scheduled here. Every node needs this version of avsync, an ffmpeg, and the files under
the same names. Without a cluster (RAY_ADDRESS, or one that `ray start` began on this machine) Ray
starts one of its own on this machine, for this run.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import os
import re
import signal
import sys
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from avsync_cli._version import __version__
from avsync_cli.batch.task import Outcome, Task, Watcher, failure, judge_file, load_engine
from avsync_cli.errors import AvsyncError, UsageError, WorkerError
from avsync_cli.media.source import Source

log = logging.getLogger(__name__)

RETRIES = 3
"""Times a file is begun again after its process or node was lost: more and it is the file that
kills them."""


def on_ray(
    task: Task, files: Sequence[Source], jobs: int, watcher: Watcher
) -> Generator[tuple[int, Outcome], None, None]:
    """Judge the files on Ray: (number, outcome) as they finish.

    Args:
        task: what to do with each file; its threads (0 counts as 1) are the cores Ray sets aside
            for one.
        files: as every node sees them from this folder.
        jobs: most files at a time; 0 leaves it to Ray.
        watcher: hears when files are handed over and when they are done.

    Raises:
        UsageError: Ray is not installed.
        WorkerError: there is no cluster, or its nodes run another avsync.
        AvsyncError: what would meet every other file as well.
    """
    ray, ours = _started()
    threads = task.settings.threads or 1
    task = replace(task, settings=replace(task.settings, threads=threads))
    judge = ray.remote(_judge).options(num_cpus=threads, max_retries=RETRIES, name="avsync")
    folder = str(Path.cwd())
    waiting = list(enumerate(files))[::-1]
    running: dict[Any, int] = {}
    with contextlib.redirect_stdout(_Aside(sys.stdout)) if ours else contextlib.nullcontext():
        try:
            while waiting or running:
                while waiting and (jobs == 0 or len(running) < jobs):
                    number, source = waiting.pop()
                    running[judge.remote(task, source, folder, __version__)] = number
                    watcher.started(number)
                # With a timeout, so that Ctrl-C is heard while nothing finishes.
                done, _ = ray.wait(list(running), num_returns=1, timeout=0.5)
                for reference in done:
                    number = running.pop(reference)
                    outcome = _outcome(ray, reference, files[number])
                    watcher.ended(number)
                    yield number, outcome
        finally:
            for reference in running:
                with contextlib.suppress(Exception):
                    ray.cancel(reference, force=True)
            if ours:
                with contextlib.suppress(Exception):
                    ray.shutdown()


class _Aside(io.TextIOBase):
    """Stands in for `sys.stdout`: Ray prints there what befalls its processes, from a thread of its
    own and whatever it is asked, but only answers belong there. The log takes it (-v).

    Args:
        real: stdout itself, which whoever writes the answer holds already.
    """

    def __init__(self, real: Any) -> None:
        super().__init__()
        self._real = real

    def fileno(self) -> int:
        return int(self._real.fileno())

    def write(self, text: str) -> int:
        told = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())
        if told:
            log.info("%s", told)
        return len(text)


def _started() -> tuple[Any, bool]:
    """The `ray` package, connected, and whether it was not before."""
    try:
        import ray
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        hint = "pip install '.[ray]' in a clone of avsync, or use --engine local"
        raise UsageError("--engine ray needs Ray, which is not installed", hint) from None
    if ray.is_initialized():
        return ray, False
    # Ray puts handlers of its own in place, which end the program with other exit codes.
    ours = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    quiet = {"log_to_driver": False, "logging_level": "error", "configure_logging": False}
    try:
        # A cluster for this run alone needs no page for people, which would open a port.
        ray.init(include_dashboard=False, **quiet)
    except Exception as error:  # whatever it was, it is Ray's, and no file's
        lines = str(error).strip().splitlines() or [type(error).__name__]
        hint = "check RAY_ADDRESS, RAY_AUTH_MODE and `ray status`, or use --engine local"
        raise WorkerError(f"no Ray cluster: {lines[0]}", hint) from error
    finally:
        for number, handler in ours.items():
            with contextlib.suppress(ValueError):  # not in the main thread
                signal.signal(number, handler)
    return ray, True


def _outcome(ray: Any, reference: Any, source: Source) -> Outcome:
    """What became of one file; what is no fault of the file is raised."""
    lost = (
        ray.exceptions.WorkerCrashedError,
        ray.exceptions.OutOfMemoryError,
        ray.exceptions.NodeDiedError,
        ray.exceptions.TaskUnschedulableError,
    )
    try:
        answer: Outcome | AvsyncError = ray.get(reference)
    except lost as error:
        hint = "memory may have run out: try more --threads, which spreads files out"
        what = f"lost by Ray {RETRIES + 1} times ({type(error).__name__})"
        return Outcome((failure(source, what, hint),), source.stamp())
    except ray.exceptions.RayError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        last = lines[-1].strip() if lines else type(error).__name__
        raise WorkerError(f"Ray cannot go on: {last}", "see the logs of the cluster") from error
    if isinstance(answer, AvsyncError):
        raise answer
    return answer


def _judge(task: Task, source: Source, folder: str, version: str) -> Outcome | AvsyncError:
    """On a node: judge one file. Errors of avsync travel as values, since Ray changes the type of
    what is raised."""
    if version != __version__:
        hint = "install the same version on every node"
        return WorkerError(f"a node runs avsync {__version__}, this is {version}", hint)
    try:
        os.chdir(folder)
    except OSError as error:
        reason = error.strerror or str(error)
        what = f"a node cannot enter {folder}: {reason}"
        return WorkerError(what, "share the folder among the nodes, under the same name")
    try:
        return judge_file(task, _engine(task), source)
    except AvsyncError as error:
        return error


_engine = functools.lru_cache(maxsize=1)(load_engine)
"""The model, loaded once in every process that Ray keeps."""
