"""What `avsync eval` prints."""

from __future__ import annotations

import json

from avsync_cli.evaluation.protocol import EvalReport, PlacementRow, ShiftRow
from avsync_cli.report.evaluation import evaluation_json, evaluation_lines


def _report() -> EvalReport:
    nan = float("nan")
    return EvalReport(
        model="toy 1",
        placement=[
            PlacementRow("grid", 25, 40, 0.95, (0.9, 1.0), 0.0, 0.9, 30, 0.97),
            PlacementRow(
                "a source with a very long name indeed", 25, 10, 0.5, (0.2, 0.8), 2.0, 0.6, 8, 0.875
            ),
            PlacementRow("all", 25, 50, 0.86, (0.5, 0.95), 0.0, 0.84, 38, 0.95),
            PlacementRow("grid", 50, 20, 1.0, (nan, nan), 0.0, 0.97, 0, nan),
            PlacementRow("all", 50, 20, 1.0, (nan, nan), 0.0, 0.97, 0, nan),
        ],
        shifts=[
            ShiftRow("a.mp4", "grid", -120, -118.0, True, 0.9, True),
            ShiftRow("b\x1b.mp4", "grid", 80, 10.0, False, 0.4, False),
        ],
        failed=[("c.mp4", "c.mp4: no sound")],
    )


def test_tables_fit_and_say_the_figures() -> None:
    lines = [line.plain for line in evaluation_lines(_report())]
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 80
    (grid, *_) = [line for line in lines if line.startswith("grid")]
    assert grid.split() == ["grid", "40", "95.0", "%", "100.0", "%", "+0", "ms"]
    (long, *_) = [line for line in lines if line.startswith("a source")]
    assert long.split()[-6:] == ["10", "50.0", "%", "-", "+80", "ms"]
    assert "50.0 % to 95.0 % at 1 s" in text
    (_, own, *_) = [line for line in lines if line.startswith("a source")]
    assert own.split()[-4:] == ["8", "87.5", "%", "-"]
    assert "missed: b\\x1b.mp4: moved +10 ms instead of +80 ms" in text
    assert "c.mp4: no sound" in text


def test_json_has_no_nan() -> None:
    document = json.loads(evaluation_json(_report()))
    assert document["placement"][3]["within_ci"] == [None, None]
    assert document["shifts"][1]["right"] is False
    assert document["model"] == "toy 1"
