"""The flags of train, eval and export, which make and measure models."""

from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from avsync_cli.training.options import TrainOptions


def _option(panel: str | None, *names: str, help: str, **more: Any) -> Any:
    """An option of train, whose help ends with its default in `TrainOptions`."""
    name = names[0].partition("/")[0].removeprefix("--").replace("-", "_")
    (field,) = (field for field in fields(TrainOptions) if field.name == name)
    value = field.default
    if isinstance(value, bool):
        value = "on" if value else "off"
    shown = "none" if value in (None, "") else value
    words = f"{help}  \\[default: {shown}]"
    return typer.Option(*names, rich_help_panel=panel, help=words, show_default=False, **more)


_begin = partial(_option, None)
_run = partial(_option, "Run")
_learn = partial(_option, "Learning")
_data = partial(typer.Option, rich_help_panel="What to measure on")
_what = partial(typer.Option, rich_help_panel="What to measure")
_out = partial(typer.Option, rich_help_panel="Output")


@dataclass(frozen=True, kw_only=True)
class TrainFlags:
    """Everything typed after `train`; None for what was not."""

    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA", help="Folder of videos, a manifest (CSV or JSON lines), or tar shards."
        ),
    ]
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="Checkpoints, log and finished model."),
    ]
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache", metavar="DIR", help="Decoded crops and sound; DIR/cache of --out if left."
        ),
    ] = None
    attention: Annotated[
        str | None,
        _begin("--attention", metavar="KIND", help="none, temporal or spatio-temporal."),
    ] = None
    size: Annotated[
        str | None,
        _begin("--size", metavar="NAME", help="Width of the encoders: base or large."),
    ] = None
    sound: Annotated[
        str | None,
        _begin("--sound", metavar="KIND", help="What is heard: log-mel or phones."),
    ] = None
    visual_layers: Annotated[
        int | None,
        _begin(
            "--visual-layers", metavar="N", help="Layers over time on the picture's cells, 0-4."
        ),
    ] = None
    start: Annotated[
        Path | None,
        _begin("--start", metavar="DIR", help="Begin with this trained model's weights."),
    ] = None
    baseline: Annotated[
        str | None,
        _begin(
            "--baseline", metavar="NAME", help="Train a model to compare with instead: syncnet."
        ),
    ] = None
    steps: Annotated[
        int | None, _learn("--steps", metavar="N", help="Optimiser steps, of one batch each.")
    ] = None
    batch: Annotated[
        int | None, _learn("--batch", metavar="N", help="Windows a step, over all.")
    ] = None
    learning_rate: Annotated[
        float | None, _learn("--learning-rate", metavar="X", help="Peak of the rate.")
    ] = None
    warmup: Annotated[int | None, _learn("--warmup", metavar="N", help="Steps of rising rate.")] = (
        None
    )
    synthetic: Annotated[
        int | None, _learn("--synthetic", metavar="N", help="Rendered clips to add.")
    ] = None
    val_share: Annotated[
        float | None, _learn("--val-share", metavar="X", help="Share held out.")
    ] = None
    val_every: Annotated[
        int | None, _learn("--val-every", metavar="N", help="Steps between checks.")
    ] = None
    realign_at: Annotated[
        int | None,
        _learn(
            "--realign-at",
            metavar="N",
            help="Step from which offsets of the clips' own are undone; 0 for never.",
        ),
    ] = None
    encoders: Annotated[
        Path | None,
        _learn(
            "--encoders",
            metavar="DIR",
            help="Keep the encoders of this trained model and learn a new head.",
        ),
    ] = None
    windows: Annotated[
        int | None, _learn("--windows", metavar="N", help="Windows to encode for --encoders.")
    ] = None
    seed: Annotated[int | None, _learn("--seed", metavar="N", help="Of everything random.")] = None
    workers: Annotated[
        int | None, _run("--workers", metavar="N", help="Processes preparing batches.")
    ] = None
    checkpoint_minutes: Annotated[
        float | None,
        _run("--checkpoint-minutes", metavar="X", help="Most that a killed run loses."),
    ] = None
    device: Annotated[str | None, _run("--device", metavar="NAME", help="auto, cpu or cuda.")] = (
        None
    )
    precision: Annotated[str | None, _run("--precision", metavar="KIND", help="bf16 or fp32.")] = (
        None
    )
    frames: Annotated[
        int | None, _learn("--frames", metavar="N", help="Frames of a window: 50, or 30.")
    ] = None
    frozen: Annotated[
        int | None,
        _learn("--frozen", metavar="N", help="First stages of the picture's encoder to keep, 0-3."),
    ] = None
    pieces: Annotated[
        float | None,
        _learn("--pieces", metavar="X", help="Share of steps on windows seen in short pieces."),
    ] = None
    product: Annotated[
        bool,
        _learn(
            "--product/--no-product",
            help="Show the joint layers the features' product too; the paper does not.",
        ),
    ] = True
    similarity_skip: Annotated[
        bool,
        _learn(
            "--similarity-skip/--no-similarity-skip",
            help="Add the features' similarity to the decision; the paper does not.",
        ),
    ] = True
    tensorboard: Annotated[bool, _run("--tensorboard", help="Log for TensorBoard too.")] = False


