"""What score and offset-scan have in common: check everything, judge file after file, answer.

Nothing is decoded before every flag, file name and setting has been checked. A file that cannot
be judged becomes an entry among the failures, and the batch goes on.
"""

from __future__ import annotations

import sys
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from avsync_cli.api import Excerpt, analyse_file, load_model
from avsync_cli.cli.inputs import expand_inputs
from avsync_cli.cli.output import OutputClosed, Sink, say, say_error
from avsync_cli.cli.progress import FileProgress
from avsync_cli.config import (
    Command,
    Settings,
    check_attention,
    check_range_ms,
    check_step_ms,
    load_settings,
    parse_duration_ms,
    tolerance_profile,
)
from avsync_cli.errors import (
    EXIT_IN_SYNC,
    EXIT_INTERNAL,
    EXIT_OUT_OF_SYNC,
    EXIT_UNDECIDED,
    MediaError,
    UsageError,
)

if TYPE_CHECKING:
    from avsync_cli.inference.engine import Engine
    from avsync_cli.inference.evidence import FileReport
    from avsync_cli.report.machine import Failure, Tool

Form = Literal["text", "json", "jsonl", "csv"]


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
    all_blocks: bool
    quiet: bool
    verbose: int
    no_color: bool
    exit_zero: bool
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
    all_blocks: bool
    quiet: bool
    verbose: int
    color: bool
    exit_zero: bool


def judge(command: Command, flags: Flags) -> int:
    """Run `score` or `offset-scan` and return the exit code.

    Raises:
        AvsyncError: before any work, for what cannot be used; later only for a missing ffmpeg or
            a damaged model, which no other file would survive either.
    """
    job = check(command, flags)
    if job.verbose:
        _log_to_stderr(job.verbose)
    engine = load_model(job.settings.model, job.settings.attention, job.settings.threads)
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
    _check_output(flags.output, files)
    return Job(
        command=command,
        settings=settings,
        excerpt=excerpt,
        files=files,
        form=forms[0] if forms else "text",
        output=flags.output,
        all_blocks=flags.all_blocks,
        quiet=flags.quiet,
        verbose=flags.verbose,
        color=not flags.no_color,
        exit_zero=flags.exit_zero,
    )


class _Run:
    """The state of one run over its files."""

    def __init__(self, job: Job, engine: Engine, sink: Sink) -> None:
        from avsync_cli import __version__
        from avsync_cli.report import machine

        self.job, self.engine, self.sink = job, engine, sink
        self.curve = job.command == "offset-scan"
        self.tool: Tool = machine.Tool(__version__, engine.name, engine.backend)
        profile = tolerance_profile(job.settings.tolerance)
        self.tolerance = machine.tolerance_entry(profile.name, profile.early_ms, profile.late_ms)
        self.reports: list[FileReport] = []
        self.failures: list[Failure] = []
        self.counts: Counter[str] = Counter()
        self.internal = False

    def all(self) -> int:
        """Judge every file, write the answer, and say at the end what could not be judged."""
        from avsync_cli.report import machine

        if self.job.form == "csv":
            self.sink.write(machine.csv_header())
        for number, path in enumerate(self.job.files):
            outcome = self._one(path, number)
            if isinstance(outcome, machine.Failure):
                self.failures.append(outcome)
                self.counts["error"] += 1
            else:
                self.counts[outcome.verdict.status] += 1
            self._write(outcome)
        if self.job.form == "json":
            document = machine.document(
                self.reports, self.failures, self.tool, self.tolerance, curve=self.curve
            )
            self.sink.write(machine.to_json(document))
        self._summarise()
        return self._exit_code()

    def _one(self, path: str, number: int) -> FileReport | Failure:
        from avsync_cli.report.machine import Failure
        from avsync_cli.report.words import safe_text

        job, total = self.job, len(self.job.files)
        label = safe_text(Path(path).name)
        label = f"{number + 1}/{total} {label}" if total > 1 else label
        shown = not job.quiet
        try:
            with FileProgress(label, shown=shown, color=job.color) as progress:
                return analyse_file(path, job.settings, self.engine, job.excerpt, progress)
        except MediaError as error:
            return Failure(path, error.message, error.hint)
        except (OutputClosed, UsageError):
            raise
        except Exception as error:
            if _is_everybodys(error):
                raise
            # A fault of ours on one file: the others still deserve their answers, and the exit
            # code tells.
            self.internal = True
            if job.verbose >= 2:
                sys.stderr.write("".join(traceback.format_exception(error)))
            what = f"internal error: {type(error).__name__}: {error}".rstrip(": ")
            hint = "run again with -vv for the whole trace, and report it"
            return Failure(path, " ".join(f"{safe_text(path)}: {what}".split()), hint)

    def _write(self, outcome: FileReport | Failure) -> None:
        from avsync_cli.report import machine, terminal

        form = self.job.form
        if form == "jsonl":
            line = machine.json_line(outcome, self.tool, self.tolerance, curve=self.curve)
            self.sink.write(line)
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

    def _summarise(self) -> None:
        from avsync_cli.report import terminal

        batch = len(self.job.files) > 1
        if batch and not self.job.quiet:
            say(terminal.summary(self.counts))
        for failure in self.failures:
            say_error(failure.message, failure.hint)

    def _exit_code(self) -> int:
        if self.internal:
            return EXIT_INTERNAL
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


def _is_everybodys(error: Exception) -> bool:
    """Whether `error` would meet every other file as well: no ffmpeg, a damaged model."""
    from avsync_cli.errors import AvsyncError

    return isinstance(error, (AvsyncError, BrokenPipeError))


def _check_output(output: Path | None, files: list[str]) -> None:
    if output is None:
        return
    if output.is_dir():
        raise UsageError(f"--output {output} is a folder", "name a file in it")
    if not output.absolute().parent.is_dir():
        raise UsageError(f"--output: there is no folder {output.parent}", "make it first")
    for file in files:
        try:
            same = output.samefile(file)
        except OSError:  # one of them does not exist, so they are not the same
            continue
        if same:
            raise UsageError(f"--output {output} would overwrite an input", "name another file")


def _log_to_stderr(verbose: int) -> None:
    import logging

    level = logging.DEBUG if verbose >= 2 else logging.INFO
    logging.basicConfig(level=level, stream=sys.stderr, format="%(name)s: %(message)s")
