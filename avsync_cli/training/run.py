"""One training run: its lesson, averaged model, optimiser, checkpoints, and a single step of it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from avsync_cli.errors import DataError, UsageError
from avsync_cli.files import append_line, replace_folder, settle_folder
from avsync_cli.model.checkpoint import (
    load_tensors,
    optimizer_tensors,
    restore_optimizer,
    save_tensors,
)
from avsync_cli.model.folder import WEIGHTS, read_about, write_about
from avsync_cli.training import distributed
from avsync_cli.training.baseline import SyncNetLesson
from avsync_cli.training.lesson import Lesson
from avsync_cli.training.options import TrainOptions
from avsync_cli.training.precision import in_bfloat16
from avsync_cli.training.sync_lesson import SyncLesson

MAX_GRADIENT = 2.0
"""Norm to which gradients are cut: a batch of silent windows must not undo a hundred others."""

RESUME_MUST_MATCH = (
    "baseline attention size sound frozen visual_layers sound_layers frames batch seed "
    "similarity_skip product windows on_device"
).split()
"""Options that shape a run; a resumed one must have the same. Steps may be added or taken away: the
learning rate then follows the new plan from there on."""

MOST_LOST = 10
"""Steps in a row that may have no finite gradient: one is chance, more is a run gone wrong."""

PATHS = ("data", "cache", "out", "start")
"""Options that are paths of one machine and say nothing on another."""


def learning_rate(options: TrainOptions, step: int) -> float:
    """Rises for `warmup` steps, stays, and falls along a cosine over the last `cooldown` share."""
    if step < options.warmup:
        return options.learning_rate * (step + 1) / options.warmup
    start = options.steps * (1.0 - options.cooldown)
    if step <= start:
        return options.learning_rate
    part = (step - start) / max(1.0, options.steps - start)
    return options.learning_rate * (0.5 + 0.5 * math.cos(math.pi * part)) + 1e-6


def averaging(decay: float) -> Callable[[Any, Any, Any], None]:
    """What `AveragedModel` does in a step: an exponential mean that starts as a plain one."""

    @torch.no_grad()
    def move(averaged: list[Tensor], current: list[Tensor], steps: Tensor | int) -> None:
        keep = min(decay, (1 + int(steps)) / (10 + int(steps)))
        for mine, theirs in zip(averaged, current, strict=True):
            if mine.is_floating_point():
                mine.lerp_(theirs, 1.0 - keep)
            else:
                mine.copy_(theirs)

    return move


def _tensorboard(options: TrainOptions) -> Any:
    """A writer of TensorBoard events into the run's folder, for the first process."""
    if not options.tensorboard or distributed.rank() != 0:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError("--tensorboard needs TensorBoard", "pip install tensorboard") from error
    return SummaryWriter(options.out / "tensorboard")


