"""The command `avsync offset-scan`: by how much is the sound late or early?"""

from __future__ import annotations

import typer

from avsync_cli.cli import options


def offset_scan(
    files: options.Files = None,
    range_: options.Range = None,
    step: options.Step = None,
    tolerance: options.Tolerance = None,
    model: options.Model = None,
    attention: options.Attention = None,
    video_track: options.VideoTrack = None,
    audio_track: options.AudioTrack = None,
    start: options.Start = None,
    duration: options.Duration = None,
    recursive: options.Recursive = False,
    files_from: options.FilesFrom = None,
    json: options.Json = False,
    jsonl: options.Jsonl = False,
    csv: options.Csv = False,
    output: options.Output = None,
    html: options.Html = None,
    plot: options.Plot = None,
    overlay: options.Overlay = None,
    markers: options.Markers = None,
    all_blocks: options.AllBlocks = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    no_color: options.NoColor = False,
    exit_zero: options.ExitZero = False,
    jobs: options.Jobs = None,
    resume: options.Resume = None,
    shard: options.Shard = None,
    engine: options.EngineName = "local",
    threads: options.Threads = None,
    config: options.Config = None,
) -> None:
    """Find the offset of each file's sound, with its interval and confidence.

    [bold]Examples[/bold]

      avsync offset-scan --range 2s movie.mp4    the curve, then the offset
      avsync offset-scan --range 10s --json interview.mkv
      avsync offset-scan --plot curve.png --markers markers.edl take1.mov
      avsync offset-scan --csv -o offsets.csv "rushes/*.mxf"

    The curve shows how well the sound fits after it is moved by each offset; its peak is the
    offset. Above 0 the sound is late, below 0 early. The command that moves it back is printed.
    """
    from avsync_cli.cli.judge import Flags, judge
    from avsync_cli.cli.pictures import Wanted

    flags = Flags(
        files=files or [],
        recursive=recursive,
        files_from=files_from,
        range=range_,
        step=step,
        tolerance=tolerance,
        model=model,
        attention=attention,
        video_track=video_track,
        audio_track=audio_track,
        start=start,
        duration=duration,
        json=json,
        jsonl=jsonl,
        csv=csv,
        output=output,
        beside=Wanted(html, plot, overlay, markers),
        all_blocks=all_blocks,
        quiet=quiet,
        verbose=verbose,
        no_color=no_color,
        exit_zero=exit_zero,
        jobs=jobs,
        resume=resume,
        shard=shard,
        engine=engine,
        threads=threads,
        config=config,
    )
    raise typer.Exit(judge("offset-scan", flags))
