"""What was typed, checked: settings, tracks and stretch of every command that judges files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from avsync_cli.config import (
    Command,
    Settings,
    check_attention,
    check_range_ms,
    check_step_ms,
    load_settings,
    parse_duration_ms,
    tolerance_profile,
)
from avsync_cli.errors import UsageError
from avsync_cli.files import is_special
from avsync_cli.judging import Excerpt


class Typed(Protocol):
    """The flags that say how a file is judged, as they were typed; None for those that were not."""

    @property
    def range(self) -> str | None: ...
    @property
    def step(self) -> str | None: ...
    @property
    def tolerance(self) -> str | None: ...
    @property
    def model(self) -> str | None: ...
    @property
    def attention(self) -> str | None: ...
    @property
    def video_track(self) -> int | None: ...
    @property
    def audio_track(self) -> int | None: ...
    @property
    def start(self) -> str | None: ...
    @property
    def duration(self) -> str | None: ...
    @property
    def threads(self) -> int | None: ...
    @property
    def config(self) -> Path | None: ...


def checked_settings(command: Command, flags: Typed) -> Settings:
    """Flags, environment, configuration and defaults of `command` as one.

    Raises:
        UsageError, ConfigError: something cannot be used or does not go together.
    """
    typed = {
        "range_ms": _checked(flags.range, lambda t: check_range_ms(parse_duration_ms(t))),
        "step_ms": _checked(flags.step, lambda t: check_step_ms(parse_duration_ms(t, "ms"))),
        "tolerance": _checked(flags.tolerance, lambda t: (tolerance_profile(t), t)[1]),
        "attention": _checked(flags.attention, check_attention),
        "model": flags.model,
        "threads": flags.threads,
    }
    settings = load_settings(command, typed, flags.config)
    if settings.step_ms > settings.range_ms:
        raise UsageError("the step is wider than the range", "narrow --step or widen --range")
    return settings


def checked_excerpt(flags: Typed) -> Excerpt:
    """The tracks and the stretch that are judged.

    Raises:
        UsageError: a time that is none, or nothing is left.
    """
    excerpt = Excerpt(
        flags.video_track,
        flags.audio_track,
        0.0 if flags.start is None else parse_duration_ms(flags.start) / 1000.0,
        None if flags.duration is None else parse_duration_ms(flags.duration) / 1000.0,
    )
    if excerpt.duration_s == 0.0:
        raise UsageError("a duration of 0 leaves nothing to judge", "leave --duration out")
    return excerpt


def check_place(flag: str, path: Path, *, in_place: bool = False) -> None:
    """Raise UsageError unless a file of that name could be written as far as folders go.

    With `in_place` a file that is there is added to; else one beside it takes its place. Devices
    and pipes are written to.
    """
    if path.is_dir():
        raise UsageError(f"{flag} {path} is a folder", "name a file in it")
    if not (is_special(path) or (in_place and path.exists())):
        check_folder(flag, path.parent)


def check_folder(flag: str, folder: Path) -> None:
    """Raise UsageError unless there is such a folder, and files can be written into it."""
    if not folder.absolute().is_dir():
        raise UsageError(f"{flag}: there is no folder {folder}", "make it first")
    if not os.access(folder.absolute(), os.W_OK | os.X_OK):
        raise UsageError(f"{flag}: cannot write into {folder.absolute()}", "name another folder")


def log_to_stderr(verbose: int) -> None:
    """Show what the program logs: INFO for -v, DEBUG for -vv."""
    if not verbose:
        return
    import logging
    import sys

    level = logging.DEBUG if verbose >= 2 else logging.INFO
    logging.basicConfig(level=level, stream=sys.stderr, format="%(name)s: %(message)s")


def _checked(text: str | None, check: Callable[[str], object]) -> object:
    return None if text is None else check(text)
