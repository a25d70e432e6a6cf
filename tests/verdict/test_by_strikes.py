"""The answer by strikes: less sure than a model's, and only where that has none."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avsync_cli import judging
from avsync_cli.config import Settings
from avsync_cli.errors import MediaError
from avsync_cli.inference.evidence import Evidence, Strikes
from avsync_cli.inference.pipeline import AnalyseOptions
from avsync_cli.judging import Excerpt, analyse_file
from avsync_cli.media import head
from avsync_cli.media.source import Source
from avsync_cli.model.engine import OnnxEngine
from avsync_cli.names import Status
from avsync_cli.repair.run import Order, repair
from avsync_cli.report.remedy import remedy
from avsync_cli.timebase import SAMPLE_RATE_HZ
from avsync_cli.verdict import decision, people
from avsync_cli.verdict.answer import ITU, Judgement, Tolerance, Verdict
from avsync_cli.verdict.by_strikes import (
    MOST_SURE,
    SPOKEN,
    as_strikes,
    beside_faces,
    decide_by_strikes,
)
from avsync_cli.verdict.decision import decide_verdict
from avsync_cli.verdict.strikes import StrikePeak
from tests.clips import Clips
from tests.strikes import FRAMES, blows, hammer
from tests.verdict.test_structure import film


def undecided(file_s: float = 100.0) -> tuple[Verdict, Evidence]:
    evidence = replace(film(lambda _: 0.0, file_s), windows=[], seconds=None)
    evidence.reasons = ["no face found: the whole picture was judged"]
    return decide_verdict(evidence, ITU), evidence


@pytest.mark.parametrize(
    ("lag_ms", "status", "border"),
    [(20.0, "in_sync", False), (110.0, "in_sync", True), (-300.0, "out_of_sync", False)],
)
def test_it_is_told_as_far_as_it_is_known(lag_ms: float, status: Status, border: bool) -> None:
    verdict, evidence = undecided()
    assert verdict.status == "undecided"
    found = decide_by_strikes(verdict, evidence, Strikes(offset_ms=lag_ms, p=0.9, end_s=30.0), ITU)
    assert (found.status, found.offset_ms, found.at_border) == (status, lag_ms, border)
    assert found.offset_ci_ms == (lag_ms - 50, lag_ms + 50)
    assert found.confidence == 0.9
    assert found.reasons[0].startswith("by strikes seen and heard in the first 0:30")
    assert found.reasons[-1] == evidence.reasons[0]
    assert [(s.start_s, s.end_s, s.status) for s in found.segments] == [
        (0.0, 30.0, status), (30.0, 100.0, "undecided"),
    ]  # fmt: skip
    assert found.curve.sum() == pytest.approx(1.0)
    assert evidence.offsets_ms[np.argmax(found.curve)] == lag_ms
    assert (found.p_sync > 0.5) == (status == "in_sync")
    assert found.would_decide == ""


def test_it_is_never_told_that_it_is_sure() -> None:
    sure = as_strikes(StrikePeak(40.0, 1.0 - 1e-9, 20.0), 10.0, (72, 128))
    assert sure.p == MOST_SURE < 0.95


def test_of_many_onsets_more_go_together_by_chance() -> None:
    few, many = (StrikePeak(40.0, 0.3, onsets).p for onsets in (8.0, 40.0))
    assert few > 0.8
    assert many < 0.6


def test_that_a_sound_hardly_sets_in_makes_no_lag_likelier() -> None:
    """By the logarithm of a tenth of an onset it would be told nine times in ten."""
    assert StrikePeak(40.0, 0.09, 0.1).p < 0.5
    assert StrikePeak(40.0, 0.2, 0.1).p == StrikePeak(40.0, 0.2, 1.0).p


def test_what_is_less_sure_than_an_answer_must_be_changes_nothing() -> None:
    verdict, evidence = undecided()
    assert (
        decide_by_strikes(verdict, evidence, Strikes(offset_ms=40.0, p=0.79, end_s=9.0), ITU)
        is verdict
    )
    beyond = Strikes(offset_ms=float(evidence.offsets_ms[-1]) + 10, p=0.9, end_s=9.0)
    assert decide_by_strikes(verdict, evidence, beyond, ITU) is verdict


def left_beside_faces(favoured_ms: float | None) -> float:
    """What is left of strikes at 40 ms and p 0.9 where the faces favour a lag by seven to three."""
    verdict, evidence = undecided()
    curve = np.full(len(verdict.curve), 1.0 / len(verdict.curve))
    if favoured_ms is not None:
        curve = 0.3 * curve
        curve[evidence.offsets_ms == favoured_ms] += 0.7
    faces = replace(verdict, curve=curve, confidence=0.4)
    return beside_faces(Strikes(offset_ms=40.0, p=0.9, end_s=9.0), faces, evidence).p


def test_where_a_face_is_followed_what_is_heard_may_be_words() -> None:
    assert left_beside_faces(None) == pytest.approx(0.9 / (0.9 + 0.1 * SPOKEN))


def test_faces_may_speak_against_strikes_and_not_for_them() -> None:
    assert left_beside_faces(-500.0) < 0.8 < left_beside_faces(None)
    assert left_beside_faces(40.0) == pytest.approx(left_beside_faces(None))


def test_where_a_part_was_sure_and_something_speaks_against_it_strikes_are_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verdict, evidence = undecided()
    read: list[float] = []

    def nothing(*_: object, seconds: float, **__: object) -> None:
        read.append(seconds)
        raise MediaError("nothing is read here")

    monkeypatch.setattr(head, "read_head", nothing)
    for confidence, faces, times in ((0.97, True, 0), (0.4, True, 1), (0.97, False, 1)):
        told = replace(verdict, confidence=confidence)
        tracks: Any = ("a face",) if faces else ()
        found = Judgement("film.mp4", evidence, told, ITU, tracks=tracks)
        read.clear()
        info: Any = None
        assert judging._by_strikes(found, info, AnalyseOptions()) is found
        assert len(read) == times


@pytest.fixture(scope="module")
def hammering(clips: Clips) -> Path:
    """A file of eight seconds in which a block strikes, and is heard 200 ms later."""
    track, path = hammer(200.0), clips.folder / "hammer.mp4"
    clips.write_wave(
        clips.folder / "hammer.wav", np.repeat(track.sound, 48_000 // SAMPLE_RATE_HZ)[:, None]
    )
    pictures = np.asarray(track.crops, np.uint8)
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "gray", "-s", "96x96",
         "-r", "25", "-i", "-", "-i", str(clips.folder / "hammer.wav"), "-pix_fmt", "yuv420p",
         "-frames:v", str(FRAMES), str(path)],
        input=pictures.tobytes(), check=True,
    )  # fmt: skip
    return path


@pytest.fixture
def nothing_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model has no answer, whatever it sees."""

    def without_windows(evidence: Evidence, tolerance: Tolerance) -> Verdict:
        return decide_verdict(replace(evidence, windows=[], seconds=None), tolerance)

    monkeypatch.setattr(decision, "decide_verdict", without_windows)


