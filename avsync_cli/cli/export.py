"""The command `avsync export`: from a checkpoint to a model that score and offset-scan run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from avsync_cli.cli.progress import StageProgress
    from avsync_cli.model.export import Sample


def export(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Folder that train wrote.")
    ],
    out: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the model to write.")],
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="The model's name.", show_default="DIR's"),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            "--calibrate",
            metavar="DATA",
            help="Held-out videos in sync, on which to measure how sure the model may be: a "
            "folder, or a manifest of which the rows of split val count, if there are any.",
        ),
    ] = None,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help="Encoders in 8 bits: less than half of their time on processors with 8-bit dot "
            "products (AVX-512 VNNI and the like), for about a millisecond of accuracy. Needs "
            "--calibrate, whose clips show how large the layers' values get.",
        ),
    ] = False,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache",
            metavar="DIR",
            help="Decoded crops and sound; kept in the user's cache folder if left out.",
        ),
    ] = None,
) -> None:
    """Turn a checkpoint into a model folder: ONNX, weights, description and checksums.

    [bold]Examples[/bold]

      avsync export runs/first/best models/first
      avsync export runs/first/best models/first --calibrate clips.csv
      avsync export runs/first/best models/first --calibrate clips.csv --int8
      avsync score --model models/first holiday.mp4

    Without --calibrate the answers are as good, but their confidence is a guess. The folder
    appears whole or not at all. Needs the extra: pip install "avsync-cli\\[train]"
    """
    from avsync_cli.cli.extras import train_extra
    from avsync_cli.cli.progress import StageProgress
    from avsync_cli.errors import UsageError

    if int8 and calibrate is None:
        raise UsageError("--int8 needs clips to measure the layers by", "add --calibrate DATA")
    with train_extra("export"), StageProgress() as progress:
        from avsync_cli.model.export import export as export_model

        measure = None if calibrate is None else _measurer(calibrate, cache, progress)
        samples = _samples(calibrate, cache) if int8 and calibrate is not None else None
        made = export_model(checkpoint, out, name=name, calibrate=measure, samples=samples)
        typer.echo(made)


def _measurer(
    data: Path, cache: Path | None, progress: StageProgress
) -> Callable[[Path], tuple[dict[str, float], dict[str, float]]]:
    """What export calls with the finished bundle to have it calibrated."""
    from avsync_cli.cli.evaluate import user_cache
    from avsync_cli.evaluation.calibrate import calibrate_bundle

    return lambda bundle: calibrate_bundle(bundle, data, cache or user_cache(), progress)


_SAMPLE_CLIPS = 12
"""Clips by which layers are measured: speakers and cameras enough that no value is a surprise."""


def _samples(data: Path, cache: Path | None) -> list[Sample]:
    """Crops and sound of some of the clips, from all over the list."""
    import numpy as np

    from avsync_cli.cli.evaluate import user_cache
    from avsync_cli.corpus.cache import build_cache
    from avsync_cli.corpus.manifest import load_manifest

    clips = [c for c in load_manifest(data) if c.split != "test" and c.kind in ("", "talking")]
    some = clips[:: max(1, len(clips) // _SAMPLE_CLIPS)][:_SAMPLE_CLIPS]
    cached, _ = build_cache(some, cache or user_cache())
    samples = []
    for clip in cached:
        if clip.tracks:
            track = clip.tracks[0]
            crops = np.asarray(clip.crops()[track.start : track.start + track.count])
            samples.append((crops, clip.sound().astype(np.float32) / 32768.0))
    return samples
