"""The command `avsync eval`: how often is a model right on videos known to be in sync?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="Folder of videos, or a manifest (CSV or JSON lines)."),
    ],
) -> None:
    """Measure a model on a folder or manifest of videos.

    [bold]Examples[/bold]

      avsync eval clips.csv
    """
    from avsync_cli.cli.extras import train_extra

    with train_extra("eval"):
        from avsync_cli.evaluation import protocol

        protocol.evaluate(protocol.EvalOptions(data=data))
