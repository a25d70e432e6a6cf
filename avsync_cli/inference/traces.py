"""What is kept of every block while a film runs.

The attention of a block is shown at the file's own offset, which is known only when everything has
been judged. Until then a small summary is kept at offsets a frame apart.
"""

from __future__ import annotations

import numpy as np

from avsync_cli.inference.blocks import Block
from avsync_cli.inference.evidence import BlockTrace

KEPT_OFFSETS = 101
"""Offsets, a frame apart, at which a block is remembered until the file's offset is
known: +-2 s, and 20 MB for three hours of film."""


def left_out(block: Block, reason: str) -> BlockTrace:
    return BlockTrace(
        first_frame=block.first_frame,
        track=block.track,
        region=block.region,
        reason=reason,
        kept_ms=np.zeros(0, np.int64),
        logits=np.zeros(0, np.float16),
        confidence=np.zeros(0, np.float16),
        cells=None,
    )


def within_block(confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Confidences (..., M) of cells to the block's own (...), their log-mean-exp, and to uint8
    weights (..., M) within the block."""
    top = confidence.max(axis=-1, keepdims=True)
    share = np.exp(confidence - top)
    level = np.log(share.mean(axis=-1)) + top[..., 0]
    return np.clip(level, -6e4, 6e4), np.rint(share * 255.0).astype(np.uint8)
