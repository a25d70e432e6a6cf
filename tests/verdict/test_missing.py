"""What would decide an undecided file, and where a second look at one is taken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from avsync_cli.inference.evidence import BlockResult, Region
from avsync_cli.verdict.answer import ITU
from avsync_cli.verdict.decision import decide_verdict
from avsync_cli.verdict.missing import SPEECH, asks_further, busiest, not_further
from avsync_cli.verdict.reasons import NO_SOURCE
from tests.verdict.test_decision import MEDIA, OFFSETS, evidence, window


def block(start_s: float, kind: str = "face", used: bool = True) -> BlockResult:
    region = Region(kind, 0, (0.0, 0.0, 1.0, 1.0))  # type: ignore[arg-type]
    return BlockResult(
        start_s=start_s,
        end_s=start_s + 1.0,
        region=region,
        confidence=0.0,
        weight=0.1,
        p_sync=0.5,
        used=used,
    )


def test_most_faces_are_where_two_are_seen_at_once_or_one_throughout() -> None:
    faces = [0.0, 1.0, 20.0, 21.0, 22.0, 23.0, 40.0, 41.0]
    assert busiest([block(s) for s in faces], 5.0) == (20.0, 24.0)
    assert busiest([block(s) for s in [*faces, 40.0, 40.2, 41.0]], 5.0) == (40.0, 42.0)
    assert busiest([block(s) for s in faces], 60.0) == (0.0, 42.0)
    left_out = [block(float(s), used=False) for s in range(20)]
    frame = [block(float(s), "frame") for s in range(20)]
    assert busiest([*left_out, *frame], 5.0) is None
    assert busiest([*left_out, *frame, block(7.0)], 5.0) == (7.0, 8.0)


def test_what_nothing_fits_may_lie_further_off() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(-3.0, 0.2, (3, len(OFFSETS))).astype(np.float32)
    flat = [replace(window(0.0), logits=curve) for curve in logits]
    nothing = decide_verdict(evidence(flat), ITU)
    assert nothing.reasons[0] == NO_SOURCE
    assert asks_further(nothing)
    assert not_further(nothing) == nothing  # a minute more of the same would do, too
    wider = replace(nothing, reasons=[], would_decide=f"{SPEECH}, or, a wider scan (--range 4s)")
    assert asks_further(wider)
    assert not_further(wider).would_decide == SPEECH


@pytest.mark.parametrize(
    "reasons", [["silence"], ["the sound seems to be cut at about 0:02", NO_SOURCE]]
)
def test_nothing_is_looked_for_where_something_else_is_wrong(reasons: list[str]) -> None:
    told = decide_verdict(evidence([window(0.0)]), ITU)
    assert not asks_further(told)
    assert not asks_further(replace(told, status="undecided", reasons=reasons))


@pytest.mark.parametrize("fps", [4.0, 5.0])
@pytest.mark.parametrize("vfr", [False, True])
def test_even_pictures_too_seldom_for_lips_tell_nothing(fps: float, vfr: bool) -> None:
    slow = replace(evidence([window(100.0)] * 3), media=replace(MEDIA, fps=fps, vfr=vfr))
    verdict = decide_verdict(slow, ITU)
    if fps > 4.5 or vfr:
        assert verdict.offset_ms == pytest.approx(100.0, abs=2.0)
    else:
        assert verdict.status == "undecided"
        assert verdict.would_decide == "a recording with more pictures a second"
