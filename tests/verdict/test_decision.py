"""The verdict: signs, honesty, robustness; pure functions of made-up curves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avsync_cli.inference.evidence import Evidence, MediaSummary, WindowResult
from avsync_cli.judging import judged
from avsync_cli.verdict.answer import Tolerance, Verdict
from avsync_cli.verdict.decision import decide_verdict
from avsync_cli.verdict.missing import MORE_S, SPEECH
from avsync_cli.verdict.posterior import Constants, fair_logits
from avsync_cli.verdict.reasons import MAYBE_DUB, NO_EVIDENCE, NO_SOURCE

OFFSETS = np.arange(-1000, 1001, 10, dtype=np.int64)
ITU = Tolerance("itu", 45.0, 125.0)
MEDIA = MediaSummary(
    duration_s=60.0, fps=25.0, vfr=False, width=640, height=360, audio_hz=16_000, audio_track=0
)


def window(
    offset_ms: float,
    height: float = 8.0,
    width_ms: float = 60.0,
    blocks: float = 8.0,
    at: int = 0,
    noise: float = 0.0,
    offsets: np.ndarray = OFFSETS,
) -> WindowResult:
    """A bump at `offset_ms`, the `at`-th window of the file."""
    curve = height * np.exp(-0.5 * ((offsets - offset_ms) / width_ms) ** 2) - 4.0
    curve = curve + noise * np.random.default_rng(at).normal(size=len(offsets))
    return WindowResult(
        start_s=8.0 * at, end_s=8.0 * at + blocks, logits=curve.astype(np.float32), blocks=blocks
    )


def evidence(windows: list[WindowResult], offsets: np.ndarray = OFFSETS, **calibration: float):
    windows = [replace(w, start_s=8.0 * i, end_s=8.0 * i + w.blocks) for i, w in enumerate(windows)]
    return Evidence(
        offsets_ms=offsets,
        windows=windows,
        media=MEDIA,
        judged_s=60.0,
        calibration=calibration,
    )


def judge(windows: list[WindowResult], tolerance: Tolerance = ITU, **calibration: float) -> Verdict:
    return decide_verdict(evidence(windows, **calibration), tolerance)


@settings(max_examples=40, deadline=None)
@given(offset=st.floats(-900, 900), count=st.integers(1, 6))
def test_finds_the_offset_and_its_sign(offset: float, count: int) -> None:
    verdict = judge([window(offset)] * count)
    assert verdict.offset_ms == pytest.approx(offset, abs=2.0)
    assert verdict.offset_ci_ms is not None
    low, high = verdict.offset_ci_ms
    assert low <= verdict.offset_ms <= high and low <= offset <= high
    assert high - low < 200
    inside = -45 <= verdict.offset_ms <= 125
    assert verdict.status == ("in_sync" if inside else "out_of_sync")
    if abs(offset) > 7:
        assert verdict.direction == ("audio_late" if offset > 0 else "audio_early")
    assert len(verdict.segments) == 1
    assert verdict.segments[0].status == verdict.status
    assert verdict.curve.sum() == pytest.approx(1.0)
    assert abs(float(OFFSETS[int(np.argmax(verdict.curve))]) - offset) <= 10
    assert abs(float(OFFSETS[int(np.argmax(verdict.curve_score))]) - offset) <= 10
    assert verdict.drift_ms_per_min is None


def test_direction_of_nothing() -> None:
    assert judge([window(2.0)]).direction == "none"
    assert judge([window(0.0)]).offset_ms == pytest.approx(0.0, abs=1e-6)


def test_mirrored_evidence_mirrors_the_answer() -> None:
    mirrored = Tolerance("mirrored", 125.0, 45.0)
    one = judge([window(220.0, noise=0.3, at=3)])
    turned = replace(window(220.0, noise=0.3, at=3))
    other = judge([replace(turned, logits=turned.logits[::-1].copy())], mirrored)
    assert one.offset_ms == pytest.approx(-float(other.offset_ms or 0), abs=1e-6)
    assert one.confidence == pytest.approx(other.confidence)
    assert one.p_sync == pytest.approx(other.p_sync)
    assert (one.direction, other.direction) == ("audio_late", "audio_early")


def test_coarse_steps_are_interpolated() -> None:
    offsets = np.arange(-1000, 1001, 40, dtype=np.int64)
    for offset in (-211.0, -75.0, 13.0, 140.0, 333.0):
        found = decide_verdict(evidence([window(offset, offsets=offsets)], offsets), ITU)
        assert found.offset_ms == pytest.approx(offset, abs=4.0)


@settings(max_examples=30, deadline=None)
@given(
    offset=st.integers(-85, 85),
    height=st.floats(0.2, 12.0),
    width=st.floats(30.0, 150.0),
    blocks=st.floats(1.0, 10.0),
)
def test_doubling_the_evidence_never_lowers_confidence(
    offset: int, height: float, width: float, blocks: float
) -> None:
    one = window(10.0 * offset, height, width, blocks)
    last = 0.0
    for count in (1, 2, 4, 8):
        confidence = judge([one] * count).confidence
        assert confidence >= last - 1e-9
        last = confidence


@settings(max_examples=30, deadline=None)
@given(
    offset=st.integers(-80, 80),
    levels=st.lists(st.floats(-20, 20), min_size=1, max_size=12),
    place=st.integers(0, 3),
)
def test_flat_windows_change_nothing(offset: int, levels: list[float], place: int) -> None:
    talking = [window(10.0 * offset, 5.0, at=i, noise=0.2) for i in range(3)]
    quiet = [
        WindowResult(
            start_s=0, end_s=8, logits=np.full(len(OFFSETS), level, np.float32), blocks=8.0
        )
        for level in levels
    ]
    one, other = judge(talking), judge(talking[:place] + quiet + talking[place:])
    assert other.status == one.status
    assert other.offset_ms == pytest.approx(one.offset_ms, abs=1e-6)
    assert other.confidence == pytest.approx(one.confidence, abs=1e-9)
    np.testing.assert_allclose(other.curve, one.curve, atol=1e-9)


def test_only_flat_windows_are_undecided() -> None:
    verdict = judge([window(0, height=0.0)] * 20)
    assert verdict.status == "undecided"
    assert verdict.offset_ms is None and verdict.offset_ci_ms is None
    assert verdict.direction == "none"
    assert verdict.confidence < 0.1
    assert verdict.reasons == [NO_SOURCE]


def test_noise_is_undecided() -> None:
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(0, 0.8, len(OFFSETS)).astype(np.float32)
        assert (
            judge([WindowResult(start_s=0, end_s=8, logits=noise, blocks=8.0)]).status
            == "undecided"
        )


DOUBTER = {"match_scale": 0.2, "match_growth": 1.5, "match_level": 1.0, "match_doubt": 0.0}
"""Constants of the size that calibration finds; a `window` of height h peaks at h - 4."""


def test_a_low_peak_may_be_a_dub_however_clear_it_is() -> None:
    low, high = window(80.0, height=5.2), window(80.0, height=7.0)
    assert judge([low]).status == "in_sync"  # a model that was not calibrated trusts every peak
    doubted = judge([low], **DOUBTER)
    assert doubted.status == "undecided" and doubted.offset_ms is None
    assert doubted.confidence > Constants().undecided_below
    assert doubted.reasons == [MAYBE_DUB]
    assert doubted.segments[0].offset_ms is None
    trusted = judge([high], **DOUBTER)
    assert trusted.offset_ms == pytest.approx(80.0, abs=2.0)
    assert trusted.confidence == pytest.approx(judge([high]).confidence, abs=1e-3)
    short = judge([window(80.0, height=7.0, blocks=1.0)], **DOUBTER)
    assert (short.status, short.reasons) == ("undecided", [MAYBE_DUB])


@settings(max_examples=40, deadline=None)
@given(height=st.floats(3.0, 12.0), blocks=st.floats(1.0, 8.0))
def test_doubling_the_evidence_keeps_an_answer(height: float, blocks: float) -> None:
    one = window(80.0, height, 60.0, blocks)
    answered = [judge([one] * n, **DOUBTER).offset_ms is not None for n in (1, 2, 4, 8)]
    assert answered == sorted(answered)


def test_flat_windows_do_not_help_a_low_peak_nor_hurt_a_high_one() -> None:
    flat = window(0, height=0.0)
    for height, status in ((5.2, "undecided"), (7.0, "in_sync")):
        for windows in ([window(80.0, height)], [flat] * 3 + [window(80.0, height)] + [flat] * 3):
            assert judge(windows, **DOUBTER).status == status


@settings(max_examples=40, deadline=None)
@given(height=st.floats(5.0, 12.0), blocks=st.sampled_from([1.0, 2.0, 3.0, 8.0]))
def test_what_would_decide_a_file_does(height: float, blocks: float) -> None:
    verdict = judge([window(80.0, height, blocks=blocks)], **DOUBTER)
    told = verdict.would_decide
    if verdict.status != "undecided":
        assert told == ""
        return
    assert verdict.best is not None and verdict.best.offset_ms == pytest.approx(80.0, abs=2.0)
    for more_s in MORE_S:
        total = blocks + more_s
        counts = [8.0] * int(total // 8) + ([total % 8] if total % 8 else [])
        longer = judge([window(80.0, height, blocks=n) for n in counts], **DOUBTER)
        if longer.status != "undecided":
            seconds = "a second" if more_s == 1 else f"{more_s} seconds"
            assert told == f"speech of one visible person for {seconds} more"
            return
    assert told == SPEECH


def test_an_edge_asks_for_a_wider_scan_and_nothing_for_speech() -> None:
    edge = judge([window(1000.0)] * 3)
    assert edge.would_decide == "a wider scan (--range 2s)"
    flat = judge([window(0.0, height=0.0)] * 3)
    assert flat.reasons[0] == NO_SOURCE
    assert flat.would_decide.startswith(SPEECH) and flat.would_decide.endswith("(--range 4s)")
    nothing = judge([])
    assert (nothing.would_decide, nothing.best, nothing.second) == (SPEECH, None, None)


@pytest.mark.parametrize("best_ms", [200.0, 1000.0])
def test_the_next_best_is_no_likelier_than_the_best(best_ms: float) -> None:
    # Calibrated as the bundled model is, where evidence is weak.
    constants = {**DOUBTER, "confidence_scale": 1.5, "confidence_bias": -1.0}
    high, low = window(best_ms, height=2.0), window(-400.0, height=1.9)
    verdict = judge([replace(high, logits=np.maximum(high.logits, low.logits))], **constants)
    assert verdict.status == "undecided"
    assert verdict.best is not None and verdict.second is not None
    assert 0.0 < verdict.second.p <= verdict.best.p


def test_best_second_and_margin_are_told_of_two_peaks() -> None:
    high, low = window(200.0, height=8.0), window(-400.0, height=7.0)
    both = replace(high, logits=np.maximum(high.logits, low.logits))
    verdict = judge([both])
    assert verdict.best is not None and verdict.second is not None
    assert verdict.best.offset_ms == pytest.approx(200.0, abs=2.0)
    assert verdict.second.offset_ms == pytest.approx(-400.0, abs=10.0)
    assert verdict.margin == pytest.approx(1.0, abs=0.01)
    assert verdict.best.p + verdict.second.p <= 1.0
    assert verdict.second.p <= verdict.best.p
    assert verdict.evidence_s == pytest.approx(8.0, abs=0.5)
    margins = [judge([window(0.0, height=h)] * 3).margin for h in (4.0, 6.0, 9.0, 12.0)]
    assert margins == sorted(margins) and margins[-1] > 2.5 * margins[0]


def test_the_bar_that_is_asked_for_decides() -> None:
    low = evidence([window(80.0, height=5.2)], **DOUBTER)
    usual, asked = judged("a.mp4", low, ITU), judged("a.mp4", low, ITU, 0.5)
    assert (usual.verdict.status, usual.verdict.min_confidence) == ("undecided", 0.8)
    assert (asked.verdict.status, asked.verdict.min_confidence) == ("in_sync", 0.5)
    assert asked.min_confidence == 0.5
    sure = evidence([window(80.0)] * 3)
    assert judged("a.mp4", sure, ITU).verdict.status == "in_sync"
    assert judged("a.mp4", sure, ITU, 0.999).verdict.status == "undecided"


def test_no_evidence_is_undecided_with_a_reason() -> None:
    assert judge([]).reasons == [NO_EVIDENCE]
    silent = evidence([])
    silent.reasons = ["silence"]
    verdict = decide_verdict(silent, ITU)
    assert (verdict.status, verdict.reasons, verdict.segments) == ("undecided", ["silence"], [])
    assert verdict.curve.sum() == pytest.approx(1.0)
    assert 0 < verdict.p_sync < 0.2


def test_one_wrong_window_is_outvoted() -> None:
    windows = [window(120.0, 6.0, at=i) for i in range(5)]
    windows[2] = window(-700.0, height=60.0)
    verdict = judge(windows)
    assert verdict.offset_ms == pytest.approx(120.0, abs=3.0)
    assert len(verdict.segments) == 1
    broken = replace(windows[2], logits=np.full(len(OFFSETS), np.nan, np.float32))
    assert judge([*windows, broken]).offset_ms == pytest.approx(120.0, abs=3.0)


@pytest.mark.parametrize("offset", [-1000, -980, 970, 1000, 1100])
def test_the_edge_of_the_scan_is_undecided(offset: int) -> None:
    verdict = judge([window(offset)] * 4)
    assert verdict.status == "undecided"
    assert verdict.reasons[0].startswith("the lag may lie beyond the scanned range of ±1 s")
    assert "--range 2s" in verdict.reasons[0]
    assert judge([window(0.95 * offset if abs(offset) <= 980 else 900)] * 4).status == "out_of_sync"


def test_two_lags_that_fit_equally_are_told() -> None:
    both = window(-200.0).logits + window(400.0).logits
    verdict = judge([WindowResult(start_s=0, end_s=8, logits=both, blocks=8.0)])
    assert verdict.status == "undecided"
    assert "equally well" in verdict.reasons[0]
    assert "-200" in verdict.reasons[0] and "+400" in verdict.reasons[0]


def test_tolerance_decides_and_p_sync_follows() -> None:
    windows = [window(90.0)] * 3
    strict, wide = Tolerance("film", 22, 22), Tolerance("wide", 200, 200)
    assert judge(windows, strict).status == "out_of_sync"
    assert judge(windows, strict).p_sync < 0.05
    assert judge(windows, wide).status == "in_sync"
    assert judge(windows, wide).p_sync > 0.95
    near = judge([window(124.0)] * 3)
    assert near.status == "in_sync"
    assert "close to the limit" in near.reasons[0]
    assert 0.2 < near.p_sync < 0.8
    assert near.at_border
    assert not judge(windows).at_border and not judge(windows, wide).at_border
    assert not judge([window(124.0, height=0.0)]).at_border


@settings(max_examples=30, deadline=None)
@given(first=st.integers(-80, 80), second=st.integers(-80, 80), cut=st.integers(2, 8))
def test_a_jump_in_the_lag_is_two_segments(first: int, second: int, cut: int) -> None:
    windows = [window(10.0 * (first if i < cut else second)) for i in range(10)]
    verdict = judge(windows)
    if abs(first - second) <= 3:
        assert len(verdict.segments) == 1
        return
    if abs(first - second) < 15:  # the bumps overlap: one or two stretches, both are true
        return
    assert len(verdict.segments) == 2
    a, b = verdict.segments
    assert a.offset_ms == pytest.approx(10 * first, abs=3)
    assert b.offset_ms == pytest.approx(10 * second, abs=3)
    assert (a.start_s, a.end_s, b.start_s, b.end_s) == (0, 8 * cut, 8 * cut, 80)
    assert "changes within the file" in verdict.reasons[0]
    states = {a.status, b.status}
    assert verdict.status == ("out_of_sync" if "out_of_sync" in states else "in_sync")
    if verdict.status == "out_of_sync":
        out = [s for s in verdict.segments if s.status == "out_of_sync"]
        assert any(verdict.offset_ms == s.offset_ms for s in out)
        assert verdict.p_sync < 0.5


def test_a_single_window_is_no_segment() -> None:
    for place in (0, 4, 9):
        windows = [window(-300.0 if i == place else 200.0, height=80.0) for i in range(10)]
        assert len(judge(windows).segments) == 1


def test_little_support_does_not_win() -> None:
    """An offset at which only few blocks have sound must be better than the rest to be believed."""
    curve = window(100.0, height=6.0).logits.copy()
    curve[(OFFSETS >= -900) & (OFFSETS <= -840)] = curve.max() + 0.5
    support = np.where(OFFSETS < -500, 0.2, 1.0).astype(np.float32)
    with_support = judge(
        [WindowResult(start_s=0, end_s=3, logits=curve, blocks=3.0, support=support)]
    )
    assert with_support.offset_ms == pytest.approx(100.0, abs=5.0)
    assert judge([WindowResult(start_s=0, end_s=3, logits=curve, blocks=3.0)]).status == "undecided"
    fair = fair_logits(
        WindowResult(start_s=0, end_s=3, logits=curve, blocks=3.0, support=support), Constants()
    )
    np.testing.assert_allclose(fair[OFFSETS >= -500], curve[OFFSETS >= -500])
    nothing = replace(window(100.0), support=np.zeros(len(OFFSETS), np.float32))
    assert judge([nothing]).status == "undecided"


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_high_peak_belongs_however_little_sound_there_is(share: float) -> None:
    """Where half of the sound lies beyond the file there is half the evidence, but none against: a
    peak's height shrinks towards 0 and not towards the curve's middle."""
    curve = window(-700.0, height=9.0).logits
    support = np.where(OFFSETS < -300, share, 1.0).astype(np.float32)
    found = judge(
        [WindowResult(start_s=0, end_s=1.5, logits=curve, blocks=1.5, support=support)], **DOUBTER
    )
    assert found.status == "out_of_sync"
    assert found.offset_ms == pytest.approx(-700.0, abs=5.0)


def test_calibration_is_used() -> None:
    windows = [window(100.0, height=3.0)]
    assert judge(windows, scale=3.0).confidence > judge(windows).confidence
    assert judge(windows, scale=0.0).status == "undecided"
    assert judge([window(100.0)] * 3, undecided_below=1.0).status == "undecided"
    eight = [window(100.0, height=2.0, blocks=8.0)]
    assert judge(eight, power=1.0).confidence > judge(eight, power=0.0).confidence
    assert judge(windows, unknown_key=3.0).confidence == judge(windows).confidence
    wide, narrow = (judge([window(100.0)] * 9, jitter_ms=j).offset_ci_ms for j in (30.0, 2.0))
    assert wide is not None and narrow is not None
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_a_long_film_is_quick() -> None:
    """Three hours at 10 ms over +-2 s: linear in the number of windows."""
    offsets = np.arange(-2000, 2001, 10, dtype=np.int64)
    windows = [window(80.0, 4.0, at=i, noise=0.5, offsets=offsets) for i in range(1350)]
    verdict = decide_verdict(evidence(windows, offsets), ITU)
    assert verdict.offset_ms == pytest.approx(80.0, abs=3.0)
    assert len(verdict.segments) == 1
