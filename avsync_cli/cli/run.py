"""A run of score or offset-scan over its files: judge one after the other, write, count, answer.

A file that cannot be judged becomes an entry among the failures, and the batch goes on.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from avsync_cli._version import __version__
from avsync_cli.cli.answer import Answer
from avsync_cli.cli.called import fix_words
from avsync_cli.cli.job import Job
from avsync_cli.cli.output import Sink, say, say_error
from avsync_cli.cli.progress import BatchProgress
from avsync_cli.errors import (
    EXIT_IN_SYNC,
    EXIT_INTERNAL,
    EXIT_OUT_OF_SYNC,
    EXIT_UNDECIDED,
    EXIT_USAGE,
)
from avsync_cli.media.source import Source
from avsync_cli.report import terminal
from avsync_cli.report.beside import FilesBeside
from avsync_cli.report.machine import Failure, Tool

if TYPE_CHECKING:
    from avsync_cli.batch.journal import Journal
    from avsync_cli.batch.task import Outcome
    from avsync_cli.model.engine import Engine
    from avsync_cli.verdict.answer import Judgement


class Run:
    """The state of one run over its files."""

    def __init__(self, job: Job, engine: Engine, sink: Sink) -> None:
        self.job, self.engine = job, engine
        self.quiet = job.flags.console.quiet
        self.tool = Tool(__version__, engine.name, engine.backend)
        self.fix_words = fix_words(job.settings, job.excerpt)
        self.answer = Answer(job, self.tool, sink)
        self.beside = FilesBeside(
            job.beside,
            job.excerpt,
            self.tool,
            job.command,
            say=(lambda _: None) if self.quiet else say,
            complain=say_error,
        )
        self.failures: list[Failure] = []
        self.counts: Counter[str] = Counter()
        self.internal = False

    def all(self) -> int:
        """Judge every file, write the answer, and say at the end what could not be judged."""
        with self._opened_journal() as journal:
            self.answer.journal = journal
            files = self._take_up(journal)
            self.answer.begin()
            with (
                BatchProgress(files, shown=not self.quiet, color=self.job.color) as progress,
                closing(self._outcomes(files, progress)) as outcomes,
            ):
                for outcome in outcomes:
                    self._count(outcome)
                    progress.tell(self.counts)
                    with progress.hidden():
                        self._tell(outcome.result)
        self.beside.finish()
        self.answer.finish()
        self._summarise()
        return self._exit_code()

    def _opened_journal(self) -> Journal | nullcontext[None]:
        path = self.job.flags.batch.resume
        if path is None:
            return nullcontext()
        from avsync_cli.batch.journal import Journal

        return Journal(path, self.tool, self.answer.tolerance, curve=self.answer.curve)

    def _take_up(self, journal: Journal | None) -> Sequence[Source]:
        """The files still to judge; those that the journal holds are counted as it says."""
        files = self.job.files
        if journal is None:
            return files
        left = []
        for source in files:
            held = journal.held.get(source.path)
            if held is None:
                left.append(source)
                continue
            self.counts[held.status] += 1
            self.failures += [] if held.failure is None else [held.failure]
        if len(left) < len(files) and not self.quiet:
            say(f"{len(files) - len(left)} files already in {journal.path}")
        return left

    def _outcomes(
        self, files: Sequence[Source], progress: BatchProgress
    ) -> Generator[Outcome, None, None]:
        """What becomes of each file: as they finish for JSON lines, else in order of input."""
        early: dict[int, Outcome] = {}
        written = 0
        with closing(self._found(files, progress)) as found:
            for number, outcome in found:
                if self.job.form == "jsonl":
                    yield outcome
                    continue
                early[number] = outcome
                while written in early:
                    yield early.pop(written)
                    written += 1

    def _found(
        self, files: Sequence[Source], progress: BatchProgress
    ) -> Generator[tuple[int, Outcome], None, None]:
        from avsync_cli.batch.task import Task, one_by_one

        batch = self.job.flags.batch
        task = Task(self.job.settings, self.job.excerpt, self.job.flags.console.verbose)
        if batch.engine == "ray":
            from avsync_cli.batch.on_ray import on_ray

            return on_ray(task, files, batch.jobs or 0, progress)
        if batch.jobs is not None and files:
            from avsync_cli.batch.processes import side_by_side

            return side_by_side(task, files, min(batch.jobs, len(files)), progress)
        return one_by_one(task, self.engine, files, progress)

    def _count(self, outcome: Outcome) -> None:
        if outcome.trace:  # a fault of ours: the exit code tells
            self.internal = True
            if self.job.flags.console.verbose >= 2:
                sys.stderr.write(outcome.trace)
        if isinstance(outcome.result, Failure):
            self.failures.append(outcome.result)
            self.counts["error"] += 1
        else:
            self.counts[outcome.result.verdict.status] += 1

    def _tell(self, outcome: Judgement | Failure) -> None:
        if isinstance(outcome, Failure):
            self.answer.take(outcome)
            self.beside.fail(outcome)
        else:
            judgement = replace(outcome, fix_words=self.fix_words)
            self.answer.take(judgement)
            self.beside.take(judgement)

    def _summarise(self) -> None:
        batch = len(self.job.files) != 1  # none at all is what a small batch leaves some shards
        if batch and not self.quiet:
            say(terminal.summary(self.counts) if self.counts else "0 files: none in this part")
        for failure in self.failures:
            say_error(failure.message, failure.hint)

    def _exit_code(self) -> int:
        if self.internal:
            return EXIT_INTERNAL
        if self.beside.failed:  # not what was asked for, whatever the verdicts
            return EXIT_USAGE
        if self.job.flags.batch.exit_zero:
            return EXIT_IN_SYNC
        if self.counts["out_of_sync"]:
            return EXIT_OUT_OF_SYNC
        if self.counts["undecided"] or self.counts["error"]:
            return EXIT_UNDECIDED
        return EXIT_IN_SYNC
