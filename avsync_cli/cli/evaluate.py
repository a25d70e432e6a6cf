"""The command `avsync eval`: how often is a model right on videos known to be in sync?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

_DATA = "What to measure on"
_WHAT = "What to measure"
_OUT = "Output"


def evaluate(
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="Folder of videos, or a manifest (CSV or JSON lines)."),
    ],
    model: Annotated[
        str, typer.Option("--model", metavar="NAME|DIR", help="A bundled model, or a folder.")
    ] = "default",
    compare: Annotated[
        list[str] | None,
        typer.Option(
            "--compare",
            metavar="NAME|DIR",
            help="Another model on the same windows, a checkpoint, a trained baseline, or motion; "
            "may be given again.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            "--split", metavar="NAME", help="Only rows of this split.", rich_help_panel=_DATA
        ),
    ] = "",
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            metavar="NAME",
            help="Only rows of this kind; may be given again.",
            rich_help_panel=_DATA,
            show_default=False,
        ),
    ] = None,
    own_zero: Annotated[
        list[str] | None,
        typer.Option(
            "--own-zero",
            metavar="SOURCE",
            help="A source (or pattern) whose clips carry an offset of their own; may be given "
            "again.",
            rich_help_panel=_DATA,
            show_default=False,
        ),
    ] = None,
    parts: Annotated[
        str,
        typer.Option(
            "--parts",
            metavar="NAMES",
            help="windows, shifts, certainty, showcase; windows if left out, all with --report.",
            rich_help_panel=_WHAT,
            show_default=False,
        ),
    ] = "",
    windows: Annotated[
        str,
        typer.Option(
            "--windows",
            metavar="LENGTHS",
            help="Window lengths, in frames of 40 ms (15f) or times.",
            rich_help_panel=_WHAT,
        ),
    ] = "5f,7f,9f,11f,13f,15f,1s,2s,5s",
    windows_a_clip: Annotated[
        int,
        typer.Option(
            "--windows-a-clip",
            min=1,
            metavar="N",
            help="Most windows of a track.",
            rich_help_panel=_WHAT,
        ),
    ] = 6,
    shifts: Annotated[
        str,
        typer.Option(
            "--shifts",
            metavar="MS,MS",
            help="Also write the files anew with the sound moved by these, and judge them: "
            "-400,-120,80,240.",
            rich_help_panel=_WHAT,
            show_default=False,
        ),
    ] = "",
    range_: Annotated[
        str,
        typer.Option(
            "--range",
            metavar="TIME",
            help="Range of the scan of moved files.",
            rich_help_panel=_WHAT,
        ),
    ] = "1s",
    seed: Annotated[
        int,
        typer.Option("--seed", metavar="N", help="Of all that is drawn.", rich_help_panel=_WHAT),
    ] = 0,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache",
            metavar="DIR",
            help="Decoded crops and sound; kept in the user's cache folder if left out.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", min=0, metavar="N", help="Processes; 0 is one a core.")
    ] = 0,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="DIR",
            help="Measure everything, and write tables and figures to DIR.",
            rich_help_panel=_OUT,
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON document.", rich_help_panel=_OUT)
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write the answer to FILE, whole or not at all.",
            rich_help_panel=_OUT,
        ),
    ] = None,
) -> None:
    """Measure a model on a folder or manifest of videos that are in sync.

    [bold]Examples[/bold]

      avsync eval clips.csv --split test
      avsync eval clips.csv --split test --report report/ --own-zero 'lab/*'
      avsync eval clips.csv --compare models/none --compare runs/syncnet/best --compare motion
      avsync eval clips.csv --shifts -400,-120,80,240 --json -o figures.json

    By source and window length: how often the offset is found within one frame, and how often a
    pair in sync is told from a shifted one. With --report also known shifts, calibration, what
    answers cost, by speaker too, as tables and figures. With --shifts also how the estimate moves
    when the sound is moved in the file.
    """
    from avsync_cli.cli.extras import train_extra
    from avsync_cli.cli.output import OutputClosed, Sink
    from avsync_cli.cli.progress import StageProgress
    from avsync_cli.config import check_range_ms, parse_duration_ms
    from avsync_cli.evaluation.protocol import PARTS, EvalOptions
    from avsync_cli.evaluation.protocol import evaluate as measure
    from avsync_cli.report.evaluation import evaluation_json, evaluation_lines
    from avsync_cli.report.evaluation_folder import check_folder, write_folder

    wanted = tuple(word.strip() for word in parts.split(",") if word.strip())
    options = EvalOptions(
        data=data,
        cache=cache or user_cache(),
        model=model,
        compare=tuple(compare or ()),
        split=split,
        kinds=tuple(kind or ()),
        own_zero=tuple(own_zero or ()),
        contexts=_window_frames(windows),
        windows_a_clip=windows_a_clip,
        parts=wanted or (PARTS if report is not None else ("windows",)),
        shifts_ms=_shifts_ms(shifts),
        range_ms=check_range_ms(parse_duration_ms(range_)),
        seed=seed,
        workers=workers,
    ).checked()
    if report is not None:
        check_folder(report)
    with Sink(output, machine=json, color=True) as sink:
        # Only baselines and checkpoints need the extra; exported models do not.
        with train_extra("eval"), StageProgress() as progress:
            found = measure(options, progress)
        if report is not None:
            write_folder(found, report)
        try:
            if json:
                sink.write(evaluation_json(found))
            else:
                sink.write_lines(evaluation_lines(found))
        except OutputClosed:
            raise BrokenPipeError from None


def _window_frames(text: str) -> tuple[int, ...]:
    """Frames of every window length in `text`: "15f", or a time that is whole frames."""
    from avsync_cli.config import parse_duration_ms
    from avsync_cli.errors import UsageError
    from avsync_cli.timebase import FPS

    frames = []
    for word in map(str.strip, text.split(",")):
        number = word.removesuffix("f")
        if number != word and number.isdecimal():
            count = float(number)
        else:
            count = parse_duration_ms(word) * FPS / 1000.0
        if count < 5 or not count.is_integer():
            hint = "a window is whole frames, five or more: 5f,15f,1s,2s,5s"
            raise UsageError(f"no window can be {word} long", hint)
        frames.append(int(count))
    return tuple(sorted(set(frames)))


def _shifts_ms(text: str) -> tuple[int, ...]:
    from avsync_cli.errors import UsageError

    try:
        return tuple(int(word.strip().removesuffix("ms")) for word in text.split(",") if word)
    except ValueError:
        raise UsageError(f"{text!r} is no list of ms", "write -400,-120,80,240") from None


def user_cache() -> Path:
    """Where caches belong (XDG base directory specification)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache"
    return root / "avsync" / "clips"
