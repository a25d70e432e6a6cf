"""What was typed after `avsync fix`, checked, carried out by `repair` and told."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, cast

from avsync_cli.cli.checks import check_place, checked_excerpt, checked_settings, log_to_stderr
from avsync_cli.cli.flags import CopyFlags, FixFlags
from avsync_cli.cli.mend_words import Teller
from avsync_cli.cli.output import Sink
from avsync_cli.cli.progress import FileProgress
from avsync_cli.config import parse_duration_ms
from avsync_cli.errors import EXIT_IN_SYNC, EXIT_OUT_OF_SYNC, UsageError
from avsync_cli.judging import load_model
from avsync_cli.media.source import Source

if TYPE_CHECKING:
    from avsync_cli.repair.run import Order, Pitch, Repair

PITCHES = ("auto", "keep", "shift")


def mend(flags: FixFlags) -> int:
    """Run `fix` and return the exit code.

    Raises:
        UsageError, ConfigError, ModelError: before any work.
        MediaError: the file cannot be read, judged or written; nothing is left behind.
    """
    from avsync_cli.repair.run import repair

    order = checked_order(flags)
    console = flags.console
    log_to_stderr(console.verbose)
    engine = None
    if order.offset_ms is None or not order.plan_only:
        settings = order.settings
        engine = load_model(settings.model, settings.attention, settings.threads)
    with Sink(None, machine=False, color=not console.no_color) as sink:
        done = repair(
            order,
            engine,
            lambda doing: FileProgress(doing, shown=not console.quiet, color=not console.no_color),
        )
        Teller(order, sink, quiet=console.quiet).tell(done)
    return _exit_code(order, done)


def _exit_code(order: Order, done: Repair) -> int:
    if done.outcome == "refused":
        return EXIT_OUT_OF_SYNC
    by_hand = order.offset_ms is not None
    undecided = done.after is not None and done.after.verdict.status == "undecided"
    return EXIT_OUT_OF_SYNC if done.doubt and not (by_hand and undecided) else EXIT_IN_SYNC


def checked_order(flags: FixFlags) -> Order:
    """What `flags` ask for.

    Raises:
        UsageError, ConfigError, MediaError: something cannot be used or does not go together.
    """
    from avsync_cli.media.probe import check_file
    from avsync_cli.repair.run import Order

    copy = flags.copy
    if copy.pitch not in PITCHES:
        raise UsageError(f"unknown --pitch {copy.pitch!r}", f"use one of {', '.join(PITCHES)}")
    settings = checked_settings("score", flags)
    excerpt = checked_excerpt(flags)
    offset_ms = None if copy.offset is None else parse_offset_ms(copy.offset)
    check_file(copy.file)
    return Order(
        source=Source.of(copy.file),
        target=_target(copy),
        in_place=copy.in_place,
        offset_ms=offset_ms,
        pitch=cast("Pitch", copy.pitch),
        force=copy.force,
        plan_only=copy.dry_run,
        keep_unverified=copy.keep_unverified,
        settings=settings,
        excerpt=excerpt,
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
    from avsync_cli.repair.containers import carrier

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
