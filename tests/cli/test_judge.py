"""A batch run in this process, with inference replaced: what happens when a file goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from avsync_cli.__main__ import main
from avsync_cli.batch import task
from avsync_cli.cli import run
from avsync_cli.config import models_dir
from avsync_cli.errors import DecodeError, ModelError
from avsync_cli.media.source import Source
from avsync_cli.verdict.answer import Judgement

Make = Callable[..., Judgement]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, make_report: Make) -> dict[str, Any]:
    """Outcomes by file name: keywords of a report, one, or an exception to raise."""
    outcomes: dict[str, Any] = {}

    def analyse_file(source: Source, *_: object) -> Judgement:
        outcome = outcomes[source.path]
        if isinstance(outcome, BaseException):
            raise outcome
        if isinstance(outcome, Judgement):
            return outcome
        return make_report(source.path, **outcome)

    engine = SimpleNamespace(name="fake", backend="none", folder=models_dir() / "default")
    monkeypatch.setattr(run, "load_model", lambda *_: engine)
    monkeypatch.setattr(task, "analyse_file", analyse_file)
    return outcomes


_LATE: dict[str, Any] = {}
_FINE: dict[str, Any] = {"status": "in_sync", "offset_ms": 10.0, "ci_ms": (0.0, 20.0)}
_OPEN: dict[str, Any] = {"status": "undecided", "offset_ms": None, "ci_ms": None}


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([_FINE, _FINE], 0),
        ([_FINE, _LATE], 1),
        ([_FINE, _OPEN], 3),
        ([_LATE, _OPEN], 1),
        ([_LATE, DecodeError("b: broken", "")], 1),
        ([_FINE, DecodeError("b: broken", "")], 3),
        ([_FINE, RuntimeError("oops")], 70),
        ([RuntimeError("oops"), _LATE], 70),
    ],
)
def test_exit_codes(
    fake: dict[str, Any], capsys: pytest.CaptureFixture[str], outcomes: list[Any], code: int
) -> None:
    fake.update(zip("ab", outcomes, strict=True))
    assert main(["score", "a", "b"]) == code
    capsys.readouterr()
    # Exit 0 whatever the answers are; a fault of ours is no answer.
    assert main(["score", "--exit-zero", "a", "b"]) == (70 if code == 70 else 0)


@pytest.mark.parametrize(
    ("changed", "complete", "code"), [(_FINE, False, 3), (_FINE, True, 0), (_LATE, False, 1)]
)
def test_strict_exits_with_3_for_an_incomplete_file(
    fake: dict[str, Any],
    make_report: Make,
    changed: dict[str, Any],
    complete: bool,
    code: int,
) -> None:
    judgement = make_report("a", **changed)
    media = replace(judgement.evidence.media, complete=complete)
    fake["a"] = replace(judgement, evidence=replace(judgement.evidence, media=media))
    assert main(["score", "--strict", "a"]) == code
    assert main(["score", "a"]) == (1 if code == 1 else 0)


def test_a_fault_of_ours_on_one_file_leaves_the_others_their_answers(
    fake: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    fake.update(a=RuntimeError("oops\nsecond line"), b=_FINE)
    assert main(["score", "--json", "a", "b"]) == 70
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert [file["path"] for file in document["files"]] == ["b"]
    assert "internal error: RuntimeError: oops second line" in document["errors"][0]["message"]
    assert "Traceback" not in err
    assert "-vv" in err
    main(["score", "-vv", "a", "b"])
    assert "Traceback" in capsys.readouterr().err


def test_what_no_file_would_survive_ends_the_batch(
    fake: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    fake.update(a=ModelError("the model is damaged", "reinstall"), b=_FINE)
    assert main(["score", "a", "b"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "error: the model is damaged\nhint: reinstall\n"


def test_interrupting_keeps_the_lines_already_written(
    fake: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    fake.update(a=_FINE, b=KeyboardInterrupt())
    assert main(["score", "--jsonl", "a", "b"]) == 130
    out, err = capsys.readouterr()
    assert [json.loads(line)["path"] for line in out.splitlines()] == ["a"]
    assert err == "interrupted\n"


def test_quiet_is_a_line_a_file(fake: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    fake.update(a=_LATE, b=_FINE)
    main(["offset-scan", "-q", "a", "b"])
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert err == ""


def test_a_batch_has_tables_only_when_asked(
    fake: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    fake.update(a=_LATE, b=_FINE)
    main(["score", "a", "b"])
    assert "p(sync)" not in capsys.readouterr().out
    main(["score", "--blocks", "a", "b"])
    assert capsys.readouterr().out.count("p(sync)") == 2


@pytest.mark.parametrize(
    ("args", "traced"),
    [
        (["-vv"], True),
        (["-v", "-v"], True),
        (["--verbose", "-v"], True),
        (["-v"], False),
        (["--", "-vv"], False),
    ],
)
def test_the_whole_trace_only_with_vv(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    args: list[str],
    traced: bool,
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("before any file")

    monkeypatch.setattr(run, "load_model", broken)
    assert main(["score", "x", *args]) == 70
    err = capsys.readouterr().err
    assert ("Traceback" in err) is traced
    assert "error: internal error: RuntimeError: before any file" in err
