"""A baseline that is not ours: a SyncNet-shaped model, to be trained on the same clips.

Chung and Zisserman, "Out of Time: Automated Lip Sync in the Wild", 2016: five frames of a mouth and
0.2 s of sound each go through a tower of their own to one vector, and the distance of the vectors,
averaged over the windows of a clip, says how well an offset fits. The shape and the window are
theirs; the input (64 px grey crops, 80 log-mel bands) is that of our own encoders, and the layers
are half as wide, for a corpus a hundredth the size. The loss is the contrastive one over distances
with which the same group trained this shape later (Chung, Chung and Kang, "Perfect Match", 2019):
a picture must find its own sound among those of the clip. With the loss of 2016, pairs and a
margin, a short trial never left the state where all distances are alike. Tables name it as
re-trained.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from avsync_cli.model.config import ModelConfig
from avsync_cli.timebase import HOPS_PER_FRAME

WINDOW_FRAMES = 5
"""Frames a tower sees: 0.2 s."""

WINDOW_HOPS = WINDOW_FRAMES * HOPS_PER_FRAME
"""Log-mel steps of the same 0.2 s."""

SYNCNET_CONFIG = ModelConfig(
    attention="none",
    visual_context=WINDOW_FRAMES // 2,
    sound_context=(WINDOW_FRAMES // 2 * HOPS_PER_FRAME, WINDOW_FRAMES // 2 * HOPS_PER_FRAME),
)
"""What the training windows must hold around every frame; its other sizes are not used."""


def _layer(
    inputs: int, outputs: int, kernel: int, stride: tuple[int, int] = (1, 1)
) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())


_SIZE = 256
"""Of both towers' vectors."""


def _head(inputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(inputs, _SIZE),
        nn.BatchNorm1d(_SIZE),
        nn.ReLU(),
        nn.Linear(_SIZE, _SIZE),
    )


class SyncNetShape(nn.Module):
    """Two towers, after the layers of the paper's figures 2 and 3."""

    def __init__(self) -> None:
        super().__init__()
        self.visual = nn.Sequential(
            _layer(WINDOW_FRAMES, 48, 7, (2, 2)),
            nn.MaxPool2d(3, 2, 1),
            _layer(48, 128, 5, (2, 2)),
            _layer(128, 256, 3),
            _layer(256, 256, 3),
            nn.MaxPool2d(2),
            _head(256 * 4 * 4),
        )
        self.sound = nn.Sequential(
            _layer(1, 32, 3),
            _layer(32, 64, 3, (2, 1)),
            nn.MaxPool2d(3, (2, 1), 1),
            _layer(64, 128, 3, (2, 2)),
            _layer(128, 256, 3),
            nn.MaxPool2d(3, 2, 1),
            _head(256 * 5 * 5),
        )

    def see(self, crops: Tensor) -> Tensor:
        """(N, 5, 64, 64) grey pictures 0..255 to vectors (N, 256) of length 1."""
        flat = crops.float().flatten(1)
        spread = flat.std(dim=1, keepdim=True) + 1.0
        level = (flat - flat.mean(dim=1, keepdim=True)) / spread
        return F.normalize(self.visual(level.view_as(crops)), dim=1)

    def hear(self, mel: Tensor) -> Tensor:
        """(N, 20, 80) log-mel to vectors (N, 256) of length 1."""
        return F.normalize(self.sound(mel.transpose(1, 2).unsqueeze(1)), dim=1)