@dataclass(frozen=True, kw_only=True)
class EvalFlags:
    """Everything typed after `eval`."""

    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="Folder of videos, or a manifest (CSV or JSON lines)."),
    ]
    model: Annotated[
        str, typer.Option("--model", metavar="NAME|DIR", help="A bundled model, or a folder.")
    ] = "default"
    compare: Annotated[
        list[str] | None,
        typer.Option(
            "--compare",
            metavar="NAME|DIR",
            help="Another model on the same windows, a checkpoint, a baseline, motion or strikes; "
            "may be given again.",
            show_default=False,
        ),
    ] = None
    split: Annotated[str, _data("--split", metavar="NAME", help="Only rows of this split.")] = ""
    kind: Annotated[
        list[str] | None,
        _data(
            "--kind",
            metavar="NAME",
            help="Only rows of this kind; may be given again.",
            show_default=False,
        ),
    ] = None
    own_zero: Annotated[
        list[str] | None,
        _data(
            "--own-zero",
            metavar="SOURCE",
            help="A source (or pattern) whose clips carry an offset of their own; may be given "
            "again.",
            show_default=False,
        ),
    ] = None
    parts: Annotated[
        str,
        _what(
            "--parts",
            metavar="NAMES",
            help="windows, shifts, certainty, showcase; windows if left out, all with --report.",
            show_default=False,
        ),
    ] = ""
    windows: Annotated[
        str,
        _what(
            "--windows",
            metavar="LENGTHS",
            help="Window lengths, in frames of 40 ms (15f) or times.",
        ),
    ] = "5f,7f,9f,11f,13f,15f,1s,2s,5s"
    windows_a_clip: Annotated[
        int, _what("--windows-a-clip", min=1, metavar="N", help="Most windows of a track.")
    ] = 6
    shifts: Annotated[
        str,
        _what(
            "--shifts",
            metavar="MS,MS",
            help="Also write the files anew with the sound moved by these, and judge them: "
            "-400,-120,80,240.",
            show_default=False,
        ),
    ] = ""
    range: Annotated[
        str, _what("--range", metavar="TIME", help="Range of the scan of moved files.")
    ] = "1s"
    seed: Annotated[int, _what("--seed", metavar="N", help="Of all that is drawn.")] = 0
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache",
            metavar="DIR",
            help="Decoded crops and sound; kept in the user's cache folder if left out.",
        ),
    ] = None
    workers: Annotated[
        int, typer.Option("--workers", min=0, metavar="N", help="Processes; 0 is one a core.")
    ] = 0
    report: Annotated[
        Path | None,
        _out(
            "--report",
            metavar="DIR",
            help="Measure everything, and write tables and figures to DIR.",
        ),
    ] = None
    json: Annotated[bool, _out("--json", help="One JSON document.")] = False
    output: Annotated[
        Path | None,
        _out(
            "--output", "-o", metavar="FILE", help="Write the answer to FILE, whole or not at all."
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ExportFlags:
    """Everything typed after `export`."""

    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Folder that train wrote.")
    ]
    out: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the model to write.")]
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="The model's name.", show_default="DIR's"),
    ] = None
    calibrate: Annotated[
        Path | None,
        typer.Option(
            "--calibrate",
            metavar="DATA",
            help="Held-out videos in sync, on which to measure how sure the model may be: a "
            "folder, or a manifest of which the rows of split val count, if there are any.",
        ),
    ] = None
    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help="Encoders in 8 bits: less than half of their time on processors with 8-bit dot "
            "products (AVX-512 VNNI and the like), for about a millisecond of accuracy. Needs "
            "--calibrate, whose clips show how large the layers' values get.",
        ),
    ] = False
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache",
            metavar="DIR",
            help="Decoded crops and sound; kept in the user's cache folder if left out.",
        ),
    ] = None
