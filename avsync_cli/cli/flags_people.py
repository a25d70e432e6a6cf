"""The flags of score and offset-scan that tell faces apart."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

_beside = partial(typer.Option, rich_help_panel="Files beside the answer")


@dataclass(frozen=True, kw_only=True)
class PeopleFlags:
    """What is written of every face."""

    tracks: Annotated[
        Path | None,
        _beside("--tracks", metavar="FILE", help="Also write a line of CSV for every face."),
    ] = None
    boxes: Annotated[
        Path | None,
        _beside(
            "--boxes",
            metavar="FILE|DIR",
            help="Also write where every face is in every frame: .csv.",
        ),
    ] = None
    crops: Annotated[
        Path | None,
        _beside(
            "--crops",
            metavar="DIR",
            help="Also write every face whose sound is its own as a clip, with a manifest.",
        ),
    ] = None
    align: Annotated[
        bool, _beside("--align", help="With --crops: move the sound of each clip to zero.")
    ] = False
