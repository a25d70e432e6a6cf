"""The command `avsync export`: from a checkpoint to a model that score and offset-scan run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Folder that train wrote.")
    ],
    out: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the model to write.")],
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="The model's name.", show_default="DIR's"),
    ] = None,
) -> None:
    """Turn a checkpoint into a model folder: ONNX, weights, description and checksums.

    [bold]Examples[/bold]

      avsync export runs/first models/first
      avsync score --model models/first holiday.mp4

    The folder appears whole or not at all. Needs the extra: pip install "avsync-cli\\[train]"
    """
    from avsync_cli.cli.extras import train_extra

    with train_extra("export"):
        from avsync_cli.model.export import export as export_model

        typer.echo(export_model(checkpoint, out, name=name))
