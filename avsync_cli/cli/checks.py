"""What was typed, checked: settings, tracks and stretch of every command that judges files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from avsync_cli.cli.flags import JudgeFlags
from avsync_cli.cli.flags_fix import FixFlags
from avsync_cli.cli.layers import load_settings
from avsync_cli.cli.output import say
from avsync_cli.cli.takes import typed_values
from avsync_cli.config import Command, Settings
from avsync_cli.devices import is_special
from avsync_cli.errors import UsageError
from avsync_cli.judging import Excerpt
from avsync_cli.names import MEDIA_SUFFIXES


def checked_settings(command: Command, flags: JudgeFlags | FixFlags) -> Settings:
    """Flags, environment, configuration and defaults of `command` as one.

    Raises:
        UsageError, ConfigError: something cannot be used or does not go together.
    """
    typed = typed_values(flags, Settings)
    return load_settings(command, typed, flags.machine.config, say).checked()


def checked_excerpt(flags: JudgeFlags | FixFlags) -> Excerpt:
    """The tracks and the stretch that are judged.

    Raises:
        UsageError: a time that is none, or nothing is left.
    """
    return Excerpt(**typed_values(flags, Excerpt)).checked()


def check_output(
    flag: str, output: Path | None, files: Iterable[str], *, in_place: bool = False
) -> None:
    """`check_place`, `check_no_input` and `check_no_film`, of what may have been left out."""
    if output is not None:
        check_place(flag, output, in_place=in_place)
        check_no_input(flag, output, files)
        check_no_film(flag, output)


def check_no_film(flag: str, place: Path) -> None:
    """Raise UsageError if what is no film is to be written under a film's name: in `--html *.mp4`
    the shell makes the first film the page's name."""
    if place.suffix.lower() in MEDIA_SUFFIXES:
        raise UsageError(f"{flag} {place} would be no film", "name the file that is to be written")


def check_place(flag: str, path: Path, *, in_place: bool = False) -> None:
    """Raise UsageError unless a file of that name could be written as far as folders go.

    With `in_place` a file that is there is added to; else one beside it takes its place. Devices
    and pipes are written to. "-" is refused, and what begins with it: whoever writes it does not
    mean a file of that name, but standard output or the next flag.
    """
    if str(path) == "-":
        hint = "standard output is /dev/stdout; an answer goes there without any flag"
        raise UsageError(f"{flag} - names no file", hint)
    if str(path).startswith("-"):
        hint = f"name a file behind {flag}; one of such a name by its whole path"
        raise UsageError(f"{flag} was given the flag {path}, no file", hint)
    if path.is_dir():
        raise UsageError(f"{flag} {path} is a folder", "name a file in it")
    if not (is_special(path) or (in_place and path.exists())):
        check_folder(flag, path.parent)


def check_folder(flag: str, folder: Path) -> None:
    """Raise UsageError unless there is such a folder, and files can be written into it."""
    if not folder.absolute().is_dir():
        raise UsageError(f"{flag}: there is no folder {folder}", "make it first")
    if not os.access(folder.absolute(), os.W_OK | os.X_OK):
        raise UsageError(f"{flag}: cannot write into {folder}", "name another folder")


def check_no_input(flag: str, place: Path, files: Iterable[str]) -> None:
    """Raise UsageError if what is to be written is one of the files that are judged."""
    for file in files:
        with contextlib.suppress(OSError):  # one of them does not exist: they are not the same
            if place.samefile(file):
                raise UsageError(f"{flag} {place} would overwrite an input", "name another file")
