"""Films of several shots, in some of which somebody is seen who listens to what is heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from avsync_cli.inference.evidence import Evidence, WindowResult
from avsync_cli.verdict import courses
from avsync_cli.verdict.answer import ITU
from avsync_cli.verdict.courses import Chain
from avsync_cli.verdict.decision import decide_verdict
from avsync_cli.verdict.ends import end_against, silent_ends
from avsync_cli.verdict.steps import chain_of, find_steps, place
from tests.verdict.test_steps import OFFSETS, clip, lags

Shots = Sequence[tuple[int, float | None]]
"""(seconds, lag in ms; None for somebody who listens)."""

MATCH = {"match_scale": 2.0, "match_level": -1.0, "match_bias": 1.0, "match_doubt": 0.0}
"""Sounds as high as these belong together: without that any best lag would be believed."""


def film(shots: Shots, seed: int) -> Evidence:
    """What a model says of it: single seconds, and a window a shot."""
    lengths = [seconds for seconds, _ in shots]
    starts = np.cumsum([0, *lengths])
    course = [(int(s), lag or 0.0) for s, (_, lag) in zip(starts, shots, strict=False)]
    known = clip(course, sum(lengths), seed)
    listening = clip(course, sum(lengths), seed + 1000, wrong=1.0)
    assert known.seconds is not None and listening.seconds is not None
    curves = known.seconds.logits.copy()
    anew = np.zeros(len(curves), bool)
    windows = []
    for start, (seconds, lag) in zip(starts, shots, strict=False):
        rows = slice(start, start + seconds)
        if lag is None:
            curves[rows] = listening.seconds.logits[rows]
        anew[start] = True
        own = curves[rows].astype(np.float64)
        heard = np.isfinite(own)
        mean = np.where(heard, own, np.nanmedian(own)).mean(axis=0)
        windows.append(
            WindowResult(
                start_s=float(start),
                end_s=float(start + seconds),
                logits=mean.astype(np.float32),
                blocks=float(seconds),
                support=heard.mean(axis=0).astype(np.float32),
            )
        )
    seconds = replace(known.seconds, logits=curves, anew=anew)
    return replace(known, windows=windows, seconds=seconds, calibration=known.calibration | MATCH)


def drawn(rng: np.random.Generator, lag: float | None, shots: int) -> Shots:
    return [(int(rng.integers(2, 6)), lag) for _ in range(shots)]


def test_a_talk_that_cuts_to_who_listens_is_told() -> None:
    rng = np.random.default_rng(1)
    told = blind = 0
    for seed in range(30):
        lag = float(rng.uniform(-300, 300))
        shots = [
            s for pair in zip(drawn(rng, lag, 4), drawn(rng, None, 4), strict=True) for s in pair
        ]
        evidence = film(shots, seed)
        verdict = decide_verdict(evidence, ITU)
        assert lags(verdict) in ([], [pytest.approx(lag, abs=40.0)])
        told += verdict.status != "undecided"
        # Not knowing of shots, seconds that point anywhere are taken for lags.
        assert evidence.seconds is not None
        seconds = replace(evidence.seconds, anew=None)
        blind += decide_verdict(replace(evidence, seconds=seconds), ITU).status != "undecided"
    assert told >= 28
    assert blind < told


def test_a_talk_that_only_shows_listeners_is_never_told() -> None:
    rng = np.random.default_rng(2)
    for seed in range(40):
        assert decide_verdict(film(drawn(rng, None, 6), seed), ITU).status == "undecided"


@pytest.mark.parametrize("last_s", [5, 8])
def test_another_lag_after_a_cut_is_not_taken_for_somebody_who_listens(last_s: int) -> None:
    rng = np.random.default_rng(last_s)
    found = 0
    for seed in range(30):
        first = float(rng.uniform(-300, 300))
        second = first + float(rng.choice([-1, 1]) * rng.uniform(120, 480))
        shots = [*drawn(rng, first, 2), (3, None), *drawn(rng, first, 1), (last_s, second)]
        told = lags(decide_verdict(film(shots, seed), ITU))
        assert told in ([], pytest.approx([first, second], abs=60.0))
        found += len(told) == 2
    assert found >= 15


@pytest.mark.parametrize(("middle_s", "least", "most"), [(5, 17, 7), (8, 22, 3)])
def test_a_shot_between_two_others_has_a_lag_of_its_own(
    middle_s: int, least: int, most: int
) -> None:
    """A reply that was laid in wrongly: one lag for all of it would be told of that shot, too."""
    rng = np.random.default_rng(middle_s)
    found = passed_over = 0
    for seed in range(30):
        first = float(rng.uniform(-300, 300))
        other = first + float(rng.choice([-1, 1]) * rng.uniform(120, 480))
        told = lags(decide_verdict(film([(5, first), (middle_s, other), (9, first)], seed), ITU))
        found += told == pytest.approx([first, other, first], abs=60.0)
        passed_over += len(told) == 1
    assert found >= least
    assert passed_over <= most


def test_two_angles_in_turn_have_two_lags_in_turn() -> None:
    pieces = 0
    for seed in range(20):
        told = lags(decide_verdict(film([(5, 0.0), (5, 240.0)] * 3, seed), ITU))
        assert len(told) != 1
        assert all(min(abs(ms), abs(ms - 240.0)) < 60.0 for ms in told)
        pieces += len(told) >= 4
    assert pieces >= 12


def seconds_at(lag_ms: float, rows: int) -> np.ndarray:
    """(rows, O) votes for one lag, as sharp as measured ones."""
    near = np.abs(OFFSETS - lag_ms) <= 20
    odds = np.where(near, 0.9 / near.sum(), 0.1 / (~near).sum())
    return np.tile(np.log(odds), (rows, 1))


def test_an_end_in_another_shot_is_against_only_where_it_agrees_with_itself() -> None:
    speech, shot = seconds_at(0.0, 12), np.r_[True, np.zeros(11, bool), True, np.zeros(3, bool)]
    scattered = [seconds_at(lag, 1) for lag in (-700.0, 420.0, 150.0, 900.0)]
    grid = OFFSETS.astype(np.float64)
    for votes, anew, end in (
        (np.concatenate([speech, *scattered]), shot, None),
        (np.concatenate([speech, *scattered]), None, slice(13, 16)),
        (np.concatenate([speech, seconds_at(300.0, 4)]), shot, slice(12, 16)),
        (np.concatenate([speech, seconds_at(300.0, 4)]), None, slice(12, 16)),
    ):
        against = end_against(votes, grid, 0.0, anew)
        assert (against is None) == (end is None)
        turned = None if anew is None else np.r_[True, anew[1:][::-1]]
        mirrored = end_against(votes[::-1], grid, 0.0, turned)
        if against is not None:
            assert mirrored == slice(16 - against.stop, 16 - against.start)
        else:
            assert mirrored is None


@pytest.mark.parametrize("lengths_s", [(5, 3, 6, 5, 4, 7, 8, 4), (6, 6, 6, 3, 6, 6)])
def test_a_reply_of_a_few_seconds_goes_back_to_a_lag_that_the_film_goes_back_to(
    lengths_s: tuple[int, ...],
) -> None:
    """Two cameras, cut to and fro where no cut is seen: three seconds cannot pay for a step to any
    lag and another one back, and would be told at the lag of what is around them."""
    votes = np.concatenate([seconds_at(240.0 * (n % 2), s) for n, s in enumerate(lengths_s)])
    ends = np.cumsum(lengths_s).tolist()
    assert [run.stop for run in find_steps(votes, 10.0).runs] == ends
    # Of a film that did not go back yet nothing is learnt: two may be of somebody who listens.
    once = np.concatenate([seconds_at(0.0, 30), seconds_at(240.0, 2), seconds_at(0.0, 30)])
    assert len(find_steps(once, 10.0).runs) == 1


def test_a_cut_makes_a_listener_likely_and_a_step_no_likelier() -> None:
    speech = seconds_at(0.0, 14)
    votes = np.concatenate([speech, *(seconds_at(lag, 1) for lag in (-700.0, 420.0, 150.0))])
    anew = np.zeros(len(votes) - 1, bool)
    anew[13] = True
    plain, cut = (find_steps(votes, 10.0, anew=a).odds for a in (None, anew))
    assert cut < 0.5 < plain
    other = np.concatenate([speech, seconds_at(300.0, 6)])
    at_a_cut = find_steps(other, 10.0, anew=np.r_[anew, np.zeros(3, bool)])
    assert at_a_cut.probability > 0.99
    assert [run.start for run in at_a_cut.runs] == [0, 14]


def test_a_shot_of_its_own_lag_counts_as_all_such_courses_do_one_by_one() -> None:
    """Three rows, each another shot, so coarse that a lag neither wobbles nor wanders."""
    rng = np.random.default_rng(3)
    votes = np.log(rng.dirichlet(np.ones(4), size=3))
    chain = Chain(
        chances=np.full(2, 0.1), lasting_s=np.ones(2), anew=np.ones(2, bool), wander=0.0, lags=4
    )
    within = chain.with_own_lags(0.3, anywhere=False)
    assert within is not None
    assert within.own_share == 0.3
    likely = np.exp(votes)
    talks, others = 0.7 * likely, 0.3 / 4.0
    row = talks + others  # of a lag whose speaker is seen, or not
    said = [row[0], 0.7 * row[1] + 0.3 * likely[1].mean(), 0.7 * row[2]]  # 0.7: not of its own
    total = 0.0
    for steps in product((False, True), repeat=2):
        runs = np.split(np.arange(3), [n + 1 for n, here in enumerate(steps) if here])
        part = np.prod([0.1 if here else 0.9 for here in steps])
        for run in runs:
            rows = [said[n] if n > run[0] else row[n] for n in run]
            part *= np.prod(rows, axis=0).mean()
        total += float(part)
    assert within.forward(votes)[1] == pytest.approx(np.log(total), rel=1e-9)


def test_seconds_that_went_astray_count_as_all_such_courses_do_one_by_one() -> None:
    """Three rows of one shot: seen, unseen, or at another lag that the row before tells of."""
    rng = np.random.default_rng(4)
    votes = np.log(rng.dirichlet(np.ones(4), size=3))
    shot = np.zeros(2, bool)
    plain = Chain(chances=np.zeros(2), lasting_s=np.ones(2), anew=shot, wander=0.0, lags=4)
    chain = plain.with_own_lags(0.3)
    assert chain is not None and chain.astray is not None
    assert chain.astray == pytest.approx([0.15, 0.15])
    likely, back = np.exp(votes), 1.0 - np.exp(-1.0 / courses.ASTRAY_S)
    hide, show = (1.0 - np.exp(-1.0 / s) for s in (courses.SEEN_S, courses.UNSEEN_S))
    share = np.array([show, hide]) / (show + hide)
    move = np.zeros((3, 3))
    move[:2, :2] = 0.85 * np.array([[1.0 - hide, hide], [show, 1.0 - show]])
    move[:2, 2], move[2, :2], move[2, 2] = 0.15, back * share, 1.0 - back
    total = 0.0
    for lag, first, second, third in product(range(4), range(2), range(3), range(2)):
        said = [
            (likely[0, lag], 0.25)[first],
            (likely[1, lag], 0.25, float(likely[0] @ likely[1]))[second],
            (likely[2, lag], 0.25)[third],
        ]
        way = share[first] * move[first, second] * move[second, third]
        total += 0.25 * way * float(np.prod(said))
    assert chain.forward(votes)[1] == pytest.approx(np.log(total), rel=1e-9)


@pytest.mark.parametrize("seconds", [4, 6])
def test_a_sound_that_slips_for_some_seconds_is_told_in_three_pieces(seconds: int) -> None:
    """One shot: no cut says where it slipped, and none where it was back."""
    rng = np.random.default_rng(seconds)
    found = passed_over = 0
    for seed in range(20):
        lag = float(rng.uniform(-300, 300))
        other = lag + float(rng.choice((-1, 1)) * rng.uniform(120, 480))
        course = [(0, lag), (14, other), (14 + seconds, lag)]
        told = lags(decide_verdict(clip(course, 36, seed), ITU))
        found += told == pytest.approx([lag, other, lag], abs=60.0)
        passed_over += len(told) == 1
    assert found >= 13
    assert passed_over <= 5


def test_one_lag_does_not_go_astray() -> None:
    for seed in range(40):
        told = decide_verdict(clip([(0, 80.0)], 36, seed), ITU)
        assert len(lags(told)) <= 1


def test_a_shot_ends_where_nothing_was_read() -> None:
    """What follows a gap may be of another shot, and another lag there is no second of that one."""
    votes = np.concatenate([seconds_at(ms, n) for ms, n in ((0.0, 8), (300.0, 2), (300.0, 2))])
    votes = np.concatenate([votes, seconds_at(0.0, 8)])
    anew = np.zeros(19, bool)
    anew[[7, 11]] = True
    together, apart = np.ones(19), np.ones(19)
    apart[9] = 60.0
    shot, parts = (find_steps(votes, 10.0, apart_s=s, anew=anew) for s in (together, apart))
    assert [run.start for run in shot.runs] == [0, 8, 12]
    assert parts.probability < shot.probability


@pytest.mark.parametrize(("shots", "cut_out"), [(14, True), (6, False)])
def test_where_nothing_fits_for_long_nothing_is_told(shots: int, cut_out: bool) -> None:
    """A minute of a dub is no listener, whatever is in sync before and after it."""
    talk: Shots = [(5, -40.0)] * 6
    told = decide_verdict(film([*talk, *[(5, None)] * shots, *talk], 7), ITU)
    assert told.status == "in_sync"
    if not cut_out:
        assert len(told.segments) == 1
        return
    before, between, after = told.segments
    assert before.offset_ms == after.offset_ms == pytest.approx(-40.0, abs=20.0)
    assert between.offset_ms is None
    assert (between.start_s, between.end_s) == pytest.approx((30.0, 100.0), abs=3.0)
    assert any("which is left out" in reason for reason in told.reasons)
    assert "0:30" in told.reasons[0]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("says", "left_out"), [(0.3, True), (1.0, False)])
def test_a_shot_that_hardly_says_that_it_has_one_lag_is_not_told(
    turned: bool, says: float, left_out: bool
) -> None:
    """Four seconds that agree a little with the rest, and a little more with another lag."""
    votes = seconds_at(0.0, 12)
    votes[:4] = 0.0
    votes[:4, np.abs(OFFSETS) <= 20] = says
    votes[:4, np.abs(OFFSETS - 400) <= 20] = 1.2
    votes[:4] -= np.log(np.exp(votes[:4]).sum(axis=1, keepdims=True))
    anew = np.arange(12) == (8 if turned else 4)
    ends = silent_ends(votes[::-1] if turned else votes, OFFSETS, 0.0, anew)
    assert ends == ([slice(8, 12) if turned else slice(0, 4)] if left_out else [])


@pytest.mark.parametrize(("listens", "first", "last"), [(False, 5, 5), (True, 5, 9)])
def test_a_step_is_placed_by_seconds_of_who_speaks(listens: bool, first: int, last: int) -> None:
    """A listener's seconds may point to either lag; they do not tell when it changed."""
    odds = np.full((2, 14), np.log(0.2))
    odds[0, :5] = odds[1, 9:] = np.log(20.0)
    odds[1, 5:9] = np.log(20.0)
    if listens:
        odds[:, 5:9] = np.log([[5.0, 0.2, 5.0, 0.2], [0.2, 5.0, 0.2, 5.0]])
    anew = np.isin(np.arange(1, 14), (5, 9) if listens else ())
    chain = chain_of((14, 201), 10.0, anew=anew)
    low, high = place(chain, odds[0], odds[1], np.ones(13))
    assert (low, high) == (first, last)