class Run:
    """One training run.

    Attributes:
        lesson: what is taught.
        averaged: holds the averaged model, which is validated and kept, as its `module`.
        step: steps done; best: the best validation so far; spent_s: time taken.

    Raises:
        UsageError: options that cannot be used together, or with so many processes.
    """

    def __init__(self, options: TrainOptions, device: torch.device | None = None) -> None:
        self.options, self.device = options, device or torch.device("cpu")
        if options.batch % distributed.world():
            among = f"{distributed.world()} processes"
            raise UsageError(f"--batch {options.batch} cannot be shared by {among}")
        torch.manual_seed(options.seed)
        self.lesson: Lesson = SyncNetLesson(options) if options.baseline else SyncLesson(options)
        self.model: nn.Module = self.lesson.model.to(self.device)
        # Channels last is the order that convolutions compute in: a fifth off a step on a CPU.
        for parameter in self.model.parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        distributed.share_batch_norm(self.model)
        self.averaged = AveragedModel(
            self.model, multi_avg_fn=averaging(options.ema), use_buffers=True
        ).requires_grad_(False)
        self.in_bfloat16 = in_bfloat16(options.precision, self.device)
        self.optimizer, self.names = _optimizer(self.model, options)
        self.events = _tensorboard(options)
        self.step, self.best, self.spent_s, self.lost = 0, -1.0, 0.0, 0
        self._since = self._saved = time.monotonic()

    # -- checkpoints ---------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """Where checkpoints go."""
        return self.options.out / "checkpoint"

    def save(self) -> None:
        """Write everything a resumed run needs, whole or not at all."""
        if distributed.rank() == 0:
            replace_folder(self.folder, self.fill)
        self._saved = time.monotonic()

    def save_if_due(self) -> None:
        """`save`, if the last time was `checkpoint_minutes` ago."""
        if time.monotonic() - self._saved > self.options.checkpoint_minutes * 60:
            self.save()

    def keep_best(self) -> None:
        """Keep the averaged model as the best so far; for the first process."""
        replace_folder(self.options.out / "best", self.fill)

    def fill(self, folder: Path) -> None:
        """Write a checkpoint into an empty folder."""
        save_tensors(folder / "model.safetensors", self.model.state_dict())
        save_tensors(folder / WEIGHTS, self.averaged.module.state_dict())
        save_tensors(
            folder / "optimizer.safetensors", optimizer_tensors(self.optimizer, self.names)
        )
        training = {n: v for n, v in self.options.to_json().items() if n not in PATHS}
        training |= {"encoders": self.lesson.encoders, "step": self.step, "best": self.best}
        training |= {"spent_s": round(self.spent_s)}
        write_about(folder, **self.lesson.about(), training=training)

    def resume(self) -> bool:
        """Go on where a checkpoint stopped, if there is one.

        Raises:
            UsageError: the checkpoint is of a run with other options.
            ModelError: the checkpoint is damaged.
        """
        self._since = self._saved = time.monotonic()
        if distributed.rank() == 0:
            settle_folder(self.folder)
        distributed.barrier()
        if not self.folder.exists():
            return False
        then: dict[str, Any] = dict(read_about(self.folder).training)
        now = {name: getattr(self.options, name) for name in RESUME_MUST_MATCH}
        for name, value in (now | {"encoders": self.lesson.encoders}).items():
            if then.get(name, getattr(TrainOptions, name, None)) != value:
                raise UsageError(
                    f"{self.folder} is of a run with {name} = {then.get(name)}, not {value}",
                    "give the same options, or another --out",
                )
        self.model.load_state_dict(load_tensors(self.folder / "model.safetensors"))
        self.averaged.module.load_state_dict(load_tensors(self.folder / WEIGHTS))
        restore_optimizer(
            self.optimizer, self.names, load_tensors(self.folder / "optimizer.safetensors")
        )
        self.step, self.best = int(then["step"]), float(then["best"])
        self.spent_s = float(then["spent_s"])
        self.averaged.n_averaged.fill_(self.step)
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

    def _lose(self) -> None:
        """Leave out a step whose loss or gradient is no number, unless there are too many."""
        self.lost += 1
        self.log(event="left out")
        for mine, kept in zip(self.model.buffers(), self.averaged.module.buffers(), strict=True):
            mine.copy_(kept)
        if self.lost > MOST_LOST:
            what = f"the loss is not finite at step {self.step}"
            raise DataError(what, "lower --learning-rate and resume")

    # -- one step ------------------------------------------------------------------------------

    def due(self, every: int) -> bool:
        """Whether it is time for what happens every so many steps, and at the end."""
        return self.step % every == 0 or self.step == self.options.steps

    def learn(self, batch: dict[str, Tensor]) -> dict[str, float]:
        """One optimiser step on one batch; returns its figures.

        Raises:
            DataError: the loss is no number any more.
        """
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
        _leave_alone(self.model)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.in_bfloat16):
            loss, figures = self.lesson.loss(batch, generator)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        distributed.average_gradients(self.model)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), MAX_GRADIENT)
        if math.isfinite(float(loss.detach())) and math.isfinite(float(norm)):
            self.optimizer.step()
            self.averaged.update_parameters(self.model)
            self.lost = 0
        else:
            self._lose()
        self.step += 1
        now = time.monotonic()
        self.spent_s, self._since = self.spent_s + now - self._since, now
        return {"loss": float(loss.detach()), **figures, "gradient": float(norm), "rate": rate}


def _leave_alone(model: nn.Module) -> None:
    """Modules of which nothing is learnt keep the statistics of their batches too."""
    for module in model.modules():
        own = list(module.parameters())
        if own and not any(p.requires_grad for p in own):
            module.eval()


def _optimizer(model: nn.Module, options: TrainOptions) -> tuple[torch.optim.AdamW, list[str]]:
    """AdamW that lets matrices decay, and the names of the parameters in its order."""
    named = list(model.named_parameters())
    matrices = [(n, p) for n, p in named if p.dim() > 1]
    others = [(n, p) for n, p in named if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for _, p in matrices], "weight_decay": options.weight_decay},
            {"params": [p for _, p in others], "weight_decay": 0.0},
        ],
        lr=options.learning_rate,
        betas=(0.9, 0.98),
    )
    return optimizer, [n for n, _ in matrices + others]