@pytest.mark.usefixtures("nothing_to_say")
def test_a_file_is_told_by_its_strikes(
    toy_engine: OnnxEngine, hammering: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = analyse_file(hammering, Settings(), toy_engine)
    assert found.verdict.status == "out_of_sync"
    assert found.verdict.offset_ms == pytest.approx(200.0, abs=40.0)
    strikes = found.evidence.strikes
    assert strikes is not None and strikes.box is not None
    left, top, across, down = strikes.box
    assert left < 50 / 96 < left + across  # on the block's way
    assert 30 / 96 <= top < top + down <= 62 / 96
    bursts_s = (blows() / 25 + 0.2).tolist()
    assert len(strikes.heard_s) >= len(bursts_s) / 2
    assert all(min(abs(at_s - b) for b in bursts_s) < 0.04 for at_s in strikes.heard_s)
    told = remedy(found)
    assert told is not None and f"--offset {found.verdict.offset_ms:.0f}ms" in told.command
    monkeypatch.setattr(people, "face_tracks", lambda *_: ["a face that says nothing"])
    beside = analyse_file(hammering, Settings(), toy_engine)
    assert beside.verdict.offset_ms == found.verdict.offset_ms
    later = analyse_file(hammering, Settings(), toy_engine, Excerpt(start_s=1.0))
    assert (later.verdict.status, later.evidence.strikes) == ("undecided", None)
    order = Order(
        source=Source.of(hammering), target=hammering.with_name("x.mp4"), settings=Settings()
    )
    with pytest.raises(MediaError, match="by strikes alone") as refused:
        repair(order, toy_engine)
    assert "--offset" in refused.value.hint
    assert not order.target.exists()
