"""What a run teaches. The loop knows lessons, not models: a new model is a new lesson."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from avsync_cli.corpus.cache import CachedClip
from avsync_cli.corpus.progress import Progress
from avsync_cli.evaluation.scoring import Scorer
from avsync_cli.training.on_device import DeviceWindows

Samples = Dataset[dict[str, Tensor]] | DeviceWindows
"""Windows by number, or in batches; a batch is a dictionary of stacked arrays."""


class Lesson(Protocol):
    """A model, what it learns from, its loss, and how it is measured.

    Attributes:
        model: being trained.
        encoders: digest of finished encoders that are left as they are, "" where all is learnt.
    """

    @property
    def model(self) -> nn.Module: ...

    @property
    def encoders(self) -> str: ...

    def about(self) -> dict[str, Any]:
        """What model.json says of the model, beside how it was trained."""
        ...

    def stretches(self) -> list[tuple[int, int]]:
        """First step and end of each part of the run that learns from the same samples."""
        ...

    def samples(
        self, start: int, clips: list[CachedClip], averaged: nn.Module, progress: Progress | None
    ) -> Samples:
        """What the stretch from step `start` on learns from; all processes ask for it together.

        Args:
            start: first step of the stretch.
            clips: to learn from.
            averaged: the model as it is by now.
            progress: told of what takes long.
        """
        ...

    def loss(
        self, batch: dict[str, Tensor], generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Loss of a batch, a scalar, and figures for the log."""
        ...

    def scorer(self, averaged: nn.Module) -> Scorer:
        """The averaged model behind the interface by which all models are measured."""
        ...
