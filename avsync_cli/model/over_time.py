"""What frames around a frame add to what it shows: layers over time on top of either encoder.

A mouth that closes says little; one that closes after it was round says more. The layers see whole
frames of features, not cells, begin as nothing, so that a model without them can be gone on from,
and are valid convolutions, as all that is below them.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F

from avsync_cli.model.config import layers_reach

HIDDEN = 128


class OverTime(nn.Module):
    """A dilated convolution over three frames and a way around it; it begins as the way alone."""

    def __init__(self, channels: int, dilation: int, dropout: nn.Module) -> None:
        super().__init__()
        self.dilation = dilation
        self.norm = nn.LayerNorm(channels)
        self.mix = nn.Conv1d(channels, HIDDEN, 3, dilation=dilation)
        self.dropout = dropout
        self.out = nn.Linear(HIDDEN, channels, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, C) to (N, T - 2 dilation, C)."""
        there = x[:, self.dilation : x.shape[1] - self.dilation]
        mixed = F.gelu(self.mix(self.norm(x).transpose(1, 2))).transpose(1, 2)
        added: Tensor = self.out(self.dropout(mixed))
        return there + added


class LayersOverTime(nn.Sequential):
    """Such layers, each seeing twice as far as the one before it.

    Args:
        channels: C.
        layers: how many.
        dropout: hides part of the layers' own numbers while learning; nothing by default.
    """

    def __init__(self, channels: int, layers: int, dropout: nn.Module | None) -> None:
        hidden = nn.Identity() if dropout is None else dropout
        super().__init__(*(OverTime(channels, 2**n, hidden) for n in range(layers)))
        self.scale = math.sqrt(channels)

    def added(self, features: Tensor) -> Tensor:
        """What to add to (N, T, C) features of length 1: (N, T - 2 r, C), r = `layers_reach`."""
        reach = layers_reach(len(self))
        x = features * self.scale
        added: Tensor = (self(x) - x[:, reach : x.shape[1] - reach]) / self.scale
        return added
