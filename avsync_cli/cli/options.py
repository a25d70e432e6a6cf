"""The flags that score and offset-scan share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avsync_cli.config import ATTENTIONS, TOLERANCES

_WHAT = "What to look for"
_WHERE = "Which part of the file"
_OUT = "Output"
_BESIDE = "Files beside the answer"
_INPUT = "Input"
_BATCH = "Many files"

Files = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE|FOLDER|GLOB...",
        help="Files, folders with media files in them, or quoted globs.",
        show_default=False,
    ),
]
Recursive = Annotated[
    bool, typer.Option("--recursive", "-r", help="Descend into folders.", rich_help_panel=_INPUT)
]
FilesFrom = Annotated[
    str | None,
    typer.Option(
        "--files-from",
        metavar="FILE|-",
        help="Read names from a file or stdin, one a line or NUL-separated.",
        rich_help_panel=_INPUT,
    ),
]

Range = Annotated[
    str | None,
    typer.Option(
        "--range",
        metavar="TIME",
        help="Try offsets from -TIME to +TIME: 2s, 500ms or plain seconds.",
        rich_help_panel=_WHAT,
        show_default=False,
    ),
]
Step = Annotated[
    str | None,
    typer.Option(
        "--step",
        metavar="MS",
        help="Distance between two offsets, a multiple of 10 ms.  \\[default: 10]",
        rich_help_panel=_WHAT,
        show_default=False,
    ),
]
Tolerance = Annotated[
    str | None,
    typer.Option(
        "--tolerance",
        metavar="NAME|EARLY:LATE",
        help="What counts as in sync: itu, itu-accept, ebu, atsc, film, frame, or 40:60 for "
        "40 ms early to 60 ms late.  \\[default: itu]",
        rich_help_panel=_WHAT,
        show_default=False,
        autocompletion=lambda: list(TOLERANCES),
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME|DIR",
        help="A bundled model, or a folder written by export.  \\[default: default]",
        rich_help_panel=_WHAT,
        show_default=False,
    ),
]
Attention = Annotated[
    str | None,
    typer.Option(
        "--attention",
        metavar="KIND",
        help="The model's variant: none, temporal or spatio-temporal.",
        rich_help_panel=_WHAT,
        show_default=False,
        autocompletion=lambda: list(ATTENTIONS),
    ),
]

VideoTrack = Annotated[
    int | None,
    typer.Option("--video-track", min=0, metavar="N", help="From 0.", rich_help_panel=_WHERE),
]
AudioTrack = Annotated[
    int | None,
    typer.Option("--audio-track", min=0, metavar="N", help="From 0.", rich_help_panel=_WHERE),
]
Start = Annotated[
    str | None,
    typer.Option("--start", metavar="TIME", help="Begin here: 90s, 1:30.", rich_help_panel=_WHERE),
]
Duration = Annotated[
    str | None,
    typer.Option("--duration", metavar="TIME", help="Judge this much.", rich_help_panel=_WHERE),
]

Json = Annotated[bool, typer.Option("--json", help="One JSON document.", rich_help_panel=_OUT)]
Jsonl = Annotated[
    bool,
    typer.Option("--jsonl", help="A line of JSON a file, as it finishes.", rich_help_panel=_OUT),
]
Csv = Annotated[
    bool, typer.Option("--csv", help="A line of CSV a file, as it finishes.", rich_help_panel=_OUT)
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write the answer to FILE, whole or not at all.",
        rich_help_panel=_OUT,
    ),
]
Html = Annotated[
    Path | None,
    typer.Option(
        "--html",
        metavar="FILE",
        help="Also write a page with figures and stills, complete in itself.",
        rich_help_panel=_BESIDE,
    ),
]
Plot = Annotated[
    Path | None,
    typer.Option(
        "--plot",
        metavar="FILE|DIR",
        help="Also draw the offset curve: .png or .svg.",
        rich_help_panel=_BESIDE,
    ),
]
Overlay = Annotated[
    Path | None,
    typer.Option(
        "--overlay",
        metavar="FILE|DIR",
        help="Also write the film with attention drawn on it: .mp4, .mov or .mkv.",
        rich_help_panel=_BESIDE,
    ),
]
Markers = Annotated[
    Path | None,
    typer.Option(
        "--markers",
        metavar="FILE|DIR",
        help="Also list out-of-sync stretches for an editing program: .csv or .edl.",
        rich_help_panel=_BESIDE,
    ),
]
AllBlocks = Annotated[
    bool,
    typer.Option(
        "--all-blocks",
        help="A row for every block, however long the file, and in batches too.",
        rich_help_panel=_OUT,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="Only the verdicts: no table, no progress.", rich_help_panel=_OUT
    ),
]
Verbose = Annotated[
    int,
    typer.Option(
        "--verbose",
        "-v",
        count=True,
        show_default=False,
        metavar="",
        help="Say what is being done; -vv shows full traces.",
        rich_help_panel=_OUT,
    ),
]
NoColor = Annotated[
    bool,
    typer.Option("--no-color", help="No colours; NO_COLOR does the same.", rich_help_panel=_OUT),
]
ExitZero = Annotated[
    bool,
    typer.Option("--exit-zero", help="Exit with 0 whatever the verdicts.", rich_help_panel=_OUT),
]

Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        max=256,
        metavar="N",
        help="Judge N files at a time, each in a process of its own.",
        rich_help_panel=_BATCH,
    ),
]
Resume = Annotated[
    Path | None,
    typer.Option(
        "--resume",
        metavar="FILE",
        help="Add JSON lines to FILE, and skip files it already holds.",
        rich_help_panel=_BATCH,
    ),
]
Shard = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Judge the I-th of N equal parts of the files, from 1/N to N/N.",
        rich_help_panel=_BATCH,
    ),
]
EngineName = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="local|ray",
        help="Where: on this machine, or on a Ray cluster.",
        rich_help_panel=_BATCH,
        autocompletion=lambda: ["local", "ray"],
    ),
]

Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=0,
        metavar="N",
        help="Threads for each file; 0 shares all cores.  \\[default: 0]",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings in TOML; see docs/config.md."),
]
