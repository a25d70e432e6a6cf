"""JSON, JSON lines and CSV: a contract with scripts."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from avsync_cli.report import machine
from avsync_cli.report.machine import Failure, Tool
from avsync_cli.verdict.answer import Candidate, Judgement

Make = Callable[..., Judgement]

TOOL = Tool("1.2.3", "default", "onnxruntime")
TOLERANCE = machine.tolerance_entry("ebu", 40, 60)


def _document(reports: list[Judgement], curve: bool = False) -> dict[str, Any]:
    failure = Failure("gone.mp4", "gone.mp4: no such file", "check the name")
    document = machine.document(reports, [failure], TOOL, TOLERANCE, curve=curve)
    loaded = json.loads(machine.to_json(document))
    assert isinstance(loaded, dict)
    return loaded


def test_keys_of_the_document(make_report: Make) -> None:
    document = _document([make_report()], curve=True)
    assert list(document) == ["schema_version", "tool", "tolerance", "files", "errors"]
    assert document["schema_version"] == 1
    assert document["tool"] == {"version": "1.2.3", "model": "default", "backend": "onnxruntime"}
    assert document["tolerance"] == {"name": "ebu", "early_ms": 40, "late_ms": 60}
    assert document["errors"] == [
        {"path": "gone.mp4", "message": "gone.mp4: no such file", "hint": "check the name"}
    ]
    (file,) = document["files"]
    assert set(file) == {
        "path", "status", "offset_ms", "offset_ci_ms", "direction", "confidence", "p_sync",
        "drift_ms_per_min", "drift_ci_ms_per_min", "usable", "reasons", "tolerance", "media",
        "segments", "blocks", "curve", "at_border", "best", "second_best", "margin", "evidence_s",
        "min_confidence", "would_decide", "read", "tracks", "clap", "strikes",
    }  # fmt: skip
    assert set(file["media"]) == {
        "duration_s", "fps", "vfr", "width", "height", "audio_hz", "audio_track", "audio_tracks",
        "declared_s", "decoded_s", "complete", "stamps",
    }  # fmt: skip
    assert set(file["segments"][0]) == {
        "start_s", "end_s", "offset_ms", "offset_ci_ms", "confidence", "status",
    }  # fmt: skip
    assert set(file["blocks"][0]) == {
        "start_s", "end_s", "region", "confidence", "weight", "p_sync", "used", "reason",
    }  # fmt: skip
    assert set(file["blocks"][0]["region"]) == {"kind", "track", "box"}
    assert set(file["curve"][0]) == {"offset_ms", "score", "p"}


def test_values_of_the_document(make_report: Make) -> None:
    (file,) = _document([make_report()], curve=True)["files"]
    assert file["offset_ms"] == 120.0
    assert file["offset_ci_ms"] == [110.0, 130.0]
    assert file["direction"] == "audio_late"
    assert file["status"] == "out_of_sync"
    assert abs(sum(point["p"] for point in file["curve"]) - 1.0) < 1e-3
    best = max(file["curve"], key=lambda point: point["score"])
    assert best["offset_ms"] == 120


def test_an_undecided_file_has_its_best_offsets_in_json_and_csv(make_report: Make) -> None:
    report = make_report(status="undecided", offset_ms=None, ci_ms=None)
    so_far = {"best": Candidate(-120.0, 0.31), "second": Candidate(360.0, 0.12), "margin": 1.25}
    verdict = dataclasses.replace(report.verdict, **so_far, evidence_s=2.5, would_decide="more")
    report = dataclasses.replace(report, verdict=verdict)
    (file,) = _document([report])["files"]
    assert file["best"] == {"offset_ms": -120.0, "p": 0.31}
    assert file["second_best"] == {"offset_ms": 360.0, "p": 0.12}
    assert (file["margin"], file["evidence_s"], file["would_decide"]) == (1.25, 2.5, "more")
    text = machine.csv_header() + machine.csv_row(report)
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert (row["offset_ms"], row["direction"]) == ("", "none")
    said = [row[k] for k in ("best_offset_ms", "best_p", "second_offset_ms", "second_p", "margin")]
    assert said == ["-120.0", "0.31", "360.0", "0.12", "1.25"]
    assert (row["evidence_s"], row["min_confidence"], row["would_decide"]) == ("2.5", "0.8", "more")


def test_score_has_no_curve(make_report: Make) -> None:
    assert "curve" not in _document([make_report()])["files"][0]


def test_what_is_not_a_number_becomes_null(make_report: Make) -> None:
    report = make_report(status="undecided", offset_ms=None, ci_ms=None)
    verdict = dataclasses.replace(
        report.verdict, curve_score=np.full_like(report.verdict.curve_score, -np.inf)
    )
    report = dataclasses.replace(report, verdict=verdict)
    (file,) = _document([report], curve=True)["files"]
    assert file["offset_ms"] is None
    assert file["offset_ci_ms"] is None
    assert file["curve"][0]["score"] is None


def test_a_name_that_is_not_utf8_survives_json(make_report: Make) -> None:
    name = os.fsdecode(b"caf\xe9 \x1b[31m.mp4")
    text = machine.to_json(machine.document([make_report(name)], [], TOOL, TOLERANCE, curve=False))
    assert text.isascii()
    assert os.fsencode(json.loads(text)["files"][0]["path"]) == b"caf\xe9 \x1b[31m.mp4"


def test_a_json_line_is_complete_in_itself(make_report: Make) -> None:
    line = machine.json_line(make_report("a\nb.mp4"), TOOL, TOLERANCE, curve=False)
    assert line.count("\n") == 1
    entry = json.loads(line)
    assert entry["path"] == "a\nb.mp4"
    assert entry["schema_version"] == 1
    assert entry["tool"]["model"] == "default"
    assert entry["tolerance"]["name"] == "ebu"
    failed = json.loads(machine.json_line(Failure("x", "m", "h"), TOOL, TOLERANCE, curve=False))
    assert failed["status"] == "error"
    assert failed["error"] == {"message": "m", "hint": "h"}


def test_csv_reads_back(make_report: Make) -> None:
    text = machine.csv_header() + machine.csv_row(make_report('a "b",\n.mp4', reasons=["x", "y"]))
    text += machine.csv_row(Failure("gone.mp4", "gone.mp4: no such file"))
    first, second = csv.DictReader(io.StringIO(text, newline=""))
    assert first["path"] == '\'a "b",\\n.mp4'
    assert float(first["offset_ms"]) == 120.0
    assert (first["offset_ci_low_ms"], first["offset_ci_high_ms"]) == ("110.0", "130.0")
    assert first["reasons"] == "x; y"
    assert first["vfr"] == "false"
    assert second["status"] == "error"
    assert second["offset_ms"] == ""
    assert second["error"] == "gone.mp4: no such file"


def test_a_file_in_pieces_is_a_row_a_piece(make_report: Make) -> None:
    (first,) = make_report().verdict.segments
    second = dataclasses.replace(
        first, start_s=250.0, end_s=300.0, offset_ms=None, offset_ci_ms=None, status="undecided"
    )
    text = machine.csv_header(pieces=True)
    text += machine.csv_pieces(make_report("two.mp4", segments=[first, second]))
    text += machine.csv_pieces(
        make_report("none.mp4", status="undecided", offset_ms=None, ci_ms=None)
    )
    text += machine.csv_pieces(Failure("gone.mp4", "gone.mp4: no such file"))
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [(r["path"], r["piece"], r["pieces"]) for r in rows] == [
        ("two.mp4", "1", "2"), ("two.mp4", "2", "2"), ("none.mp4", "1", "1"), ("gone.mp4", "", ""),
    ]  # fmt: skip
    assert [(r["start_s"], r["offset_ms"], r["offset_ci_low_ms"]) for r in rows[:2]] == [
        ("0.0", "120.0", "110.0"), ("250.0", "", ""),
    ]  # fmt: skip
    assert [r["status"] for r in rows] == ["out_of_sync", "undecided", "undecided", "error"]
    assert [r["file_status"] for r in rows] == ["out_of_sync", "out_of_sync", "undecided", "error"]
