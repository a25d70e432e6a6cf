"""The flags of score, offset-scan and in part fix: each defined here and nowhere else (`takes`)."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from avsync_cli.cli.takes import Sets, argument, option
from avsync_cli.cli.values import (
    duration_ms,
    file_place,
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
    check_most_s,
    check_range_ms,
    check_step_ms,
    check_threads,
    check_until,
)
from avsync_cli.judging import Excerpt

_what = partial(option, panel="What to look for", show_default=False)
_where = partial(option, panel="Which part of the file")
_input = partial(option, panel="Input")
_out = partial(option, panel="Output")
_beside = partial(option, panel="Files beside the answer", metavar="FILE|DIR")
_many = partial(option, panel="Many files")
_seconds = partial(Sets, shown="{:.10g}s".format)
_switch = partial(Sets, Settings, parse=switch, shown=lambda on: "")


@dataclass(frozen=True, kw_only=True)
class InputFlags:
    """Which files."""

    files: list[str] | None = argument(
        "Files, folders with media files in them, or quoted globs.",
        metavar="FILE|FOLDER|GLOB...",
        default=None,
    )
    recursive: bool = _input("Descend into folders.", "-r", default=False)
    files_from: str | None = _input(
        "Read names from a file or stdin, one a line or NUL-separated.", metavar="FILE|-"
    )


@dataclass(frozen=True, kw_only=True)
class ScanFlags:
    """What is looked for, and by which model."""

    range: str | None = _what(
        "Try offsets from -TIME to +TIME, no others: 2s, 500ms or plain seconds.",
        metavar="TIME",
        sets=Sets(
            Settings,
            "range_ms",
            duration_ms("s", check_range_ms),
            shown=lambda ms: f"{ms / 1000:g}s",
        ),
    )
    step: str | None = _what(
        "Distance between two offsets, a multiple of 10 ms.  \\[default: 10]",
        metavar="MS",
        sets=Sets(Settings, "step_ms", duration_ms("ms", check_step_ms)),
    )
    tolerance: str | None = _what(
        "What counts as in sync: itu, itu-accept, ebu, atsc, film, frame, or 40:60 for "
        "40 ms early to 60 ms late.  \\[default: itu]",
        metavar="NAME|EARLY:LATE",
        autocompletion=lambda: list(TOLERANCES),
        sets=Sets(Settings, "tolerance", tolerance_text),
    )
    min_confidence: str | None = _what(
        "How sure an answer must be, 0.5 to 0.999.  \\[default: the model's own, 0.8]",
        metavar="P",
        sets=Sets(Settings, "min_confidence", share(check_confidence), shown="{:.9g}".format),
    )
    model: str | None = _what(
        "A bundled model, or a folder written by export.  \\[default: default]",
        metavar="NAME|DIR",
        sets=Sets(Settings, "model", text),
    )
    attention: str | None = _what(
        "The model's variant: none, temporal or spatio-temporal.",
        metavar="KIND",
        autocompletion=lambda: list(ATTENTIONS),
        sets=Sets(Settings, "attention", lambda value: check_attention(text(value))),
    )


@dataclass(frozen=True, kw_only=True)
class MediaFlags:
    """Which tracks and which part of a file."""

    video_track: int | None = _where(
        "From 0.", min=0, metavar="N", sets=Sets(Excerpt, "video_track", int)
    )
    audio_track: int | None = _where(
        "From 0.", min=0, metavar="N", sets=Sets(Excerpt, "audio_track", int)
    )
    start: str | None = _where(
        "Begin here: 90s, 1:30.", metavar="TIME", sets=_seconds(Excerpt, "start_s", seconds)
    )
    duration: str | None = _where(
        "Judge this much.", metavar="TIME", sets=_seconds(Excerpt, "duration_s", seconds)
    )


@dataclass(frozen=True, kw_only=True)
class QuickFlags:
    """How much of a long file is read."""

    quick: bool | None = _where(
        "Read stretches of a long file until they settle it.",
        show_default=False,
        sets=_switch("quick"),
    )
    most: str | None = _where(
        "With --quick: read at most this much of it.",
        metavar="TIME",
        sets=_seconds(Settings, "most_s", lambda value: check_most_s(seconds(value))),
    )
    until: str | None = _where(
        "With --quick: read on until this sure.  \\[default: 0.99]",
        metavar="P",
        show_default=False,
        sets=Sets(Settings, "until", share(check_until)),
    )


@dataclass(frozen=True, kw_only=True)
class OutputFlags:
    """The form of the answer, and where it goes."""

    json: bool = _out("One JSON document.", default=False)
    jsonl: bool = _out("A line of JSON a file, as it finishes.", default=False)
    csv: bool = _out("A line of CSV a file, as it finishes.", default=False)
    pieces: bool = _out("With --csv: a line for every piece with a lag of its own.", default=False)
    output: Path | None = _out(
        "Write the answer to FILE, whole or not at all; with {stem} and {status} in its "
        "name, a file for each film.",
        "-o",
        metavar="FILE",
        parser=file_place,
    )
    github: bool = _out("Also annotate for GitHub Actions, on stderr.", default=False)
    html: Path | None = _beside(
        "Also write a page with figures and stills, complete in itself; into a folder one "
        "for each film, and an overview.",
    )
    plot: Path | None = _beside("Also draw the offset curve: .png or .svg.")
    overlay: Path | None = _beside(
        "Also write the film with attention drawn on it: .mp4, .mov or .mkv."
    )
    markers: Path | None = _beside(
        "Also list out-of-sync stretches for an editing program: .csv, .edl, .otio or .fcpxml."
    )
    blocks: bool = _out(
        "Show all pieces and blocks, not those that decide; in batches too.", default=False
    )


@dataclass(frozen=True, kw_only=True)
class PeopleFlags:
    """What is written of every face."""

    tracks: Path | None = _beside(
        "Also write a line of CSV for every face.", metavar="FILE", parser=file_place
    )
    boxes: Path | None = _beside("Also write where every face is in every frame: .csv.")
    crops: Path | None = _beside(
        "Also write every face whose sound is its own as a clip, with a manifest.", metavar="DIR"
    )
    align: bool = _beside(
        "With --crops: move the sound of each clip to zero.", default=False, metavar=None
    )


@dataclass(frozen=True, kw_only=True)
class ConsoleFlags:
    """How much is said, and how."""

    quiet: bool = _out("Only the verdicts: no table, no progress.", "-q", default=False)
    verbose: int = _out(
        "Say what each stage did and took; -vv shows full traces.",
        "-v",
        count=True,
        show_default=False,
        metavar="",
        default=0,
    )
    no_color: bool = _out("No colours; NO_COLOR does the same.", default=False)


@dataclass(frozen=True, kw_only=True)
class BatchFlags:
    """How many files are judged."""

    exit_zero: bool = _out("Exit with 0 whatever the verdicts.", default=False)
    strict: bool = _out("Exit with 3 for a file that ends before its declared end.", default=False)
    jobs: int | None = _many(
        "Judge N files at a time, each in a process of its own.", "-j", min=1, max=256, metavar="N"
    )
    resume: Path | None = _many(
        "Add JSON lines to FILE, and skip files it already holds.", metavar="FILE"
    )
    shard: str | None = _many(
        "Judge the I-th of N equal parts of the files, from 1/N to N/N.", metavar="I/N"
    )
    watch: Path | None = _many(
        "Judge the files of DIR, and others as they land there, until Ctrl-C.", metavar="DIR"
    )
    engine: str = _many(
        "Where: on this machine, or on a Ray cluster.",
        metavar="local|ray",
        autocompletion=lambda: ["local", "ray"],
        default="local",
    )


@dataclass(frozen=True, kw_only=True)
class MachineFlags:
    """What of this machine is used."""

    threads: int | None = option(
        "Threads for each file; 0 shares all cores.  \\[default: 0]",
        min=0,
        metavar="N",
        sets=Sets(Settings, "threads", whole(check_threads), decides=False),
    )
    config: Path | None = option("Settings in TOML; see docs/config.md.", metavar="FILE")


@dataclass(frozen=True, kw_only=True)
class JudgeFlags:
    """Everything typed after `score` or `offset-scan`."""

    scan: ScanFlags
    media: MediaFlags
    quick: QuickFlags
    slate: bool | None = _what(
        "Find the clap at the head: its frame, its sample, its lag.", sets=_switch("slate")
    )
    all_audio: bool = _where("Judge every audio track, each with its own answer.", default=False)
    input: InputFlags
    output: OutputFlags
    people: PeopleFlags
    console: ConsoleFlags
    batch: BatchFlags
    machine: MachineFlags
