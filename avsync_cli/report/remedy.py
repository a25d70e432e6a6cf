"""What is to be done about sound that is out of sync."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from avsync_cli.repair.containers import carried_suffix
from avsync_cli.verdict.answer import Judgement
from avsync_cli.wording import shell_quote

SPLICED_MS = 80.0
"""Lags further apart than two frames are each put right by themselves."""


@dataclass(frozen=True)
class Remedy:
    """What is to be done, in words, and the command that does it."""

    what: str
    command: str


def remedy(judgement: Judgement) -> Remedy | None:
    """How to put a file right; None for one that needs nothing, or of which nothing is known."""
    verdict = judgement.verdict
    if verdict.status != "out_of_sync" or verdict.offset_ms is None:
        return None
    lags = {segment.offset_ms for segment in verdict.segments if segment.offset_ms is not None}
    if verdict.drift_ms_per_min is not None:
        what = "resample the sound, whose lag drifts"
    elif lags and max(lags) - min(lags) > SPLICED_MS:
        what = "move the sound piece by piece"
    else:
        way = "earlier" if verdict.offset_ms > 0 else "later"
        what = f"move the sound {round(abs(verdict.offset_ms))} ms {way}"
    words = judgement.fix_words
    if judgement.evidence.strikes is not None:  # too little for a repair, unless somebody says so
        what = f"if you see it, too, {what}"
        words = (*words, "--offset", f"{verdict.offset_ms:.0f}ms")
    return Remedy(f"fix: {what}:", fix_command(judgement.path, words))


def fix_command(path: str, start: Sequence[str]) -> str:
    """The command that writes a copy of `path` with its sound in sync, beside it.

    Args:
        path: the file as the person named it.
        start: of the command: program, `fix`, and what it must be told to judge as was judged.
    """
    source = Path(path)
    target = str(source.with_name(f"{source.stem}.synced{carried_suffix(path)}"))
    # A leading dash would read as an option.
    source_name, target_name = (f"./{n}" if n.startswith("-") else n for n in (path, target))
    words = [*start, source_name, "-o", target_name]
    return " ".join(shell_quote(word) for word in words)
