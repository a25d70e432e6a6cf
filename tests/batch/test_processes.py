"""Files side by side: a process that is lost costs only its file."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
from pathlib import Path

import pytest

from avsync_cli.batch import processes, worker
from avsync_cli.batch.processes import shared_threads, side_by_side
from avsync_cli.batch.task import Outcome, Task, load_engine, one_by_one
from avsync_cli.config import Settings
from avsync_cli.errors import FfmpegMissingError, WorkerError
from avsync_cli.judging import Excerpt
from avsync_cli.media.ffmpeg import find_ffmpeg
from avsync_cli.media.source import Source
from avsync_cli.report import machine
from avsync_cli.report.machine import Failure, Tool

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals between processes")


class Log:
    """A watcher that writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int]] = []

    def started(self, number: int) -> None:
        self.heard.append(("started", number))

    def advanced(self, number: int, done_s: float, total_s: float) -> None:
        assert done_s >= 0 and total_s >= 0
        self.heard.append(("advanced", number))

    def ended(self, number: int) -> None:
        self.heard.append(("ended", number))


@pytest.fixture
def task(toy: Path) -> Task:
    return Task(Settings(model=str(toy), range_ms=400, step_ms=20), Excerpt())


@pytest.fixture
def deadly_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ffmpeg that kills who runs it on a file named killer.mp4, and stops him on stopper.mp4."""
    script = tmp_path / "ffmpeg"
    script.write_text(
        "#!/bin/sh\n"
        'case "$*" in *killer.mp4*) kill -9 $PPID ;; *stopper.mp4*) kill -STOP $PPID ;; esac\n'
        f'exec "{find_ffmpeg()}" "$@"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("AVSYNC_FFMPEG", str(script))
    return script


def _line(outcome: Outcome) -> str:
    tolerance = machine.tolerance_entry("itu", 45, 125)
    return machine.json_line(outcome.results[0], Tool("1", "toy", "x"), tolerance, curve=True)


def test_side_by_side_is_the_same_as_one_by_one(task: Task, clips: Path) -> None:
    names = ["late.mp4", "gone.mp4", "early.mkv", "sync.mp4"]
    paths = [Source.of(clips / name) for name in names]
    log = Log()
    alone = {n: _line(o) for n, o in one_by_one(task, load_engine(task), paths, Log())}
    together = {n: _line(o) for n, o in side_by_side(task, paths, 2, log)}
    assert together == alone
    assert list(alone) == [0, 1, 2, 3]
    for number in range(4):
        about = [kind for kind, other in log.heard if other == number]
        assert (about[0], about[-1]) == ("started", "ended")
    assert ("advanced", 0) in log.heard
    assert not multiprocessing.active_children()


def test_a_killed_process_costs_its_file_only(
    task: Task, clips: Path, tmp_path: Path, deadly_ffmpeg: Path
) -> None:
    (tmp_path / "killer.mp4").write_bytes((clips / "sync.mp4").read_bytes())
    names = [tmp_path / "killer.mp4", clips / "sync.mp4", tmp_path / "gone.mp4"]
    paths = list(map(Source.of, names))
    found = dict(side_by_side(task, paths, 2, Log()))
    killed = found[0].results[0]
    assert isinstance(killed, Failure)
    assert "killer.mp4: the process judging it was killed (SIGKILL)" in killed.message
    assert "--jobs" in killed.hint
    assert not found[0].trace
    assert not isinstance(found[1].results[0], Failure)
    assert isinstance(found[2].results[0], Failure) and "gone.mp4" in found[2].results[0].message
    assert not multiprocessing.active_children()


def test_a_hung_process_is_given_up(
    task: Task, clips: Path, tmp_path: Path, deadly_ffmpeg: Path
) -> None:
    (tmp_path / "stopper.mp4").write_bytes((clips / "sync.mp4").read_bytes())
    paths = [Source.of(tmp_path / "stopper.mp4"), Source.of(tmp_path / "gone.mp4")]
    found = dict(side_by_side(task, paths, 1, Log(), hang_s=5.0))
    hung = found[0].results[0]
    assert isinstance(hung, Failure)
    assert "stopper.mp4: no progress for 5 s, given up" in hung.message
    assert isinstance(found[1].results[0], Failure) and "gone.mp4" in found[1].results[0].message
    assert not multiprocessing.active_children()


def test_what_no_file_would_survive_ends_the_batch(
    task: Task, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVSYNC_FFMPEG", "/no/such/ffmpeg")
    with pytest.raises(FfmpegMissingError) as caught:
        list(side_by_side(task, [Source.of(clips / "sync.mp4")] * 3, 1, Log()))
    assert "AVSYNC_FFMPEG" in caught.value.message
    assert caught.value.hint
    assert not multiprocessing.active_children()


def test_processes_that_cannot_even_start_are_no_files_fault(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes.worker, "main", _dies)
    with pytest.raises(WorkerError, match="exit code 7"):
        list(side_by_side(task, [Source.of(name) for name in "abcd"], 1, Log()))


def _dies(*_: object) -> None:
    os._exit(7)


def test_leaving_early_leaves_no_process(task: Task, clips: Path) -> None:
    outcomes = side_by_side(
        task, [Source.of(clips / "gone.mp4"), *[Source.of(clips / "late.mp4")] * 3], 2, Log()
    )
    next(outcomes)
    outcomes.close()
    assert not multiprocessing.active_children()


def test_cores_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "usable_cores", lambda: 8)
    assert [shared_threads(0, jobs) for jobs in (1, 2, 3, 8, 20)] == [8, 4, 2, 1, 1]
    assert shared_threads(3, 8) == 3


def test_the_worker_sees_what_is_asked(task: Task) -> None:
    # The task travels whole, and is small: it is sent to every process.
    import pickle

    again = pickle.loads(pickle.dumps(task))
    assert again == task
    assert dataclasses.asdict(again) == dataclasses.asdict(task)
    assert worker.SAY_EVERY_S < processes.HANG_S
