"""Which stretches are read, and when it is enough, on made-up films with known truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from avsync_cli.inference.evidence import Evidence, SecondCurves
from avsync_cli.inference.stretches import pooled
from avsync_cli.verdict.decision import decide_verdict
from avsync_cli.verdict.read_so_far import BAND, lag_at
from avsync_cli.verdict.sampling import UNSETTLED, Sampled, Search
from tests.verdict.test_structure import ITU, film

LONG_S = 2400.0


class Pieces:
    """A made-up film, read a window at a time; `seen` says what a cheap look promises."""

    def __init__(
        self, evidence: Evidence, seen: Callable[[int], float] = lambda _: 1.0, ends_at: int = 9999
    ) -> None:
        self._evidence, self._seen, self._ends_at = evidence, seen, ends_at
        self.first, self.last = 0, int(evidence.media.duration_s // 8) - 1
        self.window_s = 8.0
        self.order: list[int] = []

    def promise(self, window: int) -> float:
        return self._seen(window)

    def read_s(self, windows: Sequence[int]) -> float:
        return 10.0 * len(windows)

    def read(self, window: int) -> Evidence | None:
        self.order.append(window)
        if window >= self._ends_at:
            return None
        low = 8.0 * window
        seconds = self._evidence.seconds
        assert seconds is not None
        rows = (seconds.start_s >= low) & (seconds.start_s < low + 8.0)
        curves = SecondCurves(seconds.start_s[rows], seconds.offsets_ms, seconds.logits[rows])
        windows = [w for w in self._evidence.windows if w.start_s == low]
        judged_s = 8.0 * len(windows)
        return replace(self._evidence, windows=windows, seconds=curves, judged_s=judged_s)


def search(pieces: Pieces, most_s: float | None = None) -> Sampled:
    return Search(pieces, pooled, ITU, 0.95, most_s).run()


def test_a_constant_lag_is_settled_by_a_few_stretches_at_head_middle_and_tail() -> None:
    pieces = Pieces(film(lambda t: 200.0, LONG_S))
    found = search(pieces)
    assert found.settled and found.evidence is not None
    assert 3 <= len(pieces.order) <= 12
    verdict = found.told(decide_verdict(found.evidence, ITU))
    assert verdict.status == "out_of_sync"
    assert verdict.offset_ms == pytest.approx(200, abs=15)
    assert len(verdict.segments) == 1
    shares = [w / (pieces.last + 1) for w in pieces.order]
    assert min(shares) <= BAND and max(shares) >= 1 - BAND
    assert any(0.3 <= share <= 0.7 for share in shares)
    assert UNSETTLED not in verdict.reasons


@pytest.mark.parametrize("share", [0.1, 0.37, 0.8])
def test_a_step_is_found_and_told_to_five_seconds(share: float) -> None:
    step_s = share * LONG_S
    pieces = Pieces(film(lambda t: 0.0 if t < step_s else 240.0, LONG_S, seed=3))
    found = search(pieces)
    assert found.settled and found.evidence is not None
    verdict = decide_verdict(found.evidence, ITU)
    told = [s for s in verdict.segments if s.offset_ms is not None]
    assert [round((s.offset_ms or 0) / 40) for s in told] == [0, 6]
    assert told[0].end_s - 1.0 <= step_s <= told[1].start_s + 1.0
    assert told[1].start_s - told[0].end_s <= 10.0
    assert len(pieces.order) < 40


@pytest.mark.parametrize("step_s", [400.0, 403.0, 406.0])
def test_a_step_where_six_seconds_were_not_read_is_told_in_their_middle(step_s: float) -> None:
    """At either end of them it would be further off than need be."""
    whole = film(lambda t: 0.0 if t < step_s else 240.0, 800.0, seed=3)
    known, curves = Pieces(whole), whole.seconds
    assert curves is not None
    read = [known.read(window) for window in range(known.last + 1) if window not in (30, 50)]
    rows = (curves.start_s >= 406.0) & (curves.start_s < 408.0)
    rest = SecondCurves(curves.start_s[rows], curves.offsets_ms, curves.logits[rows])
    read.insert(49, replace(whole, windows=[], seconds=rest, judged_s=2.0))
    evidence = pooled([found for found in read if found is not None], 786.0)
    told = [s for s in decide_verdict(evidence, ITU).segments if s.offset_ms is not None]
    assert len(told) == 2
    assert told[0].end_s == told[1].start_s == pytest.approx(403.0, abs=1.0)


@pytest.mark.parametrize("odd_s", [1056, 1168])
def test_a_stretch_beside_a_step_that_is_about_something_else_does_not_move_it(odd_s: int) -> None:
    lags = {True: 0.0, False: 240.0}
    pieces = Pieces(film(lambda t: lags[t < 1200 and int(t) // 8 * 8 != odd_s], LONG_S, seed=3))
    found = search(pieces)
    assert found.settled and found.evidence is not None
    verdict = decide_verdict(found.evidence, ITU)
    told = [s for s in verdict.segments if s.offset_ms is not None]
    assert [round((s.offset_ms or 0) / 40) for s in told] == [0, 6]
    assert told[0].end_s - 1.0 <= 1200.0 <= told[1].start_s + 1.0


@pytest.mark.parametrize("head", [True, False])
def test_one_stretch_at_an_end_that_agrees_by_chance_does_not_speak_for_it(head: bool) -> None:
    """The film steps near one of its ends; the outermost stretch there is about something else."""

    def lag(time_s: float) -> float:
        from_end_s = time_s if head else length_s - time_s
        return 240.0 if 8.0 <= from_end_s < 60.0 else 0.0

    length_s = LONG_S / 2
    pieces = Pieces(film(lag, length_s, seed=1))
    found = search(pieces)
    assert found.evidence is not None
    verdict = decide_verdict(found.evidence, ITU)
    assert [lag_at(verdict, t) for t in (30.0 if head else length_s - 30.0, length_s / 2)] == [
        pytest.approx(240.0, abs=20.0),
        pytest.approx(0.0, abs=20.0),
    ]


def test_a_step_while_nobody_speaks_is_told_to_lie_somewhere_in_that_time() -> None:
    silent = (900.0, 1010.0)
    lags = {True: 0.0, False: 240.0}
    pieces = Pieces(film(lambda t: lags[t < 930.0], LONG_S, silent=(silent,)))
    found = search(pieces)
    assert found.settled and found.evidence is not None
    verdict = found.told(decide_verdict(found.evidence, ITU))
    told = [s for s in verdict.segments if s.offset_ms is not None]
    assert [round((s.offset_ms or 0) / 40) for s in told] == [0, 6]
    assert told[0].end_s == pytest.approx(silent[0], abs=8.0)
    assert told[1].start_s == pytest.approx(silent[1], abs=8.0)
    assert [s.status for s in verdict.segments] == ["in_sync", "undecided", "out_of_sync"]


def test_a_drift_is_found() -> None:
    pieces = Pieces(film(lambda t: 20.0 * (t - LONG_S / 2) / 60, LONG_S, seed=5))
    found = search(pieces)
    assert found.settled and found.evidence is not None
    verdict = decide_verdict(found.evidence, ITU)
    assert verdict.drift_ms_per_min == pytest.approx(20.0, abs=2.0)
    assert lag_at(verdict, 60.0) == pytest.approx(-380.0, abs=40.0)


def test_where_nobody_speaks_is_passed_over() -> None:
    dull = ((0.0, 100.0), (600.0, 1000.0))
    evidence = film(lambda t: -120.0, LONG_S, silent=dull)

    def seen(window: int) -> float:
        return float(not any(low <= 8.0 * window < high for low, high in dull))

    pieces = Pieces(evidence, seen)
    found = search(pieces)
    assert found.settled
    assert sum(seen(window) == 0.0 for window in pieces.order) <= 2  # one at the head


def test_nothing_is_settled_by_a_film_that_scatters() -> None:
    rng = np.random.default_rng(1)
    lags = rng.uniform(-900, 900, int(LONG_S))
    pieces = Pieces(film(lambda t: float(lags[int(t) // 8 * 8]), LONG_S / 2))
    found = search(pieces)
    assert not found.settled
    assert len(pieces.order) <= (pieces.last + 1) / 4 + 1


def test_no_more_is_read_than_asked_for_and_that_is_said() -> None:
    pieces = Pieces(film(lambda t: 0.0 if t < 900 else 240.0, LONG_S))
    found = search(pieces, most_s=40.0)
    assert len(pieces.order) == 4
    assert found.evidence is not None and not found.settled
    verdict = decide_verdict(found.evidence, ITU)
    told = found.told(verdict)
    assert UNSETTLED in told.reasons
    assert told.confidence <= verdict.confidence


def test_a_part_that_was_not_seen_makes_it_less_sure() -> None:
    verdict = decide_verdict(film(lambda t: 0.0, 240.0), ITU)
    half = Sampled(None, True, unseen=0.5).told(verdict)
    assert half.confidence == pytest.approx(0.99 * verdict.confidence)
    assert half.p_sync == pytest.approx(0.99 * verdict.p_sync)


def test_a_film_without_its_end_is_noticed() -> None:
    pieces = Pieces(film(lambda t: 0.0, LONG_S), ends_at=200)
    found = search(pieces)
    assert found.is_broken and not found.settled


def test_gaps_between_stretches_are_no_undecided_pieces() -> None:
    evidence = film(lambda t: 0.0, 800.0)
    some = [w for w in evidence.windows if w.start_s % 80 == 0]
    gapped = replace(evidence, windows=some, stretches=len(some), read_s=10.0 * len(some))
    assert len(decide_verdict(gapped, ITU).segments) == 1
    assert len(decide_verdict(replace(gapped, stretches=None), ITU).segments) > 1
