"""From two features to one: the five joint layers of a block.

The first layer works on the concatenation [v; a] (and, when the model says so, their product
beside it). It is linear in each part, so its halves are computed once per stream and only added
per offset.
"""

from __future__ import annotations

import math
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avsync_cli.model.config import ModelConfig
from avsync_cli.timebase import BLOCK_FRAMES

KERNELS = ((3, 2), (3, 2), (3, 1), (3, 1))
"""Length and stride in time of layers 2..5: 25 -> 12 -> 5 -> 3 -> 1 frames."""


class JointLayers(nn.Module):
    """Five convolutions that turn a block of both features into one vector per cell."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels, width = config.channels, config.joint_width
        self.scale = math.sqrt(channels)  # unit-length features to unit-size entries
        self.from_visual = nn.Linear(channels, width)
        self.from_sound = nn.Linear(channels, width, bias=False)
        self.from_product = nn.Linear(channels, width, bias=False) if config.product else None
        self.norm = nn.BatchNorm2d(width)
        layers: list[nn.Module] = []
        for length, stride in KERNELS:
            layers += [
                nn.Conv2d(width, width, (length, 1), (stride, 1), bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers)

    def settled(self) -> JointLayers:
        """A copy to run, not to train: the first layer's normalisation is a part of its weights."""
        copy = deepcopy(self)
        norm = self.norm
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        with torch.no_grad():
            for part in (copy.from_visual, copy.from_sound, copy.from_product):
                if part is not None:
                    part.weight.mul_(scale[:, None])
            shift = norm.bias - norm.running_mean * scale
            copy.from_visual.bias.mul_(scale).add_(shift)
        copy.norm = nn.Identity()  # type: ignore[assignment]
        return copy

    def first(self, v: Tensor, a: Tensor) -> Tensor:
        """The first layer before its normalisation.

        Args:
            v: (N, 25, M, C) features of the picture's cells.
            a: (N, O, 25, C) features of the sound at O offsets.

        Returns:
            (N, O, 25, M, D).
        """
        x: Tensor = self.from_visual(v * self.scale).unsqueeze(1)
        x = x + self.from_sound(a * self.scale).unsqueeze(3)
        if self.from_product is not None:
            product = v.unsqueeze(1) * a.unsqueeze(3) * self.scale**2
            x = x + self.from_product(product)
        return x

    def forward(self, v: Tensor, a: Tensor) -> Tensor:
        """(N, 25, M, C) and (N, O, 25, C) to z (N, O, M, D)."""
        clips, offsets = a.shape[:2]
        cells = v.shape[2]
        x: Tensor = self.first(v, a).reshape(clips * offsets, BLOCK_FRAMES, cells, -1)
        if isinstance(self.norm, nn.Identity):  # ONNX Runtime turns the axes as it packs them
            x = F.relu(x).permute(0, 3, 1, 2)
        else:
            x = F.relu(self.norm(x.permute(0, 3, 1, 2)))
        x = self.layers(x)
        return x.squeeze(2).transpose(1, 2).reshape(clips, offsets, cells, -1)
