"""The command `avsync train`: learn a model from videos whose sound is in sync."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_RUN = "Run"
_LEARNING = "Learning"


def train(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA", help="Folder of videos, a manifest (CSV or JSON lines), or tar shards."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="Checkpoints, log and finished model."),
    ],
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache", metavar="DIR", help="Decoded crops and sound; DIR/cache of --out if left."
        ),
    ] = None,
    attention: Annotated[
        str | None,
        typer.Option("--attention", metavar="KIND", help="none, temporal or spatio-temporal."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--size", metavar="NAME", help="Width of the encoders: base or large."),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline",
            metavar="NAME",
            help="Train a model to compare with instead: syncnet.",
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", metavar="N", rich_help_panel=_LEARNING)
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            "--batch", metavar="N", help="Windows a step, over all.", rich_help_panel=_LEARNING
        ),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", metavar="X", rich_help_panel=_LEARNING)
    ] = None,
    warmup: Annotated[
        int | None,
        typer.Option(
            "--warmup", metavar="N", help="Steps of rising rate.", rich_help_panel=_LEARNING
        ),
    ] = None,
    synthetic: Annotated[
        int | None,
        typer.Option(
            "--synthetic", metavar="N", help="Rendered clips to add.", rich_help_panel=_LEARNING
        ),
    ] = None,
    val_share: Annotated[
        float | None,
        typer.Option("--val-share", metavar="X", help="Share held out.", rich_help_panel=_LEARNING),
    ] = None,
    val_every: Annotated[
        int | None,
        typer.Option(
            "--val-every", metavar="N", help="Steps between checks.", rich_help_panel=_LEARNING
        ),
    ] = None,
    realign_at: Annotated[
        int | None,
        typer.Option(
            "--realign-at",
            metavar="N",
            help="Step from which offsets of the clips' own are undone; 0 for never.",
            rich_help_panel=_LEARNING,
        ),
    ] = None,
    encoders: Annotated[
        Path | None,
        typer.Option(
            "--encoders",
            metavar="DIR",
            help="Keep the encoders of this trained model and learn a new head.",
            rich_help_panel=_LEARNING,
        ),
    ] = None,
    windows: Annotated[
        int | None,
        typer.Option(
            "--windows",
            metavar="N",
            help="Windows to encode for --encoders.",
            rich_help_panel=_LEARNING,
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", rich_help_panel=_LEARNING)
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", metavar="N", help="Processes preparing batches.", rich_help_panel=_RUN
        ),
    ] = None,
    checkpoint_minutes: Annotated[
        float | None,
        typer.Option(
            "--checkpoint-minutes",
            metavar="X",
            help="Most that a killed run loses.",
            rich_help_panel=_RUN,
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", metavar="NAME", help="auto, cpu or cuda.", rich_help_panel=_RUN),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option("--precision", metavar="KIND", help="bf16 or fp32.", rich_help_panel=_RUN),
    ] = None,
    pieces: Annotated[
        float | None,
        typer.Option(
            "--pieces",
            metavar="X",
            help="Share of steps on windows seen in short pieces.",
            rich_help_panel=_LEARNING,
        ),
    ] = None,
    product: Annotated[
        bool,
        typer.Option(
            "--product/--no-product",
            help="Show the joint layers the features' product too; the paper does not.",
            rich_help_panel=_LEARNING,
        ),
    ] = True,
    similarity_skip: Annotated[
        bool,
        typer.Option(
            "--similarity-skip/--no-similarity-skip",
            help="Add the features' similarity to the decision; the paper does not.",
            rich_help_panel=_LEARNING,
        ),
    ] = True,
    tensorboard: Annotated[
        bool,
        typer.Option("--tensorboard", help="Log for TensorBoard too.", rich_help_panel=_RUN),
    ] = False,
) -> None:
    """Learn a model from a folder or manifest of videos whose sound is in sync.

    [bold]Examples[/bold]

      avsync train videos/ --out runs/first
      avsync train clips.csv --out runs/temporal --attention temporal --steps 8000
      avsync train 'clips-{000..099}.tar' --out runs/large --cache /data/cache
      avsync train clips.csv --out runs/none-1 --encoders runs/first/best --attention none --seed 1
      avsync train clips.csv --out runs/syncnet --baseline syncnet

    Nothing is labelled by hand: moved sound is what the model learns to tell. Run the same
    command again to go on where a run was cut off. Needs the extra: pip install
    "avsync-cli\\[train]"
    """
    from avsync_cli.cli.extras import train_extra
    from avsync_cli.cli.progress import StageProgress

    given = {
        "attention": attention,
        "size": size,
        "steps": steps,
        "batch": batch,
        "learning_rate": learning_rate,
        "warmup": warmup,
        "synthetic": synthetic,
        "val_share": val_share,
        "val_every": val_every,
        "realign_at": realign_at,
        "encoders": encoders,
        "windows": windows,
        "seed": seed,
        "workers": workers,
        "checkpoint_minutes": checkpoint_minutes,
        "device": device,
        "precision": precision,
        "pieces": pieces,
        "product": product,
        "similarity_skip": similarity_skip,
        "tensorboard": tensorboard,
    }
    if attention is not None:
        from avsync_cli.config import check_attention

        check_attention(attention)
    if baseline not in (None, "syncnet"):
        from avsync_cli.errors import UsageError

        raise UsageError(f"unknown baseline {baseline!r}", "use --baseline syncnet")
    with train_extra("train"):
        from avsync_cli.training import loop
        from avsync_cli.training.options import TrainOptions

        options = TrainOptions(
            data=data,
            out=out,
            cache=cache or out / "cache",
            **{name: value for name, value in given.items() if value is not None},  # type: ignore[arg-type]
        )
        with StageProgress() as progress:
            if baseline is not None:
                from avsync_cli.training.baseline_loop import train_baseline

                best = train_baseline(options, progress)
            else:
                best = loop.train(options.checked(), progress)
    typer.echo(best)
