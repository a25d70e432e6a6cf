"""From verdicts to pieces: pure, so tried on many made-up verdicts."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsync_cli.names import Status
from avsync_cli.repair.confirmation import confirms
from avsync_cli.repair.plan import (
    LEAST_PIECE_S,
    NOTHING,
    constant_plan,
    plan_fix,
)
from avsync_cli.timebase import FRAME_MS
from avsync_cli.verdict.answer import Segment, Tolerance, Verdict

ITU = Tolerance("itu", 45.0, 125.0)


def verdict(
    segments: list[tuple[float, float, float | None]],
    *,
    status: Status = "out_of_sync",
    drift: float | None = None,
    offset_ms: float | None = None,
) -> Verdict:
    """A verdict with these (start_s, end_s, offset_ms); the longest speaks for the file."""
    parts = [
        Segment(
            start_s=a,
            end_s=b,
            offset_ms=x,
            offset_ci_ms=None if x is None else (x - 10, x + 10),
            confidence=0.9,
            status=_status(x),
        )
        for a, b, x in segments
    ]
    known = [s for s in parts if s.offset_ms is not None]
    if offset_ms is None and known:
        offset_ms = max(known, key=lambda s: s.end_s - s.start_s).offset_ms
    flat = np.zeros(3)
    return Verdict(
        status=status,
        offset_ms=offset_ms,
        offset_ci_ms=None,
        direction="none",
        confidence=0.9,
        p_sync=0.1,
        drift_ms_per_min=drift,
        reasons=[],
        segments=parts,
        curve=flat,
        curve_score=flat,
    )


def _status(offset_ms: float | None) -> Status:
    if offset_ms is None:
        return "undecided"
    return "in_sync" if abs(offset_ms) < 40 else "out_of_sync"


offsets = st.one_of(st.none(), st.floats(-900, 900))


@st.composite
def verdicts(draw: st.DrawFn) -> Verdict:
    """Stretches of 2 to 60 s end to end, at least one decided, perhaps drifting."""
    lengths = draw(st.lists(st.floats(2, 60), min_size=1, max_size=8))
    edges = np.concatenate([[0.0], np.cumsum(lengths)])
    lags = [draw(offsets) for _ in lengths]
    lags[draw(st.integers(0, len(lags) - 1))] = draw(st.floats(-900, 900))
    drift = draw(st.one_of(st.none(), st.floats(-200, 200)))
    spans = [(float(a), float(b), x) for (a, b), x in zip(pairwise(edges), lags, strict=True)]
    return verdict(spans, drift=drift)


@given(verdicts())
def test_pieces_cover_the_file_without_gaps(made: Verdict) -> None:
    pieces = plan_fix(made, force=True).pieces
    assert pieces[0].start_s == 0.0
    assert pieces[-1].end_s is None
    assert all(a.end_s == b.start_s > a.start_s for a, b in pairwise(pieces))


@given(verdicts())
def test_every_long_stretch_is_moved_by_its_own_lag(made: Verdict) -> None:
    plan = plan_fix(made, force=True)
    if plan.kind == "constant":
        return
    known = [s for s in made.segments if s.offset_ms is not None]
    drift = made.drift_ms_per_min or 0.0
    lines = [(s.offset_ms or 0.0) - drift * (s.start_s + s.end_s) / 120.0 for s in known]
    if plan.kind == "drift":
        return
    for segment, line in zip(known, lines, strict=True):
        middle = (segment.start_s + segment.end_s) / 2
        long = segment.end_s - segment.start_s > 2 * LEAST_PIECE_S + 4.0
        inside = [p for p in plan.pieces if p.start_s <= middle < (p.end_s or np.inf)]
        alone = all(abs(line - other) > FRAME_MS for other in lines if other is not line)
        if long and alone:
            assert inside[0].offset_at(middle) == pytest.approx(segment.offset_ms, abs=1e-6)


@given(verdicts())
def test_late_and_early_are_treated_alike(made: Verdict) -> None:
    flipped = replace(
        made,
        offset_ms=-(made.offset_ms or 0.0),
        drift_ms_per_min=None if made.drift_ms_per_min is None else -made.drift_ms_per_min,
        segments=[
            replace(s, offset_ms=None if s.offset_ms is None else -s.offset_ms)
            for s in made.segments
        ],
    )
    plan, other = plan_fix(made, force=True), plan_fix(flipped, force=True)
    assert plan.kind == other.kind
    for a, b in zip(plan.pieces, other.pieces, strict=True):
        assert (a.start_s, a.end_s) == (b.start_s, b.end_s)
        assert a.offset_ms == pytest.approx(-b.offset_ms)


def test_one_lag_is_the_files_own_estimate() -> None:
    plan = plan_fix(verdict([(0, 10, 130.0), (10, 30, 118.0)], offset_ms=120.0))
    assert plan == constant_plan(120.0)


def test_undecided_stretches_take_the_nearer_neighbours_lag() -> None:
    plan = plan_fix(verdict([(0, 10, 200.0), (10, 30, None), (30, 50, -80.0), (50, 60, None)]))
    assert plan.kind == "splices"
    assert [(p.start_s, p.end_s, p.offset_ms) for p in plan.pieces] == [
        (0.0, 20.0, 200.0),
        (20.0, None, -80.0),
    ]


def test_drift_is_laid_through_the_middles() -> None:
    plan = plan_fix(verdict([(0, 60, 100.0), (60, 180, 160.0)], drift=40.0))
    (piece,) = plan.pieces
    assert plan.kind == "drift"
    assert piece.offset_at(30.0) == pytest.approx(100.0)
    assert piece.offset_at(120.0) == pytest.approx(160.0)
    assert piece.speed == pytest.approx(1 + 0.04 / 60)


def test_a_splice_within_a_drift_keeps_both() -> None:
    plan = plan_fix(verdict([(0, 60, 100.0), (60, 120, 340.0)], drift=40.0))
    assert plan.kind == "splices"
    assert [p.drift_ms_per_min for p in plan.pieces] == [40.0, 40.0]
    assert [p.offset_ms for p in plan.pieces] == pytest.approx([80.0, 320.0])


def test_what_is_in_sync_or_near_is_left_alone_unless_forced() -> None:
    fine = verdict([(0, 60, 60.0)], status="in_sync")
    assert plan_fix(fine) == NOTHING
    assert plan_fix(fine, force=True) == constant_plan(60.0)
    near = verdict([(0, 60, 9.0)], status="out_of_sync")
    assert plan_fix(near) == NOTHING
    assert plan_fix(verdict([(0, 60, 9.0)], drift=30.0)).kind == "drift"


def test_a_stretch_that_is_in_sync_stays_and_the_others_are_brought_to_it() -> None:
    spliced = verdict([(0, 40, 32.0), (40, 60, -288.0)])
    plan = plan_fix(spliced, tolerance=ITU)
    assert [p.offset_ms for p in plan.pieces] == [0.0, -320.0]
    assert plan.level_ms == 32.0
    assert [p.offset_ms for p in plan_fix(spliced, tolerance=ITU, force=True).pieces] == [32, -288]
    # Not surely within the tolerance, or as good as 0: everything goes to 0.
    for lag, tolerance in ((32.0, Tolerance("tight", 40.0, 40.0)), (8.0, ITU)):
        other = plan_fix(verdict([(0, 40, lag), (40, 60, -288.0)]), tolerance=tolerance)
        assert [p.offset_ms for p in other.pieces] == [lag, -288.0]
        assert other.level_ms == 0.0
    assert plan_fix(verdict([(0, 40, 200.0), (40, 60, -80.0)]), tolerance=ITU).level_ms == 0.0


def test_an_undecided_file_has_no_plan() -> None:
    with pytest.raises(ValueError, match="undecided"):
        plan_fix(verdict([(0, 60, None)], status="undecided"))


def test_a_copy_is_confirmed_only_by_what_was_measured() -> None:
    before = verdict([(0, 60, 120.0)])
    assert confirms(before, verdict([(0, 60, 4.0)], status="in_sync"), ITU) == ""
    # Inside the tolerance, but more than a frame away: the move went wrong.
    assert "still 90 ms late" in confirms(before, verdict([(0, 60, 90.0)], status="in_sync"), ITU)
    assert "still 45 ms early" in confirms(before, verdict([(0, 60, -45.0)], status="in_sync"), ITU)
    assert "cannot be judged" in confirms(before, verdict([(0, 9, None)], status="undecided"), ITU)
    one_bad = verdict([(0, 60, 4.0), (60, 90, 200.0)], offset_ms=4.0)
    assert "still 200 ms late" in confirms(before, one_bad, ITU)
    assert "drifts" in confirms(before, verdict([(0, 60, 4.0)], drift=30.0), ITU)
    nearer = verdict([(0, 60, 12.0)], status="in_sync")
    kept = verdict([(0, 60, 70.0)], status="in_sync")
    assert confirms(before, kept, ITU, level_ms=90.0) == ""
    assert "was to be at +90 ms" in confirms(before, verdict([(0, 60, 4.0)]), ITU, level_ms=90.0)
    beyond = verdict([(0, 60, 128.0)], status="in_sync")
    assert "still 128 ms late" in confirms(before, beyond, ITU, level_ms=90.0)
    assert "further" in confirms(nearer, verdict([(0, 60, 30.0)], status="in_sync"), ITU)
