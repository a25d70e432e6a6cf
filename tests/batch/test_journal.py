"""A file of JSON lines taken up again: what counts as held, what is cut off, what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from avsync_cli.batch.journal import Journal
from avsync_cli.errors import UsageError
from avsync_cli.report import machine
from avsync_cli.report.machine import Failure, Tool
from avsync_cli.verdict.answer import Judgement

Make = Callable[..., Judgement]

TOOL = Tool("1.2.3", "default", "onnxruntime")
EBU = machine.tolerance_entry("ebu", 40, 60)


def _open(path: Path, curve: bool = False) -> Journal:
    return Journal(path, TOOL, EBU, curve=curve)


@pytest.fixture
def lines(make_report: Make) -> list[str]:
    """Lines of two reports and a failure; the second has a name that is not UTF-8."""
    outcomes = [
        make_report("a.mp4"),
        make_report(os.fsdecode(b"caf\xe9.mp4"), status="undecided", offset_ms=None, ci_ms=None),
        Failure("gone.mp4", "gone.mp4: no such file", "check the name"),
    ]
    return [machine.json_line(outcome, TOOL, EBU, curve=False) for outcome in outcomes]


def test_lines_are_added_and_held(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "out.jsonl"
    with _open(path) as journal:
        assert journal.held == {}
        for line in lines:
            journal.append(line)
    assert path.read_text() == "".join(lines)
    with _open(path) as journal:
        assert {name: held.status for name, held in journal.held.items()} == {
            "a.mp4": "out_of_sync",
            os.fsdecode(b"caf\xe9.mp4"): "undecided",
            "gone.mp4": "error",
        }
        assert journal.held["gone.mp4"].failure == Failure(
            "gone.mp4", "gone.mp4: no such file", "check the name"
        )


@pytest.mark.parametrize("cut", [1, 5, 18, 40, 300])
def test_a_torn_last_line_is_cut_off(tmp_path: Path, lines: list[str], cut: int) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(lines[0] + lines[1][:cut])
    with _open(path) as journal:
        assert list(journal.held) == ["a.mp4"]
        journal.append(lines[2])
    assert path.read_text() == lines[0] + lines[2]


def test_zeros_of_a_lost_machine_are_cut_off(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(lines[0].encode() + b"\0" * 4000)
    with _open(path) as journal:
        assert list(journal.held) == ["a.mp4"]
    assert path.read_text() == lines[0]


def test_a_last_line_that_lacks_only_its_newline_is_held(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text((lines[0] + lines[1]).rstrip("\n"))
    with _open(path) as journal:
        assert len(journal.held) == 2
    assert path.read_text() == lines[0] + lines[1]


@pytest.mark.parametrize(
    "content",
    [
        b"a film, by its name only",
        b"\x00\x00\x00\x20ftypisom",
        b"[1]\n",
        b'{"path": "a"}\n',
        b"x\n",
    ],
)
def test_any_other_file_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="line 1 is none that --jsonl wrote"):
        _open(path)
    assert path.read_bytes() == content


def test_lines_of_another_kind_of_run_are_refused(
    tmp_path: Path, lines: list[str], make_report: Make
) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(lines[0])
    for tool, tolerance, curve, words in (
        (Tool("1.2.3", "other", "x"), EBU, False, "model default, this run has other"),
        (TOOL, machine.tolerance_entry("itu", 45, 125), False, "tolerance ebu"),
        (TOOL, EBU, True, "command score, this run has offset-scan"),
    ):
        with pytest.raises(UsageError, match=words):
            Journal(path, tool, tolerance, curve=curve)
    # A failure says nothing of its command, and a newer avsync may go on.
    path.write_text(lines[2])
    with Journal(path, Tool("9.9", "default", "x"), EBU, curve=True) as journal:
        assert list(journal.held) == ["gone.mp4"]


def test_two_runs_cannot_write_to_one_file(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    path = tmp_path / "out.jsonl"
    with _open(path), pytest.raises(UsageError, match="another run"):
        _open(path)
    with _open(path):
        pass


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        _open(tmp_path / "no" / "folder.jsonl")
