"""The training loop: cache, batches, phases of a run, validation."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader, Sampler

from avsync_cli.corpus.cache import CachedClip, build_cache
from avsync_cli.corpus.manifest import Clip, hold_out, load_manifest
from avsync_cli.errors import DataError
from avsync_cli.files import replace_folder, write_whole
from avsync_cli.model.torch_engine import TorchEngine
from avsync_cli.training import distributed
from avsync_cli.training.bank import FeatureBank, fill_bank
from avsync_cli.training.dataset import WindowDataset, WindowSpec
from avsync_cli.training.options import TrainOptions
from avsync_cli.training.realign import realign
from avsync_cli.training.run import Run
from avsync_cli.training.validate import validate

BANK_SEED = 0
"""Seed of the windows that finished encoders are shown: whatever the run's own, the same data."""

Progress = Callable[[str, int, int, dict[str, float]], None]
"""Called with the stage ("cache", "train", "validate"), how far, of how much, and figures."""


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


def prepare(
    options: TrainOptions, progress: Progress | None
) -> tuple[list[CachedClip], list[CachedClip], list[tuple[Clip, str]]]:
    """Training and validation clips, cached, and the clips that had to be skipped."""
    learn, held = hold_out(load_manifest(options.data), options.val_share, options.seed)

    def report(done: int, total: int) -> None:
        if progress is not None:
            progress("cache", done, total, {})

    every = learn + held
    # Each process decodes its share first; what the others decoded is then found in the cache.
    if distributed.world() > 1:
        build_cache(every[distributed.rank() :: distributed.world()], options.cache)
        distributed.barrier()
    cached, failed = build_cache(every, options.cache, progress=report)
    held_names = {(c.name, c.start_s) for c in held}
    train = [c for c in cached if (c.clip.name, c.clip.start_s) not in held_names]
    val = [c for c in cached if (c.clip.name, c.clip.start_s) in held_names]
    if not train:
        raise DataError(f"none of the clips of {options.data} can be used", "see the warnings")
    if options.synthetic:
        from avsync_cli.corpus.rendered import rendered_clips

        seed = BANK_SEED if options.encoders else options.seed
        train += rendered_clips(options.synthetic, seed, options.cache)
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
            failed=[c.name for c, _ in failed],
        )
        _loop(run, clips, val, progress)
    finally:
        distributed.stop()
    return options.out / "best"


def _loop(
    run: Run, clips: list[CachedClip], val: list[CachedClip], progress: Progress | None
) -> None:
    options = run.options
    # Finished encoders know the clips' own offsets from the start, and will not know better.
    whole = [(0, options.steps)]
    stretches = whole if options.encoders else phases(options.realign_at, options.steps)
    for start, end in stretches:
        if run.step < end:
            _phase(run, start, end, clips, val, progress)
    run.save()
    if not val or not (options.out / "best").exists():
        replace_folder(options.out / "best", run.fill)


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
    if start == 0 and not (run.encoders and run.options.realign_at):
        return {}
    kept = run.options.out / f"offsets-{start}.json"
    if not kept.exists() and distributed.rank() == 0:

        def report(done: int, total: int) -> None:
            if progress is not None:
                progress("realign", done, total, {})

        found = realign(TorchEngine(run.averaged), clips, report)
        write_whole(kept, json.dumps(found, indent=1) + "\n")
        run.log(event="realign", clips=len(found))
    distributed.barrier()
    return {path: int(hops) for path, hops in json.loads(kept.read_text()).items()}


def _windows(
    run: Run, start: int, clips: list[CachedClip], progress: Progress | None
) -> WindowDataset | FeatureBank:
    """What the phase from `start` on learns from."""
    options = run.options
    length = options.steps * options.batch
    own = _own_offsets(run, start, clips, progress)
    if options.encoders is None:
        return WindowDataset(clips, run.config, WindowSpec(), options.seed, length, own)

    def report(done: int, total: int) -> None:
        if progress is not None:
            progress("encode", done, total, {})

    # One bank for all seeds: it is the data, and what is compared shall have the same.
    drawn = WindowDataset(clips, run.config, WindowSpec(), BANK_SEED, options.windows, own)
    if distributed.rank() == 0:
        fill_bank(options.cache, run.averaged, drawn, report)
    distributed.barrier()
    return FeatureBank(fill_bank(options.cache, run.averaged, drawn), options.seed, length)


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
    dataset = _windows(run, start, clips, progress)
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
            means = distributed.mean_figures({k: v / counted for k, v in sums.items()})
            run.log(**{k: round(v, 5) for k, v in means.items()}, s=round(run.spent_s))
            sums, counted = {}, 0
        if val and (run.step % options.val_every == 0 or run.step == options.steps):
            _measure(run, val, progress)
        if time.monotonic() - saved > options.checkpoint_minutes * 60:
            run.save()
            saved = time.monotonic()


def _measure(run: Run, val: list[CachedClip], progress: Progress | None) -> None:
    """Validate the averaged weights and keep them if they are the best so far."""
    if distributed.rank() == 0:
        if progress is not None:
            progress("validate", run.step, run.options.steps, {})
        overall, by_source = validate(TorchEngine(run.averaged), val)
        run.log(event="validation", **{k: round(v, 4) for k, v in overall.items()}, by=by_source)
        judged = ("sim15", "acc25", "acc50")
        score = float(np.mean([overall.get(name, 0.0) for name in judged]))
        if score >= run.best:
            run.best = score
            replace_folder(run.options.out / "best", run.fill)
    distributed.barrier()
