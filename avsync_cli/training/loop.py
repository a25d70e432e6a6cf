"""The training loop: cache, batches, losses, averaged weights, validation, checkpoints."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Sampler

from avsync_cli.errors import DataError, UsageError
from avsync_cli.model.checkpoint import (
    FORMAT,
    load_tensors,
    optimizer_tensors,
    read_json,
    replace_folder,
    restore_optimizer,
    save_tensors,
    settle_folder,
)
from avsync_cli.model.config import ModelConfig
from avsync_cli.model.core import SyncModel
from avsync_cli.training import distributed
from avsync_cli.training.augment import augment_crops
from avsync_cli.training.cache import CachedClip, build_cache
from avsync_cli.training.dataset import WindowDataset, WindowSpec
from avsync_cli.training.engine import TorchEngine
from avsync_cli.training.losses import all_losses
from avsync_cli.training.manifest import Clip, hold_out, load_manifest
from avsync_cli.training.options import TrainOptions
from avsync_cli.training.realign import realign
from avsync_cli.training.validate import validate

Progress = Callable[[str, int, int, dict[str, float]], None]
"""Called with the stage ("cache", "train", "validate"), how far, of how much, and figures."""

MAX_GRADIENT = 2.0
"""Norm to which gradients are cut: a batch of silent windows must not undo a hundred others."""

RESUME_MUST_MATCH = ("attention", "batch", "seed", "similarity_skip", "product")
"""Options that shape a run; a resumed one must have the same. Steps may be added or taken away: the
learning rate then follows the new plan from there on."""


class _Steps(Sampler[list[int]]):
    """Indices of this process's share of every batch from a step on."""

    def __init__(self, first_step: int, steps: int, batch: int) -> None:
        self.first, self.steps, self.batch = first_step, steps, batch
        self.share = batch // distributed.world()

    def __iter__(self) -> Iterator[list[int]]:
        offset = distributed.rank() * self.share
        for step in range(self.first, self.steps):
            start = step * self.batch + offset
            yield list(range(start, start + self.share))

    def __len__(self) -> int:
        return self.steps - self.first


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
        self.config = ModelConfig(
            attention=options.attention,
            product=options.product,
            similarity_skip=options.similarity_skip,
        )
        # Channels last is the order that convolutions compute in: a fifth off a step on a CPU.
        self.model = SyncModel(self.config).to(self.device, memory_format=torch.channels_last)
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
        self.step = 0
        self.best = -1.0
        self.spent_s = 0.0

    # -- checkpoints ---------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """Where checkpoints go."""
        return self.options.out / "checkpoint"

    def save(self) -> None:
        """Write everything a resumed run needs, whole or not at all."""
        distributed.average_buffers(self.model)
        if distributed.rank() == 0:
            replace_folder(self.folder, self._fill)
        distributed.barrier()

    def _fill(self, folder: Path) -> None:
        save_tensors(folder / "model.safetensors", self.model.state_dict())
        save_tensors(folder / "weights.safetensors", self.averaged.state_dict())
        save_tensors(
            folder / "optimizer.safetensors", optimizer_tensors(self.optimizer, self.names)
        )
        (folder / "model.json").write_text(json.dumps(self.about(), indent=1) + "\n")

    def about(self) -> dict[str, Any]:
        """What model.json says."""
        training = self.options.to_json()
        for name in ("data", "cache", "out"):  # paths of one machine say nothing on another
            training.pop(name)
        training |= {"step": self.step, "best": self.best, "spent_s": round(self.spent_s)}
        return {"format": FORMAT, "config": self.config.to_json(), "training": training}

    def resume(self) -> bool:
        """Go on where a checkpoint stopped, if there is one.

        Raises:
            UsageError: the checkpoint is of a run with other options.
            ModelError: the checkpoint is damaged.
        """
        if not settle_folder(self.folder):
            return False
        about = read_json(self.folder / "model.json")
        then = about.get("training", {})
        for name in RESUME_MUST_MATCH:
            if then.get(name) != getattr(self.options, name):
                raise UsageError(
                    f"{self.folder} is of a run with {name} = {then.get(name)}, "
                    f"not {getattr(self.options, name)}",
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
        """Append a line to the run's log."""
        if distributed.rank() == 0:
            with (self.options.out / "log.jsonl").open("a") as file:
                file.write(json.dumps({"step": self.step, **values}) + "\n")

    # -- one step ------------------------------------------------------------------------------

    def learn(self, batch: dict[str, torch.Tensor]) -> dict[str, float]:
        """One optimiser step on one batch; returns its figures."""
        options = self.options
        generator = torch.Generator().manual_seed(
            options.seed * 1_000_003 + self.step * distributed.world() + distributed.rank()
        )
        # Dropout draws from torch's own generator; seeded by step, a resumed run draws the same.
        torch.manual_seed(generator.initial_seed())
        batch = {k: v.to(self.device, non_blocking=True) for k, v in batch.items()}
        crops = augment_crops(batch["crops"], self.config.input_px, generator)
        rate = learning_rate(options, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        window = WindowSpec()
        with torch.autocast(self.device.type, torch.bfloat16):
            losses = all_losses(
                self.model, crops, batch, window.reach, options.negatives, generator
            )
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


def prepare(
    options: TrainOptions, progress: Progress | None
) -> tuple[list[CachedClip], list[CachedClip], list[tuple[Clip, str]]]:
    """Training and validation clips, cached, and the clips that had to be skipped."""
    learn, held = hold_out(load_manifest(options.data), options.val_share, options.seed)

    def report(done: int, total: int) -> None:
        if progress is not None:
            progress("cache", done, total, {})

    cached, failed = build_cache(learn + held, options.cache, progress=report)
    held_paths = {(c.path, c.start_s) for c in held}
    train = [c for c in cached if (c.clip.path, c.clip.start_s) not in held_paths]
    val = [c for c in cached if (c.clip.path, c.clip.start_s) in held_paths]
    if not train:
        raise DataError(f"none of the clips of {options.data} can be used", "see the warnings")
    if options.synthetic:
        from avsync_cli.training.rendered import rendered_clips

        train += rendered_clips(options.synthetic, options.seed, options.cache)
    return train, val, failed


def train(options: TrainOptions, progress: Progress | None = None) -> Path:
    """Train a model, or go on training it.

    Args:
        options: everything that shapes the run.
        progress: told how far things are.

    Returns:
        the folder with the best validated weights (`options.out / "best"`).

    Raises:
        AvsyncError: for data, options or checkpoints that cannot be used.
    """
    options = options.checked()
    options.out.mkdir(parents=True, exist_ok=True)
    run = Run(options)
    try:
        clips, val, failed = prepare(options, progress)
        resumed = run.resume()
        run.log(
            event="resume" if resumed else "start",
            options=options.to_json(),
            clips=len(clips),
            val_clips=len(val),
            failed=[str(c.path) for c, _ in failed],
        )
        _loop(run, clips, val, progress)
    finally:
        distributed.stop()
    return options.out / "best"


def _loop(
    run: Run, clips: list[CachedClip], val: list[CachedClip], progress: Progress | None
) -> None:
    options = run.options
    for start, end in phases(options.realign_at, options.steps):
        if run.step < end:
            _phase(run, start, end, clips, val, progress)
    run.save()
    if not val or not (options.out / "best").exists():
        replace_folder(options.out / "best", run._fill)


def phases(realign_at: int, steps: int) -> list[tuple[int, int]]:
    """Stretches (first step, end) of a run on one set of the clips' own offsets.

    Offsets are found at `realign_at` and again whenever the steps have doubled since: the first
    estimates are rough, and of what is right by now little changes any more.
    """
    starts = [0]
    while realign_at and (following := max(realign_at, 2 * starts[-1])) < steps:
        starts.append(following)
    return list(zip(starts, [*starts[1:], steps], strict=True))


def _own_offsets(
    run: Run, start: int, clips: list[CachedClip], progress: Progress | None
) -> dict[str, int]:
    """Offsets of the clips' own to undo in the phase from `start` on, in 10 ms steps by path.

    They are found once and kept in the run's folder, so that a resumed run has the same.
    """
    if start == 0:
        return {}
    kept = run.options.out / f"offsets-{start}.json"
    if not kept.exists() and distributed.rank() == 0:

        def report(done: int, total: int) -> None:
            if progress is not None:
                progress("realign", done, total, {})

        found = realign(TorchEngine(run.averaged), clips, report)
        beside = kept.with_suffix(".part")
        beside.write_text(json.dumps(found, indent=1) + "\n")
        beside.replace(kept)
        run.log(event="realign", clips=len(found))
    distributed.barrier()
    return {path: int(hops) for path, hops in read_json(kept).items()}


def _phase(
    run: Run,
    start: int,
    end: int,
    clips: list[CachedClip],
    val: list[CachedClip],
    progress: Progress | None,
) -> None:
    """Steps up to `end` on the offsets found at `start`."""
    options = run.options
    dataset = WindowDataset(
        clips,
        run.config,
        WindowSpec(),
        options.seed,
        options.steps * options.batch,
        _own_offsets(run, start, clips, progress),
    )
    loader = DataLoader(
        dataset,
        batch_sampler=_Steps(run.step, end, options.batch),
        num_workers=options.workers,
        pin_memory=run.device.type == "cuda",
        prefetch_factor=4 if options.workers else None,
    )
    saved = began = time.monotonic()
    spent_before = run.spent_s
    sums: dict[str, float] = {}
    counted = 0
    for batch in loader:
        figures = run.learn(batch)
        run.spent_s = spent_before + time.monotonic() - began
        counted += 1
        for key, value in figures.items():
            sums[key] = sums.get(key, 0.0) + value
        if progress is not None:
            progress("train", run.step, options.steps, figures)
        if run.step % 25 == 0 or run.step == options.steps:
            run.log(**{k: round(v / counted, 5) for k, v in sums.items()}, s=round(run.spent_s))
            sums, counted = {}, 0
        if val and (run.step % options.val_every == 0 or run.step == options.steps):
            _measure(run, val, progress)
        if time.monotonic() - saved > options.checkpoint_minutes * 60:
            run.save()
            saved = time.monotonic()


def _measure(run: Run, val: list[CachedClip], progress: Progress | None) -> None:
    """Validate the averaged weights and keep them if they are the best so far."""
    distributed.average_buffers(run.model)
    if distributed.rank() == 0:
        if progress is not None:
            progress("validate", run.step, run.options.steps, {})
        overall, by_source = validate(TorchEngine(run.averaged), val)
        run.log(event="validation", **{k: round(v, 4) for k, v in overall.items()}, by=by_source)
        judged = ("sim15", "acc25", "acc50")
        score = float(np.mean([overall.get(name, 0.0) for name in judged]))
        if score >= run.best:
            run.best = score
            replace_folder(run.options.out / "best", run._fill)
    distributed.barrier()
