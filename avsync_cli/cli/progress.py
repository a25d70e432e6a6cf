"""Progress on stderr, and only where a person watches it."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class FileProgress:
    """A bar for one file, gone when the file is done; does nothing off a terminal.

    Args:
        label: what is worked on, safe to print.
        shown: whether a bar is wanted at all.
        color: whether colours are.
    """

    def __init__(self, label: str, *, shown: bool, color: bool) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._label = label
        if shown and sys.stderr.isatty():
            self._bar = _bar(color)

    def __enter__(self) -> FileProgress:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(self._label, total=None)
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done_s: float, total_s: float) -> None:
        """Seconds of the file done, and in all; 0 in all means unknown."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done_s, total=total_s or None)


def _bar(color: bool) -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(file=sys.stderr, no_color=None if color else True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
