"""What a training run can be told, with defaults and their reasons; no torch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from avsync_cli.errors import UsageError
from avsync_cli.model.config import WIDTHS, Attention, Size, Sound

_LEAST: Mapping[int, str] = {
    30: "frames",
    2: "batch",
    1: "steps val_every warmup windows negatives",
    0: "realign_at synthetic frozen visual_layers sound_layers workers learning_rate weight_decay "
    "head_weight checkpoint_minutes",
}
"""The least values, and of which options."""
_SHARES = ("cooldown", "val_share", "ema", "pieces", "dropout")
_WORDS = {"baseline": ("", "syncnet"), "size": tuple(WIDTHS), "precision": ("auto", "bf16", "fp32")}
_WORDS["sound"] = get_args(Sound)
_WHY = {"batch": "batch normalisation needs company", "realign_at": "0 is for never"}


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Everything that shapes a run; stored in its checkpoints.

    Attributes:
        data: folder or manifest of videos, or a pack of them.
        cache: folder for decoded crops and sound.
        out: folder of the run: checkpoints, log, and the model when done.
        baseline: "syncnet" to train that shape, to compare with; "" to train our own model.
        attention: the variant to train.
        size: how wide the encoders are, see `model.config.WIDTHS`.
        sound: what the sound encoder is fed, see `ModelConfig`.
        visual_layers, sound_layers: see `ModelConfig`.
        start: folder of a trained model whose weights are begun with, where they fit; None to
            begin with random ones.
        frozen: how many of the visual encoder's first stages (0 to 3) are left as they were begun
            with; all three halve the time of a step on a CPU.
        frames: length of the windows learnt from; 30 for many short ones, 50 for few long ones.
        steps: optimiser steps; a step is one batch on every process.
        batch: windows a batch, over all processes.
        learning_rate: peak of AdamW's rate.
        warmup: steps over which the rate rises to its peak.
        cooldown: share of the steps over which it falls to zero at the end.
        weight_decay: AdamW's decoupled decay, on matrices only.
        ema: decay a step of the averaged weights that are validated and exported.
        negatives: wrong offsets a window is compared with in the joint head.
        head_weight: weight of the joint head's losses beside the encoders' contrastive ones.
        pieces: share of the steps whose windows are seen in pieces of 5 to 25 frames, with the
            picture held beyond them: what a short window will look like. Costs up to twice as much.
        synthetic: rendered clips to add, 0 for none.
        val_share: share of the clips held out by source and speaker when no row says "val".
        realign_at: step at which clips with an offset of their own are found and put right (see
            `realign`), and again whenever the steps have doubled since; 0 for never.
        val_every: steps between validations.
        checkpoint_minutes: most that a killed run can lose.
        workers: processes that prepare batches; 0 prepares them in the training process.
        seed: of everything random.
        device: "auto", "cpu" or "cuda".
        precision: "bf16" (matrices and convolutions in bfloat16), "fp32", or "auto" for the first
            where the device has instructions for it.
        dropout: share of the pooled representation hidden from the decision, and of the numbers
            within layers over time.
        tensorboard: also write the log as TensorBoard events.
        encoders: folder of a trained model whose encoders are kept as they are while a new head,
            and the layers over time that they lack, are trained on windows that they encode once;
            None to train everything.
        windows: how many windows are encoded for that.
        on_device: keep all clips on the device, and draw windows there; for "phones".
        similarity_skip: see `ModelConfig`.
        product: see `ModelConfig`.
    """

    data: Path
    cache: Path
    out: Path
    baseline: str = ""
    attention: Attention = "spatio-temporal"
    size: Size = "base"
    sound: Sound = "log-mel"
    visual_layers: int = 0
    sound_layers: int = 0
    start: Path | None = None
    frozen: int = 0
    frames: int = 50
    steps: int = 4000
    batch: int = 24
    learning_rate: float = 1e-3
    warmup: int = 100
    cooldown: float = 0.4
    weight_decay: float = 0.05
    ema: float = 0.997
    negatives: int = 7
    head_weight: float = 0.5
    pieces: float = 0.0
    synthetic: int = 400
    val_share: float = 0.08
    realign_at: int = 600
    val_every: int = 250
    checkpoint_minutes: float = 5.0
    workers: int = 1
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    dropout: float = 0.3
    tensorboard: bool = False
    encoders: Path | None = None
    windows: int = 4000
    on_device: bool = False
    similarity_skip: bool = True
    product: bool = True

    def checked(self) -> TrainOptions:
        """Itself, if every value can be meant.

        Raises:
            UsageError: naming the first value that cannot.
        """
        for least, name in ((n, name) for n, names in _LEAST.items() for name in names.split()):
            if not least <= getattr(self, name) < math.inf:
                raise UsageError(f"{_flag(name)} must be at least {least}", _WHY.get(name, ""))
        for name in _SHARES:
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UsageError(f"{_flag(name)} is a share between 0 and 1")
        for name in ("val_share", "ema", "dropout"):
            if getattr(self, name) == 1.0:
                raise UsageError(f"{_flag(name)} must lie below 1")
        for name, words in _WORDS.items():
            if getattr(self, name) not in words:
                known = " or ".join(word for word in words if word)
                what = f"unknown {name} {getattr(self, name)!r}"
                raise UsageError(what, f"use {_flag(name)} {known}")
        if self.on_device and (self.sound != "phones" or self.encoders or self.baseline):
            what = "--on-device needs --sound phones, and learns encoders of our own"
            raise UsageError(what, "leave out --encoders and --baseline")
        if self.device not in ("auto", "cpu") and not self.device.startswith("cuda"):
            raise UsageError(f"--device {self.device} is unknown", "use auto, cpu or cuda")
        return self

    def to_json(self) -> dict[str, object]:
        """Plain values for the checkpoint and the log."""
        values = dataclasses.asdict(self)
        return {k: str(v) if isinstance(v, Path) else v for k, v in values.items()}
