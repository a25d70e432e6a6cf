"""The SyncNet-shaped baseline as a lesson: same clips, windows and augmentation, its own loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avsync_cli.corpus.cache import CachedClip
from avsync_cli.corpus.progress import Progress
from avsync_cli.evaluation.scoring import Scorer
from avsync_cli.evaluation.syncnet import SyncNetScorer
from avsync_cli.model.folder import SYNCNET
from avsync_cli.model.syncnet import SYNCNET_CONFIG, WINDOW_FRAMES, WINDOW_HOPS, SyncNetShape
from avsync_cli.timebase import HOPS_PER_FRAME
from avsync_cli.training.augment import augment_crops
from avsync_cli.training.dataset import WindowDataset, WindowSpec
from avsync_cli.training.distributed import mean_count, share, world
from avsync_cli.training.lesson import Samples
from avsync_cli.training.options import TrainOptions

PLACES = 8
"""Places of a window of 50 frames that must be told from each other."""

SPACING_FRAMES = 2
"""Least frames between two of them: one frame apart is nearly in sync."""

SHARPNESS = 10.0
"""Inverse temperature of the softmax over distances; vectors have length 1, so these reach 2."""


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
    return 0.5 * (each * usable).sum() / mean_count(usable.sum())


class SyncNetLesson:
    """Teach the shape of SyncNet; see `Lesson`."""

    encoders = ""

    def __init__(self, options: TrainOptions) -> None:
        self.options = options
        self.model = SyncNetShape()

    def about(self) -> dict[str, Any]:
        return {"kind": SYNCNET}

    def stretches(self) -> list[tuple[int, int]]:
        return [(0, self.options.steps)]

    def samples(
        self, start: int, clips: list[CachedClip], averaged: nn.Module, progress: Progress | None
    ) -> Samples:
        length = self.options.steps * self.options.batch
        return WindowDataset(clips, SYNCNET_CONFIG, WindowSpec(), self.options.seed, length)

    def loss(
        self, batch: dict[str, Tensor], generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        window = WindowSpec()
        count, device = len(batch["crops"]), batch["crops"].device
        frame = share(draw_places(count * world(), window.frames, generator)).to(device)
        heard_there = batch["sound_valid"].gather(1, frame + window.reach)
        usable = batch["frame_valid"].gather(1, frame) & heard_there
        crops = augment_crops(batch["crops"], SYNCNET_CONFIG.input_px, generator)
        clip = torch.arange(count, device=device).view(-1, 1, 1)
        seen = crops[clip, frame.unsqueeze(2) + torch.arange(WINDOW_FRAMES, device=device)]
        hop = ((frame + window.reach) * HOPS_PER_FRAME).unsqueeze(2)
        heard = batch["mel"][clip, hop + torch.arange(WINDOW_HOPS, device=device)]
        v = self.model.see(seen.flatten(0, 1)).float().view(*frame.shape, -1)
        a = self.model.hear(heard.flatten(0, 1)).float().view(*frame.shape, -1)
        distance = torch.cdist(v, a)
        found = distance.detach().argmin(dim=2) == torch.arange(PLACES, device=device)
        right = float((found & usable).sum() / usable.sum().clamp_min(1))
        return matching_loss(distance, usable), {"found": right}

    def scorer(self, averaged: nn.Module) -> Scorer:
        assert isinstance(averaged, SyncNetShape)
        return SyncNetScorer(averaged)
