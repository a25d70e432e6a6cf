"""The training loop: clips, then steps, and now and then a look at how good the model is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from avsync_cli.corpus.cache import CachedClip, build_cache
from avsync_cli.corpus.manifest import Clip, hold_out, to_learn_from
from avsync_cli.corpus.pack import is_pack, read_pack
from avsync_cli.corpus.progress import Progress, stage
from avsync_cli.corpus.rendered import rendered_clips
from avsync_cli.errors import DataError, UsageError
from avsync_cli.training import distributed
from avsync_cli.training.lesson import Samples
from avsync_cli.training.on_device import DeviceWindows
from avsync_cli.training.options import TrainOptions
from avsync_cli.training.run import Run
from avsync_cli.training.sync_lesson import BANK_SEED
from avsync_cli.training.validate import validate

LOG_EVERY = 25
"""Steps whose figures are averaged into a line of the log."""


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
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"--out: cannot make {options.out}: {error.strerror or error}"
        raise UsageError(what, "name another folder") from None
    with distributed.together(options.device) as device:
        run = Run(options, device)
        clips, held, failed = prepare(options, progress)
        run.log(
            event="resume" if run.resume() else "start",
            options=options.to_json(),
            clips=len(clips),
            val_clips=len(held),
            failed=[c.key for c, _ in failed],
        )
        for start, end in run.lesson.stretches():
            if run.step < end:
                samples = run.lesson.samples(start, clips, run.averaged.module, progress)
                _learn(run, _batches(run, samples, end), held, progress)
        run.save()
        if distributed.rank() == 0 and not (held and (options.out / "best").exists()):
            run.keep_best()
        distributed.barrier()
    return options.out / "best"


def prepare(
    options: TrainOptions, progress: Progress | None
) -> tuple[list[CachedClip], list[CachedClip], list[tuple[Clip, str]]]:
    """Training and validation clips, cached, and the clips that had to be skipped."""
    packed = _unpacked(options, progress) if is_pack(options.data) else {}
    rows = [c.clip for c in packed.values()] if packed else to_learn_from(options.data)
    learn, held = hold_out(rows, options.val_share, options.seed)
    if options.val_share and not held:
        raise no_validation(options, f"all {len(learn)} clips count as one speaker of one source")
    if packed:
        return [packed[c.key] for c in learn], [packed[c.key] for c in held], []
    every = learn + held
    # Each process decodes its share first; what the others decoded is then found in the cache.
    if distributed.world() > 1:
        build_cache(every[distributed.rank() :: distributed.world()], options.cache)
        distributed.barrier()
    cached, failed = build_cache(every, options.cache, progress=stage(progress, "cache"))
    held_keys = {c.key for c in held}
    train = [c for c in cached if c.clip.key not in held_keys]
    val = [c for c in cached if c.clip.key in held_keys]
    if not train:
        raise DataError(f"none of the clips of {options.data} can be used", "see the warnings")
    if options.val_share and held and not val:
        raise no_validation(options, f"none of the {len(held)} clips held out can be used")
    seed = BANK_SEED if options.encoders else options.seed
    return train + rendered_clips(options.synthetic, seed, options.cache), val, failed


def _unpacked(options: TrainOptions, progress: Progress | None) -> dict[str, CachedClip]:
    """The clips of a pack by their keys; the first process unpacks."""
    tell = stage(progress, "unpack")
    if distributed.rank() == 0:
        read_pack(options.data, options.cache, tell)
    distributed.barrier()
    return {clip.clip.key: clip for clip in read_pack(options.data, options.cache, tell)}


def no_validation(options: TrainOptions, why: str) -> DataError:
    """The error of a run that would have nothing to tell its best step by."""
    return DataError(
        f"no clips of {options.data} to validate on: {why}",
        "give each speaker a folder, or a manifest with `speaker` or with `split` = val; "
        "--val-share 0 trains without",
        options.data,
    )


class _Steps(Sampler[list[int]]):
    """Indices of this process's share of every batch from a step on."""

    def __init__(self, first: int, end: int, batch: int) -> None:
        self.first, self.end, self.batch = first, end, batch

    def __iter__(self) -> Iterator[list[int]]:
        share = self.batch // distributed.world()
        for step in range(self.first, self.end):
            start = step * self.batch + distributed.rank() * share
            yield list(range(start, start + share))

    def __len__(self) -> int:
        return self.end - self.first


def _batches(run: Run, samples: Samples, end: int) -> Iterable[dict[str, Tensor]]:
    """The batches of the steps from the run's next one to `end`."""
    options = run.options
    if isinstance(samples, DeviceWindows):
        return samples.batches(run.step, end, options.batch)
    return DataLoader(
        samples,
        batch_sampler=_Steps(run.step, end, options.batch),
        num_workers=options.workers,
        pin_memory=run.device.type == "cuda",
        prefetch_factor=4 if options.workers else None,
    )


def _learn(
    run: Run,
    batches: Iterable[dict[str, Tensor]],
    held: list[CachedClip],
    progress: Progress | None,
) -> None:
    """One step a batch; figures are logged, the model is validated and saved when that is due."""
    options = run.options
    recent: list[dict[str, float]] = []
    for batch in batches:
        recent.append(run.learn(batch))
        if progress is not None:
            progress("train", run.step, options.steps, recent[-1])
        if run.due(LOG_EVERY):
            means = {k: sum(r[k] for r in recent) / len(recent) for k in recent[0]}
            means = distributed.mean_figures(means)
            run.log(**{k: round(v, 5) for k, v in means.items()}, s=round(run.spent_s))
            recent.clear()
        if held and run.due(options.val_every):
            _measure(run, held, progress)
        run.save_if_due()


def _measure(run: Run, held: list[CachedClip], progress: Progress | None) -> None:
    """Validate the averaged weights and keep them if they are the best so far."""
    if distributed.rank() == 0:
        if progress is not None:
            progress("validate", run.step, run.options.steps, {})
        score, overall, by_source = validate(run.lesson.scorer(run.averaged.module), held)
        run.log(event="validation", **{k: round(v, 4) for k, v in overall.items()}, by=by_source)
        if score >= run.best:
            run.best = score
            run.keep_best()
    distributed.barrier()
