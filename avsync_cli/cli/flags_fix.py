"""The flags of fix."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from avsync_cli.cli.flags import ConsoleFlags, MachineFlags, MediaFlags, ScanFlags
from avsync_cli.cli.takes import argument, option
from avsync_cli.cli.values import file_place

_copy = partial(option, panel="The copy")


@dataclass(frozen=True, kw_only=True)
class CopyFlags:
    """What `fix` writes."""

    files: list[str] = argument("Files to fix, folders or quoted globs.", metavar="FILE...")
    output: Path | None = _copy(
        "The copy; its extension names the container. Never one that exists.",
        "-o",
        metavar="FILE",
        parser=file_place,
    )
    out_dir: Path | None = _copy("A folder for the copies; made if need be.", metavar="DIR")
    in_place: bool = _copy(
        "Put the copy in FILE's place, once the check has passed.", default=False
    )
    offset: str | None = _copy(
        "The lag, if you know it: 120ms is late, -80ms early. FILE is not judged then.",
        metavar="MS",
        show_default=False,
    )
    pitch: str = _copy(
        "Where sound drifts: keep its pitch, or let it follow the speed; auto keeps it "
        "from 1 % on.",
        metavar="auto|keep|shift",
        autocompletion=lambda: ["auto", "keep", "shift"],
        default="auto",
    )
    force: bool = _copy("Move the sound of a file in sync, too.", default=False)
    dry_run: bool = _copy("Judge, print the ffmpeg command, and stop.", default=False)
    keep_unverified: bool = _copy("Keep a copy that the check did not confirm.", default=False)


@dataclass(frozen=True, kw_only=True)
class FixFlags:
    """Everything typed after `fix`."""

    copy: CopyFlags
    scan: ScanFlags
    media: MediaFlags
    console: ConsoleFlags
    machine: MachineFlags
