"""What is done to every file of a batch, wherever it is done."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from avsync_cli.config import Settings
from avsync_cli.errors import AvsyncError, MediaError
from avsync_cli.interrupt import raise_again
from avsync_cli.judging import Excerpt, ProgressCall, analyse_file
from avsync_cli.loading import load_model
from avsync_cli.media.source import Source, Stamp
from avsync_cli.report.machine import Failure
from avsync_cli.verdict.answer import Judgement

if TYPE_CHECKING:
    from avsync_cli.model.engine import Engine


@dataclass(frozen=True)
class Task:
    """How every file is to be judged; small and plain, so that it travels to other processes.

    Attributes:
        settings: as the person asked; `threads` are those of one file.
        excerpt: which tracks and which part.
        verbose: 1 or more logs to stderr, 2 all of it.
        all_audio: judge every sound track, not the one of `excerpt`.
    """

    settings: Settings
    excerpt: Excerpt
    verbose: int = 0
    all_audio: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of one file.

    Attributes:
        results: its judgement, or why there is none; one a sound track where all are judged.
        stamp: of the file as it was judged; None where it could not be seen.
        trace: of a fault of ours, the whole trace; "" for every other outcome.
    """

    results: tuple[Judgement | Failure, ...]
    stamp: Stamp | None = None
    trace: str = ""


class Watcher(Protocol):
    """Hears how a batch goes; files are told by their number in the list, from 0."""

    def started(self, number: int) -> None: ...
    def advanced(self, number: int, done_s: float, total_s: float) -> None: ...
    def ended(self, number: int) -> None: ...


def log_to_stderr(verbose: int) -> None:
    """Show what the program logs: INFO for -v, DEBUG for -vv."""
    if verbose:
        level = logging.DEBUG if verbose >= 2 else logging.INFO
        logging.basicConfig(level=level, stream=sys.stderr, format="%(name)s: %(message)s")


def load_engine(task: Task) -> Engine:
    """The model that `task` names.

    Raises:
        ModelError: it cannot be used.
    """
    return load_model(task.settings.model, task.settings.attention, task.settings.threads)


def judge_file(
    task: Task, engine: Engine, source: Source, progress: ProgressCall | None = None
) -> Outcome:
    """Judge one file; whatever is wrong with it is its outcome.

    Raises:
        AvsyncError: what would meet every other file as well: no ffmpeg, a damaged model.
    """
    stamp = source.stamp()
    try:
        excerpts = _every_track(source, task.excerpt) if task.all_audio else [task.excerpt]
        return Outcome(
            tuple(_judged(task, engine, source, excerpt, progress) for excerpt in excerpts), stamp
        )
    except MediaError as error:
        return Outcome((Failure(source.path, error.message, error.hint),), stamp)
    except (AvsyncError, BrokenPipeError):
        raise
    except Exception as error:
        raise_again()
        # A fault of ours on one file: the others still deserve their answers.
        what = f"internal error: {type(error).__name__}: {error}".rstrip(": ")
        hint = "run again with -vv for the whole trace, and report it"
        trace = "".join(traceback.format_exception(error))
        return Outcome((failure(source, what, hint),), stamp, trace)


def _every_track(source: Source, excerpt: Excerpt) -> list[Excerpt]:
    """The excerpt for every sound track; itself for a file without any, which will tell."""
    from avsync_cli.media.probe import probe

    tracks = probe(source.path).audio
    return [replace(excerpt, audio_track=track.position) for track in tracks] or [excerpt]


def _judged(
    task: Task, engine: Engine, source: Source, excerpt: Excerpt, progress: ProgressCall | None
) -> Judgement | Failure:
    """One answer; where every track has one, what is wrong with one leaves the others theirs.

    Raises:
        MediaError: the file cannot be judged, and it is not for one of its tracks.
    """
    try:
        return analyse_file(source, task.settings, engine, excerpt, progress)
    except MediaError as error:
        if not task.all_audio or excerpt.audio_track is None:
            raise
        message = f"{error.message} (audio track {excerpt.audio_track})"
        return Failure(source.path, message, error.hint)


def failure(source: Source, what: str, hint: str) -> Failure:
    """A failure whose message is one line and names the file."""
    return Failure(source.path, " ".join(f"{source.shown}: {what}".split()), hint)


def one_by_one(
    task: Task, engine: Engine, files: Sequence[Source], watcher: Watcher
) -> Generator[tuple[int, Outcome], None, None]:
    """Judge the files in this process, in order: (number, outcome) for each.

    Raises:
        AvsyncError: what would meet every other file as well.
    """
    for number, source in enumerate(files):
        watcher.started(number)
        outcome = judge_file(task, engine, source, partial(watcher.advanced, number))
        watcher.ended(number)
        yield number, outcome
