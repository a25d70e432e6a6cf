"""What is said of a verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avsync_cli.config import TOLERANCES
from avsync_cli.report import sentences
from avsync_cli.report.terminal import details, sentence
from avsync_cli.verdict.answer import Judgement, Tolerance
from avsync_cli.wording import percent
from tests.conftest import build_report

Make = Callable[..., Judgement]

LIMITS = "45 ms early to 125 ms late"
ITU = Tolerance("itu", 45.0, 125.0)


def test_tolerance_names_its_standard() -> None:
    assert (
        sentences.tolerance_words(Tolerance("ebu", 40, 60)) == "EBU R37: 40 ms early to 60 ms late"
    )
    assert "BT.1359" in sentences.tolerance_name(Tolerance("itu", 45, 125))
    assert sentences.tolerance_name(Tolerance("7:9", 7, 9)) == "7 ms early to 9 ms late"


def _judged(offset_ms: float, half_ms: float, tolerance: Tolerance, p_sync: float) -> Judgement:
    """A judgement as the verdict room makes it: status by the offset, border by the interval."""
    low, high = offset_ms - half_ms, offset_ms + half_ms
    inside = -tolerance.early_ms <= offset_ms <= tolerance.late_ms
    judgement = build_report(
        status="in_sync" if inside else "out_of_sync",
        offset_ms=offset_ms,
        ci_ms=(low, high),
        tolerance=tolerance,
    )
    limits = -tolerance.early_ms, tolerance.late_ms
    border = any(low < limit < high for limit in limits)
    return replace(judgement, verdict=replace(judgement.verdict, at_border=border, p_sync=p_sync))


@settings(deadline=None)
@given(
    st.floats(-400.0, 400.0),
    st.floats(1.0, 60.0),
    st.sampled_from([ITU, Tolerance("ebu", 40.0, 60.0), Tolerance("7:9", 7.0, 9.0)]),
    st.floats(0.0, 1.0),
)
def test_the_sentence_names_the_limits_once_and_never_contradicts_itself(
    offset_ms: float, half_ms: float, tolerance: Tolerance, p_sync: float
) -> None:
    words = sentences.verdict_words(_judged(offset_ms, half_ms, tolerance, p_sync))
    limits = f"{tolerance.early_ms:g} ms early to {tolerance.late_ms:g} ms late"
    assert words.count(limits) == 1
    ways = [
        words.startswith("at the border of "),
        "; outside " in words,
        "; within " in words,
        " tolerates; " in words,
    ]
    assert sum(ways) == 1
    low, high = offset_ms - half_ms, offset_ms + half_ms
    straddles = any(low < limit < high for limit in (-tolerance.early_ms, tolerance.late_ms))
    assert ways[0] == straddles
    if ways[0]:
        assert "in sync" not in words
        assert f"{percent(p_sync)} likely within it" in words
    if ways[3]:
        assert not low <= 0.0 <= high


@pytest.mark.parametrize("name", TOLERANCES)
def test_every_standard_is_named_with_its_numbers(name: str) -> None:
    profile = TOLERANCES[name]
    early, late = profile.early_ms or 40.0, profile.late_ms or 40.0
    words = sentences.verdict_words(_judged(0.0, 5.0, Tolerance(name, early, late), 0.99))
    assert words.endswith(f"({early:g} ms early to {late:g} ms late)")


def test_at_the_border_the_sentence_says_so() -> None:
    assert sentences.verdict_words(_judged(-46.0, 20.0, ITU, 0.47)) == (
        f"at the border of ITU-R BT.1359 ({LIMITS}): audio is 46 ms early (±20 ms, 98 % sure), "
        "from 0:00 to 4:10; 47 % likely within it"
    )


def test_a_stretch_at_the_border_is_not_the_file(make_report: Make) -> None:
    """What is said of the file is about the offset that is named."""
    judgement = make_report(offset_ms=300.0, ci_ms=(290.0, 310.0), tolerance=ITU)
    judgement = replace(judgement, verdict=replace(judgement.verdict, at_border=True))
    assert "border" not in sentences.verdict_words(judgement)
    assert "; outside ITU-R BT.1359" in sentences.verdict_words(judgement)


def test_late_sound_that_is_tolerated_is_told_with_what_to_do() -> None:
    assert sentences.verdict_words(_judged(80.0, 10.0, ITU, 0.999)) == (
        "in sync, audio is 80 ms late (±10 ms, 98 % sure), from 0:00 to 4:10, which ITU-R BT.1359 "
        f"({LIMITS}) tolerates; --tolerance frame or fix --force if you want it at zero"
    )


@pytest.mark.parametrize("status", ["in_sync", "out_of_sync", "undecided"])
@pytest.mark.parametrize("complete", [True, False, None])
@pytest.mark.parametrize("remarked", [True, False])
def test_a_file_that_ends_early_is_told_once_whatever_the_answer(
    make_report: Make, status: str, complete: bool | None, remarked: bool
) -> None:
    """Also where the evidence has a remark of the same words."""
    said = "the file ends at 0:07 of 0:16"
    offset_ms = None if status == "undecided" else 0.0
    reasons = [said] if remarked and complete is False else []
    judgement = make_report(status=status, offset_ms=offset_ms, ci_ms=None, reasons=reasons)
    media = replace(judgement.evidence.media, decoded_s=7.2, declared_s=16.0, complete=complete)
    judgement = replace(judgement, evidence=replace(judgement.evidence, media=media))
    words = sentences.verdict_words(judgement)
    assert words.endswith(f"; {said}") == (complete is False)
    lines = [line.plain for line in [sentence(judgement), *details(judgement)]]
    assert "\n".join(lines).count("the file ends") == (complete is False)


@pytest.mark.parametrize("status", ["in_sync", "out_of_sync", "undecided"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_track_is_named_where_there_are_several(
    make_report: Make, status: str, count: int
) -> None:
    offset_ms = None if status == "undecided" else 0.0
    judgement = make_report(status=status, offset_ms=offset_ms, ci_ms=None)
    media = replace(judgement.evidence.media, audio_track=count - 1, audio_tracks=count)
    judgement = replace(judgement, evidence=replace(judgement.evidence, media=media))
    words = sentences.verdict_words(judgement)
    named = f"audio track {count} of {count} (--audio-track {count - 1})"
    assert words.endswith(named) if count > 1 else "track" not in words


def test_a_quick_reading_says_how_much_it_read(make_report: Make) -> None:
    whole = make_report()
    media = replace(whole.evidence.media, duration_s=7082.0)
    read = replace(whole.evidence, media=media, stretches=9, read_s=96.2)
    said = sentences.verdict_words(replace(whole, evidence=read))
    assert said.endswith("; from 9 stretches, 96 s of 1:58:02")
    assert ", from 0:00 to" not in said
    assert "stretch" not in sentences.verdict_words(whole)
