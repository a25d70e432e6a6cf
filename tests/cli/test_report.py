"""`avsync report`: a finished run told anew, from its journal alone."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from avsync_cli.__main__ import main
from avsync_cli.batch.line import Ticket
from avsync_cli.inference.evidence import Strikes
from avsync_cli.report import machine, terminal
from avsync_cli.report.machine import Failure, Tool
from avsync_cli.report.reread import reread
from avsync_cli.verdict.answer import Candidate, Judgement, Segment, Tolerance
from tests.conftest import make_blocks, make_track

Make = Callable[..., Judgement]
Capture = pytest.CaptureFixture[str]

TOOL = Tool("1.2.3", "default", "onnxruntime")
EBU = machine.tolerance_entry("ebu", 40, 60)
NASTY = "x/<b>\udcff\x1b]0;\u202e&\"'.mp4"


def _line(outcome: Judgement | Failure, *, curve: bool = True, lines: int = 1) -> str:
    ticket = Ticket("0" * 16, None, lines)
    return machine.json_line(outcome, TOOL, EBU, curve=curve, resume=ticket.entry())


def _answers(make: Make) -> list[Judgement]:
    """Every kind of answer, with names of every kind."""
    silent = make_track(1, offset_ms=None, offset_ci_ms=None, kept=False, reason="silence")
    drifting = dataclasses.replace(make("drift.mov", drift=-7.5), tracks=(make_track(), silent))
    verdict = dataclasses.replace(
        drifting.verdict,
        drift_ci_ms_per_min=(-8.0, -7.0),
        usable=0.5,
        at_border=True,
        best=Candidate(120.0, 0.9),
        second=Candidate(-300.0, 0.05),
        margin=2.5,
        evidence_s=7.0,
        min_confidence=0.9,
    )
    drifting = dataclasses.replace(
        drifting, evidence=dataclasses.replace(drifting.evidence, stretches=9, read_s=96.5)
    )
    flat = make(
        NASTY, status="undecided", offset_ms=None, ci_ms=None, reasons=["silence"], confidence=0.4
    )
    blocks = make_blocks(3, unused=(1,))
    blocks[1] = dataclasses.replace(blocks[1], confidence=math.nan, p_sync=math.nan)
    score = np.full_like(flat.verdict.curve_score, np.nan)
    two = [
        Segment(
            start_s=10.0 * k,
            end_s=10.0 * k + 10.0,
            offset_ms=120.0 if k else None,
            offset_ci_ms=(110.0, 130.0) if k else None,
            confidence=0.9,
            status="out_of_sync" if k else "undecided",
        )
        for k in range(2)
    ]
    return [
        make("b/late.mp4", segments=two),
        make("in.mp4", status="in_sync", offset_ms=10.0, tolerance=Tolerance("40:60", 40.0, 60.0)),
        dataclasses.replace(
            drifting,
            verdict=verdict,
            evidence=dataclasses.replace(
                drifting.evidence,
                stretches=9,
                read_s=96.0,
                strikes=Strikes(
                    offset_ms=40.0, p=0.9, end_s=30.0, box=(0.1, 0.2, 0.3, 0.4), heard_s=(1.0, 2.5)
                ),
            ),
            min_confidence=0.9,
            fix_words=("avsync", "fix", "--min-confidence", "0.9"),
        ),
        dataclasses.replace(
            flat,
            verdict=dataclasses.replace(flat.verdict, curve_score=score),
            evidence=dataclasses.replace(flat.evidence, blocks=blocks),
            fix_words=("avsync", "fix", "--tolerance", "ebu"),
        ),
    ]


def test_what_is_read_back_says_the_same(make_report: Make) -> None:
    layout = terminal.Layout()
    for answer in _answers(make_report):
        told = reread(json.loads(_line(answer)))
        back = told.result
        assert isinstance(back, Judgement)
        assert machine.file_entry(back, curve=True) == machine.file_entry(answer, curve=True)
        assert back.fix_words == answer.fix_words
        shown = [terminal.render(one, layout, table=True, curve=True) for one in (back, answer)]
        assert list(map(str, shown[0])) == list(map(str, shown[1]))
        assert (told.tool, told.command, told.lacking) == (TOOL, "score", frozenset())


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_report: Make) -> Path:
    monkeypatch.chdir(tmp_path)
    failure = Failure("gone.mp4", "gone.mp4: no such file", "check the name")
    path = tmp_path / "qc.jsonl"
    path.write_text("".join(map(_line, [*_answers(make_report), failure])))
    return path


def test_csv_is_that_of_the_run(journal: Path, capsys: Capture, make_report: Make) -> None:
    assert main(["report", "qc.jsonl", "--csv"]) == 1
    out, err = capsys.readouterr()
    assert out == machine.csv_header() + "".join(map(machine.csv_row, _answers(make_report))) + (
        machine.csv_row(Failure("gone.mp4", "gone.mp4: no such file"))
    )
    summary, error, hint = err.splitlines()
    assert summary == "5 files: 1 in sync, 2 out of sync, 1 undecided, 1 could not be judged"
    assert (error, hint) == ("error: gone.mp4: no such file", "hint: check the name")


def test_sentences_are_those_of_the_run(journal: Path, capsys: Capture) -> None:
    assert main(["report", "qc.jsonl", "--exit-zero"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("b/late.mp4: audio is 120 ms late")
    assert any("fix --tolerance ebu" in line for line in out) is False  # undecided: no remedy
    assert sum("avsync fix" in line for line in out) == 2


def test_junit_counts_and_names(journal: Path, capsys: Capture) -> None:
    assert main(["report", "qc.jsonl", "--junit", "-o", "qc.xml"]) == 1
    suite = ElementTree.parse("qc.xml").getroot()
    counts = {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "5", "failures": "2", "errors": "1", "skipped": "1"}
    kinds = [[child.tag for child in case] for case in suite]
    assert kinds == [["failure"], [], ["failure"], ["skipped"], ["error"]]
    assert suite[0][0].get("message", "").startswith("Audio is 120 ms late")
    assert suite[3].get("name") == r"""x/<b>\xff\x1b]0;\u202e&"'.mp4"""


