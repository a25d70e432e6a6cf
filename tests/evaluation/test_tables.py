"""Rows and figures from judgements whose outcome is known by construction."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from avsync_cli.evaluation.metrics import (
    area_under_roc,
    bootstrap_statistic,
    calibration_error,
    reliability,
    risk_coverage,
)
from avsync_cli.evaluation.records import WindowRecord
from avsync_cli.evaluation.sweep import heard, levels_db
from avsync_cli.evaluation.tables import (
    by_kind,
    by_source,
    by_speaker,
    class_rows,
    confidence_histogram,
    histogram,
    overall,
    placement_rows,
)
from tests.evaluation.conftest import record


def guessing(p: float, count: int, seed: int) -> list[WindowRecord]:
    """Windows of ten sources, each right with probability p and else 8 frames off."""
    rng = np.random.default_rng(seed)
    return [
        record(0 if rng.random() < p else 8, source=f"s{i % 10}", clip=str(i)) for i in range(count)
    ]


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9, 1.0])
def test_a_scorer_right_with_probability_p_gets_that_accuracy(p: float) -> None:
    (row,) = placement_rows(guessing(p, 4000, seed=1), overall)
    assert row.within == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / 4000) + 1e-9)
    low, high = row.within_ci
    assert low <= p + 0.02
    assert high >= p - 0.02
    assert high - low < 0.1
    assert (row.source, row.windows, row.by, row.rule) == ("all", 4000, "decision", "0")


def test_rows_are_the_same_for_the_same_seed() -> None:
    records = guessing(0.5, 200, seed=2)
    assert placement_rows(records, by_source, 3) == placement_rows(records, by_source, 3)
    one, other = (placement_rows(records, overall, s)[0].within_ci for s in (3, 4))
    assert one != other


def test_sources_with_an_offset_of_their_own_count_from_their_own_zero_only() -> None:
    late = [record(5, source="late", clip=str(i), rule="own", own=5) for i in range(4)]
    sync = [record(0, source="sync", clip=str(i)) for i in range(3)]
    lost = [record(-9, source="sync", clip="x", own=None)]
    (row,) = placement_rows(late + sync + lost, overall)
    assert row.windows == 4  # those of the source in sync
    assert row.within == pytest.approx(3 / 4)
    assert row.own_windows == 7
    assert row.own_within == 1.0
    rows = {r.source: r for r in placement_rows(late + sync + lost, by_source)}
    assert rows["late"].rule == "own"
    assert rows["late"].within == 0.0
    assert rows["late"].median_frames == 5.0
    assert rows["sync"].rule == "0"


def test_pauses_are_left_out_where_only_what_is_heard_counts() -> None:
    spoken = [record(0, source="sync", clip=str(i)) for i in range(3)]
    pauses = [replace(record(9, source="sync", clip=str(i)), heard=False) for i in range(2)]
    (row,) = placement_rows(spoken + pauses, overall)
    assert row.within == pytest.approx(3 / 5)
    assert (row.heard_windows, row.heard_within) == (3, 1.0)
    late = [record(5, source="late", clip=str(i), rule="own", own=5) for i in range(2)]
    astray = [replace(record(0, source="late", clip="x", rule="own", own=5), heard=False)]
    (row,) = placement_rows(late + astray, by_source)
    assert row.own_within == pytest.approx(2 / 3)
    assert (row.heard_windows, row.heard_within) == (2, 1.0)
    (row,) = placement_rows(pauses, overall)
    assert row.heard_windows == 0
    assert math.isnan(row.heard_within)


def test_what_counts_as_heard() -> None:
    sound = np.zeros(100 * 640, np.float32)
    sound[40 * 640 : 60 * 640] = 0.1
    sound[70 * 640 : 75 * 640] = 0.1 * 10 ** (-15 / 20)
    sound[80 * 640 : 85 * 640] = 0.1 * 10 ** (-5 / 20)
    level_db = levels_db(sound)
    assert level_db[50] == pytest.approx(-20.0, abs=0.01)
    starts = {45: True, 36: True, 35: False, 60: False, 70: False, 80: True, 97: False}
    assert {at: heard(level_db, at, 5) for at in starts} == starts
    assert not heard(level_db, 100, 5)
    assert not heard(levels_db(np.zeros(6400, np.float32)), 2, 5)


def test_groups() -> None:
    records = guessing(1.0, 40, seed=0)
    assert [r.source for r in placement_rows(records, by_source)] == [f"s{i}" for i in range(10)]
    assert [r.speaker for r in placement_rows(records, by_speaker)][:2] == ["s0 1", "s1 1"]
    (kind,) = placement_rows(records, by_kind)
    assert (kind.source, kind.kind) == ("all", "talking")


def test_classes_are_balanced_between_true_and_shifted_pairs() -> None:
    # Accepts its best offset only: right on both sides when that is 0, and when it is not it
    # refuses the true pair and accepts one of the 28 shifted by 2..15 frames.
    rows = class_rows([record(0), record(4)], overall)
    (row,) = rows
    assert row.hard == pytest.approx(0.5 * (1.0 + 0.5 * 0.0 + 0.5 * 27 / 28))
    assert row.easy == pytest.approx(0.75)
    assert row.windows == 2


def test_classes_of_a_source_with_its_own_offset_start_there() -> None:
    (row,) = class_rows([record(4, rule="own", own=4), record(4, rule="own", own=None)], overall)
    assert (row.hard, row.easy, row.windows) == (1.0, 1.0, 1)
    assert row.hard_auc == 1.0


def test_without_a_threshold_there_is_only_the_area() -> None:
    (row,) = class_rows([record(0, threshold=None, elsewhere=(2.0, -2.0))], overall)
    assert math.isnan(row.hard)
    assert row.hard_auc == 1.0
    assert row.easy_auc == 0.5


def test_area_under_roc() -> None:
    assert area_under_roc(np.array([2.0, 1.0]), np.array([0.0])) == 1.0
    assert area_under_roc(np.array([0.0]), np.array([0.0])) == 0.5
    assert area_under_roc(np.array([0.0]), np.array([1.0, 2.0])) == 0.0
    assert math.isnan(area_under_roc(np.zeros(0), np.array([1.0])))


def test_a_perfectly_calibrated_set_has_no_calibration_error() -> None:
    rng = np.random.default_rng(0)
    sure = rng.random(100_000)
    right = rng.random(100_000) < sure
    assert calibration_error(list(sure), list(right)) < 0.01
    assert calibration_error(list(sure), [not r for r in right]) > 0.3
    for low, high, count, mean, share in reliability(list(sure), list(right)):
        assert low <= mean <= high
        assert share == pytest.approx(mean, abs=0.02)
        assert count > 9000


def test_risk_falls_as_the_bar_rises() -> None:
    sure = [0.9, 0.8, 0.7, 0.7]
    right = [True, True, False, True]
    assert risk_coverage(sure, right) == [
        (0.9, 0.25, 0.0),
        (0.8, 0.5, 0.0),
        (0.7, 1.0, 0.25),
    ]
    assert risk_coverage([], []) == []


def test_the_bootstrap_of_a_statistic_is_deterministic_and_holds_the_value() -> None:
    groups = [[1.0, 2.0], [3.0], [5.0, 9.0, 4.0]]
    found = bootstrap_statistic(groups, lambda xs: float(np.median(xs)), seed=5)
    assert found == bootstrap_statistic(groups, lambda xs: float(np.median(xs)), seed=5)
    assert found[0] <= 3.5 <= found[1]
    assert all(math.isnan(v) for v in bootstrap_statistic([], lambda _: 0.0))


def test_histograms_are_shares_of_each_set() -> None:
    made = histogram(np.array([1.0, 1.0]), np.array([0.0, 0.0, 0.0]), np.zeros(0))
    assert sum(made.positive) == pytest.approx(1.0)
    assert sum(made.hard) == pytest.approx(1.0)
    assert sum(made.easy) == 0.0
    assert len(made.edges) == len(made.positive) + 1
    of_records = confidence_histogram([record(0), record(0)], 25)
    assert of_records is not None
    assert of_records.positive[-1] == pytest.approx(1.0)
    assert of_records.hard[0] == pytest.approx(1.0)
    assert confidence_histogram([record(0)], 50) is None
