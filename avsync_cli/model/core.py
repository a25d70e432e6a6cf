"""The one model core that train, eval, score and offset-scan share.

The method is that of Khosravan, Ardeshir and Puri, "On Attention Modules for Audio-Visual
Synchronization" (arXiv 1812.06071), with two additions that the configuration can switch off: the
first joint layer also sees the product of the two features, and the attention-pooled similarity
of the encoders is added to the decision.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avsync_cli.model.attention import Confidence, pool
from avsync_cli.model.config import ModelConfig
from avsync_cli.model.encoders import SoundEncoder, VisualEncoder
from avsync_cli.model.joint import JointLayers
from avsync_cli.model.phones import PhoneEncoder, PhoneFront


class Joint(NamedTuple):
    """What the joint layers say of blocks at offsets; M units a block.

    Attributes:
        z: (N, O, M, D) joint representation.
        confidence: (N, O, M) logits of the attention.
        similarity: (N, O, M) mean over the block's frames of the features' scalar product.
    """

    z: Tensor
    confidence: Tensor
    similarity: Tensor


class SyncModel(nn.Module):
    """Encoders, joint layers, attention and decision.

    Args:
        config: sizes and the kind of attention.
        dropout: hides part of the pooled representation, and of the numbers within layers over
            time, while training (the joint layers learn a small corpus by heart when nothing stops
            them); nothing by default.
    """

    def __init__(self, config: ModelConfig, dropout: nn.Module | None = None) -> None:
        super().__init__()
        self.config = config
        self.visual = VisualEncoder(config, dropout)
        self.sound: SoundEncoder | PhoneEncoder = (
            PhoneEncoder(config, dropout)
            if config.sound == "phones"
            else SoundEncoder(config, dropout)
        )
        self.joint = JointLayers(config)
        self.confidence = Confidence(config)
        self.dropout = dropout if dropout is not None else nn.Identity()
        self.hidden = nn.Linear(config.joint_width, config.hidden)
        self.logits = nn.Linear(config.hidden, 2)
        self.skip_gain = nn.Parameter(torch.tensor(10.0))
        self.skip_bias = nn.Parameter(torch.tensor(0.3))

    @property
    def front(self) -> PhoneFront:
        """What makes steps of sound of samples, in a model that hears phones."""
        assert isinstance(self.sound, PhoneEncoder)
        return self.sound.front

    def relate(self, v: Tensor, a: Tensor) -> Joint:
        """Blocks of both features to what attention and decision need.

        Args:
            v: (N, 25, C, h, w) from the visual encoder.
            a: (N, O, 25, C) from the sound encoder, one stretch an offset.
        """
        cells = v.flatten(3).transpose(2, 3)  # (N, 25, M, C)
        z = self.joint(cells, a)
        similarity = torch.einsum("ntmc,notc->nom", cells, a) / cells.shape[1]
        if self.config.attention != "spatio-temporal":
            z, similarity = z.mean(dim=2, keepdim=True), similarity.mean(dim=2, keepdim=True)
        return Joint(z, self.confidence(z), similarity)

    def decide(self, z: Tensor, confidence: Tensor, similarity: Tensor) -> tuple[Tensor, Tensor]:
        """Attention-weighted mean over all units of a window, then FC 512 and FC 2.

        Args:
            z: (G, M, D), confidence: (G, M), similarity: (G, M), for any number of units M.

        Returns:
            logits (G, 2), class 1 meaning "in sync", and weights (G, M).
        """
        pooled, weights = pool(torch.cat([z, similarity.unsqueeze(-1)], dim=-1), confidence)
        mean_z, mean_similarity = pooled[..., :-1], pooled[..., -1]
        logits = self.logits(self.dropout(F.relu(self.hidden(self.dropout(mean_z)))))
        if self.config.similarity_skip:
            evidence = self.skip_gain * (mean_similarity - self.skip_bias)
            logits = logits + torch.stack([-evidence, evidence], dim=-1)
        return logits, weights
