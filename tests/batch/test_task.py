"""What becomes of one file: one answer, or one a sound track."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from avsync_cli.batch import task
from avsync_cli.batch.task import Task, judge_file
from avsync_cli.config import Settings
from avsync_cli.errors import DecodeError, ModelError, NoSoundError
from avsync_cli.judging import Excerpt
from avsync_cli.media import probe
from avsync_cli.media.source import Source
from avsync_cli.report.machine import Failure
from avsync_cli.verdict.answer import Judgement

Make = Callable[..., Judgement]
Tracks = dict[int | None, Exception | None]

ALL = Task(Settings(), Excerpt(start_s=2.0), all_audio=True)
FILM = Source.of("film.mkv")
ENGINE: Any = None


@pytest.fixture
def tracks(monkeypatch: pytest.MonkeyPatch, make_report: Make) -> Tracks:
    """What happens to each sound track of the film; None where it is judged."""
    found: Tracks = {}

    def analyse_file(source: Source, _: Settings, __: object, part: Excerpt, *___: object) -> Any:
        assert part.start_s == 2.0
        error = found[part.audio_track]
        if error is not None:
            raise error
        return make_report(source.path)

    def listed(_: str) -> Any:
        numbers = [number for number in found if number is not None]
        return SimpleNamespace(audio=[SimpleNamespace(position=number) for number in numbers])

    monkeypatch.setattr(task, "analyse_file", analyse_file)
    monkeypatch.setattr(probe, "probe", listed)
    return found


def test_a_track_that_cannot_be_judged_leaves_the_others_their_answers(tracks: Tracks) -> None:
    tracks.update({0: None, 1: DecodeError("film.mkv: broken", "hint"), 2: None})
    first, second, third = judge_file(ALL, ENGINE, FILM).results
    assert isinstance(first, Judgement) and isinstance(third, Judgement)
    assert second == Failure("film.mkv", "film.mkv: broken (audio track 1)", "hint")


def test_a_file_without_sound_says_so_once(tracks: Tracks) -> None:
    tracks[None] = NoSoundError("film.mkv: no sound", "hint")
    (only,) = judge_file(ALL, ENGINE, FILM).results
    assert only == Failure("film.mkv", "film.mkv: no sound", "hint")


def test_a_fault_of_ours_is_one_answer_with_a_trace(tracks: Tracks) -> None:
    tracks.update({0: None, 1: RuntimeError("oops")})
    outcome = judge_file(ALL, ENGINE, FILM)
    (only,) = outcome.results
    assert isinstance(only, Failure) and "internal error: RuntimeError: oops" in only.message
    assert "Traceback" in outcome.trace


def test_what_no_file_would_survive_is_raised(tracks: Tracks) -> None:
    tracks.update({0: None, 1: ModelError("damaged", "")})
    with pytest.raises(ModelError):
        judge_file(ALL, ENGINE, FILM)
