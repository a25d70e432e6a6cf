"""Our own model as a lesson: everything from the start, or a new head on finished encoders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from avsync_cli.corpus.cache import CachedClip
from avsync_cli.corpus.progress import Progress, stage
from avsync_cli.errors import UsageError
from avsync_cli.evaluation.scorers import ModelScorer
from avsync_cli.evaluation.scoring import Scorer
from avsync_cli.files import write_whole
from avsync_cli.model.checkpoint import load_model
from avsync_cli.model.config import ModelConfig, layers_reach
from avsync_cli.model.core import SyncModel
from avsync_cli.model.encoders import SoundEncoder
from avsync_cli.model.phones import PhoneEncoder
from avsync_cli.model.torch_engine import TorchEngine
from avsync_cli.training import distributed
from avsync_cli.training.augment import augment_crops
from avsync_cli.training.bank import ENCODERS, FeatureBank, digest, encoder_tensors, fill_bank
from avsync_cli.training.dataset import WindowDataset, WindowSpec
from avsync_cli.training.heard import hear_clips
from avsync_cli.training.lesson import Samples
from avsync_cli.training.losses import Encoded, all_losses, drawn_piece, head_losses, in_pieces
from avsync_cli.training.on_device import DeviceWindows
from avsync_cli.training.options import TrainOptions
from avsync_cli.training.realign import realign
from avsync_cli.training.start import begin_with, load_front
from avsync_cli.training.teach import teach

BANK_SEED = 0
"""Seed of the windows that finished encoders are shown: whatever the run's own, the same data."""

LAYERS = ("visual_layers", "sound_layers")

SHAPE = ("attention", "product", "similarity_skip", *LAYERS)
"""Options that are parts of a model's configuration, besides those of its encoders."""

SHAPES_ON_TOP = dict.fromkeys([*SHAPE, "visual_context", "sound_context"])
"""Parts of a model's configuration that finished encoders do not depend on."""