def test_a_page_of_all_and_a_page_for_each(journal: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "pages").mkdir()
    assert main(["report", "qc.jsonl", "-q", "--html", "all.html"]) == 1
    assert main(["report", "qc.jsonl", "-q", "--html", "pages"]) == 1
    assert main(["report", "qc.jsonl", "-q", "--html", "pages"]) == 1  # again, over its own
    whole = (tmp_path / "all.html").read_text()
    assert whole.count('<section class="file"') == 5
    index = (tmp_path / "pages" / "index.html").read_text()
    links = re.findall(r'<td class="name"><a href="([^"]*)"', index)
    assert links[:3] == ["late.html", "in.html", "drift.html"]
    assert len(set(links)) == 5
    for link in links:
        assert re.fullmatch(r"[\w.%-]+\.html", link)  # one step, no folder, no scheme
    names = {path.name for path in (tmp_path / "pages").iterdir()}
    assert {"index.html", "late.html", "in.html", "drift.html", "gone.html"} < names
    one = (tmp_path / "pages" / "late.html").read_text()
    assert '<a href="index.html">All files</a>' in one
    assert "Offset curve" in one
    for page in (whole, index):
        assert "<b>" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
        assert not re.search(r"(src|href)=\"(?!#|[\w%.-]+\.html\")", page)


def test_an_overview_of_somebody_else_stays(journal: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("<title>Mine</title>")
    assert main(["report", "qc.jsonl", "--html", "site"]) == 2
    assert "is no report, and would be overwritten" in capsys.readouterr().err
    assert (tmp_path / "site" / "index.html").read_text() == "<title>Mine</title>"


def test_the_last_word_on_a_file_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, make_report: Make
) -> None:
    monkeypatch.chdir(tmp_path)
    old, new = make_report("a.mp4"), make_report("a.mp4", status="in_sync", offset_ms=0.0)
    other = make_report("b.mp4", status="in_sync", offset_ms=0.0)
    Path("one.jsonl").write_text(_line(old) + _line(other, lines=2) + _line(other, lines=2))
    Path("two.jsonl").write_text(_line(new) + _line(old)[:40])
    assert main(["report", "one.jsonl", "two.jsonl", "--csv"]) == 0
    out, err = capsys.readouterr()
    rows = [row["path"] for row in csv.DictReader(io.StringIO(out))]
    assert rows == ["a.mp4", "b.mp4", "b.mp4"]  # b has two sound tracks
    assert "2 files: 2 in sync" in err
    assert "warning: two.jsonl ends in the middle of a line" in err


def test_what_older_lines_lack_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, make_report: Make
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = []
    for name in ("a.mp4", "b.mp4"):
        entry = json.loads(_line(make_report(name), curve=False))
        for key in ("fix_words", "command", "at_border", "usable"):
            del entry[key]
        del entry["media"]["complete"]
        lines.append(json.dumps(entry, separators=(",", ":")) + "\n")
    Path("old.jsonl").write_text("".join(lines))
    assert main(["report", "old.jsonl", "--html", "p.html"]) == 1
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert len(notes) == 1
    assert "at_border, command, complete, curve, fix_words, usable" in notes[0]
    assert "Offset curve" not in Path("p.html").read_text()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["none.jsonl"], "cannot read none.jsonl"),
        (["film.mp4"], "film.mp4: line 1 is none that --jsonl wrote"),
        (["qc.jsonl", "--csv", "--junit"], "--csv and --junit exclude each other"),
        (["qc.jsonl", "--html", "film.mp4"], "--html film.mp4 would be no film"),
        (["qc.jsonl", "-o", "-"], "--output - names no file"),
        (["qc.jsonl", "-o", "qc.jsonl"], "--output qc.jsonl would overwrite an input"),
        (["qc.jsonl", "--html", "qc.jsonl"], "--html qc.jsonl would overwrite an input"),
        (["empty.jsonl", "--html", "p.html"], "the journal holds no answers"),
        (["odd.jsonl"], "odd.jsonl: b/late.mp4: confidence 'much' cannot be"),
    ],
)
def test_what_cannot_be_told_is_one_clear_line(
    journal: Path, tmp_path: Path, capsys: Capture, args: list[str], message: str
) -> None:
    Path("film.mp4").write_bytes(b"no journal\n" * 3)
    Path("empty.jsonl").touch()
    line = journal.read_text().splitlines(keepends=True)[0]
    Path("odd.jsonl").write_text(line.replace('"confidence":0.98', '"confidence":"much"', 1))
    before = journal.read_bytes()
    assert main(["report", *args]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {message}")
    assert journal.read_bytes() == before
    assert not Path("p.html").exists()
