"""Steps within short files: found, or doubted; never passed over with one sure lag."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avsync_cli.inference.evidence import Evidence, MediaSummary, SecondCurves, WindowResult
from avsync_cli.verdict.answer import Tolerance, Verdict
from avsync_cli.verdict.decision import decide_verdict
from avsync_cli.verdict.posterior import Constants
from avsync_cli.verdict.speeds import find_wrong_speed
from avsync_cli.verdict.steps import STEP_SHARE, find_steps
from avsync_cli.wording import clock

OFFSETS = np.arange(-1000, 1001, 10, dtype=np.int64)
ITU = Tolerance("itu", 45.0, 125.0)
CALIBRATION = {"scale": 0.74, "power": 0.6, "outlier": 0.02}

Course = list[tuple[int, float]]
"""(from which second on, lag in ms)."""


def clip(course: Course, seconds: int, seed: int, wrong: float = 0.1) -> Evidence:
    """What a model says of a short file, as it was measured: of single seconds some say nothing,
    some are wrong, and each is off by some ms; a window is nearly their mean."""
    rng = np.random.default_rng(seed)
    said, starts = [], []
    for second in range(seconds):
        lag = next(ms for start, ms in reversed(course) if start <= second) + rng.normal(0, 10)
        lag = float(rng.uniform(-900, 900)) if rng.random() < wrong else lag
        height = rng.uniform(4.0, 13.0)
        wobble = np.convolve(rng.normal(size=len(OFFSETS) + 14), np.ones(15) / 4.0, "valid")
        curve = height * np.exp(-0.5 * ((OFFSETS - lag) / 55.0) ** 2) - 6.0 + wobble
        at = second * 1000 + OFFSETS
        heard = np.minimum(1000 * seconds, at + 1000) - np.maximum(0, at) >= 600
        said.append(np.where(heard, curve, np.nan))
        starts.append(float(second))
    windows = []
    for low in range(0, seconds, 8):
        part = np.stack(said[low : low + 8])
        mean = np.nanmean(np.where(np.isfinite(part), part, np.nanmedian(part)), axis=0)
        windows.append(
            WindowResult(
                start_s=float(low),
                end_s=float(low + len(part)),
                logits=mean.astype(np.float32),
                blocks=float(len(part)),
                support=np.isfinite(part).mean(axis=0).astype(np.float32),
            )
        )
    return Evidence(
        offsets_ms=OFFSETS,
        windows=windows,
        media=MediaSummary(
            duration_s=float(seconds),
            fps=25.0,
            vfr=False,
            width=640,
            height=360,
            audio_hz=16_000,
            audio_track=0,
        ),
        judged_s=float(seconds),
        calibration=CALIBRATION,
        seconds=SecondCurves(np.array(starts), OFFSETS, np.array(said, np.float16)),
    )


def lags(verdict: Verdict) -> list[float]:
    return [s.offset_ms for s in verdict.segments if s.offset_ms is not None]


@pytest.mark.parametrize("seconds", [10, 16, 60])
def test_a_step_with_three_seconds_on_either_side(seconds: int) -> None:
    rng = np.random.default_rng(seconds)
    found = passed_over = 0
    tried = 60
    for seed in range(tried):
        at = int(rng.choice([3, seconds - 3, rng.integers(3, seconds - 2)]))
        first = float(rng.uniform(-300, 300))
        second = first + float(rng.choice([-1, 1]) * rng.uniform(120, 480))
        verdict = decide_verdict(clip([(0, first), (at, second)], seconds, seed, 0.0), ITU)
        told = lags(verdict)
        if verdict.status == "undecided":
            assert told == []
        elif max(told) - min(told) < 60:
            passed_over += 1
        elif told == pytest.approx([first, second], abs=60.0):
            found += 1
            assert verdict.segments[0].end_s == pytest.approx(at, abs=1.0)
    assert found >= 0.8 * tried
    assert passed_over <= 0.01 * tried


def test_seconds_are_compared_by_a_scale_of_their_own() -> None:
    faint = [clip([(0, 0.0), (4, 200.0)], 16, seed, 0.0) for seed in range(12)]
    steps = {}
    for scale in (0.05, 0.74):
        own = [replace(e, calibration=CALIBRATION | {"second_scale": scale}) for e in faint]
        steps[scale] = sum(len(lags(decide_verdict(e, ITU))) == 2 for e in own)
    plain = sum(len(lags(decide_verdict(e, ITU))) == 2 for e in faint)
    assert steps[0.74] == plain >= 10
    assert steps[0.05] <= 2


def test_a_step_while_nobody_speaks_is_told_as_somewhere_there() -> None:
    for seed in range(8):
        whole = clip([(0, 0.0), (24, 250.0)], 48, seed, 0.0)
        assert whole.seconds is not None
        silent = slice(18, 33)
        said = whole.seconds.logits.copy()
        said[silent] = np.where(np.isfinite(said[silent]), np.float16(-6.0), np.nan)
        verdict = decide_verdict(replace(whole, seconds=replace(whole.seconds, logits=said)), ITU)
        first, between, second = verdict.segments
        assert (first.end_s, second.start_s) == pytest.approx((18.0, 33.0), abs=1.0)
        assert (between.start_s, between.end_s) == (first.end_s, second.start_s)
        assert between.status == "undecided"
        assert between.offset_ms is None


def test_one_lag_stays_one_lag() -> None:
    for seed in range(60):
        seconds = 6 + seed % 30
        lag = float(np.random.default_rng(seed).uniform(-800, 800))
        verdict = decide_verdict(clip([(0, lag)], seconds, seed), ITU)
        assert len(lags(verdict)) <= 1
        if lags(verdict):
            assert lags(verdict)[0] == pytest.approx(lag, abs=40.0)
    several = [clip([(0, 150.0)], 16, seed) for seed in range(60)]
    fitting = [e for e in several if not has_odd_end(e, 150.0)]
    assert len(fitting) >= 55
    assert sum(decide_verdict(e, ITU).status == "undecided" for e in fitting) <= 3


def has_odd_end(evidence: Evidence, lag: float) -> bool:
    """Whether of the first or the last three seconds two point elsewhere."""
    assert evidence.seconds is not None
    peaks = OFFSETS[np.nanargmax(evidence.seconds.logits.astype(np.float64), axis=1)]
    odd = np.abs(peaks - lag) > 100
    return max(odd[:3].sum(), odd[-3:].sum()) >= 2


@pytest.mark.parametrize("lag", [-780.0, 780.0])
def test_large_lags_in_short_files_are_not_taken_for_steps(lag: float) -> None:
    """At the end that the lag points to a second hears nothing of what belongs to it."""
    for seed in range(20):
        verdict = decide_verdict(clip([(0, lag)], 4, seed, 0.0), ITU)
        assert not any("cut" in reason for reason in verdict.reasons)


def test_a_weak_end_that_points_elsewhere_is_doubted_and_placed() -> None:
    evidence = clip([(0, 100.0), (13, 420.0)], 16, 3, 0.0)
    assert evidence.seconds is not None
    weak = evidence.seconds.logits.copy()
    weak[13:] = -6.0 + 0.45 * (weak[13:] + 6.0)
    evidence.seconds = SecondCurves(evidence.seconds.start_s, OFFSETS, weak)
    verdict = decide_verdict(evidence, ITU)
    assert verdict.status == "undecided"
    assert verdict.reasons[0] == "the sound seems to be cut at about 0:13"


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("seconds", "said"), [(16, "left out"), (150, "left out"), (16, "nothing")]
)
def test_an_end_that_does_not_go_with_the_rest(seconds: int, said: str, first: bool) -> None:
    """Of its three seconds two point to two other lags and one to that of the rest: no step stands
    out, and they agree on nothing."""
    evidence = clip([(0, 100.0)], seconds, 5, 0.0)
    assert evidence.seconds is not None
    rows = evidence.seconds.logits.copy()
    end = rows[:3] if first else rows[-3:]
    if said == "nothing":
        end[np.isfinite(end)] = -6.0
    else:
        elsewhere = clip([(0, -380.0), (8, 560.0)], 16, 6, 0.0).seconds
        assert elsewhere is not None
        end[:: 2 if first else 1][:2] = elsewhere.logits[7:9]
    evidence.seconds = SecondCurves(evidence.seconds.start_s, OFFSETS, rows)
    verdict = decide_verdict(evidence, ITU)
    told = " ".join(verdict.reasons)
    if said == "left out":
        assert verdict.offset_ms == pytest.approx(100.0, abs=20.0)
        last = f"{clock(seconds - 3)} to {clock(seconds)}"
        assert f"from {'0:00 to 0:03' if first else last}, which is left out" in told
    else:
        assert verdict.offset_ms == pytest.approx(100.0, abs=20.0)
        assert verdict.reasons == []


@pytest.mark.parametrize("rows", [2, 7, 40, 600])
def test_rows_that_say_nothing_leave_the_odds_as_they_were(rows: int) -> None:
    flat = np.full((rows, 101), -np.log(101.0))
    steps = find_steps(flat, 20.0)
    assert steps.probability == pytest.approx(STEP_SHARE, rel=0.02)
    assert steps.odds == pytest.approx(1.0, rel=0.02)
    assert steps.runs == [slice(0, rows)]


def test_the_posterior_is_that_of_all_courses_counted_one_by_one() -> None:
    """Two rows and few lags: every course can be written down."""
    rng = np.random.default_rng(4)
    votes = np.log(rng.dirichlet(np.ones(5), size=2))
    steps = find_steps(votes, 1000.0)  # so coarse that a lag neither wobbles nor wanders
    from avsync_cli.verdict import courses
    from avsync_cli.verdict import steps as rules

    hide = 1.0 - np.exp(-1.0 / courses.SEEN_S)
    show = 1.0 - np.exp(-1.0 / courses.UNSEEN_S)
    share = np.array([show, hide]) / (show + hide)
    move = np.array([[1.0 - hide, hide], [show, 1.0 - show]])
    wander = (rules.WANDER_MS / 1000.0) ** 2 / 2
    level = total = 0.0
    for a in range(5):
        for b in range(5):
            near = {0: 1.0 - 2 * wander, 1: wander}.get(abs(a - b), 0.0)
            for m in (0, 1):
                for n in (0, 1):
                    said = np.exp(votes[0, a]) if m == 0 else 0.2
                    said *= np.exp(votes[1, b]) if n == 0 else 0.2
                    stay = share[m] / 5 * move[m, n] * near * said
                    leap = share[m] / 5 * share[n] / 5 * said
                    level += stay
                    total += (1.0 - STEP_SHARE) * stay + STEP_SHARE * leap
    assert steps.probability == pytest.approx(1.0 - (1.0 - STEP_SHARE) * level / total, rel=1e-6)


def test_a_wrong_speed_is_not_concluded_from_seconds() -> None:
    rng = np.random.default_rng(0)
    for rate in (2500.0, -2400.0):
        starts = np.arange(24.0)
        curves = np.stack(
            [
                9.0 * np.exp(-0.5 * ((OFFSETS - rate * (t - 12) / 60) / 50.0) ** 2) - 5.0
                for t in starts
            ]
        )
        seconds = SecondCurves(starts, OFFSETS, curves.astype(np.float16))
        assert find_wrong_speed(seconds, OFFSETS, Constants()) is None
        long = SecondCurves(
            np.arange(70.0), OFFSETS, np.concatenate([curves, rng.normal(-5, 0.1, (46, 201))])
        )
        found = find_wrong_speed(long, OFFSETS, Constants())
        assert found is not None and found[0].ms_per_min == pytest.approx(rate)


@settings(max_examples=30, deadline=None)
@given(lag=st.floats(90.0, 160.0), seed=st.integers(0, 99))
def test_p_sync_never_contradicts_the_status(lag: float, seed: int) -> None:
    verdict = decide_verdict(clip([(0, lag)], 16, seed, 0.0), ITU)
    if verdict.status != "undecided" and verdict.offset_ms is not None:
        beyond = abs(verdict.offset_ms - ITU.late_ms)
        if beyond > 1.0:
            assert (verdict.p_sync > 0.5) == (verdict.status == "in_sync")
        assert verdict.at_border or beyond > 4.0
