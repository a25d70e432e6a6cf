"""Progress on stderr, and only where a person watches it."""

from __future__ import annotations

import sys
import time
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


class StageProgress:
    """Progress of a long run in stages: a bar on a terminal, else a line now and then.

    Called with (stage, done, total, figures); figures are written beside the bar.
    """

    EVERY_S = 30.0
    """Least time between two lines off a terminal, so that a log of hours stays readable."""

    def __init__(self, *, color: bool = True) -> None:
        self._bar = _bar(color) if sys.stderr.isatty() else None
        self._tasks: dict[str, TaskID] = {}
        self._said_at = 0.0

    def __enter__(self) -> StageProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, stage: str, done: int, total: int, figures: dict[str, float]) -> None:
        words = " ".join([stage, *(f"{name} {value:.4g}" for name, value in figures.items())])
        if self._bar is not None:
            if stage not in self._tasks:
                self._tasks[stage] = self._bar.add_task(words, total=None)
            self._bar.update(
                self._tasks[stage], completed=done, total=total or None, description=words
            )
        elif time.monotonic() - self._said_at >= self.EVERY_S or done >= total > 0:
            self._said_at = time.monotonic()
            sys.stderr.write(f"{words}  {done}/{total}\n")


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
