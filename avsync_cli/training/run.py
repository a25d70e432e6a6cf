"""One training run: its model, averaged model, optimiser, checkpoints, and a single step of it."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import nn

from avsync_cli.errors import DataError, UsageError
from avsync_cli.files import append_line, replace_folder, settle_folder
from avsync_cli.model.checkpoint import (
    load_model,
    load_tensors,
    optimizer_tensors,
    restore_optimizer,
    save_tensors,
)
from avsync_cli.model.config import ModelConfig
from avsync_cli.model.core import SyncModel
from avsync_cli.model.folder import read_about, write_about
from avsync_cli.training import distributed
from avsync_cli.training.augment import augment_crops
from avsync_cli.training.bank import ENCODERS, digest, encoder_tensors
from avsync_cli.training.dataset import WindowSpec
from avsync_cli.training.losses import PIECES, Losses, all_losses, head_losses
from avsync_cli.training.options import TrainOptions

MAX_GRADIENT = 2.0
"""Norm to which gradients are cut: a batch of silent windows must not undo a hundred others."""

SHAPES_OF_THE_HEAD = {"attention": "none", "product": True, "similarity_skip": True}
"""Parts of a model's configuration that its encoders do not depend on."""

RESUME_MUST_MATCH = (
    "attention",
    "size",
    "batch",
    "seed",
    "similarity_skip",
    "product",
    "windows",
)
"""Options that shape a run; a resumed one must have the same. Steps may be added or taken away: the
learning rate then follows the new plan from there on."""


def learning_rate(options: TrainOptions, step: int) -> float:
    """Rises for `warmup` steps, stays, and falls along a cosine over the last `cooldown` share."""
    if step < options.warmup:
        return options.learning_rate * (step + 1) / options.warmup
    start = options.steps * (1.0 - options.cooldown)
    if step <= start:
        return options.learning_rate
    part = (step - start) / max(1.0, options.steps - start)
    return options.learning_rate * (0.5 + 0.5 * math.cos(math.pi * part)) + 1e-6


def pick_device(name: str) -> torch.device:
    """The device a run uses.

    Raises:
        UsageError: a GPU was asked for and there is none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch sees no GPU", "use --device cpu")
    return torch.device(name)


def _tensorboard(options: TrainOptions) -> Any:
    """A writer of TensorBoard events into the run's folder, for the first process."""
    if distributed.rank() != 0:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError("--tensorboard needs TensorBoard", "pip install tensorboard") from error
    return SummaryWriter(options.out / "tensorboard")


