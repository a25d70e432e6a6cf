"""The flags of the commands that judge nothing: report and streams."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from avsync_cli.cli.takes import argument, option
from avsync_cli.cli.values import file_place

_out = partial(option, panel="Output")


@dataclass(frozen=True, kw_only=True)
class ReportFlags:
    """Everything typed after `report`."""

    journals: list[Path] = argument(
        "Files that --resume or --jsonl wrote; a film's last line counts.",
        metavar="JOURNAL...",
    )
    csv: bool = _out("A line of CSV a file.", default=False)
    pieces: bool = _out("With --csv: a line for every piece with a lag of its own.", default=False)
    junit: bool = _out("JUnit XML: a test a file, for build servers.", default=False)
    output: Path | None = _out(
        "Write the answer to FILE, whole or not at all.", "-o", metavar="FILE", parser=file_place
    )
    html: Path | None = _out(
        "Also write a page for all files, or into a folder one for each and an overview.",
        metavar="FILE|DIR",
    )
    github: bool = _out("Also annotate for GitHub Actions, on stderr.", default=False)
    quiet: bool = _out("Only the answer: no summary.", "-q", default=False)
    no_color: bool = _out("No colours; NO_COLOR does the same.", default=False)
    exit_zero: bool = _out("Exit with 0 whatever the verdicts.", default=False)


@dataclass(frozen=True, kw_only=True)
class StreamsFlags:
    """Everything typed after `streams`."""

    files: list[str] = argument(
        "Files, folders with media files in them, or quoted globs.",
        metavar="FILE|FOLDER|GLOB...",
    )
    recursive: bool = option("Descend into folders.", "-r", default=False)
    json: bool = _out("One JSON document.", default=False)
