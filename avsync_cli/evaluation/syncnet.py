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

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avsync_cli.errors import ModelError
from avsync_cli.evaluation.scorers import (
    NO_CONFIDENCE,
    SYNCNET_KIND,
    OpenTrack,
    Scores,
    Track,
)
from avsync_cli.evaluation.windows import slid_sound
from avsync_cli.model.checkpoint import FORMAT, load_tensors, read_json
from avsync_cli.model.config import ModelConfig
from avsync_cli.model.engine import Engine
from avsync_cli.model.features import centre_crop, log_mel
from avsync_cli.timebase import HOP_SAMPLES, HOPS_PER_FRAME

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

SHARPNESS = 10.0
"""Inverse temperature of the softmax over distances; vectors have length 1, so these reach 2."""

_AT_A_TIME = 250


def _layer(
    inputs: int, outputs: int, kernel: int, stride: tuple[int, int] = (1, 1)
) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())


def _head(inputs: int, size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(inputs, size),
        nn.BatchNorm1d(size),
        nn.ReLU(),
        nn.Linear(size, size),
    )


class SyncNetShape(nn.Module):
    """Two towers, after the layers of the paper's figures 2 and 3."""

    def __init__(self, size: int = 256) -> None:
        super().__init__()
        self.visual = nn.Sequential(
            _layer(WINDOW_FRAMES, 48, 7, (2, 2)),
            nn.MaxPool2d(3, 2, 1),
            _layer(48, 128, 5, (2, 2)),
            _layer(128, 256, 3),
            _layer(256, 256, 3),
            nn.MaxPool2d(2),
            _head(256 * 4 * 4, size),
        )
        self.sound = nn.Sequential(
            _layer(1, 32, 3),
            _layer(32, 64, 3, (2, 1)),
            nn.MaxPool2d(3, (2, 1), 1),
            _layer(64, 128, 3, (2, 2)),
            _layer(128, 256, 3),
            nn.MaxPool2d(3, 2, 1),
            _head(256 * 5 * 5, size),
        )

    def see(self, crops: Tensor) -> Tensor:
        """(N, 5, 64, 64) grey pictures 0..255 to vectors (N, size) of length 1."""
        flat = crops.float().flatten(1)
        spread = flat.std(dim=1, keepdim=True) + 1.0
        level = (flat - flat.mean(dim=1, keepdim=True)) / spread
        return F.normalize(self.visual(level.view_as(crops)), dim=1)

    def hear(self, mel: Tensor) -> Tensor:
        """(N, 20, 80) log-mel to vectors (N, size) of length 1."""
        return F.normalize(self.sound(mel.transpose(1, 2).unsqueeze(1)), dim=1)


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
    return 0.5 * (each * usable).sum() / usable.sum().clamp_min(1)


class SyncNetScorer:
    """A trained SyncNet shape behind the interface of evaluation: minus the mean distance.

    Args:
        folder: what `avsync train --baseline syncnet` wrote.

    Raises:
        ModelError: files missing, damaged or of another kind.
    """

    note = "re-trained on the same data"
    attention = ""
    family = ""
    engine: Engine | None = None

    def __init__(self, folder: Path) -> None:
        about = read_json(folder / "model.json")
        if about.get("format") != FORMAT or about.get("kind") != SYNCNET_KIND:
            raise ModelError(f"{folder} holds no SyncNet shape", "see avsync train --baseline")
        training = about.get("training")
        step = training.get("step") if isinstance(training, dict) else None
        self.name = f"SyncNet shape, step {step}" if isinstance(step, int) else "SyncNet shape"
        self.model = SyncNetShape()
        try:
            self.model.load_state_dict(load_tensors(folder / "weights.safetensors"))
        except RuntimeError as error:
            first_line = str(error).splitlines()[0]
            raise ModelError(f"{folder}: the weights do not fit: {first_line}") from error
        self.model.eval()

    @classmethod
    def of(cls, model: SyncNetShape) -> SyncNetScorer:
        """A scorer of a model at hand, for validation while training."""
        scorer = cls.__new__(cls)
        scorer.name, scorer.model = "SyncNet shape", model.eval()
        return scorer

    def open(self, track: Track, reach: int, others: Sequence[OpenTrack] = ()) -> OpenTrack:
        return _SyncNetTrack(self.model, track, reach)


class _SyncNetTrack:
    def __init__(self, model: SyncNetShape, track: Track, reach: int) -> None:
        self._first, self._reach = track.first_frame, reach
        seen = np.ascontiguousarray(centre_crop(track.crops, SYNCNET_CONFIG.input_px))
        windows = np.lib.stride_tricks.sliding_window_view(seen, WINDOW_FRAMES, axis=0)
        self._picture = _run(model, model.see, np.moveaxis(windows, -1, 1))
        # Sound from R + 2 frames before the clip to R + 2 after it; a window's vector belongs to
        # its first frame here, as the picture's does.
        around = (reach + WINDOW_FRAMES) * HOPS_PER_FRAME * HOP_SAMPLES
        mel = log_mel(np.pad(track.sound, (around, around)))[WINDOW_HOPS:]
        stretches = np.lib.stride_tricks.sliding_window_view(mel, WINDOW_HOPS, axis=0)
        heard = _run(model, model.hear, np.moveaxis(stretches[::HOPS_PER_FRAME], -1, 1))
        self._sound = np.repeat(heard, HOPS_PER_FRAME, axis=0)

    def scores(self, first: int, frames: int, offsets: np.ndarray, alone: bool = True) -> Scores:
        count = max(1, frames - WINDOW_FRAMES + 1)
        v = self._picture[first : first + count]
        a = slid_sound(self._sound, self._first + first, len(v), offsets, self._reach)
        distance = np.sqrt(np.maximum(2.0 - 2.0 * np.einsum("tc,otc->ot", v, a), 0.0))
        return Scores(-distance.mean(axis=1), "distance", None, NO_CONFIDENCE)


@torch.inference_mode()
def _run(model: SyncNetShape, tower: object, windows: np.ndarray) -> np.ndarray:
    """Vectors of many windows, a bounded number at a time."""
    device = next(model.parameters()).device
    assert callable(tower)
    parts = []
    for low in range(0, len(windows), _AT_A_TIME):
        # A copy: windows are views of one array, read-only, which torch does not take.
        part = np.array(windows[low : low + _AT_A_TIME], np.float32)
        parts.append(tower(torch.from_numpy(part).to(device)).cpu().numpy())
    return np.concatenate(parts) if parts else np.zeros((0, 256), np.float32)
