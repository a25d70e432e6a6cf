"""What was typed after `avsync fix`, checked before any work; `mending` does the work."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from avsync_cli.cli.checks import check_place, checked_excerpt, checked_settings, log_to_stderr
from avsync_cli.cli.flags import CopyFlags, FixFlags
from avsync_cli.cli.mending import Mending
from avsync_cli.cli.output import Sink
from avsync_cli.config import Settings, parse_duration_ms
from avsync_cli.errors import UsageError
from avsync_cli.judging import Excerpt, load_model

PITCHES = ("auto", "keep", "shift")


@dataclass(frozen=True)
class FixJob:
    """A run whose flags have been found usable.

    Attributes:
        source: the file as it was named.
        target: where the copy goes; the source itself, links followed, for `in_place`.
        offset_ms: the lag given by hand, or None.
    """

    source: str
    target: Path
    in_place: bool
    offset_ms: float | None
    pitch: str
    force: bool
    dry_run: bool
    keep_unverified: bool
    settings: Settings
    excerpt: Excerpt
    quiet: bool
    color: bool


def mend(flags: FixFlags) -> int:
    """Run `fix` and return the exit code.

    Raises:
        UsageError, ConfigError, ModelError: before any work.
        MediaError: the file cannot be read, judged or written; nothing is left behind.
    """
    job = check(flags)
    log_to_stderr(flags.console.verbose)
    engine = None
    if job.offset_ms is None or not job.dry_run:
        settings = job.settings
        engine = load_model(settings.model, settings.attention, settings.threads)
    with Sink(None, machine=False, color=job.color) as sink:
        return Mending(job, engine, sink).run()


def check(flags: FixFlags) -> FixJob:
    """The job that `flags` describe.

    Raises:
        UsageError, ConfigError, MediaError: something cannot be used or does not go together.
    """
    from avsync_cli.media.probe import check_file

    copy = flags.copy
    if copy.pitch not in PITCHES:
        raise UsageError(f"unknown --pitch {copy.pitch!r}", f"use one of {', '.join(PITCHES)}")
    settings = checked_settings("score", flags)
    excerpt = checked_excerpt(flags)
    offset_ms = None if copy.offset is None else parse_offset_ms(copy.offset)
    check_file(copy.file)
    return FixJob(
        source=copy.file,
        target=_target(copy),
        in_place=copy.in_place,
        offset_ms=offset_ms,
        pitch=copy.pitch,
        force=copy.force,
        dry_run=copy.dry_run,
        keep_unverified=copy.keep_unverified,
        settings=settings,
        excerpt=excerpt,
        quiet=flags.console.quiet,
        color=not flags.console.no_color,
    )


def parse_offset_ms(text: str) -> float:
    """A lag in ms from `120ms`, `-80ms`, `+0.12s` or a plain number of ms.

    Raises:
        UsageError: when it is none of these.

    >>> parse_offset_ms("120ms"), parse_offset_ms("-0.08s"), parse_offset_ms("+40")
    (120.0, -80.0, 40.0)
    """
    match = re.fullmatch(r"\s*([+-]?)(.*)", text, flags=re.DOTALL)
    assert match is not None
    try:
        size = parse_duration_ms(match[2], unit="ms")
    except UsageError:
        raise UsageError(
            f"--offset {text!r} is no lag", "write 120ms for late, -80ms for early sound"
        ) from None
    return -size if match[1] == "-" else size


def _target(flags: CopyFlags) -> Path:
    from avsync_cli.fix.containers import carrier

    if flags.in_place:
        if flags.output is not None:
            raise UsageError("--in-place and --output exclude each other", "choose one")
        if flags.keep_unverified:
            raise UsageError(
                "--in-place and --keep-unverified exclude each other",
                "only a checked copy takes a file's place",
            )
        target = Path(flags.file).resolve()
        carrier(target)
        return target
    if flags.output is None:
        raise UsageError("where to? no output named", "name it with -o, or use --in-place")
    target = flags.output
    check_place("--output", target)
    if os.path.lexists(target):
        same = target.exists() and target.samefile(flags.file)
        hint = "use --in-place to change the file itself" if same else "name another file"
        raise UsageError(f"--output {target} exists already; nothing is overwritten", hint)
    carrier(target)
    return target
