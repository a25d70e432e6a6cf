"""Confidence of every unit, softmax, weighted mean: the paper's attention (section 3.2).

A unit is a block ("temporal") or a cell of a block ("spatio-temporal"); with "none" all units
weigh the same, which is the paper's baseline.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avsync_cli.model.config import ModelConfig


class Confidence(nn.Module):
    """Two 1x1x1 convolutions: z (..., D) to a confidence (...).

    On vectors a 1x1x1 convolution is a linear layer; it starts at zero, i.e. with uniform weights,
    so that training leaves the plain mean only when that pays.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.uniform = config.attention == "none"
        self.hidden = nn.Linear(config.joint_width, config.joint_width)
        self.out = nn.Linear(config.joint_width, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, z: Tensor) -> Tensor:
        if self.uniform:
            return z[..., 0] * 0.0
        confidence: Tensor = self.out(F.relu(self.hidden(z))).squeeze(-1)
        return confidence


def pool(values: Tensor, confidence: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean over the units.

    Args:
        values: (..., M, K).
        confidence: (..., M); a unit at -1e9 or below counts as absent.

    Returns:
        the mean (..., K) and the weights (..., M), which sum to 1.
    """
    weights = torch.softmax(confidence, dim=-1)
    return (values * weights.unsqueeze(-1)).sum(dim=-2), weights
