"""The flags of score, offset-scan and in part fix: each defined here and nowhere else (`takes`)."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from avsync_cli.cli.flags_people import PeopleFlags
from avsync_cli.cli.flags_quick import QuickFlags
from avsync_cli.cli.takes import Sets
from avsync_cli.cli.values import (
    duration_ms,
    number,
    seconds,
    share,
    switch,
    text,
    tolerance_text,
    whole,
)
from avsync_cli.config import (
    ATTENTIONS,
    TOLERANCES,
    Settings,
    check_attention,
    check_confidence,
    check_range_ms,
    check_step_ms,
    check_threads,
)
from avsync_cli.judging import Excerpt

_what = partial(typer.Option, rich_help_panel="What to look for", show_default=False)
_where = partial(typer.Option, rich_help_panel="Which part of the file")
_input = partial(typer.Option, rich_help_panel="Input")
_out = partial(typer.Option, rich_help_panel="Output")
_beside = partial(typer.Option, rich_help_panel="Files beside the answer")
_many = partial(typer.Option, rich_help_panel="Many files")


@dataclass(frozen=True, kw_only=True)
class InputFlags:
    """Which files."""

    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE|FOLDER|GLOB...",
            help="Files, folders with media files in them, or quoted globs.",
            show_default=False,
        ),
    ] = None
    recursive: Annotated[bool, _input("--recursive", "-r", help="Descend into folders.")] = False
    files_from: Annotated[
        str | None,
        _input(
            "--files-from",
            metavar="FILE|-",
            help="Read names from a file or stdin, one a line or NUL-separated.",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ScanFlags:
    """What is looked for, and by which model."""

    range: Annotated[
        str | None,
        _what(
            "--range",
            metavar="TIME",
            help="Try offsets from -TIME to +TIME: 2s, 500ms or plain seconds.",
        ),
        Sets(
            owner=Settings,
            field="range_ms",
            parse=duration_ms("s", check_range_ms),
            shown=lambda ms: f"{ms / 1000:g}s",
        ),
    ] = None
    step: Annotated[
        str | None,
        _what(
            "--step",
            metavar="MS",
            help="Distance between two offsets, a multiple of 10 ms.  \\[default: 10]",
        ),
        Sets(owner=Settings, field="step_ms", parse=duration_ms("ms", check_step_ms)),
    ] = None
    tolerance: Annotated[
        str | None,
        _what(
            "--tolerance",
            metavar="NAME|EARLY:LATE",
            help="What counts as in sync: itu, itu-accept, ebu, atsc, film, frame, or 40:60 for "
            "40 ms early to 60 ms late.  \\[default: itu]",
            autocompletion=lambda: list(TOLERANCES),
        ),
        Sets(owner=Settings, field="tolerance", parse=tolerance_text),
    ] = None
    min_confidence: Annotated[
        str | None,
        _what(
            "--min-confidence",
            metavar="P",
            help="How sure an answer must be, 0.5 to 0.999.  \\[default: the model's own, 0.8]",
        ),
        Sets(
            owner=Settings,
            field="min_confidence",
            parse=share(check_confidence),
            shown="{:.9g}".format,
        ),
    ] = None
    model: Annotated[
        str | None,
        _what(
            "--model",
            metavar="NAME|DIR",
            help="A bundled model, or a folder written by export.  \\[default: default]",
        ),
        Sets(owner=Settings, field="model", parse=text),
    ] = None
    attention: Annotated[
        str | None,
        _what(
            "--attention",
            metavar="KIND",
            help="The model's variant: none, temporal or spatio-temporal.",
            autocompletion=lambda: list(ATTENTIONS),
        ),
        Sets(owner=Settings, field="attention", parse=lambda value: check_attention(text(value))),
    ] = None


@dataclass(frozen=True, kw_only=True)
class MediaFlags:
    """Which tracks and which part of a file."""

    video_track: Annotated[
        int | None,
        _where("--video-track", min=0, metavar="N", help="From 0."),
        Sets(owner=Excerpt, field="video_track", parse=number),
    ] = None
    audio_track: Annotated[
        int | None,
        _where("--audio-track", min=0, metavar="N", help="From 0."),
        Sets(owner=Excerpt, field="audio_track", parse=number),
    ] = None
    start: Annotated[
        str | None,
        _where("--start", metavar="TIME", help="Begin here: 90s, 1:30."),
        Sets(owner=Excerpt, field="start_s", parse=seconds, shown=lambda s: f"{s:.10g}s"),
    ] = None
    duration: Annotated[
        str | None,
        _where("--duration", metavar="TIME", help="Judge this much."),
        Sets(owner=Excerpt, field="duration_s", parse=seconds, shown=lambda s: f"{s:.10g}s"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class OutputFlags:
    """The form of the answer, and where it goes."""

    json: Annotated[bool, _out("--json", help="One JSON document.")] = False
    jsonl: Annotated[bool, _out("--jsonl", help="A line of JSON a file, as it finishes.")] = False
    csv: Annotated[bool, _out("--csv", help="A line of CSV a file, as it finishes.")] = False
    pieces: Annotated[
        bool, _out("--pieces", help="With --csv: a line for every piece with a lag of its own.")
    ] = False
    output: Annotated[
        Path | None,
        _out(
            "--output",
            "-o",
            metavar="FILE",
            help="Write the answer to FILE, whole or not at all; with {stem} and {status} in its "
            "name, a file for each film.",
        ),
    ] = None
    github: Annotated[
        bool, _out("--github", help="Also annotate for GitHub Actions, on stderr.")
    ] = False
    html: Annotated[
        Path | None,
        _beside(
            "--html",
            metavar="FILE|DIR",
            help="Also write a page with figures and stills, complete in itself; into a folder one "
            "for each film, and an overview.",
        ),
    ] = None
    plot: Annotated[
        Path | None,
        _beside("--plot", metavar="FILE|DIR", help="Also draw the offset curve: .png or .svg."),
    ] = None
    overlay: Annotated[
        Path | None,
        _beside(
            "--overlay",
            metavar="FILE|DIR",
            help="Also write the film with attention drawn on it: .mp4, .mov or .mkv.",
        ),
    ] = None
    markers: Annotated[
        Path | None,
        _beside(
            "--markers",
            metavar="FILE|DIR",
            help="Also list out-of-sync stretches for an editing program: .csv, .edl, .otio "
            "or .fcpxml.",
        ),
    ] = None
    blocks: Annotated[
        bool,
        _out("--blocks", help="Show all pieces and blocks, not those that decide; in batches too."),
    ] = False


@dataclass(frozen=True, kw_only=True)
class ConsoleFlags:
    """How much is said, and how."""

    quiet: Annotated[
        bool, _out("--quiet", "-q", help="Only the verdicts: no table, no progress.")
    ] = False
    verbose: Annotated[
        int,
        _out(
            "--verbose",
            "-v",
            count=True,
            show_default=False,
            metavar="",
            help="Say what each stage did and took; -vv shows full traces.",
        ),
    ] = 0
    no_color: Annotated[
        bool,
        _out("--no-color", help="No colours; NO_COLOR does the same."),
    ] = False


@dataclass(frozen=True, kw_only=True)
class BatchFlags:
    """How many files are judged."""

    exit_zero: Annotated[
        bool,
        _out("--exit-zero", help="Exit with 0 whatever the verdicts."),
    ] = False
    strict: Annotated[
        bool,
        _out("--strict", help="Exit with 3 for a file that ends before its declared end."),
    ] = False
    jobs: Annotated[
        int | None,
        _many(
            "--jobs",
            "-j",
            min=1,
            max=256,
            metavar="N",
            help="Judge N files at a time, each in a process of its own.",
        ),
    ] = None
    resume: Annotated[
        Path | None,
        _many(
            "--resume",
            metavar="FILE",
            help="Add JSON lines to FILE, and skip files it already holds.",
        ),
    ] = None
    shard: Annotated[
        str | None,
        _many(
            "--shard",
            metavar="I/N",
            help="Judge the I-th of N equal parts of the files, from 1/N to N/N.",
        ),
    ] = None
    watch: Annotated[
        Path | None,
        _many(
            "--watch",
            metavar="DIR",
            help="Judge the files of DIR, and others as they land there, until Ctrl-C.",
        ),
    ] = None
    engine: Annotated[
        str,
        _many(
            "--engine",
            metavar="local|ray",
            help="Where: on this machine, or on a Ray cluster.",
            autocompletion=lambda: ["local", "ray"],
        ),
    ] = "local"


@dataclass(frozen=True, kw_only=True)
class MachineFlags:
    """What of this machine is used."""

    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            min=0,
            metavar="N",
            help="Threads for each file; 0 shares all cores.  \\[default: 0]",
        ),
        Sets(owner=Settings, field="threads", parse=whole(check_threads), decides=False),
    ] = None
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="Settings in TOML; see docs/config.md."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class JudgeFlags:
    """Everything typed after `score` or `offset-scan`."""

    scan: ScanFlags
    media: MediaFlags
    quick: QuickFlags
    slate: Annotated[
        bool | None,
        _what("--slate", help="Find the clap at the head: its frame, its sample, its lag."),
        Sets(owner=Settings, field="slate", parse=switch, shown=lambda on: ""),
    ] = None
    all_audio: Annotated[
        bool, _where("--all-audio", help="Judge every audio track, each with its own answer.")
    ] = False
    input: InputFlags
    output: OutputFlags
    people: PeopleFlags
    console: ConsoleFlags
    batch: BatchFlags
    machine: MachineFlags
