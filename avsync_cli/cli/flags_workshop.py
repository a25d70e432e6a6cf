"""The flags of train, eval and export, which make and measure models."""

from dataclasses import MISSING, dataclass
from functools import partial
from pathlib import Path

from avsync_cli.cli.takes import argument, option
from avsync_cli.cli.values import file_place
from avsync_cli.training.options import TrainOptions

_begin = partial(option, told=TrainOptions, show_default=False)
_run = partial(_begin, panel="Run")
_learn = partial(_begin, panel="Learning")
_data = partial(option, panel="What to measure on")
_what = partial(option, panel="What to measure")
_out = partial(option, panel="Output")


@dataclass(frozen=True, kw_only=True)
class TrainFlags:
    """Everything typed after `train`; None for what was not."""

    data: Path = argument(
        "Folder of videos, a manifest (CSV or JSON lines), tar shards, or a pack.",
        metavar="DATA",
    )
    out: Path = option("Checkpoints, log and finished model.", "-o", metavar="DIR", default=MISSING)
    cache: Path | None = option(
        "Decoded crops and sound; DIR/cache of --out if left.", metavar="DIR"
    )
    attention: str | None = _begin("none, temporal or spatio-temporal.", metavar="KIND")
    size: str | None = _begin("Width of the encoders: base or large.", metavar="NAME")
    sound: str | None = _begin("What is heard: log-mel or phones.", metavar="KIND")
    visual_layers: int | None = _begin("Layers over time on the picture's side, 0-4.", metavar="N")
    sound_layers: int | None = _begin("Layers over time on the sound's side, 0-4.", metavar="N")
    start: Path | None = _begin("Begin with this trained model's weights.", metavar="DIR")
    baseline: str | None = _begin("Train a model to compare with instead: syncnet.", metavar="NAME")
    steps: int | None = _learn("Optimiser steps, of one batch each.", metavar="N")
    batch: int | None = _learn("Windows a step, over all.", metavar="N")
    learning_rate: float | None = _learn("Peak of the rate.", metavar="X")
    warmup: int | None = _learn("Steps of rising rate.", metavar="N")
    synthetic: int | None = _learn("Rendered clips to add.", metavar="N")
    val_share: float | None = _learn("Share held out.", metavar="X")
    val_every: int | None = _learn("Steps between checks.", metavar="N")
    realign_at: int | None = _learn(
        "Step from which offsets of the clips' own are undone; 0 for never.", metavar="N"
    )
    encoders: Path | None = _learn(
        "Keep the encoders of this trained model and learn a new head.", metavar="DIR"
    )
    windows: int | None = _learn("Windows to encode for --encoders.", metavar="N")
    seed: int | None = _learn("Of everything random.", metavar="N")
    workers: int | None = _run("Processes preparing batches.", metavar="N")
    checkpoint_minutes: float | None = _run("Most that a killed run loses.", metavar="X")
    device: str | None = _run("auto, cpu or cuda.", metavar="NAME")
    precision: str | None = _run("auto, bf16 or fp32.", metavar="KIND")
    frames: int | None = _learn("Frames of a window: 50, or 30.", metavar="N")
    frozen: int | None = _learn("First stages of the picture's encoder to keep, 0-3.", metavar="N")
    pieces: float | None = _learn("Share of steps on windows seen in short pieces.", metavar="X")
    product: bool = _learn(
        "Show the joint layers the features' product too; the paper does not.",
        "--product/--no-product",
        default=True,
    )
    similarity_skip: bool = _learn(
        "Add the features' similarity to the decision; the paper does not.",
        "--similarity-skip/--no-similarity-skip",
        default=True,
    )
    tensorboard: bool = _run("Log for TensorBoard too.", default=False)
    on_device: bool = _run(
        "Keep all clips on the device and draw windows there; for --sound phones.", default=False
    )
    pack: Path | None = _out(
        "Train nothing: put crops and sound of all clips into this .avpack.",
        metavar="FILE",
        parser=file_place,
    )
    pack_mib: float = _out("Its size at the most.", metavar="MIB", default=64.0, min=1.0)


@dataclass(frozen=True, kw_only=True)
class EvalFlags:
    """Everything typed after `eval`."""

    data: Path = argument("Folder of videos, or a manifest (CSV or JSON lines).", metavar="DATA")
    model: str = option("A bundled model, or a folder.", metavar="NAME|DIR", default="default")
    compare: list[str] | None = option(
        "Another model on the same windows, a checkpoint, a baseline, motion or strikes; "
        "may be given again.",
        metavar="NAME|DIR",
        show_default=False,
    )
    split: str = _data("Only rows of this split.", metavar="NAME", default="")
    kind: list[str] | None = _data(
        "Only rows of this kind; may be given again.", metavar="NAME", show_default=False
    )
    own_zero: list[str] | None = _data(
        "A source (or pattern) whose clips carry an offset of their own; may be given again.",
        metavar="SOURCE",
        show_default=False,
    )
    parts: str = _what(
        "windows, shifts, certainty, showcase; windows if left out, all with --report.",
        metavar="NAMES",
        show_default=False,
        default="",
    )
    windows: str = _what(
        "Window lengths, in frames of 40 ms (15f) or times.",
        metavar="LENGTHS",
        default="5f,7f,9f,11f,13f,15f,1s,2s,5s",
    )
    windows_a_clip: int = _what("Most windows of a track.", min=1, metavar="N", default=6)
    shifts: str = _what(
        "Also write the files anew with the sound moved by these, and judge them: "
        "-400,-120,80,240.",
        metavar="MS,MS",
        show_default=False,
        default="",
    )
    range: str = _what("Range of the scan of moved files.", metavar="TIME", default="1s")
    seed: int = _what("Of all that is drawn.", metavar="N", default=0)
    cache: Path | None = option(
        "Decoded crops and sound; kept in the user's cache folder if left out.", metavar="DIR"
    )
    workers: int = option("Processes; 0 is one a core.", min=0, metavar="N", default=0)
    report: Path | None = _out(
        "Measure everything, and write tables and figures to DIR.", metavar="DIR"
    )
    json: bool = _out("One JSON document.", default=False)
    output: Path | None = _out(
        "Write the answer to FILE, whole or not at all.", "-o", metavar="FILE", parser=file_place
    )


@dataclass(frozen=True, kw_only=True)
class ExportFlags:
    """Everything typed after `export`."""

    checkpoint: Path = argument("Folder that train wrote.", metavar="CHECKPOINT")
    out: Path = argument("Folder of the model to write.", metavar="DIR")
    name: str | None = option("The model's name.", metavar="NAME", show_default="DIR's")
    calibrate: Path | None = option(
        "Held-out videos in sync, on which to measure how sure the model may be: a "
        "folder, or a manifest of which the rows of split val count, if there are any.",
        metavar="DATA",
    )
    int8: bool = option(
        "Encoders in 8 bits: less than half of their time on processors with 8-bit dot "
        "products (AVX-512 VNNI and the like), for about a millisecond of accuracy. Needs "
        "--calibrate, whose clips show how large the layers' values get.",
        default=False,
    )
    cache: Path | None = option(
        "Decoded crops and sound; kept in the user's cache folder if left out.", metavar="DIR"
    )