def test_seconds_that_agree_are_believed_beside_a_voice_off_screen() -> None:
    """Half of the seconds are of what somebody else says: windows hardly rise above the rest."""
    rng = np.random.default_rng(4)
    told = by_windows = 0
    for seed in range(30):
        lag = float(rng.uniform(-300, 300))
        evidence = clip([(0, lag)], 24, seed, wrong=0.5)
        evidence = replace(evidence, calibration=evidence.calibration | MATCH)
        verdict = decide_verdict(evidence, ITU)
        assert lags(verdict) in ([], [pytest.approx(lag, abs=40.0)])
        told += verdict.status != "undecided"
        windows = replace(evidence, seconds=None)
        by_windows += decide_verdict(windows, ITU).status != "undecided"
    assert told >= 15
    assert by_windows <= 5


def test_seconds_of_anothers_sound_do_not_agree() -> None:
    for seed in range(30):
        evidence = clip([(0, 0.0)], 24, seed, wrong=1.0)
        evidence = replace(evidence, calibration=evidence.calibration | MATCH)
        assert decide_verdict(evidence, ITU).status == "undecided"


@pytest.mark.parametrize("first", [True, False])
def test_a_last_or_first_shot_of_somebody_who_listens_is_left_out(first: bool) -> None:
    told = 0
    for seed in range(12):
        shots: Shots = [(5, 80.0), (4, 80.0), (4, 80.0), (4, None)]
        verdict = decide_verdict(film(shots[::-1] if first else shots, seed), ITU)
        if len(verdict.segments) != 2:  # undecided, or seconds agree by chance, or on nothing
            continue
        told += 1
        out, kept = verdict.segments[:: 1 if first else -1]
        assert (out.status, kept.status) == ("undecided", "in_sync")
        assert kept.offset_ms == pytest.approx(80.0, abs=20.0)
        edge_s = 4.0 if first else 13.0
        assert (kept.start_s if first else kept.end_s) == pytest.approx(edge_s, abs=1.0)
        assert "which is left out" in verdict.reasons[0]
    assert told >= 8


