"""What score and offset-scan have in common: check everything, judge file after file, answer.

Nothing is decoded before every flag, file name and setting has been checked. A file that cannot
be judged becomes an entry among the failures, and the batch goes on.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from avsync_cli.api import Excerpt, load_model
from avsync_cli.cli.inputs import expand_inputs, take_shard
from avsync_cli.cli.output import OutputClosed, Sink, say, say_error
from avsync_cli.cli.pictures import PictureWriter, Wanted, check_wanted
from avsync_cli.cli.progress import BatchProgress
from avsync_cli.config import (
    Command,
    Settings,
    check_attention,
    check_range_ms,
    check_step_ms,
    load_settings,
    parse_duration_ms,
    suggestion,
    tolerance_profile,
)
from avsync_cli.errors import (
    EXIT_IN_SYNC,
    EXIT_INTERNAL,
    EXIT_OUT_OF_SYNC,
    EXIT_UNDECIDED,
    EXIT_USAGE,
    UsageError,
)

if TYPE_CHECKING:
    from avsync_cli.batch.journal import Journal
    from avsync_cli.batch.task import Outcome
    from avsync_cli.inference.engine import Engine
    from avsync_cli.inference.evidence import FileReport
    from avsync_cli.report.machine import Failure, Tool

Form = Literal["text", "json", "jsonl", "csv"]

ENGINES = ("local", "ray")


@dataclass(frozen=True)
class Flags:
    """Everything typed after `score` or `offset-scan`, not yet checked."""

    files: list[str]
    recursive: bool
    files_from: str | None
    range: str | None
    step: str | None
    tolerance: str | None
    model: str | None
    attention: str | None
    video_track: int | None
    audio_track: int | None
    start: str | None
    duration: str | None
    json: bool
    jsonl: bool
    csv: bool
    output: Path | None
    beside: Wanted
    all_blocks: bool
    quiet: bool
    verbose: int
    no_color: bool
    exit_zero: bool
    jobs: int | None
    resume: Path | None
    shard: str | None
    engine: str
    threads: int | None
    config: Path | None


@dataclass(frozen=True)
class Job:
    """A run whose flags and settings have been found usable."""

    command: Command
    settings: Settings
    excerpt: Excerpt
    files: list[str]
    form: Form
    output: Path | None
    beside: Wanted
    all_blocks: bool
    quiet: bool
    verbose: int
    color: bool
    exit_zero: bool
    jobs: int | None
    resume: Path | None
    engine: str


def judge(command: Command, flags: Flags) -> int:
    """Run `score` or `offset-scan` and return the exit code.

    Raises:
        AvsyncError: before any work, for what cannot be used; later only for a missing ffmpeg or
            a damaged model, which no other file would survive either.
    """
    job = check(command, flags)
    if job.verbose:
        _log_to_stderr(job.verbose)
    # Where others do the work, the model is loaded only to see that it can be, and its name.
    threads = job.settings.threads if job.jobs is None and job.engine == "local" else 1
    engine = load_model(job.settings.model, job.settings.attention, threads)
    with Sink(job.output, machine=job.form != "text", color=job.color) as sink:
        try:
            return _Run(job, engine, sink).all()
        except OutputClosed:
            raise BrokenPipeError from None


def check(command: Command, flags: Flags) -> Job:
    """The job that `flags` describe.

    Raises:
        UsageError, ConfigError: something cannot be used or does not go together.
    """
    forms: list[Form] = [form for form, on in _forms(flags) if on]
    if len(forms) > 1:
        raise UsageError(f"--{forms[0]} and --{forms[1]} exclude each other", "choose one")
    _check_batch(flags, forms)
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
    excerpt = Excerpt(
        flags.video_track,
        flags.audio_track,
        0.0 if flags.start is None else parse_duration_ms(flags.start) / 1000.0,
        None if flags.duration is None else parse_duration_ms(flags.duration) / 1000.0,
    )
    if excerpt.duration_s == 0.0:
        raise UsageError("a duration of 0 leaves nothing to judge", "leave --duration out")
    files = expand_inputs(flags.files, flags.files_from, flags.recursive)
    if flags.shard is not None:
        files = take_shard(files, flags.shard)
    _check_output("--output", flags.output, files)
    _check_output("--resume", flags.resume, files)
    check_wanted(flags.beside, flags.output, files)
    return Job(
        command=command,
        settings=settings,
        excerpt=excerpt,
        files=files,
        form="jsonl" if flags.resume else forms[0] if forms else "text",
        output=flags.output,
        beside=flags.beside,
        all_blocks=flags.all_blocks,
        quiet=flags.quiet,
        verbose=flags.verbose,
        color=not flags.no_color,
        exit_zero=flags.exit_zero,
        jobs=flags.jobs,
        resume=flags.resume,
        engine=flags.engine,
    )


class _Run:
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
        self.reports: list[FileReport] = []
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

    def _write(self, outcome: FileReport | Failure) -> None:
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

    def _write_beside(self, outcome: FileReport | Failure) -> None:
        from avsync_cli.report.machine import Failure

        if isinstance(outcome, Failure):
            self.beside.fail(outcome)
        else:
            self.beside.take(outcome)

    def _write_line(self, line: str) -> None:
        if self.journal is None:
            self.sink.write(line)
            return
        try:
            self.journal.append(line)
        except OSError as error:
            what = f"cannot write {self.job.resume}: {error.strerror or error}"
            raise UsageError(what, "make room, and run the same command again") from None

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


def _forms(flags: Flags) -> list[tuple[Form, bool]]:
    return [("json", flags.json), ("jsonl", flags.jsonl), ("csv", flags.csv)]


def _checked(text: str | None, check: Callable[[str], object]) -> object:
    return None if text is None else check(text)


def _check_batch(flags: Flags, forms: list[Form]) -> None:
    if flags.engine not in ENGINES:
        hint = suggestion(flags.engine, ENGINES) or f"use one of {', '.join(ENGINES)}"
        raise UsageError(f"unknown engine {flags.engine!r}", hint)
    other = "--output" if flags.output else next((f"--{f}" for f in forms if f != "jsonl"), "")
    if flags.resume is not None and other:
        hint = "--resume writes JSON lines to its own file"
        raise UsageError(f"--resume and {other} exclude each other", hint)
    if flags.resume is not None and flags.beside.html is not None:
        hint = "a page cannot show what an earlier run judged"
        raise UsageError("--resume and --html exclude each other", hint)


def _check_output(flag: str, output: Path | None, files: list[str]) -> None:
    if output is None:
        return
    if output.is_dir():
        raise UsageError(f"{flag} {output} is a folder", "name a file in it")
    if not output.absolute().parent.is_dir():
        raise UsageError(f"{flag}: there is no folder {output.parent}", "make it first")
    for file in files:
        try:
            same = output.samefile(file)
        except OSError:  # one of them does not exist, so they are not the same
            continue
        if same:
            raise UsageError(f"{flag} {output} would overwrite an input", "name another file")


def _log_to_stderr(verbose: int) -> None:
    import logging

    level = logging.DEBUG if verbose >= 2 else logging.INFO
    logging.basicConfig(level=level, stream=sys.stderr, format="%(name)s: %(message)s")
