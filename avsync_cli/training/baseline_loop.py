"""Train the SyncNet-shaped baseline: same clips, same windows, same augmentation, its own loss."""

from __future__ import annotations

import copy
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from avsync_cli.corpus.cache import CachedClip
from avsync_cli.errors import DataError, UsageError
from avsync_cli.evaluation.sweep import sweep
from avsync_cli.evaluation.syncnet import SyncNetScorer
from avsync_cli.files import append_line, replace_folder, settle_folder
from avsync_cli.model.checkpoint import (
    load_tensors,
    optimizer_tensors,
    restore_optimizer,
    save_tensors,
)
from avsync_cli.model.folder import SYNCNET, read_about, write_about
from avsync_cli.model.syncnet import SYNCNET_CONFIG, WINDOW_FRAMES, WINDOW_HOPS, SyncNetShape
from avsync_cli.timebase import HOPS_PER_FRAME
from avsync_cli.training.augment import augment_crops
from avsync_cli.training.dataset import WindowDataset, WindowSpec
from avsync_cli.training.loop import Progress, prepare
from avsync_cli.training.options import TrainOptions
from avsync_cli.training.run import learning_rate, pick_device

PLACES = 8
"""Places of a window of 50 frames that must be told from each other."""

SPACING_FRAMES = 2
"""Least frames between two of them: one frame apart is nearly in sync."""

SHARPNESS = 10.0
"""Inverse temperature of the softmax over distances; vectors have length 1, so these reach 2."""

MAX_GRADIENT = 2.0

VAL_CONTEXTS = (5, 15, 25)
"""Window lengths in frames that are validated."""

RESUME_MUST_MATCH = ("batch", "seed")


def draw_places(clips: int, frames: int, generator: torch.Generator) -> Tensor:
    """(N, `PLACES`) distinct frames of windows of so many frames, `SPACING_FRAMES` apart or more.

    Args:
        clips: N windows.
        frames: their length.
        generator: on the CPU.
    """
    slots = frames // SPACING_FRAMES
    order = torch.rand(clips, slots, generator=generator).argsort(dim=1)[:, :PLACES]
    phase = torch.randint(0, SPACING_FRAMES, (clips, 1), generator=generator)
    return order * SPACING_FRAMES + phase


def matching_loss(distance: Tensor, usable: Tensor) -> Tensor:
    """Every picture must find its own sound among its clip's, and every sound its picture.

    Args:
        distance: (N, P, P) of picture p and sound q of a clip; those with p = q are in sync.
        usable: (N, P) bool, places whose picture and sound exist.

    Returns:
        mean cross entropy of softmax(-`SHARPNESS` distance) over sounds and over pictures.
    """
    both = usable.unsqueeze(1) & usable.unsqueeze(2)
    logits = (-SHARPNESS * distance).masked_fill(~both, -1e4)
    own = torch.arange(distance.shape[1], device=distance.device).expand(len(distance), -1)
    each = F.cross_entropy(logits.transpose(1, 2), own, reduction="none")
    each = each + F.cross_entropy(logits, own, reduction="none")
    return 0.5 * (each * usable).sum() / usable.sum().clamp_min(1)


