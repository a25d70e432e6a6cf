"""What every report says of a verdict in a few words, and the command that repairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from avsync_cli.config import TOLERANCES
from avsync_cli.fix.containers import CARRIERS
from avsync_cli.verdict.answer import Tolerance, Verdict
from avsync_cli.wording import interval_words, percent, shell_quote


def sure_words(verdict: Verdict) -> str:
    """The parenthesis after an offset: "±10 ms, 98 % sure"."""
    parts = [f"{percent(verdict.confidence)} sure"]
    if verdict.offset_ms is not None and verdict.offset_ci_ms is not None:
        parts.insert(0, interval_words(verdict.offset_ms, verdict.offset_ci_ms))
    return ", ".join(parts)


def tolerance_words(tolerance: Tolerance) -> str:
    """The standard behind a tolerance, with its limits."""
    profile = TOLERANCES.get(tolerance.name)
    limits = f"{tolerance.early_ms:.4g} ms early to {tolerance.late_ms:.4g} ms late"
    if profile is None:
        return limits
    return f"{profile.source}: {limits}"


def tolerance_name(tolerance: Tolerance) -> str:
    """The standard behind a tolerance, short enough for a sentence."""
    profile = TOLERANCES.get(tolerance.name)
    return tolerance_words(tolerance) if profile is None else profile.source.partition(" (")[0]


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
