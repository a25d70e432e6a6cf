"""A model being trained, behind the same protocol as the exported graphs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from avsync_cli.model.config import ModelConfig
from avsync_cli.model.core import SyncModel
from avsync_cli.model.engine import encode_phases, steps_of
from avsync_cli.model.features import centre_crop


def _array(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.float().cpu().numpy()
    return array


class TorchEngine:
    """Runs a `SyncModel` as `model.engine.Engine` does its graphs; see there for shapes."""

    name = "in training"
    version = "0"
    backend = "torch"

    def __init__(self, model: SyncModel) -> None:
        self.model = model.eval()
        self.config: ModelConfig = model.config
        self.calibration: dict[str, float] = {}
        self.device = next(model.parameters()).device

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(self.device)

    @torch.inference_mode()
    def encode_visual(self, crops: np.ndarray) -> np.ndarray:
        seen = centre_crop(crops, self.config.input_px)
        return _array(self.model.visual(self._tensor(seen)[None])[0])

    @torch.inference_mode()
    def sound_steps(self, sound: np.ndarray) -> np.ndarray:
        return steps_of(
            sound, self.config, lambda part: _array(self.model.front(self._tensor(part)))
        )

    @torch.inference_mode()
    def encode_sound(self, mel: np.ndarray) -> np.ndarray:
        return encode_phases(
            mel, self.config, lambda phases: _array(self.model.sound(self._tensor(phases)))
        )

    @torch.inference_mode()
    def joint(self, v: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        joint = self.model.relate(self._tensor(v), self._tensor(a))
        return _array(joint.z), _array(joint.confidence), _array(joint.similarity)

    @torch.inference_mode()
    def decide(
        self, z: np.ndarray, confidence: np.ndarray, similarity: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        logits, weights = self.model.decide(
            self._tensor(z), self._tensor(confidence), self._tensor(similarity)
        )
        return _array(logits), _array(weights)
