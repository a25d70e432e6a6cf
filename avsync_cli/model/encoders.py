"""The two encoders: picture to per-cell features, sound to features, neither seeing the other.

Both are valid convolutions along time: an output frame depends on nothing but a fixed number of
frames around it, so that a feature is the same wherever its block was cut, and no padding can act
as a clock that would tell absolute time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avsync_cli.model.config import (
    SOUND_CONTEXT,
    VISUAL_CONTEXT,
    WIDTHS,
    ModelConfig,
    Sound,
    layers_reach,
)
from avsync_cli.model.over_time import LayersOverTime
from avsync_cli.timebase import HOPS_PER_FRAME

STEM_FRAMES = 5
"""Frames the first layer sees at once, as in SyncNet (Chung & Zisserman, 2016): 0.2 s."""


def _relu() -> nn.ReLU:
    return nn.ReLU(inplace=True)


class _Normed(nn.Sequential):
    """A convolution and its normalisation; one step where neither is being learnt."""

    def forward(self, x: Tensor) -> Tensor:
        layer, norm = self[0], self[1]
        assert isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        mean, variance = norm.running_mean, norm.running_var
        if norm.training or layer.weight.requires_grad or mean is None or variance is None:
            normed: Tensor = norm(layer(x))
            return normed
        scale = norm.weight * (variance + norm.eps).rsqrt()
        weight = layer.weight * scale.view(-1, 1, 1, 1)
        side = layer.kernel_size[0] // 2
        return F.conv2d(x, weight, norm.bias - mean * scale, layer.stride, side)


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A spatial convolution with batch normalisation, without activation."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return _Normed(layer, nn.BatchNorm2d(outputs))


class Residual(nn.Module):
    """Two 3x3 convolutions and a way around them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv(channels, channels)
        self.second = conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(F.relu(self.first(x), inplace=True)), inplace=True)


