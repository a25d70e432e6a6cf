"""A run of score or offset-scan over its files: judge one after the other, write, count, answer.

Nothing is decoded before every flag, file name and setting has been checked. A file that cannot be
judged becomes an entry among the failures, and the batch goes on.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from avsync_cli._version import __version__
from avsync_cli.batch.journal import Journal
from avsync_cli.batch.line import Asked, fingerprint
from avsync_cli.batch.task import Outcome, Task, log_to_stderr, one_by_one
from avsync_cli.cli.answer import Answer
from avsync_cli.cli.called import fix_words
from avsync_cli.cli.flags import JudgeFlags
from avsync_cli.cli.job import Job, checked_job
from avsync_cli.cli.output import Sink, say, say_annotations, say_error
from avsync_cli.cli.progress import BatchProgress
from avsync_cli.cli.template import Template
from avsync_cli.cli.watch import landings
from avsync_cli.config import DEFAULTS, Command, tolerance_profile
from avsync_cli.errors import (
    EXIT_IN_SYNC,
    EXIT_INTERNAL,
    EXIT_UNDECIDED,
    EXIT_USAGE,
    exit_code,
    worst,
)
from avsync_cli.loading import load_model, model_digest, prepared
from avsync_cli.media.source import Source, Stamp
from avsync_cli.report import terminal
from avsync_cli.report.beside import FilesBeside
from avsync_cli.report.machine import Failure, Tool, status_of
from avsync_cli.verdict.answer import Judgement

if TYPE_CHECKING:
    from avsync_cli.model.engine import OnnxEngine


def judge(command: Command, flags: JudgeFlags) -> int:
    """Run `score` or `offset-scan` and return the exit code.

    Raises:
        AvsyncError: before any work, for what cannot be used; later only for a missing ffmpeg or
            a damaged model, which no other file would survive either.
    """
    job = checked_job(command, flags)
    log_to_stderr(flags.console.verbose)
    # Where others do the work, the model is loaded only to see that it can be, and its name.
    alone = flags.batch.jobs is None and flags.batch.engine == "local"
    settings = job.settings
    with prepared(settings.threads) if alone else nullcontext():
        engine = load_model(settings.model, settings.attention, settings.threads if alone else 1)
    output = flags.output.output if job.template is None else None
    with Sink(output, machine=job.form != "text", color=job.color) as sink:
        return Run(job, engine, sink).all()


class Run:
    """The state of one run over its files."""

    def __init__(self, job: Job, engine: OnnxEngine, sink: Sink) -> None:
        self.job, self.engine = job, engine
        self.quiet = job.flags.console.quiet
        self.tool = Tool(__version__, engine.name, engine.backend)
        self.asked = Asked(
            model=engine.name,
            tolerance=tolerance_profile(job.settings.tolerance).name,
            command=job.command,
            options=fingerprint(
                job.settings, job.excerpt, model_digest(engine), all_audio=job.flags.all_audio
            ),
        )
        self.answer = Answer(job, self.tool, self.asked.options, sink)
        self.beside = FilesBeside(
            job.beside,
            job.excerpt,
            self.tool,
            job.command,
            films=frozenset(os.path.realpath(film.path) for film in job.files),
            say=(lambda _: None) if self.quiet else say,
            complain=say_error,
        )
        self.failures: list[Failure] = []
        self.counts: Counter[str] = Counter()
        self.internal = False
        self.incomplete = False

    def all(self) -> int:
        """Judge every file, write the answer, and say at the end what could not be judged."""
        batch = self.job.flags.batch
        opened = nullcontext() if batch.resume is None else Journal(batch.resume, self.asked)
        with opened as journal:
            self.answer.journal = journal
            if self.job.template is None:
                self.answer.begin()
            if batch.watch is not None:
                self._watch(batch.watch, journal)
            else:
                self._judge(self._take_up(self.job.files, journal))
        if batch.watch is None:
            self.beside.finish()
        if self.job.template is None:
            self.answer.finish()
        if batch.resume is not None and self.job.flags.output.csv:
            self.answer.write_csv(batch.resume)
        self._summarise()
        return self._exit_code()

    def _judge(self, files: Sequence[Source]) -> None:
        with (
            BatchProgress(files, shown=not self.quiet, color=self.job.color) as progress,
            closing(self._outcomes(files, progress)) as outcomes,
        ):
            for outcome in outcomes:
                self._count(outcome)
                progress.tell(self.counts)
                with progress.hidden():
                    self._tell(outcome)

    def _watch(self, folder: Path, journal: Journal | None) -> None:
        """Judge what lands in a folder until Ctrl-C, which is its end and no interruption: all that
        was judged has been written by then."""
        if not self.quiet:
            say(f"watching {folder}; Ctrl-C ends it")
        try:
            for files in landings(os.fspath(folder), self.job.flags.input.recursive):
                self._judge(self._take_up(files, journal))
                self.beside.finish()
                self._say_failures()
        except KeyboardInterrupt:
            say("no longer watching")

    def _take_up(self, files: Sequence[Source], journal: Journal | None) -> Sequence[Source]:
        """Those still to judge; those that the journal holds are counted as it says."""
        if journal is None:
            return files
        taken = journal.take_up(files)
        for lines in taken.held:
            self.counts[worst([line.status for line in lines])] += 1
            self.incomplete |= any(line.complete is False for line in lines)
            self.failures += [line.failure for line in lines if line.failure is not None]
        if journal.cut_off:
            say(f"warning: {journal.path} ended in the middle of a line, which was cut off")
        if taken.held and not self.quiet:
            say(f"{len(taken.held)} files already in {journal.path}")
        if taken.anew and not self.quiet:
            why = ", ".join(f"{number} {reason}" for reason, number in taken.anew.items())
            count = taken.anew.total()
            say(f"{count} {'file' if count == 1 else 'files'} judged anew: {why}")
        return taken.left

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
        flags, batch = self.job.flags, self.job.flags.batch
        task = Task(self.job.settings, self.job.excerpt, flags.console.verbose, flags.all_audio)
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
        for one in outcome.results:
            if isinstance(one, Failure):
                self.failures.append(one)
            else:
                self.incomplete |= one.evidence.media.complete is False
        self.counts[worst([status_of(one) for one in outcome.results])] += 1

    def _tell(self, outcome: Outcome) -> None:
        results = [
            one if isinstance(one, Failure) else replace(one, fix_words=self._fix_words(one))
            for one in outcome.results
        ]
        if self.job.template is None:
            self.answer.take(results, outcome.stamp)
        else:
            self._write_apart(self.job.template, results, outcome.stamp)
        if self.job.flags.output.github:
            say_annotations(results)
        for one in results:
            if isinstance(one, Failure):
                self.beside.fail(one)
            else:
                self.beside.take(one)

    def _write_apart(
        self, template: Template, results: Sequence[Judgement | Failure], stamp: Stamp | None
    ) -> None:
        place = template.place(results[0].path, worst([status_of(one) for one in results]))
        with Sink(place, machine=self.job.form != "text", color=False) as sink:
            answer = Answer(self.job, self.tool, self.asked.options, sink, apart=True)
            answer.begin()
            answer.take(results, stamp)
            answer.finish()

    def _fix_words(self, judgement: Judgement) -> tuple[str, ...]:
        excerpt = self.job.excerpt
        if self.job.flags.all_audio:
            excerpt = replace(excerpt, audio_track=judgement.evidence.media.audio_track)
        settings = self.job.settings
        if settings.range_ms != DEFAULTS["score"].range_ms:
            # A second look may have been taken, further off.
            settings = replace(settings, range_ms=int(judgement.evidence.offsets_ms[-1]))
        return fix_words(settings, excerpt)

    def _summarise(self) -> None:
        batch = len(self.job.files) != 1  # none at all is what a small batch leaves some shards
        if batch and not self.quiet:
            none = "0 files: none in this part" if self.job.flags.batch.shard else "0 files"
            say(terminal.summary(self.counts) if self.counts else none)
        self._say_failures()

    def _say_failures(self) -> None:
        for failure in self.failures:
            say_error(failure.message, failure.hint)
        self.failures = []

    def _exit_code(self) -> int:
        if self.internal:
            return EXIT_INTERNAL
        if self.beside.failed:  # not what was asked for, whatever the verdicts
            return EXIT_USAGE
        if self.job.flags.batch.exit_zero:
            return EXIT_IN_SYNC
        code = exit_code(self.counts)
        strict = self.incomplete and self.job.flags.batch.strict
        return EXIT_UNDECIDED if code == EXIT_IN_SYNC and strict else code
