"""docs/reading-the-answer.md: its examples are what is printed, its reasons all there are."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest

from avsync_cli import config
from avsync_cli.__main__ import main
from avsync_cli.cli import explain
from avsync_cli.inference.evidence import BlockResult, Region
from avsync_cli.report import terminal
from avsync_cli.verdict.answer import Candidate, Judgement, Segment, Tolerance
from tests.conftest import REPO, build_report

PAGE = (REPO / "docs" / explain.PAGE).read_text(encoding="utf-8")
ROOMS = [REPO / "avsync_cli" / room for room in ("inference", "verdict")]

_BLOCKS = [
    ("face", 1.25, 0.48, 0.05, ""),
    ("face", 0.80, 0.31, 0.11, ""),
    ("face", -0.40, 0.09, 0.42, ""),
    ("face", 0.0, 0.0, 0.0, "silence"),
    ("frame", -0.12, 0.12, 0.30, ""),
]


def _film(path: str = "holiday.mp4", **verdict: object) -> Judgement:
    blocks = [
        BlockResult(
            start_s=float(second),
            end_s=float(second + 1),
            region=Region("face" if kind == "face" else "frame", 0, (0.25, 0.25, 0.5, 0.5)),
            confidence=confidence,
            weight=weight,
            p_sync=p_sync,
            used=not reason,
            reason=reason,
        )
        for second, (kind, confidence, weight, p_sync, reason) in enumerate(_BLOCKS)
    ]
    settings: dict[str, object] = {"tolerance": Tolerance("itu", 45.0, 125.0), "segments": []}
    return build_report(path, blocks=blocks, **{**settings, **verdict})  # type: ignore[arg-type]


def _late(path: str) -> Judgement:
    tolerance = Tolerance("ebu", 40.0, 60.0)
    judgement = _film(path, offset_ms=120.0, ci_ms=(95.0, 145.0), tolerance=tolerance)
    return replace(judgement, fix_words=("avsync", "fix", "--tolerance", "ebu"))


def _at_border(path: str) -> Judgement:
    judgement = _film(path, offset_ms=-46.0, ci_ms=(-66.0, -26.0))
    media = replace(judgement.evidence.media, audio_track=1, audio_tracks=3)
    verdict = replace(judgement.verdict, at_border=True, p_sync=0.47)
    return replace(judgement, verdict=verdict, evidence=replace(judgement.evidence, media=media))


def _cut_short(path: str, **verdict: object) -> Judgement:
    judgement = _film(path, **verdict)
    so_far = {"best": Candidate(-120.0, 0.31), "second": Candidate(360.0, 0.12)}
    needs = "speech of one visible person for 2 seconds more"
    told = replace(judgement.verdict, **so_far, would_decide=needs)  # type: ignore[arg-type]
    judgement = replace(judgement, verdict=told)
    media = replace(judgement.evidence.media, declared_s=16.0, decoded_s=7.2, complete=False)
    return replace(judgement, evidence=replace(judgement.evidence, media=media))


def _sentences() -> list[str]:
    reports = [
        _film("interview.mov", status="in_sync", offset_ms=-10.0, ci_ms=(-25.0, 5.0)),
        _film("lecture.mp4", status="in_sync", offset_ms=80.0, ci_ms=(65.0, 95.0)),
        _at_border("rushes.mxf"),
        _late("holiday.mp4"),
        _cut_short(
            "concert.mkv",
            status="undecided",
            offset_ms=None,
            ci_ms=None,
            confidence=0.31,
            reasons=["too little in the picture moves with the sound"],
        ),
    ]
    return [terminal.sentence(report).plain for report in reports]


def _answer() -> list[str]:
    lines = terminal.render(_late("holiday.mp4"), terminal.Layout(80), table=True, curve=False)
    return [line.plain.rstrip() for line in lines]


def _in_pieces() -> list[str]:
    pieces = [
        Segment(
            start_s=at_s,
            end_s=at_s + 60.0,
            offset_ms=lag,
            offset_ci_ms=(lag - 10.0, lag + 10.0),
            confidence=0.9,
            status="out_of_sync" if lag else "in_sync",
        )
        for at_s, lag in ((0.0, 0.0), (60.0, 200.0))
    ]
    report = replace(_late("holiday.mp4"), verdict=_film(segments=pieces).verdict)
    table = terminal.piece_table(pieces, terminal.Layout(80))
    return [line.plain for line in (*table, terminal.Text(""), terminal.sentence(report))]


def test_the_examples_are_what_is_printed() -> None:
    blocks = re.findall(r"^```text\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert [block.splitlines() for block in blocks] == [_answer(), _in_pieces(), _sentences()]


def test_every_column_and_word_of_the_answer_is_a_topic() -> None:
    topics = explain.sections()
    head = _answer()[0]
    assert {"confidence", "weight", "p(sync)"} <= set(head.split())
    assert {"confidence", "weight", "p(sync)", "sure", "offset", "undecided"} <= set(topics)
    (listed,) = re.findall(r"Topics: (.*)\.", " ".join((explain.explain.__doc__ or "").split()))
    assert listed.split(", ") == list(topics)
    assert all(text.startswith(f"## {name}\n") for name, text in topics.items())


def _said() -> set[str]:
    """What evidence and verdict may give as a reason: the fixed parts of all of them."""
    said = set()
    for path in sorted(path for room in ROOMS for path in room.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name.endswith(("_reasons", "_doubt")):
                said |= _texts(node)
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                name, value = node.targets[0], node.value.value
                public = isinstance(name, ast.Name) and not name.id.startswith("_")
                if public and isinstance(value, str) and value.islower():
                    said.add(value)
    return said


def _texts(function: ast.FunctionDef) -> set[str]:
    body = function.body
    first = body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        body = body[1:]
    texts = set()
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = " ".join(node.value.split()).strip(" ,:")
                if len(text.split()) >= 3:
                    texts.add(text)
    return texts


def test_every_reason_is_explained() -> None:
    said = _said()
    assert {"silence", "frozen picture", "ms fit about equally well"} <= said
    missing = sorted(text for text in said if text not in PAGE)
    assert not missing, f"docs/{explain.PAGE} does not explain {missing}"


def test_explain_prints_the_page_or_a_part(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    whole = capsys.readouterr().out
    assert main(["explain", "Undecided"]) == 0
    out = capsys.readouterr().out
    assert out.strip().startswith("undecided\n")
    for text in (whole, out):  # laid out, without marks or colours, as it goes down a pipe
        assert max(map(len, text.splitlines())) <= 80
        assert not re.search(r"^#|\*\*|`|\x1b|\| *--", text, flags=re.MULTILINE)
    words = {name: re.sub(r"\W+", " ", name).strip() for name in explain.sections()}
    headings = {re.sub(r"\W+", " ", line).strip() for line in whole.splitlines()}
    assert set(words.values()) <= headings
    assert not any(line.strip() == "notes" for line in out.splitlines())
    assert main(["explain", "undecidet"]) == 2
    err = capsys.readouterr().err
    assert "did you mean 'undecided'?" in err


def test_the_page_of_an_installation_is_inside_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(config, "__file__", str(tmp_path / "avsync_cli" / "config.py"))
    page = tmp_path / "avsync_cli" / "_docs" / explain.PAGE
    assert explain.page_file() == page
    assert main(["explain"]) == 2
    page.parent.mkdir(parents=True)
    page.write_text("# Page\n\n## offset\n\nLate.\n", encoding="utf-8")
    assert explain.sections() == {"offset": "## offset\n\nLate.\n"}
    project = (REPO / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"docs/{explain.PAGE}" = "avsync_cli/_docs/{explain.PAGE}"' in project
