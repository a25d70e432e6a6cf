"""What `avsync eval` prints and writes."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from avsync_cli.errors import UsageError
from avsync_cli.evaluation.records import (
    AttentionTrace,
    CellMaps,
    Certainty,
    ClassRow,
    ConfidenceRow,
    EvalReport,
    Histogram,
    PlacementRow,
    Rule,
    ShiftRow,
    ShiftSummary,
    Showcase,
)
from avsync_cli.report.evaluation import evaluation_json, evaluation_lines
from avsync_cli.report.evaluation_folder import check_folder, write_folder
from avsync_cli.report.evaluation_tables import csv_tables, reading_tables
from avsync_cli.report.table import markdown

NAN = float("nan")
LONG = "a source with a very long name indeed"


def placed(
    source: str, frames: int, windows: int, within: float, rule: Rule = "0", median: float = 0.0
) -> PlacementRow:
    by = "decision" if frames >= 25 else "similarity"
    ends = (max(0.0, within - 0.1), min(1.0, within + 0.1))
    return PlacementRow(
        source=source, speaker="", kind="", rule=rule, frames=frames, by=by, windows=windows,
        within=within, within_ci=ends, median_frames=median, own_windows=windows,
        own_within=0.875, own_ci=ends,
    )  # fmt: skip


def classed(frames: int, by: str, hard: float, easy: float, hard_auc: float) -> ClassRow:
    ends = (0.8, 1.0)
    return ClassRow(
        source="all", speaker="", kind="", rule="0", frames=frames, by=by, windows=9, hard=hard,
        hard_ci=(NAN, NAN) if hard != hard else ends, hard_auc=hard_auc, easy=easy, easy_ci=ends,
        easy_auc=0.8 if easy != easy else 0.95,
    )  # fmt: skip


def shifted(path: str, shift_ms: int, moved_ms: float, right: bool) -> ShiftRow:
    return ShiftRow(
        path=path, source="grid", speaker="", way="file", shift_ms=shift_ms, moved_ms=moved_ms,
        right=right, confidence=0.9 if right else 0.4, decided=right,
    )  # fmt: skip


def a_report(model: str = "toy 1") -> EvalReport:
    ends = (0.8, 1.0)
    report = EvalReport(
        model=model,
        attention="temporal",
        placement=[
            placed("grid", 15, 40, 0.95),
            placed(LONG, 15, 10, 0.5, rule="own", median=2.0),
            placed("all", 15, 40, 0.95),
            placed("grid", 50, 20, 1.0),
            placed("all", 50, 20, 1.0),
        ],
        by_speaker=[placed("grid", 15, 4, 0.75)],
        classes=[
            classed(15, "similarity", NAN, NAN, 0.9),
            classed(50, "decision", 0.97, 0.99, 0.9),
        ],
        shifts=[
            shifted("a.mp4", -120, -118.0, True),
            shifted("b\x1b.mp4", 80, 10.0, False),
        ],
        shift_summary=[
            ShiftSummary(
                source="all",
                speaker="",
                way="file",
                clips=2,
                shifts=2,
                median_ms=36.0,
                p95_ms=68.0,
                within_10=0.5,
                within_20=0.5,
                within_40=0.5,
                within_40_ci=(0.0, 1.0),
                clips_right=0.5,
                decided=0.5,
            )
        ],
        certainty=Certainty(
            rows=[
                ConfidenceRow(
                    source="all",
                    speaker="",
                    kind="",
                    rule="0",
                    stretches=50,
                    right=0.9,
                    ece=0.04,
                    ece_ci=ends,
                    decided=0.8,
                    undecided=0.2,
                    wrong=0.01,
                    wrong_ci=ends,
                    covered=0.95,
                )
            ],
            bins=[(0.8, 0.9, 20, 0.85, 0.8), (0.9, 1.0, 30, 0.97, 0.99)],
            risk=[(0.97, 0.6, 0.01), (0.85, 1.0, 0.1)],
            bar=0.8,
            strangers=50,
            strangers_decided=0.06,
        ),
        histograms={"confidence": Histogram([0.0, 1.0, 2.0], [0.1, 0.9], [0.8, 0.2], [1.0, 0.0])},
        failed=[("c.mp4", "c.mp4: no sound")],
    )
    pictures = np.full((2, 96, 96), 90, np.uint8)
    cells = np.full((2, 4, 4), 1 / 16)
    trace = AttentionTrace(
        name="grid & co", at_s=[0.5, 0.7], weight=[0.8, 1.2], sound_s=[0.02, 0.06],
        sound_db=[-60.0, -20.0],
    )  # fmt: skip
    report.showcase = Showcase([trace], [CellMaps("rendered talker", pictures, cells, 64)])
    return report


def test_tables_fit_and_say_the_figures() -> None:
    lines = [line.plain for line in evaluation_lines(a_report())]
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 80
    (grid, *_) = [line for line in lines if line.startswith("grid")]
    assert grid.split() == ["grid", "40", "95.0", "%", "100.0", "%"]
    (long, own) = [line for line in lines if line.startswith("a source")]
    assert long.split()[-4:] == ["10", "50.0", "%", "-"]
    assert own.split()[-4:] == ["10", "87.5", "%", "-"]
    assert "85.0 % to 100.0 % at 15" in text
    assert "similarity at 15; decision at 50 frames" in text
    assert f"offsets of their own, not in all: {LONG}" in text.replace("\n", " ")
    assert f"{LONG} +80 ms" in text
    assert "missed: b\\x1b.mp4: moved +10 ms instead of +80 ms" in text
    assert "c.mp4: no sound" in text
    assert "0.040" in text
    assert "answered all the same 6.0 %" in text


def test_json_has_no_nan_and_no_pictures() -> None:
    document = json.loads(evaluation_json(a_report()))
    assert document["classes"][0]["hard_ci"] == [None, None]
    assert document["shifts"][1]["right"] is False
    assert document["model"] == "toy 1"
    assert "showcase" not in document


def test_several_models_in_one_table() -> None:
    report = a_report()
    other = a_report("SyncNet shape")
    other.note, other.attention, other.certainty = "re-trained on the same data", "", None
    report.others = [other]
    (table, *_) = reading_tables(report)
    assert list(table.head) == ["model", "rule", "15", "50"]
    assert [row[:2] for row in table.rows] == [
        ["toy 1 (temporal)", "0"],
        ["toy 1 (temporal)", "own"],
        ["SyncNet shape (re-trained on the same data)", "0"],
        ["SyncNet shape (re-trained on the same data)", "own"],
    ]
    assert table.rows[0][2] == "95.0 [85, 100]"
    text = "\n".join(line.plain for line in evaluation_lines(report))
    assert "compared, all sources" in text


def test_seeds_of_one_model_become_mean_and_spread(tmp_path: Path) -> None:
    report = a_report("none-0")
    other, third = a_report("none-1"), a_report("temporal-0")
    report.family = other.family = "none, 600 steps"
    third.family = "temporal, 600 steps"
    other.classes = [dataclasses.replace(r, hard=r.hard + 0.02) for r in other.classes]
    report.others = [other, third]
    (table,) = [t for t in reading_tables(report) if t.title == "Over seeds"]
    short, long = table.rows
    assert long[:4] == ["none, 600 steps", "2", "all", "50"]
    assert long[4] == "98.0 ± 1.4"
    assert long[-1] == "87.5 ± 0.0"
    assert short[4] == "–"  # no threshold, no accuracy
    write_folder(report, tmp_path / "r")
    drawn = sorted(p.name for p in (tmp_path / "r").glob("cells-*.svg"))
    assert drawn == ["cells-1-2-temporal-0.svg", "cells-1.svg"]


def test_csv_holds_plain_numbers_and_no_formulas() -> None:
    report = a_report("=1+1")
    tables = csv_tables(report)
    assert set(tables) == {
        "placement.csv",
        "classes.csv",
        "shifts.csv",
        "shifts-clips.csv",
        "certainty.csv",
    }
    rows = list(csv.DictReader(io.StringIO(tables["placement.csv"])))
    assert rows[0]["model"] == "'=1+1"
    assert (rows[0]["within"], rows[0]["within_ci_low"]) == ("0.95", "0.85")
    assert next(csv.DictReader(io.StringIO(tables["classes.csv"])))["hard"] == ""


def test_markdown_names_rule_and_score() -> None:
    text = "\n".join(markdown(t) for t in reading_tables(a_report()))
    assert "15 frames similarity, 50 frames decision" in text
    assert f"| {LONG} | **own** | 10 | 87.5 [40, 60] | – | – |" in text
    assert f"| {LONG} | 0 | 10 | 50.0 [40, 60] | – | +2 |" in text


def test_windows_without_pauses_have_a_line_of_their_own() -> None:
    row = dataclasses.replace(
        placed("grid", 15, 40, 0.5), heard_windows=30, heard_within=0.6, heard_ci=(0.4, 0.8)
    )
    report = EvalReport(model="toy 1", placement=[row, placed("late", 15, 10, 0.5, rule="own")])
    (table,) = (t for t in reading_tables(report) if "placement" in t.title)
    lines = {(r[0], r[1]): r[2:] for r in table.rows}
    assert lines["grid", "0, heard"] == ["30", "60.0 [40, 80]", "–"]
    assert lines["late", "own, heard"] == ["0", "–", "–"]


def test_a_report_folder_is_whole_and_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "report"
    report = a_report()
    report.others = [a_report("other")]
    write_folder(report, folder)
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "report.md",
        "report.json",
        "placement.csv",
        "accuracy-rule-0.svg",
        "accuracy-rule-own.svg",
        "histogram-confidence.svg",
        "histogram-confidence-1-other.svg",
        "reliability.svg",
        "risk-coverage.svg",
        "attention-1.svg",
        "cells-1.svg",
    }
    text = (folder / "report.md").read_text()
    for path in folder.glob("*.svg"):
        ElementTree.parse(path)
        assert f"({path.name})" in text
    (folder / "stale.txt").write_text("x")
    write_folder(a_report(), folder)
    assert not (folder / "stale.txt").exists()
    assert [p.name for p in folder.parent.iterdir()] == ["report"]


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(UsageError, match="other things"):
        check_folder(tmp_path)
    with pytest.raises(UsageError, match="is a file"):
        write_folder(a_report(), tmp_path / "precious.txt")
    assert (tmp_path / "precious.txt").read_text() == "x"
    check_folder(tmp_path / "new")
