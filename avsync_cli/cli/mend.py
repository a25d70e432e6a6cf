"""What was typed after `avsync fix`, checked, carried out by `repair` and told."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from avsync_cli.batch.task import log_to_stderr
from avsync_cli.cli.checks import check_folder, check_place, checked_excerpt, checked_settings
from avsync_cli.cli.flags import ConsoleFlags
from avsync_cli.cli.flags_fix import CopyFlags, FixFlags
from avsync_cli.cli.inputs import expand_inputs
from avsync_cli.cli.mend_words import Teller
from avsync_cli.cli.output import Sink, say, say_error, say_internal
from avsync_cli.cli.progress import FileProgress
from avsync_cli.cli.streams import OutputClosed
from avsync_cli.config import Settings, parse_duration_ms
from avsync_cli.errors import (
    EXIT_IN_SYNC,
    EXIT_INTERNAL,
    EXIT_OUT_OF_SYNC,
    EXIT_UNDECIDED,
    EXIT_USAGE,
    AvsyncError,
    MediaError,
    UsageError,
)
from avsync_cli.interrupt import raise_again
from avsync_cli.judging import Excerpt
from avsync_cli.loading import load_model
from avsync_cli.media.source import Source

if TYPE_CHECKING:
    from avsync_cli.model.engine import Engine
    from avsync_cli.repair.run import Order, Pitch, Repair

PITCHES = ("auto", "keep", "shift")

SEVERITY = (EXIT_INTERNAL, EXIT_OUT_OF_SYNC, EXIT_USAGE, EXIT_UNDECIDED, EXIT_IN_SYNC)
"""Exit codes of single files; the first that one of them has is that of all."""


def mend(flags: FixFlags) -> int:
    """Run `fix` and return the exit code.

    Raises:
        UsageError, ConfigError, ModelError: before any work.
        MediaError: the only file cannot be read, judged or written; nothing is left behind. Of
            several, such a one is told and the others go on.
    """
    copy, console = flags.copy, flags.console
    files = expand_inputs(copy.files)
    targets = _targets(copy, files)
    settings = checked_settings("score", flags)
    order_for = partial(_order, flags, settings, checked_excerpt(flags))
    # What is wrong with the only file is said before the model is loaded.
    only = order_for(files[0], targets[0]) if len(files) == 1 else None
    log_to_stderr(console.verbose)
    engine = None
    if copy.offset is None or not copy.dry_run:
        engine = load_model(settings.model, settings.attention, settings.threads)
    with Sink(None, machine=False, color=not console.no_color) as sink:
        if only is not None:
            return _mend(only, engine, sink, console)[0]
        return _mend_all(zip(files, targets, strict=True), order_for, engine, sink, console)


def _mend_all(
    pairs: Iterable[tuple[str, Path]],
    order_for: Callable[[str, Path], Order],
    engine: Engine | None,
    sink: Sink,
    console: ConsoleFlags,
) -> int:
    """Repair several files; what is wrong with one leaves the others theirs."""
    codes: list[int] = []
    outcomes: Counter[str] = Counter()
    errors: list[AvsyncError] = []
    for file, target in pairs:
        try:
            code, outcome = _mend(order_for(file, target), engine, sink, console)
        except (MediaError, UsageError) as error:
            errors.append(error)
            code, outcome = error.exit_code, "failed"
        except (AvsyncError, OutputClosed):
            raise
        except Exception as error:  # a fault of ours on one file
            raise_again()
            say_internal(error, trace=console.verbose >= 2)
            code, outcome = EXIT_INTERNAL, "failed"
        codes.append(code)
        outcomes[outcome] += 1
    if not console.quiet:
        words = ", ".join(f"{n} {_OUTCOMES[outcome]}" for outcome, n in sorted(outcomes.items()))
        say(f"{len(codes)} files: {words}")
    for failed in errors:
        say_error(failed.message, failed.hint)
    return min(codes, key=SEVERITY.index)


_OUTCOMES = {
    "failed": "could not be fixed",
    "nothing": "left as they are",
    "planned": "planned",
    "refused": "not confirmed",
    "written": "written",
}


def _mend(
    order: Order, engine: Engine | None, sink: Sink, console: ConsoleFlags
) -> tuple[int, str]:
    """Repair one file: exit code and outcome."""
    from avsync_cli.repair.run import repair

    look = {"shown": not console.quiet, "color": not console.no_color}
    done = repair(order, engine, lambda doing: FileProgress(doing, **look))
    Teller(order, sink, quiet=console.quiet).tell(done)
    return _exit_code(order, done), done.outcome


def _exit_code(order: Order, done: Repair) -> int:
    if done.outcome == "refused":
        return EXIT_OUT_OF_SYNC
    by_hand = order.offset_ms is not None
    undecided = done.after is not None and done.after.verdict.status == "undecided"
    return EXIT_OUT_OF_SYNC if done.doubt and not (by_hand and undecided) else EXIT_IN_SYNC


def _order(flags: FixFlags, settings: Settings, excerpt: Excerpt, file: str, target: Path) -> Order:
    """What is to be done to one file.

    Raises:
        UsageError, MediaError: something cannot be used.
    """
    from avsync_cli.media.probe import check_file
    from avsync_cli.repair.containers import carrier
    from avsync_cli.repair.run import Order

    copy = flags.copy
    check_file(file)
    if not copy.in_place and os.path.lexists(target):
        same = target.exists() and target.samefile(file)
        hint = "use --in-place to change the file itself" if same else "name another file"
        flag = "--output" if copy.out_dir is None else "--out-dir:"
        raise UsageError(f"{flag} {target} exists already; nothing is overwritten", hint)
    carrier(target)
    return Order(
        source=Source.of(file),
        target=target,
        in_place=copy.in_place,
        offset_ms=None if copy.offset is None else parse_offset_ms(copy.offset),
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
        hint = "write 120ms for late, -80ms for early sound"
        raise UsageError(f"--offset {text!r} is no lag", hint) from None
    return -size if match[1] == "-" else size


def _targets(copy: CopyFlags, files: Sequence[str]) -> list[Path]:
    """Where the copies go, in order of the files.

    Raises:
        UsageError: something in `copy` cannot be meant.
    """
    if copy.pitch not in PITCHES:
        raise UsageError(f"unknown --pitch {copy.pitch!r}", f"use one of {', '.join(PITCHES)}")
    if copy.offset is not None:
        parse_offset_ms(copy.offset)
    flags = {"--in-place": copy.in_place, "--output": copy.output, "--out-dir": copy.out_dir}
    given = [flag for flag, value in flags.items() if value]
    if len(given) > 1:
        raise UsageError(f"{given[0]} and {given[1]} exclude each other", "choose one")
    if copy.in_place:
        if copy.keep_unverified:
            hint = "only a checked copy takes a file's place"
            raise UsageError("--in-place and --keep-unverified exclude each other", hint)
        return [Path(file).resolve() for file in files]
    if copy.out_dir is not None:
        return _in_folder(copy.out_dir, files, make=not copy.dry_run)
    if copy.output is None:
        hint = "name it with -o or --out-dir, or use --in-place"
        raise UsageError("where to? no output named", hint)
    if len(files) > 1:
        what = f"--output names one copy, and there are {len(files)} files"
        raise UsageError(what, "name a folder for the copies with --out-dir")
    check_place("--output", copy.output)
    return [copy.output]


def _in_folder(folder: Path, files: Sequence[str], *, make: bool) -> list[Path]:
    """Names of copies in a folder, which is made if it is not there."""
    from avsync_cli.repair.containers import carried_suffix

    targets = [folder / f"{Path(file).stem}{carried_suffix(file)}" for file in files]
    for target, number in Counter(targets).items():
        if number > 1:
            what = f"--out-dir: {number} files would be called {target}"
            raise UsageError(what, "fix them into folders of their own")
    check_folder("--out-dir", folder if folder.exists() else folder.absolute().parent)
    if make:
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            what = f"--out-dir: cannot make {folder}: {error.strerror or error}"
            raise UsageError(what, "name another folder") from None
    return targets