class TemporalMix(nn.Module):
    """A convolution over three frames at every place, and a way around it; two frames shorter."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, (3, 1), bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor, clips: int) -> Tensor:
        """(clips * T, C, h, w) to (clips * (T - 2), C, h, w)."""
        frames, channels, height, width = x.shape
        steps = frames // clips
        series = x.view(clips, steps, channels, height * width).transpose(1, 2)
        mixed = F.relu(series[:, :, 1:-1] + self.norm(self.mix(series)))
        return mixed.transpose(1, 2).reshape(clips * (steps - 2), channels, height, width)


def _per_cell(cells: Tensor) -> Tensor:
    """(N, C, T, M) features scaled so that their mean over the cells has length 1."""
    norm = cells.mean(dim=3, keepdim=True).square().sum(dim=1, keepdim=True).add(1e-6).sqrt()
    return cells / norm


class VisualEncoder(nn.Module):
    """(N, T + 2 r, 64, 64) grey pictures 0..255 to (N, T, C, 4, 4) features, r = 4 and more.

    A cell's features are scaled so that the mean over cells has length 1: the similarity of the
    pooled features with the sound's is then exactly the mean of the cells' similarities.
    """

    def __init__(self, config: ModelConfig, dropout: nn.Module | None = None) -> None:
        super().__init__()
        self.config = config
        stem, first, second, third = WIDTHS[config.size].visual
        self.stem = nn.Sequential(conv(STEM_FRAMES, stem, 7, 2), _relu())
        self.stage1 = nn.Sequential(conv(stem, first, 3, 2), _relu(), Residual(first))
        self.stage2 = nn.Sequential(conv(first, second, 3, 2), _relu(), Residual(second))
        self.mix2 = TemporalMix(second)
        self.stage3 = nn.Sequential(conv(second, third, 3, 2), _relu(), Residual(third))
        self.mix3 = TemporalMix(third)
        self.out = nn.Conv2d(third, config.channels, 1)
        self.over_time = LayersOverTime(config.channels, config.visual_layers, dropout)
        side, context = config.input_px // 16, VISUAL_CONTEXT + layers_reach(config.visual_layers)
        if (config.grid, config.visual_context) != (side, context):
            raise ValueError(f"this encoder has a {side}x{side} grid and {context} frames context")

    def stages(self) -> list[nn.Module]:
        """What a picture goes through before its frames are mixed, first to last."""
        return [self.stem, self.stage1, self.stage2]

    def forward(self, crops: Tensor) -> Tensor:
        clips, frames, height, width = crops.shape
        # Brightness and contrast of a face say nothing of its speech: take them out per picture.
        flat = crops.reshape(clips, frames, height * width) * (1.0 / 255.0)
        flat = flat - flat.mean(dim=2, keepdim=True)
        spread = flat.square().mean(dim=2, keepdim=True).add(1e-3).sqrt()
        pictures = (flat / spread).view(clips, frames, height, width)
        steps = frames - STEM_FRAMES + 1
        stacked = torch.stack([pictures[:, i : i + steps] for i in range(STEM_FRAMES)], dim=2)
        x = self.stem(stacked.reshape(clips * steps, STEM_FRAMES, height, width))
        x = self.stage2(self.stage1(x))
        x = self.mix2(x, clips)
        x = self.stage3(x)
        x = self.mix3(x, clips)
        x = self.out(x).float()
        shape = x.shape[1:]
        cells = _per_cell(x.view(clips, -1, shape[0], shape[1] * shape[2]).transpose(1, 2))
        return self.in_time(cells.transpose(1, 2).reshape(clips, -1, *shape))

    def in_time(self, features: Tensor) -> Tensor:
        """What the layers over time make of (N, T + 2 r, C, h, w) features, r = `layers_reach`.

        They see the mean of the cells, and move all cells of a frame alike: what is where in the
        picture stays what the layers below say.
        """
        if not self.config.visual_layers:
            return features
        reach = layers_reach(self.config.visual_layers)
        added = self.over_time.added(features.mean(dim=(3, 4)).float())
        there = features[:, reach : features.shape[1] - reach].float()
        cells = (there + added[..., None, None]).flatten(3).transpose(1, 2)
        return _per_cell(cells).transpose(1, 2).view_as(there)


class Hearing(nn.Module):
    """What both kinds of sound encoder end in: features of length 1, and layers over time.

    Raises:
        ValueError: the configuration's context is not that of such an encoder.
    """

    def __init__(self, config: ModelConfig, kind: Sound, dropout: nn.Module | None) -> None:
        super().__init__()
        self.config = config
        beyond = layers_reach(config.sound_layers) * HOPS_PER_FRAME
        before, after = (steps + beyond for steps in SOUND_CONTEXT[kind])
        if config.sound_context != (before, after):
            raise ValueError(f"this encoder has a sound context of {before} and {after} steps")
        self.over_time = LayersOverTime(config.channels, config.sound_layers, dropout)

    def in_time(self, features: Tensor) -> Tensor:
        """What the layers over time make of (N, T + 2 r, C) features, r = `layers_reach`."""
        if not self.config.sound_layers:
            return features
        reach = layers_reach(self.config.sound_layers)
        there = features[:, reach : features.shape[1] - reach]
        return F.normalize(there + self.over_time.added(features), dim=2, eps=1e-4)


class SoundEncoder(Hearing):
    """(N, 4 T + 27, 80) log-mel steps to (N, T, C) features of length 1, without layers over time;
    with them, 8 r steps more are needed."""

    def __init__(self, config: ModelConfig, dropout: nn.Module | None = None) -> None:
        super().__init__(config, "log-mel", dropout)

        def layer(
            inputs: int, outputs: int, kernel: tuple[int, int], stride: tuple[int, int]
        ) -> nn.Sequential:
            # Padded along pitch, never along time.
            pad = (kernel[0] // 2, 0)
            return nn.Sequential(
                nn.Conv2d(inputs, outputs, kernel, stride, pad, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            )

        first, second, third, fourth, last = WIDTHS[config.size].sound
        self.layers = nn.Sequential(
            layer(1, first, (5, 3), (2, 1)),
            layer(first, second, (3, 3), (2, 1)),
            layer(second, third, (3, 3), (2, 2)),
            layer(third, fourth, (3, 3), (2, 1)),
        )
        left_bands = -(-config.mel_bands // 16)
        self.squeeze = nn.Sequential(
            nn.Conv2d(fourth, last, (left_bands, 3), (1, 2), bias=False),
            nn.BatchNorm2d(last),
            nn.ReLU(),
        )
        self.mix1 = TemporalMix(last)
        self.mix2 = TemporalMix(last)
        self.out = nn.Conv2d(last, config.channels, 1)

    def forward(self, mel: Tensor) -> Tensor:
        clips = mel.shape[0]
        x = self.squeeze(self.layers(mel.transpose(1, 2).unsqueeze(1)))  # (N, W, 1, T + 4)
        x = x.transpose(1, 3).transpose(2, 3).reshape(-1, x.shape[1], 1, 1)
        x = self.mix2(self.mix1(x, clips), clips)
        features = self.out(x).float().view(clips, -1, self.config.channels)
        return self.in_time(F.normalize(features, dim=2, eps=1e-4))
