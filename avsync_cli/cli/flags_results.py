"""The flags of the commands that judge nothing: report and streams."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

_out = partial(typer.Option, rich_help_panel="Output")


@dataclass(frozen=True, kw_only=True)
class ReportFlags:
    """Everything typed after `report`."""

    journals: Annotated[
        list[Path],
        typer.Argument(
            metavar="JOURNAL...",
            help="Files that --resume or --jsonl wrote; a film's last line counts.",
            show_default=False,
        ),
    ]
    csv: Annotated[bool, _out("--csv", help="A line of CSV a file.")] = False
    pieces: Annotated[
        bool, _out("--pieces", help="With --csv: a line for every piece with a lag of its own.")
    ] = False
    junit: Annotated[bool, _out("--junit", help="JUnit XML: a test a file, for build servers.")] = (
        False
    )
    output: Annotated[
        Path | None,
        _out(
            "--output", "-o", metavar="FILE", help="Write the answer to FILE, whole or not at all."
        ),
    ] = None
    html: Annotated[
        Path | None,
        _out(
            "--html",
            metavar="FILE|DIR",
            help="Also write a page for all files, or into a folder one for each and an overview.",
        ),
    ] = None
    github: Annotated[
        bool, _out("--github", help="Also annotate for GitHub Actions, on stderr.")
    ] = False
    quiet: Annotated[bool, _out("--quiet", "-q", help="Only the answer: no summary.")] = False
    no_color: Annotated[bool, _out("--no-color", help="No colours; NO_COLOR does the same.")] = (
        False
    )
    exit_zero: Annotated[bool, _out("--exit-zero", help="Exit with 0 whatever the verdicts.")] = (
        False
    )


@dataclass(frozen=True, kw_only=True)
class StreamsFlags:
    """Everything typed after `streams`."""

    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|FOLDER|GLOB...",
            help="Files, folders with media files in them, or quoted globs.",
            show_default=False,
        ),
    ]
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Descend into folders.")] = (
        False
    )
    json: Annotated[bool, _out("--json", help="One JSON document.")] = False
