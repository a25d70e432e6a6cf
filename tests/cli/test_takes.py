"""Flags as values: what is built of one definition, and what a printed command repeats."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer.main
from hypothesis import given, settings
from hypothesis import strategies as st

from avsync_cli.cli.app import app
from avsync_cli.cli.called import fix_words, program_words
from avsync_cli.cli.checks import checked_excerpt, checked_settings
from avsync_cli.cli.flags import JudgeFlags
from avsync_cli.cli.flags_fix import FixFlags
from avsync_cli.cli.takes import flags_of, takes, typed_values
from avsync_cli.config import ATTENTIONS, TOLERANCES, Settings
from avsync_cli.judging import Excerpt

SETTINGS = st.builds(
    Settings,
    range_ms=st.integers(1_000, 30_000),
    step_ms=st.integers(1, 100).map(lambda n: 10 * n),
    model=st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1),
    attention=st.none() | st.sampled_from(ATTENTIONS),
    tolerance=st.sampled_from([*TOLERANCES, "40:60", "0.5:12.25"]),
    min_confidence=st.none() | st.integers(500, 999).map(lambda n: n / 1000),
    threads=st.integers(0, 256),
)
EXCERPTS = st.builds(
    Excerpt,
    video_track=st.none() | st.integers(0, 9),
    audio_track=st.none() | st.integers(0, 9),
    start_s=st.integers(0, 10**8).map(lambda ms: ms / 1000),
    duration_s=st.none() | st.integers(1, 10**8).map(lambda ms: ms / 1000),
)


def _parsed(words: tuple[str, ...]) -> FixFlags:
    """What the command `fix` is handed for these words."""
    seen: list[FixFlags] = []
    command = typer.Typer()
    command.command()(takes(FixFlags)(seen.append))  # type: ignore[arg-type]
    typer.main.get_command(command)([*words, "film.mp4"], standalone_mode=False)
    return seen[0]


@settings(deadline=None)
@given(SETTINGS, EXCERPTS)
def test_the_printed_command_asks_for_the_same_judgement(
    wanted: Settings, excerpt: Excerpt
) -> None:
    """Whatever changes the answer survives the way through a command line."""
    words = fix_words(wanted, excerpt)
    flags = _parsed(words[words.index("fix") + 1 :])
    again = Settings(**typed_values(flags, Settings))
    for field in fields(Settings):
        if field.name != "threads":
            assert getattr(again, field.name) == getattr(wanted, field.name), field.name
    assert checked_excerpt(flags) == excerpt


def test_what_is_as_usual_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["pytest"])
    assert fix_words(Settings(threads=3), Excerpt()) == ("avsync", "fix")


@pytest.mark.parametrize(
    ("argv0", "words"),
    [
        ("/x/site-packages/avsync_cli/__main__.py", ("python3.11", "-m", "avsync_cli")),
        ("{bin}/avsync", ("avsync",)),
        ("{other}/avsync", ("{other}/avsync",)),
        ("/usr/bin/notebook", ("avsync",)),
    ],
)
def test_the_program_is_named_as_it_was_called(
    argv0: str, words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {"bin": str(tmp_path / "bin"), "other": str(tmp_path / "other")}
    for place in places.values():
        program = Path(place) / "avsync"
        program.parent.mkdir()
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", places["bin"])
    monkeypatch.setattr(sys, "argv", [argv0.format(**places)])
    monkeypatch.setattr(sys, "orig_argv", ["python3.11", "-m", "avsync_cli"])
    assert program_words() == tuple(word.format(**places) for word in words)


@pytest.mark.parametrize(("name", "group"), [("score", JudgeFlags), ("fix", FixFlags)])
def test_options_are_those_of_the_dataclass_in_its_order(name: str, group: type[Any]) -> None:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    names = [param.name for param in command.params if param.name != "help"]
    assert names == [flag.name for flag in flags_of(group)]


def test_settings_that_were_not_typed_stay_at_their_defaults() -> None:
    flags = _parsed(())
    assert checked_settings("score", flags) == Settings()
    assert checked_excerpt(flags) == Excerpt()
