"""The flags of fix."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from avsync_cli.cli.flags import ConsoleFlags, MachineFlags, MediaFlags, ScanFlags

_copy = partial(typer.Option, rich_help_panel="The copy")


@dataclass(frozen=True, kw_only=True)
class CopyFlags:
    """What `fix` writes."""

    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="Files to fix, folders or quoted globs.", show_default=False
        ),
    ]
    output: Annotated[
        Path | None,
        _copy(
            "--output",
            "-o",
            metavar="FILE",
            help="The copy; its extension names the container. Never one that exists.",
        ),
    ] = None
    out_dir: Annotated[
        Path | None,
        _copy("--out-dir", metavar="DIR", help="A folder for the copies; made if need be."),
    ] = None
    in_place: Annotated[
        bool, _copy("--in-place", help="Put the copy in FILE's place, once the check has passed.")
    ] = False
    offset: Annotated[
        str | None,
        _copy(
            "--offset",
            metavar="MS",
            help="The lag, if you know it: 120ms is late, -80ms early. FILE is not judged then.",
            show_default=False,
        ),
    ] = None
    pitch: Annotated[
        str,
        _copy(
            "--pitch",
            metavar="auto|keep|shift",
            help="Where sound drifts: keep its pitch, or let it follow the speed; auto keeps it "
            "from 1 % on.",
            autocompletion=lambda: ["auto", "keep", "shift"],
        ),
    ] = "auto"
    force: Annotated[bool, _copy("--force", help="Move the sound of a file in sync, too.")] = False
    dry_run: Annotated[
        bool, _copy("--dry-run", help="Judge, print the ffmpeg command, and stop.")
    ] = False
    keep_unverified: Annotated[
        bool, _copy("--keep-unverified", help="Keep a copy that the check did not confirm.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class FixFlags:
    """Everything typed after `fix`."""

    copy: CopyFlags
    scan: ScanFlags
    media: MediaFlags
    console: ConsoleFlags
    machine: MachineFlags
