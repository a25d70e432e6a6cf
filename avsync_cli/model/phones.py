"""The sound side that knows speech: a phone recogniser's first layers, and a tower on top.

The recogniser (see `recogniser`) was trained on far more speech than faces can be had for. It is
kept as it is; what the tower learns is which of its 144 numbers a mouth shows. Its frames lie 20 ms
apart. It is run from two starting points, so that there is one every 10 ms, as there is of log-mel.

Nothing is padded and attention reaches a second either way, so that step j depends on the sound
around sample 160 j alone: the same wherever a stream is cut, and no clock.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avsync_cli.model.config import (
    PHONE_EDGE_STEPS,
    PHONE_WIDTH,
    SOUND_CONTEXT,
    WIDTHS,
    ModelConfig,
)
from avsync_cli.model.encoders import Hearing, TemporalMix
from avsync_cli.model.recogniser import BLOCKS
from avsync_cli.timebase import HOP_SAMPLES, HOPS_PER_FRAME

FFT_SIZE = 400
MEL_BANDS = 80
HEADS = 4
KERNEL = 31
ATTENTION_FRAMES = 50
"""Frames of 20 ms that a frame attends to on either side. The recogniser was trained with all of
a sentence in view; its second block then differs by 0.14 (relative), and tells mouths as well."""

BLOCK_CONTEXT = ATTENTION_FRAMES + KERNEL // 2
MIXES = 4
"""Layers of the tower that see a frame more on either side."""

assert (BLOCKS * BLOCK_CONTEXT + 2) * 2 == PHONE_EDGE_STEPS
assert SOUND_CONTEXT["phones"] == (MIXES * HOPS_PER_FRAME,) * 2


class FeedForward(nn.Module):
    """Half a step along two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(PHONE_WIDTH)
        self.fc1 = nn.Linear(PHONE_WIDTH, 4 * PHONE_WIDTH)
        self.fc2 = nn.Linear(4 * PHONE_WIDTH, PHONE_WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.5 * self.fc2(F.silu(self.fc1(self.norm(x))))


class BandAttention(nn.Module):
    """Self-attention without position code, over frames no farther than `ATTENTION_FRAMES`."""

    far: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(PHONE_WIDTH)
        self.qkv = nn.Linear(PHONE_WIDTH, 3 * PHONE_WIDTH)
        self.out = nn.Linear(PHONE_WIDTH, PHONE_WIDTH)
        place = torch.arange(3 * ATTENTION_FRAMES)
        apart = (place[ATTENTION_FRAMES : 2 * ATTENTION_FRAMES, None] - place).abs()
        far = torch.where(apart > ATTENTION_FRAMES, -1e9, 0.0)
        self.register_buffer("far", far, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, W) to (N, T - 100, W)."""
        clips, frames, width = x.shape
        reach, part = ATTENTION_FRAMES, width // HEADS
        # Frames are taken `reach` at a time: such a stretch attends to itself and its neighbours.
        lacking = -frames % reach
        heads = F.pad(self.qkv(self.norm(x)), (0, 0, 0, lacking))
        heads = heads.view(clips, -1, reach, 3, HEADS, part).permute(3, 0, 4, 1, 2, 5)
        query, key, value = heads.unbind(0)  # (N, heads, stretches, reach, part)
        query = query[:, :, 1:-1] * (1.0 / math.sqrt(part))
        key = key.transpose(3, 4)
        key = torch.cat([key[:, :, :-2], key[:, :, 1:-1], key[:, :, 2:]], 4)
        value = torch.cat([value[:, :, :-2], value[:, :, 1:-1], value[:, :, 2:]], 3)
        scores = query @ key + self.far
        heard = (scores.softmax(dim=4) @ value).permute(0, 2, 3, 1, 4).reshape(clips, -1, width)
        out: Tensor = x[:, reach : frames - reach] + self.out(heard)[:, : frames - 2 * reach]
        return out


class Convolution(nn.Module):
    """Gate, depthwise convolution over 0.6 s, mixture."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(PHONE_WIDTH)
        self.pointwise1 = nn.Conv1d(PHONE_WIDTH, 2 * PHONE_WIDTH, 1)
        self.depthwise = nn.Conv1d(PHONE_WIDTH, PHONE_WIDTH, KERNEL, groups=PHONE_WIDTH)
        self.pointwise2 = nn.Conv1d(PHONE_WIDTH, PHONE_WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, W) to (N, T - 30, W)."""
        y = F.glu(self.pointwise1(self.norm(x).transpose(1, 2)), dim=1)
        y = self.pointwise2(F.silu(self.depthwise(y))).transpose(1, 2)
        cut = KERNEL // 2
        return x[:, cut : x.shape[1] - cut] + y


class Conformer(nn.Module):
    """One block of the recogniser; 65 frames shorter at either end."""

    def __init__(self) -> None:
        super().__init__()
        self.ffn1, self.attn = FeedForward(), BandAttention()
        self.conv, self.ffn2 = Convolution(), FeedForward()
        self.norm = nn.LayerNorm(PHONE_WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.ffn2(self.conv(self.attn(self.ffn1(x)))))
        return out


class PhoneFront(nn.Module):
    """Sound to what the recogniser's second block says of it, 100 times a second.

    (N, 160 n) float32 samples in -1..1 at 16 kHz, n even, to (N, n - 528, 144). Output step j
    belongs to the input's sample 160 (j + 264), and depends on no others than those 2.64 s
    before and after it.
    """

    waves: Tensor
    mel_filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        at = torch.arange(FFT_SIZE, dtype=torch.float64)
        turn = 2 * math.pi / FFT_SIZE
        angle = turn * torch.arange(FFT_SIZE // 2 + 1, dtype=torch.float64)[:, None] * at
        window = 0.5 - 0.5 * torch.cos(turn * at)
        waves = torch.cat([window * torch.cos(angle), window * torch.sin(angle)])
        self.register_buffer("waves", waves.float().unsqueeze(1), persistent=False)
        self.register_buffer("mel_filters", torch.zeros(FFT_SIZE // 2 + 1, MEL_BANDS))
        self.stem = nn.Conv1d(MEL_BANDS, PHONE_WIDTH, 3)
        self.blocks = nn.ModuleList(Conformer() for _ in range(BLOCKS))

    def forward(self, sound: Tensor) -> Tensor:
        with torch.autocast(sound.device.type, enabled=False):
            return self._hear(sound.float())

    def _hear(self, sound: Tensor) -> Tensor:
        # The first window that is whole is the one around step 2.
        whole = sound[:, None, 2 * HOP_SAMPLES - FFT_SIZE // 2 :]
        real, imaginary = F.conv1d(whole, self.waves, stride=HOP_SAMPLES).chunk(2, dim=1)
        power = (real.square() + imaginary.square()).transpose(1, 2)
        mel = torch.log((power @ self.mel_filters).clamp_min(1e-10)).transpose(1, 2)
        # Steps 3 .. n - 3; as many are left out at either end, an even number.
        x = F.gelu(self.stem(mel)).transpose(1, 2)[:, 1:-2]
        clips, steps, width = x.shape
        x = x[:, : steps // 2 * 2].reshape(clips, steps // 2, 2, width).transpose(1, 2)
        x = x.reshape(2 * clips, steps // 2, width)
        for block in self.blocks:
            x = block(x)
        return x.reshape(clips, 2, -1, width).transpose(1, 2).reshape(clips, -1, width)


class PhoneEncoder(Hearing):
    """(N, 4 T + 32, 144) steps of `PhoneFront` to (N, T, C) features of length 1; with layers over
    time 8 r steps more.

    The front is part of it, frozen, so that a model's weights hold all that it hears with.
    """

    def __init__(self, config: ModelConfig, dropout: nn.Module | None = None) -> None:
        super().__init__(config, "phones", dropout)
        self.front = PhoneFront().requires_grad_(False)
        width = WIDTHS[config.size].sound[-1]
        self.into = nn.Conv1d(PHONE_WIDTH, width, HOPS_PER_FRAME, HOPS_PER_FRAME, bias=False)
        self.norm = nn.BatchNorm1d(width)
        self.mixes = nn.ModuleList(TemporalMix(width) for _ in range(MIXES))
        self.out = nn.Linear(width, config.channels)

    def forward(self, steps: Tensor) -> Tensor:
        clips = steps.shape[0]
        x = F.relu(self.norm(self.into(steps.transpose(1, 2)))).transpose(1, 2)
        x = x.reshape(-1, x.shape[2], 1, 1)
        for mix in self.mixes:
            x = mix(x, clips)
        features = self.out(x.flatten(1)).float().view(clips, -1, self.config.channels)
        return self.in_time(F.normalize(features, dim=2, eps=1e-4))
