"""The SyncNet-shaped baseline behind the interface of evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avsync_cli.evaluation.scoring import OpenTrack, Scorer, Scores, Track
from avsync_cli.evaluation.windows import slid_sound
from avsync_cli.model.checkpoint import load_weights
from avsync_cli.model.features import centre_crop, log_mel
from avsync_cli.model.syncnet import SYNCNET_CONFIG, WINDOW_FRAMES, WINDOW_HOPS, SyncNetShape
from avsync_cli.timebase import HOP_SAMPLES, HOPS_PER_FRAME

_AT_A_TIME = 250


class SyncNetScorer(Scorer):
    """A trained SyncNet shape behind the interface of evaluation: minus the mean distance.

    Args:
        model: the trained towers.
        step: for how many steps, where that is known.
    """

    note = "re-trained on the same data"

    def __init__(self, model: SyncNetShape, step: int | None = None) -> None:
        self.name = "SyncNet shape" if step is None else f"SyncNet shape, step {step}"
        self.model = model.eval()

    @classmethod
    def load(cls, folder: Path, step: int | None) -> SyncNetScorer:
        """The scorer of what `avsync train --baseline syncnet` wrote.

        Raises:
            ModelError: weights that are missing, damaged or another model's.
        """
        model = SyncNetShape()
        load_weights(model, folder)
        return cls(model, step)

    def open(self, track: Track, reach: int, others: Sequence[OpenTrack] = ()) -> OpenTrack:
        return _SyncNetTrack(self.model, track, reach)


class _SyncNetTrack:
    def __init__(self, model: SyncNetShape, track: Track, reach: int) -> None:
        self._track, self._reach = track, reach
        self._pictures = []
        for crops in track.pictures:
            seen = np.ascontiguousarray(centre_crop(crops, SYNCNET_CONFIG.input_px))
            windows = np.lib.stride_tricks.sliding_window_view(seen, WINDOW_FRAMES, axis=0)
            self._pictures.append(_run(model, model.see, np.moveaxis(windows, -1, 1)))
        # Sound from R + 2 frames before the clip to R + 2 after it; a window's vector belongs to
        # its first frame here, as the picture's does.
        around = (reach + WINDOW_FRAMES) * HOPS_PER_FRAME * HOP_SAMPLES
        mel = log_mel(np.pad(track.sound, (around, around)))[WINDOW_HOPS:]
        stretches = np.lib.stride_tricks.sliding_window_view(mel, WINDOW_HOPS, axis=0)
        heard = _run(model, model.hear, np.moveaxis(stretches[::HOPS_PER_FRAME], -1, 1))
        self._sound = np.repeat(heard, HOPS_PER_FRAME, axis=0)

    def scores(self, first: int, frames: int, offsets: np.ndarray, alone: bool = True) -> Scores:
        count, at = max(1, frames - WINDOW_FRAMES + 1), self._track.first_frame + first
        faces = []
        for number, start in self._track.seen(first, frames):
            v = self._pictures[number][start : start + count]
            a = slid_sound(self._sound, at, len(v), offsets, self._reach)
            distance = np.sqrt(np.maximum(2.0 - 2.0 * np.einsum("tc,otc->ot", v, a), 0.0))
            faces.append(-distance.mean(axis=1))
        return Scores(np.max(faces, axis=0), "distance")


@torch.inference_mode()
def _run(model: SyncNetShape, tower: Callable[[Tensor], Tensor], windows: np.ndarray) -> np.ndarray:
    """Vectors of many windows, a bounded number at a time."""
    device = next(model.parameters()).device
    parts = []
    for low in range(0, len(windows), _AT_A_TIME):
        # A copy: windows are views of one array, read-only, which torch does not take.
        part = np.array(windows[low : low + _AT_A_TIME], np.float32)
        parts.append(tower(torch.from_numpy(part).to(device)).cpu().numpy())
    return np.concatenate(parts) if parts else np.zeros((0, 256), np.float32)
