"""The command `avsync fix`: a copy whose sound is where it belongs, measured again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avsync_cli.cli import options

_FIX = "The copy"


def fix(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The file to fix.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The copy; its extension names the container. Never one that exists.",
            rich_help_panel=_FIX,
        ),
    ] = None,
    in_place: Annotated[
        bool,
        typer.Option(
            "--in-place",
            help="Put the copy in FILE's place, once the check has passed.",
            rich_help_panel=_FIX,
        ),
    ] = False,
    offset: Annotated[
        str | None,
        typer.Option(
            "--offset",
            metavar="MS",
            help="The lag, if you know it: 120ms is late, -80ms early. FILE is not judged then.",
            rich_help_panel=_FIX,
            show_default=False,
        ),
    ] = None,
    pitch: Annotated[
        str,
        typer.Option(
            "--pitch",
            metavar="auto|keep|shift",
            help="Where sound drifts: keep its pitch, or let it follow the speed; auto keeps it "
            "from 1 % on.",
            rich_help_panel=_FIX,
            autocompletion=lambda: ["auto", "keep", "shift"],
        ),
    ] = "auto",
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Move the sound of a file in sync, too.", rich_help_panel=_FIX
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Judge, print the ffmpeg command, and stop.", rich_help_panel=_FIX
        ),
    ] = False,
    keep_unverified: Annotated[
        bool,
        typer.Option(
            "--keep-unverified",
            help="Keep a copy that the check did not confirm.",
            rich_help_panel=_FIX,
        ),
    ] = False,
    range_: options.Range = None,
    step: options.Step = None,
    tolerance: options.Tolerance = None,
    model: options.Model = None,
    attention: options.Attention = None,
    video_track: options.VideoTrack = None,
    audio_track: options.AudioTrack = None,
    start: options.Start = None,
    duration: options.Duration = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    no_color: options.NoColor = False,
    threads: options.Threads = None,
    config: options.Config = None,
) -> None:
    """Write a copy with the sound in sync, and measure it again.

    [bold]Examples[/bold]

      avsync fix movie.mp4 -o fixed.mp4              judge, move, check
      avsync fix movie.mp4 --in-place                check, then replace
      avsync fix movie.mp4 -o fixed.mp4 --offset 120ms
      avsync fix movie.mp4 -o fixed.mp4 --dry-run    print the command

    A lag is moved, a drift resampled, a splice put right piece by piece. The picture and all
    other tracks are copied; the sound is encoded again only where it must be. An offset above 0
    means that the sound is late. What is undecided is not touched; docs/fix.md says how each
    container is written.

    Exit codes: 0 fixed or nothing to fix, 1 the check did not confirm the copy, 2 usage, 3
    undecided or unreadable.
    """
    from avsync_cli.cli.mend import FixFlags, mend

    flags = FixFlags(
        file=file,
        output=output,
        in_place=in_place,
        offset=offset,
        pitch=pitch,
        force=force,
        dry_run=dry_run,
        keep_unverified=keep_unverified,
        range=range_,
        step=step,
        tolerance=tolerance,
        model=model,
        attention=attention,
        video_track=video_track,
        audio_track=audio_track,
        start=start,
        duration=duration,
        quiet=quiet,
        verbose=verbose,
        no_color=no_color,
        threads=threads,
        config=config,
    )
    raise typer.Exit(mend(flags))