class SyncLesson:
    """Teach the model core; see `Lesson`.

    Raises:
        UsageError: the encoders to be kept are of another shape.
        ModelError: they cannot be read.
    """

    def __init__(self, options: TrainOptions) -> None:
        self.options = options
        shape = {name: getattr(options, name) for name in SHAPE}
        self.config = ModelConfig.of(options.size, options.sound, **shape)
        self.model = SyncModel(self.config, distributed.SharedDropout(options.dropout))
        self._teacher: SoundEncoder | None = None
        if options.start is not None:
            self._teacher = begin_with(self.model, options.start)
        elif isinstance(self.model.sound, PhoneEncoder):
            load_front(self.model.sound)
        for layers in self.model.visual.stages()[: options.frozen]:
            layers.requires_grad_(False)
        self._finished: SyncModel | None = None
        self._new_layers: list[str] = []
        self.encoders = "" if options.encoders is None else self._keep(options.encoders)

    def _keep(self, folder: Path) -> str:
        """Take over a trained model's encoders, to be left as they are; returns their digest.

        Layers over time that they lack are new, and learnt.
        """
        trained, _ = load_model(folder)
        for name in ("size", "sound", *LAYERS):
            theirs, ours = getattr(trained.config, name), getattr(self.config, name)
            if name in LAYERS and ours and not theirs:
                self._new_layers.append(name)
            elif theirs != ours:
                raise UsageError(
                    f"{folder} has encoders of {name} {theirs}, not {ours}",
                    f"add --{name.replace('_', '-')} {theirs}",
                )
        sizes = [{**c.to_json(), **SHAPES_ON_TOP} for c in (trained.config, self.config)]
        if sizes[0] != sizes[1]:
            raise UsageError(f"{folder} has encoders of another shape", "train it anew")
        self.model.load_state_dict(encoder_tensors(trained), strict=False)
        learnt = tuple(f"{name.split('_')[0]}.over_time." for name in self._new_layers)
        for name, parameter in self.model.named_parameters():
            if name.startswith(ENCODERS) and not name.startswith(learnt):
                parameter.requires_grad_(False)
        self._finished = trained
        return digest(trained)

    def about(self) -> dict[str, Any]:
        return {"config": self.config.to_json()}

    def stretches(self) -> list[tuple[int, int]]:
        # Finished encoders know the clips' own offsets from the start, and will not know better.
        if self.encoders:
            return [(0, self.options.steps)]
        return phases(self.options.realign_at, self.options.steps)

    def samples(
        self, start: int, clips: list[CachedClip], averaged: nn.Module, progress: Progress | None
    ) -> Samples:
        options = self.options
        assert isinstance(averaged, SyncModel)
        length = options.steps * options.batch
        if isinstance(self.model.sound, PhoneEncoder):
            if distributed.rank() == 0:
                hear_clips(TorchEngine(averaged), clips, options.seed, stage(progress, "hear"))
            distributed.barrier()
            # A run that was resumed has been taught.
            if self._teacher is not None and not (options.out / "checkpoint").exists():
                tell = stage(progress, "teach")
                teach(self.model.sound, self._teacher, clips, options.seed, tell)
                averaged.sound.load_state_dict(self.model.sound.state_dict())
        known = start > 0 or bool(self.encoders and options.realign_at)
        own = self._own_offsets(start, clips, averaged, progress) if known else {}
        if self._finished is None:
            spec = WindowSpec(options.frames)
            if options.on_device:
                device = next(averaged.parameters()).device
                return DeviceWindows(clips, self.config, spec, options.seed, device, own)
            return WindowDataset(clips, self.config, spec, options.seed, length, own)
        finished = self._finished.to(next(averaged.parameters()).device)
        spec = WindowSpec(reach=WindowSpec().reach + self._sound_reach)
        # One bank for all seeds: it is the data, and what is compared shall have the same.
        drawn = WindowDataset(clips, finished.config, spec, BANK_SEED, options.windows, own)
        tell = stage(progress, "encode")
        if distributed.rank() == 0:
            fill_bank(options.cache, finished, drawn, tell, pieces=options.pieces)
        distributed.barrier()
        bank = fill_bank(options.cache, finished, drawn, tell, pieces=options.pieces)
        return FeatureBank(bank, options.seed, length)

    @property
    def _sound_reach(self) -> int:
        """Frames of sound on either side that new layers over time use up."""
        return layers_reach(self.config.sound_layers) if "sound_layers" in self._new_layers else 0

    def _own_offsets(
        self, start: int, clips: list[CachedClip], averaged: SyncModel, progress: Progress | None
    ) -> dict[str, int]:
        """Offsets of the clips' own to undo from a step on, in 10 ms steps by the clip's key.

        They are found once and kept in the run's folder, so that a resumed run has the same.
        """
        kept = self.options.out / f"offsets-{start}.json"
        if not kept.exists() and distributed.rank() == 0:
            found = realign(TorchEngine(averaged), clips, stage(progress, "realign"))
            write_whole(kept, json.dumps(found, indent=1) + "\n")
        distributed.barrier()
        return {key: int(hops) for key, hops in json.loads(kept.read_text()).items()}

    def loss(
        self, batch: dict[str, Tensor], generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        options = self.options
        there = batch["frame_valid"], batch["sound_valid"]
        if self.encoders:
            windows = self._in_time(Encoded(batch["v"], batch["a"], *there), batch["piece"])
            losses = (all_losses if self._new_layers else head_losses)(
                self.model, windows, options.negatives, generator
            )
        else:
            v = self._see(augment_crops(batch["crops"], self.config.input_px, generator), generator)
            windows = Encoded(v, self.model.sound(batch["mel"]), *there)
            losses = all_losses(self.model, windows, options.negatives, generator)
        return losses.total(options.head_weight), losses.figures()

    def _see(self, crops: Tensor, generator: torch.Generator) -> Tensor:
        """Features of whole windows, or, in a share of the steps, of windows seen in pieces."""
        around = self.config.visual_context
        whole = crops.shape[1] - 2 * around
        frames = drawn_piece(whole, self.options.pieces, generator)
        if frames == whole:
            return self.model.visual(crops)
        return in_pieces(self.model.visual, crops[:, around:-around], frames, around)

    def _in_time(self, windows: Encoded, pieces: Tensor) -> Encoded:
        """Windows of finished encoders, seen in pieces of the lengths (N,), with what new layers
        over time make of them."""
        v, a = windows.v, windows.a
        if "visual_layers" in self._new_layers:
            around, seen = layers_reach(self.config.visual_layers), torch.empty_like(v)
            for frames in set(pieces.tolist()):
                rows = pieces == frames
                seen[rows] = in_pieces(self.model.visual.in_time, v[rows], frames, around)
            v = seen
        if "sound_layers" in self._new_layers:
            a = self.model.sound.in_time(a)
        beyond = self._sound_reach
        sound_valid = windows.sound_valid[:, beyond : windows.sound_valid.shape[1] - beyond]
        return Encoded(v, a, windows.frame_valid, sound_valid)

    def scorer(self, averaged: nn.Module) -> Scorer:
        assert isinstance(averaged, SyncModel)
        return ModelScorer(TorchEngine(averaged))


def phases(realign_at: int, steps: int) -> list[tuple[int, int]]:
    """Stretches (first step, end) of a run on one set of the clips' own offsets.

    Offsets are found at `realign_at` and again whenever the steps have doubled since: the first
    estimates are rough, and of what is right by now little changes any more.

    >>> phases(600, 4000)
    [(0, 600), (600, 1200), (1200, 2400), (2400, 4000)]
    >>> phases(0, 4000)
    [(0, 4000)]
    """
    starts = [0]
    while realign_at and (following := max(realign_at, 2 * starts[-1])) < steps:
        starts.append(following)
    return list(zip(starts, [*starts[1:], steps], strict=True))
