"""Where the answer and the messages go: stdout or a file written whole, and stderr."""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from avsync_cli.files import open_whole
from avsync_cli.wording import safe_text

if TYPE_CHECKING:
    from rich.text import Text

    from avsync_cli.report.machine import Failure
    from avsync_cli.verdict.answer import Judgement

_PLAIN_WIDTH = 80
"""Columns of a table that goes to a file or a pipe."""


class Sink(contextlib.ExitStack):
    """The answer's way out; a context manager.

    With a path, everything goes to a neighbour of it that takes its place when the block ends
    without an exception: a reader sees the old file or the whole new one.

    Args:
        path: `--output`, or None for stdout.
        machine: whether scripts read it: UTF-8 then, with the bytes of undecodable names.
        color: whether colours are wanted at all; a terminal gets them, a pipe or file does not.
    """

    def __init__(self, path: Path | None, *, machine: bool, color: bool) -> None:
        super().__init__()
        self._path = path
        errors = "surrogateescape" if machine else "backslashreplace"
        if path is None:
            self._stream: TextIO = sys.stdout
            if isinstance(sys.stdout, io.TextIOWrapper):
                sys.stdout.reconfigure(encoding="utf-8" if machine else None, errors=errors)
        else:
            raw = self.enter_context(open_whole(path))
            self._stream = io.TextIOWrapper(raw, encoding="utf-8", errors=errors)
        self._color = color
        self.width = _PLAIN_WIDTH
        if path is None and self._stream.isatty():
            # Falls back to 80 where a terminal does not know its own width.
            self.width = max(40, shutil.get_terminal_size((_PLAIN_WIDTH, 24)).columns)
        self.unicode = _can_show(self._stream, "▁█│┼▲±–")

    def write(self, text: str) -> None:
        """Write `text` as it is, at once.

        Raises:
            OutputClosed: nobody reads stdout any more.
            WriteError: it cannot be written, as on a full disk.
        """
        self._stream.write(text)
        self._stream.flush()

    def write_lines(self, lines: Iterable[Text]) -> None:
        """Write styled lines, each on a line of its own however long.

        Raises:
            OutputClosed: nobody reads stdout any more.
        """
        from rich.console import Console

        buffer = io.StringIO()
        terminal = self._path is None and self._stream.isatty()
        console = Console(
            file=buffer,
            force_terminal=terminal,
            no_color=None if self._color else True,
            width=self.width,
            markup=False,
            highlight=False,
            emoji=False,
        )
        for line in lines:
            console.print(line, soft_wrap=True)
        self.write(buffer.getvalue())


def _can_show(stream: TextIO, characters: str) -> bool:
    try:
        characters.encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def say(text: str) -> None:
    """One line to stderr, made safe for a terminal."""
    sys.stderr.write(f"{safe_text(text)}\n")


def say_annotations(outcomes: Iterable[Judgement | Failure]) -> None:
    """Annotations for GitHub Actions, a line for each file that is not in sync."""
    from avsync_cli.report.annotations import annotation

    for line in filter(None, map(annotation, outcomes)):
        say(line)


def say_error(message: str, hint: str) -> None:
    """An error and what to do about it, a line each."""
    say(f"error: {message}")
    if hint:
        say(f"hint: {hint}")


def say_internal(error: Exception, trace: bool) -> None:
    """An error nobody foresaw: one line, or the whole trace."""
    if trace:
        sys.stderr.write("".join(traceback.format_exception(error)))
    first = (str(error).strip().splitlines() or [""])[0]
    detail = f": {first}" if first else ""
    hint = "" if trace else "run again with -vv for the whole trace, and report it"
    say_error(f"internal error: {type(error).__name__}{detail}", hint)