def test_a_film_whose_speaker_is_seen_between_others_is_told_without_its_ends() -> None:
    told = wrong = 0
    for seed in range(24):
        rng = np.random.default_rng(seed)
        lag = float(rng.uniform(-300, 300))
        first, others = (int(rng.integers(*bounds)) for bounds in ((6, 10), (8, 14)))
        shots: Shots = [(2, None), (first, lag), (others, None), (4, None), (7, lag)]
        verdict = decide_verdict(film([*shots, (5, None), (6, None)], seed), ITU)
        told += verdict.status != "undecided"
        wrong += any(abs(said - lag) > 40.0 for said in lags(verdict))
        if verdict.status != "undecided":
            assert max(s.end_s for s in verdict.segments if s.offset_ms is not None) < 40.0
    # Judged with its ends, of which nobody says a word, half of them are not sure.
    assert told >= 18
    assert wrong <= 1


def test_somebody_who_falls_silent_in_the_last_shot_casts_no_doubt_on_the_rest() -> None:
    lag = -203.85
    evidence = film([(2, None), (11, lag), (5, None), (8, lag), (5, None)], 32)
    assert evidence.seconds is not None
    anew = evidence.seconds.anew.copy()
    anew[26] = False  # the last shot is still of the same person
    seconds = replace(evidence.seconds, anew=anew)
    assert lags(decide_verdict(replace(evidence, seconds=seconds), ITU)) == [
        pytest.approx(lag, abs=10.0)
    ]