class _SharedDropout(nn.Module):
    """Dropout whose masks are those that one process would draw for the whole batch.

    Args:
        rate: share of the entries hidden while training; what is left grows to keep the mean.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0.0:
            return x
        whole = (len(x) * distributed.world(), *x.shape[1:])
        kept = distributed.share(torch.rand(whole, device=x.device)) >= self.rate
        return x * kept / (1.0 - self.rate)


class Run:
    """One training run: its model, averaged model, optimiser and place in time."""

    def __init__(self, options: TrainOptions) -> None:
        self.options = options
        self.device = pick_device(options.device)
        distributed.start(self.device)
        if options.batch % distributed.world():
            raise UsageError(
                f"--batch {options.batch} cannot be shared by {distributed.world()} processes"
            )
        torch.manual_seed(options.seed)
        self.config = ModelConfig.of(
            options.size,
            attention=options.attention,
            product=options.product,
            similarity_skip=options.similarity_skip,
        )
        self.model = SyncModel(self.config, _SharedDropout(options.dropout)).to(self.device)
        # Channels last is the order that convolutions compute in: a fifth off a step on a CPU.
        for parameter in self.model.parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        self.encoders = self._keep_encoders(options.encoders)
        distributed.share_batch_norm(self.model)
        self.averaged = copy.deepcopy(self.model).requires_grad_(False)
        named = list(self.model.named_parameters())
        matrices = [(n, p) for n, p in named if p.dim() > 1]
        others = [(n, p) for n, p in named if p.dim() <= 1]
        self.names = [n for n, _ in matrices + others]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for _, p in matrices], "weight_decay": options.weight_decay},
                {"params": [p for _, p in others], "weight_decay": 0.0},
            ],
            lr=options.learning_rate,
            betas=(0.9, 0.98),
        )
        self.events = _tensorboard(options) if options.tensorboard else None
        self.step = 0
        self.best = -1.0
        self.spent_s = 0.0

    def _keep_encoders(self, folder: Path | None) -> str:
        """Take over a trained model's encoders, to be left as they are; returns their digest."""
        if folder is None:
            return ""
        trained, _ = load_model(folder)
        if trained.config.size != self.config.size:
            raise UsageError(
                f"{folder} has encoders of size {trained.config.size}, not {self.config.size}",
                f"add --size {trained.config.size}",
            )
        sizes = [{**m.config.to_json(), **SHAPES_OF_THE_HEAD} for m in (trained, self.model)]
        if sizes[0] != sizes[1]:
            raise UsageError(f"{folder} has encoders of another shape", "train it anew")
        self.model.load_state_dict(encoder_tensors(trained), strict=False)
        for name, parameter in self.model.named_parameters():
            if name.startswith(ENCODERS):
                parameter.requires_grad_(False)
        return digest(trained)

    # -- checkpoints ---------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """Where checkpoints go."""
        return self.options.out / "checkpoint"

    def save(self) -> None:
        """Write everything a resumed run needs, whole or not at all."""
        if distributed.rank() == 0:
            replace_folder(self.folder, self.fill)
        distributed.barrier()

    def fill(self, folder: Path) -> None:
        """Write a checkpoint into an empty folder."""
        save_tensors(folder / "model.safetensors", self.model.state_dict())
        save_tensors(folder / "weights.safetensors", self.averaged.state_dict())
        save_tensors(
            folder / "optimizer.safetensors", optimizer_tensors(self.optimizer, self.names)
        )
        write_about(folder, **self.about())

    def about(self) -> dict[str, Any]:
        """What model.json says."""
        training = self.options.to_json()
        for name in ("data", "cache", "out"):  # paths of one machine say nothing on another
            training.pop(name)
        training["encoders"] = self.encoders
        training |= {"step": self.step, "best": self.best, "spent_s": round(self.spent_s)}
        return {"config": self.config.to_json(), "training": training}

    def resume(self) -> bool:
        """Go on where a checkpoint stopped, if there is one.

        Raises:
            UsageError: the checkpoint is of a run with other options.
            ModelError: the checkpoint is damaged.
        """
        if not settle_folder(self.folder):
            return False
        then: dict[str, Any] = dict(read_about(self.folder).training)
        now = {name: getattr(self.options, name) for name in RESUME_MUST_MATCH}
        now["encoders"] = self.encoders
        # Options that are younger than a checkpoint had their defaults when it was written.
        usual = {"encoders": "", "windows": TrainOptions.windows, "size": TrainOptions.size}
        for name, value in now.items():
            if then.get(name, usual.get(name)) != value:
                raise UsageError(
                    f"{self.folder} is of a run with {name} = {then.get(name)}, not {value}",
                    "give the same options, or another --out",
                )
        self.model.load_state_dict(load_tensors(self.folder / "model.safetensors"))
        self.averaged.load_state_dict(load_tensors(self.folder / "weights.safetensors"))
        restore_optimizer(
            self.optimizer, self.names, load_tensors(self.folder / "optimizer.safetensors")
        )
        self.step, self.best = int(then["step"]), float(then["best"])
        self.spent_s = float(then.get("spent_s", 0.0))
        return True

    def log(self, **values: Any) -> None:
        """Append a line to the run's log, and its figures to TensorBoard's if that is wanted."""
        if distributed.rank() != 0:
            return
        append_line(self.options.out / "log.jsonl", json.dumps({"step": self.step, **values}))
        if self.events is not None:
            kind = "validation" if values.get("event") == "validation" else "train"
            for name, value in values.items():
                if isinstance(value, float):
                    self.events.add_scalar(f"{kind}/{name}", value, self.step)
            self.events.flush()

    # -- one step ------------------------------------------------------------------------------

    def learn(self, batch: dict[str, torch.Tensor]) -> dict[str, float]:
        """One optimiser step on one batch; returns its figures."""
        options = self.options
        # Seeded by step, a resumed run draws the same, dropout too; all processes draw alike, for
        # the whole batch.
        generator = torch.Generator().manual_seed(options.seed * 1_000_003 + self.step)
        torch.manual_seed(generator.initial_seed())
        batch = {k: v.to(self.device, non_blocking=True) for k, v in batch.items()}
        rate = learning_rate(options, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=options.precision == "bf16"):
            losses = self._losses(batch, generator)
            total = losses.total(options.head_weight)
        if not math.isfinite(float(total.detach())):
            raise DataError(
                f"the loss is not finite at step {self.step}", "lower --learning-rate and resume"
            )
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        distributed.average_gradients(self.model)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), MAX_GRADIENT)
        self.optimizer.step()
        self._average()
        self.step += 1
        return {
            "loss": float(total.detach()),
            "contrastive": float(losses.contrastive.detach()),
            "pooled": float(losses.pooled.detach()),
            "rank": float(losses.rank.detach()),
            "classes": float(losses.classes.detach()),
            "rank_right": losses.rank_right,
            "classes_right": losses.classes_right,
            "gradient": float(norm),
            "rate": rate,
        }

    def _losses(self, batch: dict[str, torch.Tensor], generator: torch.Generator) -> Losses:
        """Losses of a batch of windows, or of windows that are encoded already."""
        reach, negatives = WindowSpec().reach, self.options.negatives
        if "v" in batch:
            return head_losses(self.model, batch, reach, negatives, generator)
        crops = augment_crops(batch["crops"], self.config.input_px, generator)
        piece_frames = 0
        if self.options.pieces and float(torch.rand((), generator=generator)) < self.options.pieces:
            piece_frames = PIECES[int(torch.randint(len(PIECES), (), generator=generator))]
        return all_losses(self.model, crops, batch, reach, negatives, generator, piece_frames)

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averaged model a little towards the current one."""
        keep = min(self.options.ema, (1 + self.step) / (10 + self.step))
        mine = self.model.state_dict()
        for name, value in self.averaged.state_dict().items():
            if value.is_floating_point():
                value.lerp_(mine[name], 1.0 - keep)
            else:
                value.copy_(mine[name])
