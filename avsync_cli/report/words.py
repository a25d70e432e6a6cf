"""The command that repairs what a report found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from avsync_cli.fix.containers import CARRIERS
from avsync_cli.wording import shell_quote


def fix_command(path: str, start: Sequence[str]) -> str:
    """The command that writes a copy of `path` with its sound in sync, beside it.

    Args:
        path: the file as the person named it.
        start: of the command: program, `fix`, and what it must be told to judge as was judged.
    """
    source = Path(path)
    suffix = source.suffix if source.suffix.lower() in CARRIERS else ".mkv"
    target = str(source.with_name(f"{source.stem}.synced{suffix}"))
    # A leading dash would read as an option.
    source_name, target_name = (f"./{n}" if n.startswith("-") else n for n in (path, target))
    words = [*start, source_name, "-o", target_name]
    return " ".join(shell_quote(word) for word in words)