class BaselineRun:
    """One training run of the baseline.

    Attributes:
        model: being trained; averaged: what is validated and kept.
        step: steps done; best: the best validation so far.
    """

    def __init__(self, options: TrainOptions) -> None:
        self.options = options
        self.device = pick_device(options.device)
        torch.manual_seed(options.seed)
        self.model = SyncNetShape().to(self.device)
        self.averaged = copy.deepcopy(self.model).requires_grad_(False)
        self.names = [name for name, _ in self.model.named_parameters()]
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), options.learning_rate, weight_decay=options.weight_decay
        )
        self.step, self.best = 0, -1.0

    @property
    def folder(self) -> Path:
        """Where checkpoints go."""
        return self.options.out / "checkpoint"

    def fill(self, folder: Path) -> None:
        """Write everything a resumed run and a scorer need."""
        save_tensors(folder / "model.safetensors", self.model.state_dict())
        save_tensors(folder / "weights.safetensors", self.averaged.state_dict())
        kept = optimizer_tensors(self.optimizer, self.names)
        save_tensors(folder / "optimizer.safetensors", kept)
        training = self.options.to_json()
        for name in ("data", "cache", "out"):
            training.pop(name)
        training |= {"step": self.step, "best": self.best}
        write_about(folder, kind=SYNCNET, training=training)

    def resume(self) -> bool:
        """Go on where a checkpoint stopped, if there is one.

        Raises:
            UsageError: the checkpoint is of another kind of run.
        """
        if not settle_folder(self.folder):
            return False
        about = read_about(self.folder)
        then: dict[str, Any] = dict(about.training)
        same = about.kind == SYNCNET
        if not same or any(then.get(n) != getattr(self.options, n) for n in RESUME_MUST_MATCH):
            raise UsageError(f"{self.folder} is of another kind of run", "give another --out")
        self.model.load_state_dict(load_tensors(self.folder / "model.safetensors"))
        self.averaged.load_state_dict(load_tensors(self.folder / "weights.safetensors"))
        tensors = load_tensors(self.folder / "optimizer.safetensors")
        restore_optimizer(self.optimizer, self.names, tensors)
        self.step, self.best = int(then["step"]), float(then["best"])
        return True

    def log(self, **values: Any) -> None:
        """Append a line to the run's log."""
        append_line(self.options.out / "log.jsonl", json.dumps({"step": self.step, **values}))

    def learn(self, batch: dict[str, Tensor]) -> dict[str, float]:
        """One optimiser step on one batch; returns its figures.

        Raises:
            DataError: the loss is no number any more.
        """
        options, window = self.options, WindowSpec()
        generator = torch.Generator().manual_seed(options.seed * 1_000_003 + self.step)
        frame = draw_places(len(batch["crops"]), window.frames, generator)
        heard_there = batch["sound_valid"].cpu().gather(1, frame + window.reach)
        usable = batch["frame_valid"].cpu().gather(1, frame) & heard_there
        if int(usable.sum()) < 2:
            self.step += 1
            return {}
        crops = batch["crops"].to(self.device)
        crops = augment_crops(crops, SYNCNET_CONFIG.input_px, generator)
        clip = torch.arange(len(frame)).view(-1, 1, 1)
        seen = crops[clip, frame.unsqueeze(2) + torch.arange(WINDOW_FRAMES)]
        steps = ((frame + window.reach) * HOPS_PER_FRAME).unsqueeze(2) + torch.arange(WINDOW_HOPS)
        heard = batch["mel"].to(self.device)[clip, steps]
        rate = learning_rate(options, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=options.precision == "bf16"):
            v, a = self.model.see(seen.flatten(0, 1)), self.model.hear(heard.flatten(0, 1))
        distance = torch.cdist(v.float().view(*frame.shape, -1), a.float().view(*frame.shape, -1))
        loss = matching_loss(distance, usable.to(self.device))
        if not math.isfinite(float(loss.detach())):
            raise DataError(f"the loss is not finite at step {self.step}", "lower --learning-rate")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), MAX_GRADIENT)
        self.optimizer.step()
        self._average()
        self.step += 1
        found = (distance.detach().argmin(dim=2).cpu() == torch.arange(PLACES))[usable]
        return {"loss": float(loss.detach()), "found": float(found.float().mean()), "rate": rate}

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(self.options.ema, (1 + self.step) / (10 + self.step))
        mine = self.model.state_dict()
        for name, value in self.averaged.state_dict().items():
            if value.is_floating_point():
                value.lerp_(mine[name], 1.0 - keep)
            else:
                value.copy_(mine[name])

    def validate(self, clips: list[CachedClip]) -> dict[str, float]:
        """Share of talking windows placed within one frame of 0, by length."""
        talking = [c for c in clips if c.clip.kind in ("", "talking")]
        scorer = SyncNetScorer(self.averaged)
        (records,) = sweep([scorer], talking, VAL_CONTEXTS, 2, lambda _: "0")
        right = {
            n: [float(abs(r.best) <= 1) for r in records if r.frames == n] for n in VAL_CONTEXTS
        }
        return {f"acc{n}": float(np.mean(found or [0.0])) for n, found in right.items()}


def train_baseline(options: TrainOptions, progress: Progress | None = None) -> Path:
    """Train the SyncNet shape, or go on training it; clips, steps and batch are as for `train`.

    Returns:
        the folder with the best validated weights.

    Raises:
        AvsyncError: for data, options or checkpoints that cannot be used.
    """
    options = options.checked()
    options.out.mkdir(parents=True, exist_ok=True)
    run = BaselineRun(options)
    clips, val, failed = prepare(options, progress)
    resumed = run.resume()
    event = "resume" if resumed else "start"
    run.log(event=event, clips=len(clips), val_clips=len(val), failed=len(failed))
    length = options.steps * options.batch
    dataset = WindowDataset(clips, SYNCNET_CONFIG, WindowSpec(), options.seed, length)
    batches = [
        list(range(step * options.batch, (step + 1) * options.batch))
        for step in range(run.step, options.steps)
    ]
    loader = DataLoader(dataset, batch_sampler=batches, num_workers=options.workers)
    saved = time.monotonic()
    for batch in loader:
        figures = run.learn(batch)
        if progress is not None:
            progress("train", run.step, options.steps, figures)
        if run.step % 25 == 0 or run.step == options.steps:
            run.log(**{k: round(v, 5) for k, v in figures.items()})
        if val and (run.step % options.val_every == 0 or run.step == options.steps):
            _measure(run, val)
        if time.monotonic() - saved > options.checkpoint_minutes * 60:
            replace_folder(run.folder, run.fill)
            saved = time.monotonic()
    replace_folder(run.folder, run.fill)
    if not val or not (options.out / "best").exists():
        replace_folder(options.out / "best", run.fill)
    return options.out / "best"


def _measure(run: BaselineRun, val: list[CachedClip]) -> None:
    """Validate the averaged weights and keep them if they are the best so far."""
    figures = run.validate(val)
    run.log(event="validation", **{k: round(v, 4) for k, v in figures.items()})
    score = float(np.mean(list(figures.values())))
    if score >= run.best:
        run.best = score
        replace_folder(run.options.out / "best", run.fill)
