"""Drift, splices and stretches that cannot be judged, on made-up curves with known truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from avsync_cli.inference.evidence import Evidence, MediaSummary, SecondCurves, WindowResult
from avsync_cli.verdict.answer import Tolerance, Verdict
from avsync_cli.verdict.decision import decide_verdict
from avsync_cli.verdict.drift import Drift, find_drift, likely_cause
from avsync_cli.verdict.steps import best_course

OFFSETS = np.arange(-1000, 1001, 10, dtype=np.int64)
COARSE = np.arange(-1000, 1001, 40, dtype=np.int64)
ITU = Tolerance("itu", 45.0, 125.0)


def bump(lag_ms: float, offsets: np.ndarray, height: float, rng: np.random.Generator) -> np.ndarray:
    """Log-odds with a peak at a lag, if that is within the scan, and wobble as real ones have."""
    wobble = np.convolve(rng.normal(size=len(offsets) + 8), np.ones(9) / 3.0, "valid")
    return height * np.exp(-0.5 * ((offsets - lag_ms) / 50.0) ** 2) - 3.0 + 0.5 * wobble


def film(
    lag_ms: np.ufunc | object,
    duration_s: float,
    seed: int = 0,
    silent: tuple[tuple[float, float], ...] = (),
    wrong_share: float = 0.15,
) -> Evidence:
    """Windows and blocks of a film whose lag is a function of time.

    Every window's peak is off by a few ms, as measured ones are; some are about something else.
    """
    rng = np.random.default_rng(seed)
    windows, starts, singles = [], [], []
    for start_s in np.arange(0.0, duration_s - 7.9, 8.0):
        if any(low <= start_s < high for low, high in silent):
            continue
        wrong = rng.random() < wrong_share
        curve = np.zeros(len(OFFSETS))
        for block in range(8):
            time_s = start_s + block
            lag = rng.uniform(-900, 900) if wrong else lag_ms(time_s + 0.5) + rng.normal(0, 8)  # type: ignore[operator]
            curve += bump(lag, OFFSETS, 5.0, rng) / 8
            starts.append(time_s)
            singles.append(bump(lag, COARSE, 4.0, rng))
        windows.append(
            WindowResult(
                start_s=start_s, end_s=start_s + 8.0, logits=curve.astype(np.float32), blocks=8.0
            )
        )
    return Evidence(
        offsets_ms=OFFSETS,
        windows=windows,
        media=MediaSummary(
            duration_s=duration_s,
            fps=25.0,
            vfr=False,
            width=640,
            height=360,
            audio_hz=16_000,
            audio_track=0,
        ),
        judged_s=8.0 * len(windows),
        calibration={"scale": 0.8, "match_scale": 2.0, "match_bias": 1.0},
        seconds=SecondCurves(np.array(starts), COARSE, np.array(singles, np.float16)),
    )


def judge(evidence: Evidence) -> Verdict:
    return decide_verdict(evidence, ITU)


def test_pieces_between_gaps_are_told_the_lag_at_their_own_middle() -> None:
    verdict = judge(film(lambda t: 20.0 * (t - 900) / 60, 1800.0, silent=((600.0, 1200.0),)))
    told = [s for s in verdict.segments if s.offset_ms is not None]
    assert len(told) == 2
    for piece in told:
        middle_s = (piece.start_s + piece.end_s) / 2
        assert piece.offset_ms == pytest.approx(20.0 * (middle_s - 900) / 60, abs=15.0)


@pytest.mark.parametrize("rate", [40.0, -40.0, 60.0, 12.0])
def test_half_an_hour_of_drift_is_found_within_two_ms_a_minute(rate: float) -> None:
    verdict = judge(film(lambda t: rate * (t - 900) / 60, 1800.0))
    assert verdict.drift_ms_per_min == pytest.approx(rate, abs=2.0)
    assert verdict.drift_ci_ms_per_min is not None
    low, high = verdict.drift_ci_ms_per_min
    assert low <= verdict.drift_ms_per_min <= high
    assert high - low < 4.0
    assert verdict.status == "out_of_sync"
    assert len([s for s in verdict.segments if s.offset_ms is not None]) == 1
    assert verdict.offset_ms == pytest.approx(0.0, abs=20.0)
    assert "every minute" in " ".join(verdict.reasons)


@settings(max_examples=15, deadline=None)
@given(lag=st.floats(-600, 600), seed=st.integers(0, 1000))
@example(lag=0.0, seed=440)  # many seconds that might be astray, none of which is likely to be
def test_a_constant_lag_is_no_drift(lag: float, seed: int) -> None:
    verdict = judge(film(lambda t: lag, 600.0, seed))
    assert verdict.drift_ms_per_min is None
    assert verdict.drift_ci_ms_per_min is None
    assert verdict.offset_ms == pytest.approx(lag, abs=12.0)
    left_out = [s for s in verdict.segments if s.offset_ms is None]
    assert len(verdict.segments) == 1 + len(left_out)
    assert sum(s.end_s - s.start_s for s in left_out) <= 30.0


def test_a_drift_that_leaves_the_scan_says_so() -> None:
    verdict = judge(film(lambda t: 60.0 * t / 60, 2400.0))
    assert verdict.drift_ms_per_min == pytest.approx(60.0, abs=2.0)
    told = [s for s in verdict.segments if s.offset_ms is not None]
    assert len(told) == 1
    assert told[0].end_s == pytest.approx(1000.0, abs=24.0)
    assert verdict.segments[-1].status == "undecided"
    assert any("leaves the scanned range" in r for r in verdict.reasons)
    assert any("23.976 and 24" in r for r in verdict.reasons)


def test_a_slope_within_tolerance_is_in_sync_and_told() -> None:
    verdict = judge(film(lambda t: 40 + 4.0 * (t - 600) / 60, 1200.0))
    assert verdict.status == "in_sync"
    assert verdict.drift_ms_per_min == pytest.approx(4.0, abs=2.0)


@settings(max_examples=12, deadline=None)
@given(at=st.integers(60, 240), before=st.integers(-6, 6), step=st.sampled_from([-7, -3, 2, 5, 9]))
def test_a_splice_is_found_to_the_second(at: int, before: int, step: int) -> None:
    first, second = 50.0 * before, 50.0 * before + 50.0 * step
    verdict = judge(film(lambda t: first if t < at else second, 300.0, at, wrong_share=0.0))
    assert verdict.drift_ms_per_min is None
    told = [s for s in verdict.segments if s.offset_ms is not None]
    assert len(told) == 2
    assert [s.offset_ms for s in told] == pytest.approx([first, second], abs=15.0)
    # Three seconds that may belong to either, as now and then, are told of neither.
    assert told[1].start_s - told[0].end_s in (0.0, 3.0, 4.0)
    assert told[0].end_s - 2.0 <= at <= told[1].start_s + 2.0


@pytest.mark.parametrize("height", [1.0, 2.0, 3.0])
def test_seconds_whose_sound_lies_beyond_the_file_cast_no_doubt(height: float) -> None:
    """At a lag of 0.8 s the last ones cannot speak for it: only, by chance, for others."""
    made, rng = film(lambda t: 800.0, 16.0, wrong_share=0.0), np.random.default_rng(0)
    assert made.seconds is not None

    def ending(reach_ms: float, beside: int = 0) -> Verdict:
        logits = made.seconds.logits.copy()
        for number, row in enumerate(logits[-3 - beside :]):
            row[:] = bump(-400.0, COARSE, height, rng)
            row[(reach_ms < COARSE) & (number >= beside)] = np.nan
        return judge(replace(made, seconds=replace(made.seconds, logits=logits)))

    verdict = ending(500.0)
    assert verdict.offset_ms == pytest.approx(800.0, abs=10.0)
    assert [(s.end_s, s.status) for s in verdict.segments] == [
        (13.0, "out_of_sync"), (16.0, "undecided"),
    ]  # fmt: skip
    assert "from 0:13 to 0:16, which is left out" in verdict.reasons[0]
    # Where they could, and agree on another, all is in doubt; or where those next to them do, too.
    # Of what hardly rises above the rest it cannot be said that it agrees: it is left out.
    agree = height > 1.0
    assert (ending(1000.0).offset_ms is None) == agree
    assert (ending(500.0, beside=2).offset_ms is None) == agree


def test_drift_and_splice_together() -> None:
    verdict = judge(film(lambda t: 20 * t / 60 - (400 if t > 660 else 100), 1200.0))
    assert verdict.drift_ms_per_min == pytest.approx(20.0, abs=2.0)
    told = [s for s in verdict.segments if s.offset_ms is not None]
    assert len(told) == 2
    assert told[1].start_s == pytest.approx(660.0, abs=3.0)
    middle = (told[0].start_s + told[0].end_s) / 2
    assert told[0].offset_ms == pytest.approx(20 * middle / 60 - 100, abs=20.0)


def test_long_gaps_are_told_as_undecided() -> None:
    verdict = judge(film(lambda t: 80.0, 600.0, silent=((200.0, 320.0),)))
    assert [s.status for s in verdict.segments] == ["in_sync", "undecided", "in_sync"]
    gap = verdict.segments[1]
    assert (gap.start_s, gap.end_s) == (200.0, 320.0)
    assert gap.offset_ms is None
    assert verdict.usable == pytest.approx(0.8, abs=0.02)
    assert not any("changes within" in r for r in verdict.reasons)


def test_short_files_are_not_asked_for_a_drift() -> None:
    votes = np.log(np.full((5, len(OFFSETS)), 1.0 / len(OFFSETS)))
    from avsync_cli.verdict.posterior import Constants

    times = np.arange(5) * 8.0
    assert find_drift(votes, votes, times, OFFSETS.astype(float), Constants()) is None


def test_course_pays_for_steps() -> None:
    votes = np.log(np.full((6, 3), 0.1))
    votes[:3, 0] = votes[3:, 2] = np.log(0.8)
    runs, score = best_course(votes, price=4.0)
    assert runs == [slice(0, 3), slice(3, 6)]
    assert score == pytest.approx(6 * np.log(0.8) - 4.0)
    runs, _ = best_course(votes, price=20.0)
    assert runs == [slice(0, 6)]


@pytest.mark.parametrize(
    ("rate", "words"),
    [(60.0, "23.976 and 24"), (-59.9, "23.976 and 24"), (2500.0, "24 and 25"), (-4875, "44.1")],
)
def test_causes(rate: float, words: str) -> None:
    assert words in likely_cause(Drift(rate, (rate - 0.3, rate + 0.3), 0.0))


def test_no_cause_for_any_drift() -> None:
    assert likely_cause(Drift(40.0, (39.0, 41.0), 0.0)) == ""


@pytest.mark.parametrize("rate", [2500.0, -2400.0, -4875.0, 5306.1])
def test_sound_at_the_wrong_speed_is_found_by_single_blocks(rate: float) -> None:
    # In sync at the start; after half a minute at most the lag has left the scan for good.
    verdict = judge(film(lambda t: rate * t / 60, 300.0, seed=2))
    assert verdict.status == "out_of_sync"
    assert verdict.drift_ms_per_min == pytest.approx(rate, rel=0.03)  # 24:25 or 23.976:25
    assert any("frames a second" in r or "kHz" in r for r in verdict.reasons)
    # What lies beyond the scan is told as not decided, and no range would be wide enough.
    assert verdict.segments[-1].status == "undecided"
    assert verdict.segments[-1].end_s == pytest.approx(296.0, abs=8.0)
    assert any(r.endswith("leaves the scanned range of ±1 s") for r in verdict.reasons)


def test_noise_has_no_speed_and_no_lag() -> None:
    for seed in range(8):
        verdict = judge(film(lambda t: 5000.0, 300.0 + 100 * seed, seed, wrong_share=1.0))
        assert verdict.drift_ms_per_min is None
        assert verdict.status == "undecided"


def test_sharp_peaks_all_over_the_place_are_no_lag() -> None:
    rng = np.random.default_rng(5)
    evidence = film(lambda t: 0.0, 480.0)
    scattered = []
    for window in evidence.windows:
        curve = 12.0 * np.exp(-0.5 * ((OFFSETS - rng.uniform(-900, 900)) / 40.0) ** 2) - 4.0
        scattered.append(
            WindowResult(start_s=window.start_s, end_s=window.end_s, logits=curve, blocks=8.0)
        )
    evidence.windows, evidence.seconds = scattered, None
    verdict = judge(evidence)
    assert verdict.status == "undecided"
    # ... but a third of the windows in agreement is a lag.
    for n in range(0, len(scattered), 3):
        curve = 12.0 * np.exp(-0.5 * ((OFFSETS - 200.0) / 40.0) ** 2) - 4.0
        window = evidence.windows[n]
        scattered[n] = WindowResult(
            start_s=window.start_s, end_s=window.end_s, logits=curve, blocks=8.0
        )
    assert judge(evidence).offset_ms == pytest.approx(200.0, abs=15.0)
