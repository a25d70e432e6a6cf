"""A run of score or offset-scan whose flags, file names and settings have been found usable."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from avsync_cli.cli.beside import check_wanted
from avsync_cli.cli.checks import check_output, checked_excerpt, checked_settings
from avsync_cli.cli.flags import JudgeFlags
from avsync_cli.cli.inputs import expand_inputs, take_shard
from avsync_cli.cli.template import Template, is_template
from avsync_cli.config import Command, Settings, suggestion
from avsync_cli.errors import UsageError
from avsync_cli.judging import Excerpt
from avsync_cli.media.source import Source
from avsync_cli.report.beside import Wanted

Form = Literal["text", "json", "jsonl", "csv"]

ENGINES = ("local", "ray")


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be done.

    Attributes:
        command: which of the two.
        flags: as they were typed.
        settings, excerpt: how files are judged.
        files: what is judged, in order.
        form: of the answer.
        beside: files to write beside the answer.
        template: names of the answers, where every film has a file of its own.
    """

    command: Command
    flags: JudgeFlags
    settings: Settings
    excerpt: Excerpt
    files: tuple[Source, ...]
    form: Form
    beside: Wanted
    template: Template | None = None

    @property
    def color(self) -> bool:
        """Whether colours are wanted."""
        return not self.flags.console.no_color


def checked_job(command: Command, flags: JudgeFlags) -> Job:
    """The job that `flags` describe.

    Raises:
        UsageError, ConfigError: something cannot be used or does not go together.
    """
    form = _form(flags)
    _check_tracks(flags)
    typed, output, batch = flags.input, flags.output, flags.batch
    if batch.watch is not None:
        _check_watch(batch.watch, flags)
    settings, excerpt = checked_settings(command, flags), checked_excerpt(flags)
    _check_quick(flags, settings)
    files: list[str] = []
    if batch.watch is None:
        files = expand_inputs(typed.files or [], typed.files_from, typed.recursive)
    if batch.shard is not None:
        files = take_shard(files, batch.shard)
    template = None
    if output.output is not None and is_template(output.output):
        template = Template(output.output, files)
    else:
        check_output("--output", output.output, files)
    check_output("--resume", batch.resume, files, in_place=True)
    asked = {**vars(output), **vars(flags.people)}
    beside = Wanted(**{field.name: asked[field.name] for field in fields(Wanted)})
    place = None if template else output.output
    several = batch.watch is not None or len(files) > 1
    check_wanted(beside, place, files, journal=batch.resume, several=several)
    return Job(
        command=command,
        flags=flags,
        settings=settings,
        excerpt=excerpt,
        files=tuple(map(Source.of, files)),
        form=form,
        beside=beside,
        template=template,
    )


def _form(flags: JudgeFlags) -> Form:
    """The one form of answer that was asked for, and that goes with the other flags."""
    output, batch = flags.output, flags.batch
    asked: dict[Form, bool] = {"json": output.json, "jsonl": output.jsonl, "csv": output.csv}
    forms = [form for form, on in asked.items() if on]
    if len(forms) > 1:
        raise UsageError(f"--{forms[0]} and --{forms[1]} exclude each other", "choose one")
    if output.pieces and not output.csv:
        raise UsageError("--pieces is for --csv", "add --csv; JSON has them as `segments` anyway")
    if flags.people.align and flags.people.crops is None:
        raise UsageError("--align is for --crops", "name a folder with --crops")
    if batch.engine not in ENGINES:
        hint = suggestion(batch.engine, ENGINES) or f"use one of {', '.join(ENGINES)}"
        raise UsageError(f"unknown engine {batch.engine!r}", hint)
    if batch.resume is None:
        return forms[0] if forms else "text"
    with_csv = output.csv and not is_template(output.output)
    lines = "--resume writes JSON lines to its own file; beside them there can be --csv"
    page = "make the page of it afterwards: avsync report JOURNAL --html FILE"
    faces = "an earlier run's faces would be missing; the lines hold them as `tracks`"
    others = (
        ("--json", output.json, lines),
        ("--output", output.output and not with_csv, lines),
        ("--html", output.html, page),
        ("--tracks", flags.people.tracks, faces),
        ("--crops", flags.people.crops, faces),
    )
    for flag, given, hint in others:
        if given:
            raise UsageError(f"--resume and {flag} exclude each other", hint)
    return "jsonl"


def _check_watch(folder: Path, flags: JudgeFlags) -> None:
    """Refuse what has no end, or would judge what is written."""
    output = flags.output
    if not folder.is_dir():
        raise UsageError(f"--watch: there is no folder {folder}", "make it first")
    others = {
        "files": flags.input.files,
        "--files-from": flags.input.files_from,
        "--shard": flags.batch.shard,
        "--json": output.json,
        "--output": output.output and not is_template(output.output),
        "--resume with --csv": flags.batch.resume and output.csv,
        "--tracks": flags.people.tracks,
        "--crops": flags.people.crops,
        "--html with a file": output.html and not output.html.is_dir(),
    }
    for name, given in others.items():
        if given:
            hint = "watching does not end: use --resume FILE, --html DIR or -o '{stem}.json'"
            raise UsageError(f"--watch and {name} exclude each other", hint)
    drawn = output.overlay
    if drawn is not None and drawn.resolve().is_relative_to(folder.resolve()):
        raise UsageError("--overlay lies in the folder that is watched", "name one beside it")


def _check_quick(flags: JudgeFlags, settings: Settings) -> None:
    """Refuse flags that nothing heeds. As settings both may lie there for when they are wanted."""
    for flag, typed in (("--most", flags.quick.most), ("--until", flags.quick.until)):
        if typed is not None and not settings.quick:
            raise UsageError(f"{flag} is for --quick", "add --quick")


def _check_tracks(flags: JudgeFlags) -> None:
    if not flags.all_audio:
        return
    if flags.media.audio_track is not None:
        raise UsageError("--all-audio and --audio-track exclude each other", "choose one")
    asked = {**vars(flags.output), **vars(flags.people)}
    for flag in ("html", "plot", "overlay", "markers", "tracks", "boxes", "crops"):
        if asked[flag] is not None:
            hint = "choose the track with --audio-track"
            raise UsageError(f"--all-audio and --{flag} exclude each other", hint)
