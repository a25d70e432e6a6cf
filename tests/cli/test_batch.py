"""Batches from the command line, with the judging replaced: order, resuming, parts, failures."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from avsync_cli.__main__ import main
from avsync_cli.batch import processes
from avsync_cli.batch.task import Outcome, Task, Watcher
from avsync_cli.cli import run
from avsync_cli.cli.progress import BatchProgress
from avsync_cli.config import models_dir
from avsync_cli.media.source import Source
from avsync_cli.report.machine import Failure
from avsync_cli.verdict.answer import Judgement, Tolerance

Make = Callable[..., Judgement]

_FINE: dict[str, Any] = {
    "status": "in_sync",
    "offset_ms": 10.0,
    "ci_ms": (0.0, 20.0),
    "tolerance": Tolerance("itu", 45.0, 125.0),
}


class Pool:
    """Stands for the processes: the last file is done first."""

    def __init__(self, make_report: Make) -> None:
        self.make_report = make_report
        self.asked: list[tuple[list[str], int]] = []
        self.bad: dict[str, Outcome] = {}

    def __call__(
        self, task: Task, files: Sequence[Source], jobs: int, watcher: Watcher
    ) -> Generator[tuple[int, Outcome], None, None]:
        paths = [source.path for source in files]
        self.asked.append((paths, jobs))
        for number in range(len(paths)):
            watcher.started(number)
        for number in reversed(range(len(paths))):
            path = paths[number]
            watcher.ended(number)
            good = Outcome((self.make_report(path, **_FINE),), files[number].stamp())
            yield number, self.bad.get(path) or good


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch, make_report: Make, tmp_path: Path) -> Pool:
    """The pool in place of processes, in an empty folder."""
    pool = Pool(make_report)
    engine = SimpleNamespace(name="fake", backend="none", folder=models_dir() / "default")
    monkeypatch.setattr(run, "load_model", lambda *_: engine)
    monkeypatch.setattr(processes, "side_by_side", pool)
    monkeypatch.chdir(tmp_path)
    return pool


def _lines(text: str) -> list[str]:
    return [json.loads(line)["path"] for line in text.splitlines()]


def test_answers_keep_the_order_of_the_input(
    pool: Pool, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["b.mp4", "a.mp4", "c.mp4"]
    assert main(["score", "-j", "2", "--csv", *files]) == 0
    rows = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert [row["path"] for row in rows] == files
    main(["score", "-j", "2", "--json", *files])
    assert [f["path"] for f in json.loads(capsys.readouterr().out)["files"]] == files
    main(["score", "-j", "2", "-q", *files])
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == files
    assert pool.asked == [(files, 2)] * 3


def test_json_lines_come_as_files_finish(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    main(["score", "--jobs", "8", "--jsonl", "a.mp4", "b.mp4", "c.mp4"])
    assert _lines(capsys.readouterr().out) == ["c.mp4", "b.mp4", "a.mp4"]
    assert pool.asked[0][1] == 3  # no more processes than files


def test_failures_are_listed_last_and_tell_the_exit_code(
    pool: Pool, capsys: pytest.CaptureFixture[str]
) -> None:
    pool.bad = {"a.mp4": Outcome((Failure("a.mp4", "a.mp4: was killed", "try fewer"),))}
    assert main(["score", "-j", "2", "--jsonl", "a.mp4", "b.mp4"]) == 3
    err = capsys.readouterr().err.splitlines()
    assert err == [
        "2 files: 1 in sync, 1 could not be judged",
        "error: a.mp4: was killed",
        "hint: try fewer",
    ]
    pool.bad = {
        "a.mp4": Outcome((Failure("a.mp4", "a.mp4: internal error"),), trace="Traceback ...\n")
    }
    assert main(["score", "-j", "2", "-vv", "--jsonl", "a.mp4", "b.mp4"]) == 70
    assert "Traceback ..." in capsys.readouterr().err


def test_a_run_is_taken_up_where_it_was(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    pool.bad = {"gone.mp4": Outcome((Failure("gone.mp4", "gone.mp4: no such file", "check it"),))}
    args = ["score", "--jobs", "2", "--resume", "out.jsonl"]
    assert main([*args, "a.mp4", "gone.mp4"]) == 3
    first = capsys.readouterr()
    assert first.out == ""
    assert _lines(Path("out.jsonl").read_text()) == ["gone.mp4", "a.mp4"]

    assert main([*args, "a.mp4", "b.mp4", "gone.mp4"]) == 3
    assert pool.asked[-1] == (["b.mp4"], 1)
    assert _lines(Path("out.jsonl").read_text()) == ["gone.mp4", "a.mp4", "b.mp4"]
    assert capsys.readouterr().err.splitlines() == [
        "2 files already in out.jsonl",
        "3 files: 2 in sync, 1 could not be judged",
        "error: gone.mp4: no such file",
        "hint: check it",
    ]


def test_what_no_longer_holds_is_judged_anew_and_told_in_one_line(
    pool: Pool, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        Path(name).write_bytes(b"film")
    args = ["score", "--jobs", "2", "--resume", "out.jsonl"]
    main([*args, "a.mp4", "b.mp4", "c.mp4"])
    Path("b.mp4").write_bytes(b"another film")
    capsys.readouterr()
    main([*args, "a.mp4", "b.mp4", "c.mp4"])
    assert pool.asked[-1][0] == ["b.mp4"]
    assert capsys.readouterr().err.splitlines() == [
        "2 files already in out.jsonl",
        "1 file judged anew: 1 changed since",
        "3 files: 3 in sync",
    ]
    assert sorted(_lines(Path("out.jsonl").read_text())) == ["a.mp4", "b.mp4", "c.mp4"]
    for flags in (["--range", "2s"], ["--start", "1s"], ["--audio-track", "0"], ["--all-audio"]):
        main([*args, *flags, "a.mp4", "b.mp4", "c.mp4"])
        assert sorted(pool.asked[-1][0]) == ["a.mp4", "b.mp4", "c.mp4"], flags
        assert len(_lines(Path("out.jsonl").read_text())) == 3
        assert "judged with other options" in capsys.readouterr().err
    asked = len(pool.asked)
    main([*args, "--all-audio", "--threads", "3", "-q", "a.mp4", "b.mp4", "c.mp4"])
    assert pool.asked[asked:] in ([], [([], 0)])


def test_a_torn_line_is_one_warning(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["score", "--jobs", "2", "--resume", "out.jsonl", "a.mp4", "b.mp4"]
    main(args)
    journal = Path("out.jsonl")
    journal.write_bytes(journal.read_bytes()[:-100])
    capsys.readouterr()
    assert main(args) == 0
    assert capsys.readouterr().err.splitlines()[0] == (
        "warning: out.jsonl ended in the middle of a line, which was cut off"
    )
    assert sorted(_lines(journal.read_text())) == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--json"], "--resume and --json"),
        (["-o", "x"], "--resume and --output"),
        (["--tolerance", "ebu"], "tolerance itu, this run has ebu"),
    ],
)
def test_what_does_not_go_with_resume(
    pool: Pool, capsys: pytest.CaptureFixture[str], flags: list[str], words: str
) -> None:
    main(["score", "--jobs", "1", "--resume", "out.jsonl", "a.mp4"])
    before = Path("out.jsonl").read_text()
    capsys.readouterr()
    assert main(["score", "--jobs", "1", "--resume", "out.jsonl", *flags, "b.mp4"]) == 2
    assert words in capsys.readouterr().err
    assert Path("out.jsonl").read_text() == before


def test_resume_never_touches_an_input(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    Path("film.mp4").write_bytes(b"precious")
    assert main(["score", "--resume", "film.mp4", "./film.mp4"]) == 2
    assert "overwrite an input" in capsys.readouterr().err
    assert Path("film.mp4").read_bytes() == b"precious"


def test_parts_of_a_batch(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["c.mp4", "a.mp4", "b.mp4"]
    for shard, part in (("1/2", ["a.mp4", "c.mp4"]), ("2/2", ["b.mp4"])):
        assert main(["score", "-j", "4", "--shard", shard, "-q", *files]) == 0
        assert pool.asked[-1][0] == part
    asked = len(pool.asked)
    capsys.readouterr()
    assert main(["score", "-j", "4", "--shard", "5/5", "--csv", *files]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("path,status") and len(out.splitlines()) == 1
    assert err == "0 files: none in this part\n"
    assert len(pool.asked) == asked
    assert main(["score", "--shard", "6/5", *files]) == 2


def test_bars_for_the_batch_and_each_file(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    names = [Source.of("films/first \x1b[31m.mp4"), Source.of("second.mp4")]
    with BatchProgress(names, shown=True, color=False) as progress:
        progress.started(0)
        progress.started(1)
        progress.advanced(0, 5.0, 10.0)
        progress.ended(1)
        progress.tell({"in_sync": 1})
        with progress.hidden():
            screen.write("ANSWER\n")
    shown = screen.getvalue()
    assert "first \\x1b[31m.mp4" in shown
    assert "second.mp4" in shown
    assert "1/2 files: 1 in sync" in shown
    assert "ANSWER" in shown
