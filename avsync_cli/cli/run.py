"""A run of score or offset-scan over its files: judge one after the other, write, count, answer.

A file that cannot be judged becomes an entry among the failures, and the batch goes on.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Generator
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING

from avsync_cli.cli.output import Sink, say, say_error
from avsync_cli.cli.pictures import PictureWriter
from avsync_cli.cli.progress import BatchProgress
from avsync_cli.config import tolerance_profile
from avsync_cli.errors import (
    EXIT_IN_SYNC,
    EXIT_INTERNAL,
    EXIT_OUT_OF_SYNC,
    EXIT_UNDECIDED,
    EXIT_USAGE,
)

if TYPE_CHECKING:
    from avsync_cli.batch.journal import Journal
    from avsync_cli.batch.task import Outcome
    from avsync_cli.cli.judge import Job
    from avsync_cli.model.engine import Engine
    from avsync_cli.report.machine import Failure, Tool
    from avsync_cli.verdict.answer import Judgement


class Run:
    """The state of one run over its files."""

    def __init__(self, job: Job, engine: Engine, sink: Sink) -> None:
        from avsync_cli import __version__
        from avsync_cli.report import machine

        self.job, self.engine, self.sink = job, engine, sink
        self.journal: Journal | None = None
        self.curve = job.command == "offset-scan"
        self.tool: Tool = machine.Tool(__version__, engine.name, engine.backend)
        profile = tolerance_profile(job.settings.tolerance)
        self.tolerance = machine.tolerance_entry(profile.name, profile.early_ms, profile.late_ms)
        self.reports: list[Judgement] = []
        self.failures: list[Failure] = []
        self.counts: Counter[str] = Counter()
        self.internal = False
        self.beside = PictureWriter(
            job.beside, job.excerpt, self.tool, job.command, quiet=job.quiet
        )

    def all(self) -> int:
        """Judge every file, write the answer, and say at the end what could not be judged."""
        from avsync_cli.report import machine

        with self._opened_journal() as self.journal:
            files = self._take_up()
            if self.job.form == "csv":
                self.sink.write(machine.csv_header())
            job = self.job
            with (
                BatchProgress(files, shown=not job.quiet, color=job.color) as progress,
                closing(self._outcomes(files, progress)) as outcomes,
            ):
                for outcome in outcomes:
                    self._count(outcome)
                    progress.tell(self.counts)
                    with progress.hidden():
                        self._write(outcome.result)
                        self._write_beside(outcome.result)
        self.beside.finish()
        if self.job.form == "json":
            document = machine.document(
                self.reports, self.failures, self.tool, self.tolerance, curve=self.curve
            )
            self.sink.write(machine.to_json(document))
        self._summarise()
        return self._exit_code()

    def _opened_journal(self) -> Journal | nullcontext[None]:
        if self.job.resume is None:
            return nullcontext()
        from avsync_cli.batch.journal import Journal

        return Journal(self.job.resume, self.tool, self.tolerance, curve=self.curve)

    def _take_up(self) -> list[str]:
        """The files still to judge; those that the journal holds are counted as it says."""
        if self.journal is None:
            return self.job.files
        held = self.journal.held
        for path in self.job.files:
            if path in held:
                self.counts[held[path].status] += 1
                failure = held[path].failure
                self.failures += [] if failure is None else [failure]
        left = [path for path in self.job.files if path not in held]
        if len(left) < len(self.job.files) and not self.job.quiet:
            say(f"{len(self.job.files) - len(left)} files already in {self.job.resume}")
        return left

    def _outcomes(
        self, files: list[str], progress: BatchProgress
    ) -> Generator[Outcome, None, None]:
        """What becomes of each file: as they finish for JSON lines, else in order of input."""
        from avsync_cli.batch.task import Task, one_by_one

        job = self.job
        task = Task(job.settings, job.excerpt, job.verbose)
        if job.engine == "ray":
            from avsync_cli.batch.on_ray import on_ray

            found = on_ray(task, files, job.jobs or 0, progress)
        elif job.jobs is not None and files:
            from avsync_cli.batch.processes import side_by_side

            found = side_by_side(task, files, min(job.jobs, len(files)), progress)
        else:
            found = one_by_one(task, self.engine, files, progress)
        early: dict[int, Outcome] = {}
        written = 0
        with closing(found):
            for number, outcome in found:
                if job.form == "jsonl":
                    yield outcome
                    continue
                early[number] = outcome
                while written in early:
                    yield early.pop(written)
                    written += 1

    def _count(self, outcome: Outcome) -> None:
        from avsync_cli.report.machine import Failure

        if outcome.trace:  # a fault of ours: the exit code tells
            self.internal = True
            if self.job.verbose >= 2:
                sys.stderr.write(outcome.trace)
        if isinstance(outcome.result, Failure):
            self.failures.append(outcome.result)
            self.counts["error"] += 1
        else:
            self.counts[outcome.result.verdict.status] += 1

    def _write(self, outcome: Judgement | Failure) -> None:
        from avsync_cli.report import machine, terminal

        form = self.job.form
        if form == "jsonl":
            line = machine.json_line(outcome, self.tool, self.tolerance, curve=self.curve)
            self._write_line(line)
        elif form == "csv":
            self.sink.write(machine.csv_row(outcome))
        elif isinstance(outcome, machine.Failure):
            return
        elif form == "json":
            self.reports.append(outcome)
        else:
            alone = len(self.job.files) == 1
            full = not self.job.quiet and (alone or self.job.all_blocks)
            layout = terminal.Layout(self.sink.width, self.sink.unicode, self.job.all_blocks)
            if self.job.quiet:
                self.sink.write_lines([terminal.sentence(outcome)])
            else:
                lines = terminal.render(outcome, layout, table=full, curve=full and self.curve)
                self.sink.write_lines(lines)

    def _write_beside(self, outcome: Judgement | Failure) -> None:
        from avsync_cli.report.machine import Failure

        if isinstance(outcome, Failure):
            self.beside.fail(outcome)
        else:
            self.beside.take(outcome)

    def _write_line(self, line: str) -> None:
        if self.journal is None:
            self.sink.write(line)
            return
        self.journal.append(line)

    def _summarise(self) -> None:
        from avsync_cli.report import terminal

        batch = len(self.job.files) != 1  # none at all is what a small batch leaves some shards
        if batch and not self.job.quiet:
            say(terminal.summary(self.counts) if self.counts else "0 files: none in this part")
        for failure in self.failures:
            say_error(failure.message, failure.hint)

    def _exit_code(self) -> int:
        if self.internal:
            return EXIT_INTERNAL
        if self.beside.failed:  # not what was asked for, whatever the verdicts
            return EXIT_USAGE
        if self.job.exit_zero:
            return EXIT_IN_SYNC
        if self.counts["out_of_sync"]:
            return EXIT_OUT_OF_SYNC
        if self.counts["undecided"] or self.counts["error"]:
            return EXIT_UNDECIDED
        return EXIT_IN_SYNC
