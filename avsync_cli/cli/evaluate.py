"""The command `avsync eval`: how often is a model right on videos known to be in sync?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

_DATA = "What to measure on"
_OUT = "Output"


def evaluate(
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="Folder of videos, or a manifest (CSV or JSON lines)."),
    ],
    model: Annotated[
        str, typer.Option("--model", metavar="NAME|DIR", help="A bundled model, or a folder.")
    ] = "default",
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
    windows: Annotated[
        str,
        typer.Option("--windows", metavar="TIMES", help="Window lengths, whole seconds."),
    ] = "1s,2s,3s,5s",
    windows_a_clip: Annotated[
        int, typer.Option("--windows-a-clip", min=1, metavar="N", help="Most windows of a clip.")
    ] = 6,
    shifts: Annotated[
        str,
        typer.Option(
            "--shifts",
            metavar="MS,MS",
            help="Also write the files anew with the sound moved by these, and judge them: "
            "-400,-120,80,240.",
            show_default=False,
        ),
    ] = "",
    range_: Annotated[
        str, typer.Option("--range", metavar="TIME", help="Range of the scan of moved files.")
    ] = "1s",
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
      avsync eval videos/ --model models/first --windows 1s,2s
      avsync eval clips.csv --shifts -400,-120,80,240 --json -o figures.json

    By source and window length: how often the offset is found within one frame, and how often a
    pair in sync is told from a shifted one. With --shifts also how the estimate moves when the
    sound is moved in the file.
    """
    from avsync_cli.cli.output import OutputClosed, Sink
    from avsync_cli.cli.progress import StageProgress
    from avsync_cli.config import check_range_ms, parse_duration_ms
    from avsync_cli.evaluation.protocol import EvalOptions
    from avsync_cli.evaluation.protocol import evaluate as measure
    from avsync_cli.report.evaluation import evaluation_json, evaluation_lines

    options = EvalOptions(
        data=data,
        cache=cache or user_cache(),
        model=model,
        split=split,
        kinds=tuple(kind or ()),
        contexts=_window_frames(windows),
        windows_a_clip=windows_a_clip,
        shifts_ms=_shifts_ms(shifts),
        range_ms=check_range_ms(parse_duration_ms(range_)),
        workers=workers,
    )
    with Sink(output, machine=json, color=True) as sink:
        with StageProgress() as progress:
            report = measure(options, progress)
        try:
            if json:
                sink.write(evaluation_json(report))
            else:
                sink.write_lines(evaluation_lines(report))
        except OutputClosed:
            raise BrokenPipeError from None


def _window_frames(text: str) -> tuple[int, ...]:
    """Frames of every window length in `text`; each a whole number of blocks."""
    from avsync_cli.config import parse_duration_ms
    from avsync_cli.errors import UsageError
    from avsync_cli.timebase import BLOCK_FRAMES, FPS

    frames = []
    for word in text.split(","):
        count = parse_duration_ms(word) * FPS / 1000.0
        if count < BLOCK_FRAMES or count % BLOCK_FRAMES:
            hint = "a window is one or more blocks of a second: 1s,2s,5s"
            raise UsageError(f"no window can be {word.strip()} long", hint)
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
