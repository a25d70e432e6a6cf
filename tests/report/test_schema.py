"""The published JSON Schema against what is really written, and against what must not be."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
from collections.abc import Callable
from typing import Any

import jsonschema
import numpy as np
import pytest

from avsync_cli.inference.evidence import Region, Strikes
from avsync_cli.report import machine
from avsync_cli.report.machine import Failure, Tool
from avsync_cli.verdict.answer import Judgement, Segment, TrackResult
from tests.conftest import REPO, make_blocks, make_track

Make = Callable[..., Judgement]

SCHEMA = json.loads((REPO / "docs/schema/report.schema.json").read_text(encoding="utf-8"))
DOCUMENT = jsonschema.Draft202012Validator(SCHEMA)
LINE = DOCUMENT.evolve(schema={"$ref": "#/$defs/line", "$defs": SCHEMA["$defs"]})
TOOL = Tool("1.2.3", "default", "onnxruntime")
TOLERANCE = machine.tolerance_entry("ebu", 40, 60)
FAILURE = Failure("gone.mp4", "gone.mp4: no such file", "check the name")


def _reports(make: Make) -> list[Judgement]:
    """Every kind of answer."""
    frame = dataclasses.replace(
        make_blocks(1)[0], region=Region("frame", None, (0.0, 0.0, 1.0, 1.0))
    )
    drifting = make("drift.mov", drift=-7.5)
    verdict = dataclasses.replace(drifting.verdict, drift_ci_ms_per_min=(-8.0, -7.0), usable=0.5)
    flat = make("flat.mp4", status="undecided", offset_ms=None, ci_ms=None, reasons=["silence"])
    broken = dataclasses.replace(
        flat.verdict, curve_score=np.full_like(flat.verdict.curve_score, np.nan)
    )
    two = [
        Segment(
            start_s=0.0,
            end_s=10.0,
            offset_ms=120.0,
            offset_ci_ms=(110.0, 130.0),
            confidence=0.9,
            status="out_of_sync",
        ),
        Segment(
            start_s=10.0,
            end_s=20.0,
            offset_ms=None,
            offset_ci_ms=None,
            confidence=0.2,
            status="undecided",
        ),
    ]
    return [
        make(os.fsdecode(b"caf\xe9.mp4")),
        make("fine.mp4", status="in_sync", offset_ms=0.0, ci_ms=(-10.0, 10.0)),
        make("spliced.mkv", segments=two, blocks=[*make_blocks(4, unused=(2,)), frame]),
        dataclasses.replace(drifting, verdict=verdict),
        flat,
        dataclasses.replace(flat, verdict=broken),
        dataclasses.replace(flat, tracks=(make_track(), _silent())),
        dataclasses.replace(
            flat,
            evidence=dataclasses.replace(
                flat.evidence,
                strikes=Strikes(
                    offset_ms=0.0, p=0.9, end_s=9.5, box=(0.1, 0.2, 0.3, 0.4), heard_s=(1.0, 2.5)
                ),
            ),
        ),
    ]


def _silent() -> TrackResult:
    nothing = {"offset_ms": None, "offset_ci_ms": None, "kept": False, "reason": "silence"}
    return make_track(1, **nothing)


def _document(make: Make, *, curve: bool) -> dict[str, Any]:
    made = machine.document(_reports(make), [FAILURE], TOOL, TOLERANCE, curve=curve)
    loaded = json.loads(machine.to_json(made))
    assert isinstance(loaded, dict)
    return loaded


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("curve", [False, True])
def test_documents_are_as_published(make_report: Make, curve: bool) -> None:
    DOCUMENT.validate(_document(make_report, curve=curve))


def test_a_run_by_frames_has_no_limits_of_its_own(make_report: Make) -> None:
    tolerance = machine.tolerance_entry("frame", None, None)
    DOCUMENT.validate(machine.document([make_report()], [], TOOL, tolerance, curve=False))


@pytest.mark.parametrize("curve", [False, True])
def test_lines_are_as_published(make_report: Make, curve: bool) -> None:
    for outcome in [*_reports(make_report), FAILURE]:
        LINE.validate(json.loads(machine.json_line(outcome, TOOL, TOLERANCE, curve=curve)))


def test_every_key_of_a_document_is_described(make_report: Make) -> None:
    document = _document(make_report, curve=True)

    def keys(value: Any) -> set[str]:
        if isinstance(value, dict):
            return set(value).union(*(keys(item) for item in value.values()))
        return set().union(*(keys(item) for item in value)) if isinstance(value, list) else set()

    def described(schema: Any) -> set[str]:
        if isinstance(schema, list):
            return set().union(*map(described, schema))
        if not isinstance(schema, dict):
            return set()
        return set(schema.get("properties", {})).union(*map(described, schema.values()))

    assert keys(document) <= described(SCHEMA)


def _set(*path: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = to

    return change


def _drop(*path: str | int) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("schema_version", to=2),
        _set("files", 0, "status", to="late"),
        _set("files", 0, "status", to="undecided"),
        _set("files", 0, "offset_ms", to="120"),
        _set("files", 0, "offset_ci_ms", to=[110.0]),
        _set("files", 0, "confidence", to=1.2),
        _set("files", 0, "media", "width", to=1920.5),
        _set("files", 0, "blocks", 0, "region", "box", to=[0.0, 0.0, 1.0]),
        _set("files", 0, "curve", 0, "offset_ms", to=0.5),
        _set("files", 4, "offset_ms", to=0.0),
        _set("files", 0, "renamed_ms", to=120.0),
        _set("errors", 0, "status", to="error"),
        _drop("files", 0, "p_sync"),
        _drop("files", 0, "blocks", 0, "reason"),
        _drop("tool", "model"),
        _drop("errors"),
    ],
)
def test_other_documents_are_refused(
    make_report: Make, change: Callable[[dict[str, Any]], None]
) -> None:
    document = _document(make_report, curve=True)
    DOCUMENT.validate(document)
    wrong = copy.deepcopy(document)
    change(wrong)
    with pytest.raises(jsonschema.ValidationError):
        DOCUMENT.validate(wrong)


def test_lines_mixed_up_are_refused(make_report: Make) -> None:
    good = json.loads(machine.json_line(make_report(), TOOL, TOLERANCE, curve=False))
    failed = json.loads(machine.json_line(FAILURE, TOOL, TOLERANCE, curve=False))
    for wrong in ({**good, "status": "error"}, {**failed, "status": "in_sync"}, {**good, "x": 1}):
        with pytest.raises(jsonschema.ValidationError):
            LINE.validate(wrong)


def test_the_columns_of_the_csv_are_documented() -> None:
    text = (REPO / "docs/reports.md").read_text(encoding="utf-8")
    _, section = text.split("\n## CSV\n")
    first = section.split("--csv --pieces")[0]
    rows = [line.split("|")[1].strip(" `") for line in first.splitlines() if line.startswith("| `")]
    assert rows == list(machine.CSV_COLUMNS)
