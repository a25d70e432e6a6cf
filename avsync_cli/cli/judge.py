"""What score and offset-scan have in common: everything that was typed is checked, then they run.

Nothing is decoded before every flag, file name and setting has been checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from avsync_cli.cli.checks import check_place, checked_excerpt, checked_settings, log_to_stderr
from avsync_cli.cli.inputs import expand_inputs, take_shard
from avsync_cli.cli.output import OutputClosed, Sink
from avsync_cli.cli.pictures import Wanted, check_wanted
from avsync_cli.cli.run import Run
from avsync_cli.config import Command, Settings, suggestion
from avsync_cli.errors import UsageError
from avsync_cli.judging import Excerpt, load_model

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
    log_to_stderr(job.verbose)
    # Where others do the work, the model is loaded only to see that it can be, and its name.
    threads = job.settings.threads if job.jobs is None and job.engine == "local" else 1
    engine = load_model(job.settings.model, job.settings.attention, threads)
    with Sink(job.output, machine=job.form != "text", color=job.color) as sink:
        try:
            return Run(job, engine, sink).all()
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
    settings = checked_settings(command, flags)
    excerpt = checked_excerpt(flags)
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


def _forms(flags: Flags) -> list[tuple[Form, bool]]:
    return [("json", flags.json), ("jsonl", flags.jsonl), ("csv", flags.csv)]


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
    check_place(flag, output, in_place=flag == "--resume")
    for file in files:
        try:
            same = output.samefile(file)
        except OSError:  # one of them does not exist, so they are not the same
            continue
        if same:
            raise UsageError(f"{flag} {output} would overwrite an input", "name another file")
