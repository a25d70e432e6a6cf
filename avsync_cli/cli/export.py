"""The command `avsync export`: from a checkpoint to a model that score and offset-scan run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from avsync_cli.cli.progress import StageProgress


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
      avsync score --model models/first holiday.mp4

    Without --calibrate the answers are as good, but their confidence is a guess. The folder
    appears whole or not at all. Needs the extra: pip install "avsync-cli\\[train]"
    """
    from avsync_cli.cli.extras import train_extra
    from avsync_cli.cli.progress import StageProgress

    with train_extra("export"), StageProgress() as progress:
        from avsync_cli.model.export import export as export_model

        measure = None if calibrate is None else _measurer(calibrate, cache, progress)
        typer.echo(export_model(checkpoint, out, name=name, calibrate=measure))


def _measurer(
    data: Path, cache: Path | None, progress: StageProgress
) -> Callable[[Path], tuple[dict[str, float], dict[str, float]]]:
    """What export calls with the finished bundle to have it calibrated."""
    from avsync_cli.cli.evaluate import user_cache
    from avsync_cli.evaluation.calibrate import calibrate_bundle

    return lambda bundle: calibrate_bundle(bundle, data, cache or user_cache(), progress)
