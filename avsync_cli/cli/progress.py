"""Progress on stderr, and only where a person watches it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from avsync_cli.wording import clock

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from avsync_cli.media.source import Source

LABEL_CHARS = 32
"""Of a file's name beside its bar: with the bar it fits 80 columns."""


class _OnTerminal(ExitStack):
    """A bar that is there to the end of a `with` block, if it is wanted and a person watches."""

    def __init__(self, *, shown: bool, color: bool) -> None:
        super().__init__()
        self._bar: Progress | None = None
        if shown and sys.stderr.isatty():
            self._bar = self.enter_context(_bar(color))


class FileProgress(_OnTerminal):
    """A bar for one file, gone when the file is done; does nothing off a terminal.

    Args:
        label: what is worked on, safe to print.
        shown: whether a bar is wanted at all.
        color: whether colours are.
    """

    def __init__(self, label: str, *, shown: bool, color: bool) -> None:
        super().__init__(shown=shown, color=color)
        self._task = None if self._bar is None else self._bar.add_task(label, total=None)

    def __call__(self, done_s: float, total_s: float) -> None:
        """Seconds of the file done, and in all; 0 in all means unknown."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done_s, total=total_s or None)


class BatchProgress(_OnTerminal):
    """Bars for a batch: one for the whole with what was found so far, one for each file that is
    being judged; all gone when done. Does nothing off a terminal. With one file, only its bar.

    Args:
        files: told of by their number in this list.
        shown: whether bars are wanted at all.
        color: whether colours are.
    """

    def __init__(self, files: Sequence[Source], *, shown: bool, color: bool) -> None:
        super().__init__(shown=shown and bool(files), color=color)
        self._files = files
        self._tasks: dict[int, TaskID] = {}
        self._done = 0
        self._whole: TaskID | None = None
        if self._bar is not None and len(files) > 1:
            self._whole = self._bar.add_task(f"0/{len(files)} files", total=len(files))

    def started(self, number: int) -> None:
        """Show a file's bar."""
        if self._bar is not None:
            label = Path(self._files[number].shown).name
            label = label if len(label) <= LABEL_CHARS else f"{label[: LABEL_CHARS - 1]}…"
            self._tasks[number] = self._bar.add_task(label, total=None)

    def advanced(self, number: int, done_s: float, total_s: float) -> None:
        """Seconds of the file done, and in all; 0 in all means unknown."""
        if self._bar is not None and number in self._tasks:
            self._bar.update(self._tasks[number], completed=done_s, total=total_s or None)

    def ended(self, number: int) -> None:
        """Take a file's bar away."""
        self._done += 1
        if self._bar is not None and number in self._tasks:
            self._bar.remove_task(self._tasks.pop(number))
            if self._whole is not None:
                self._bar.advance(self._whole)

    def tell(self, counts: Mapping[str, int]) -> None:
        """Say what was found so far, by status."""
        if self._bar is None or self._whole is None:
            return
        from avsync_cli.report.terminal import summary

        found = summary(dict(counts)).partition(": ")[2]
        total = len(self._files)
        self._bar.update(self._whole, description=f"{self._done}/{total} files: {found}")

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Without the bars, so that an answer can be written where they are."""
        if self._bar is None:
            yield
            return
        self._bar.stop()
        try:
            yield
        finally:
            self._bar.start()


class StageProgress(_OnTerminal):
    """Progress of a long run in stages: a bar on a terminal, else a line now and then.

    Called with (stage, done, total, figures); figures are written beside the bar.
    """

    EVERY_S = 30.0
    """Least time between two lines off a terminal, so that a log of hours stays readable."""

    def __init__(self) -> None:
        super().__init__(shown=True, color=True)
        self._tasks: dict[str, TaskID] = {}
        self._said_at = 0.0
        self._began: dict[str, tuple[float, int]] = {}

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
            sys.stderr.write(f"{words}  {done}/{total}{self._left(stage, done, total)}\n")

    def _left(self, stage: str, done: int, total: int) -> str:
        """How long the rest will take, at the pace so far: ", 1:02:00 left"."""
        now_s = time.monotonic()
        began_s, first = self._began.setdefault(stage, (now_s, done))
        if not first < done < total:
            return ""

        return f", {clock((now_s - began_s) / (done - first) * (total - done))} left"


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
