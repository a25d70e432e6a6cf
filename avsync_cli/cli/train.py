"""The command `avsync train`: learn a model from videos whose sound is in sync."""

from __future__ import annotations

import typer

from avsync_cli.cli.flags_workshop import TrainFlags
from avsync_cli.cli.takes import takes
from avsync_cli.config import check_attention


@takes(TrainFlags)
def train(flags: TrainFlags) -> None:
    """Learn a model from a folder or manifest of videos whose sound is in sync.

    [bold]Examples[/bold]

      avsync train videos/ --out runs/first
      avsync train clips.csv --out runs/temporal --attention temporal --steps 8000
      avsync train 'clips-{000..099}.tar' --out runs/large --cache /data/cache
      avsync train clips.csv --out runs/head --encoders runs/first/best
      avsync train clips.csv --out runs/syncnet --baseline syncnet
      avsync train clips.csv --out runs/gpu --pack clips.avpack
      avsync train clips.avpack --out runs/gpu --sound phones --on-device

    Nothing is labelled by hand: moved sound is what the model learns to tell. Run the same
    command again to go on where a run was cut off. Needs the extra: pip install
    '.\\[train]' in a clone. How much data it takes: docs/training.md.
    """
    from avsync_cli.cli.extras import train_extra
    from avsync_cli.cli.progress import StageProgress

    if flags.attention is not None:
        check_attention(flags.attention)
    cache = flags.cache or flags.out / "cache"
    if flags.pack is not None:
        from avsync_cli.corpus.pack import pack_data

        with StageProgress() as progress:
            pack_data(flags.data, cache, flags.pack, round(flags.pack_mib * 2**20), progress)
        typer.echo(flags.pack)
        return
    given = {k: v for k, v in vars(flags).items() if v is not None and not k.startswith("pack")}
    with train_extra("train"):
        from avsync_cli.training import loop
        from avsync_cli.training.options import TrainOptions

        options = TrainOptions(**given | {"cache": cache})
        with StageProgress() as progress:
            best = loop.train(options, progress)
    typer.echo(best)
