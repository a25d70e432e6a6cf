"""The command `avsync score`: is the sound in sync, and what does the answer rest on?"""

from __future__ import annotations

import typer

from avsync_cli.cli import options


def score(
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
    """Say whether the sound of each file is in sync, with the evidence.

    [bold]Examples[/bold]

      avsync score holiday.mp4                   table of blocks, then a verdict
      avsync score --tolerance ebu *.mov         by the EBU's limits
      avsync score --jsonl -r recordings/        a line of JSON a file
      avsync score --jobs 4 --resume qc.jsonl -r recordings/
      avsync score --html report.html film.mkv   a page with figures and stills
      avsync score --start 10:00 --duration 2m film.mkv

    Offsets up to a second either way are tried; use offset-scan for larger ones. An offset above
    0 means that the sound is late. Confidence is how much attention the model pays to a block
    (any number), weight its share in the decision, p(sync) the probability that the block as it
    stands is in sync.
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
    raise typer.Exit(judge("score", flags))
