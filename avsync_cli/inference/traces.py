"""What is kept of every block while a film runs, and the report's blocks made of it at the end.

The attention of a block is shown at the file's own offset, which is known only when everything has
been judged. Until then a small summary is kept at offsets a frame apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from avsync_cli.inference.blocks import Block
from avsync_cli.inference.evidence import BlockResult, BlockTrace
from avsync_cli.timebase import BLOCK_FRAMES, FPS

KEPT_OFFSETS = 101
"""Offsets, a frame apart, at which a block's attention is remembered until the file's offset is
known: +-2 s, and 20 MB for three hours of film."""


def finish_blocks(
    traces: list[BlockTrace],
    offsets_ms: Sequence[float],
    calibration: dict[str, float],
) -> list[BlockResult]:
    """Turn traces into the blocks of the report, once the file's offset is known.

    Args:
        traces: in order.
        offsets_ms: for every trace the offset at which its attention counts.
        calibration: `block_scale` and `block_bias` turn a block's own log-odds into `p_sync`.
    """
    scale, bias = calibration.get("block_scale", 1.0), calibration.get("block_bias", 0.0)
    used = np.array([not t.reason for t in traces], bool)
    at = [
        int(np.argmin(np.abs(t.kept_ms - offset))) if u else 0
        for t, u, offset in zip(traces, used, offsets_ms, strict=True)
    ]
    levels = np.array(
        [float(t.confidence[i]) if u else 0.0 for t, u, i in zip(traces, used, at, strict=True)]
    )
    weights = np.zeros(len(traces))
    if used.any():
        weights[used] = np.exp(levels[used] - levels[used].max())
        weights /= weights.sum()
    results = []
    for n, trace in enumerate(traces):
        cells = None
        if used[n] and trace.cells is not None:
            share = trace.cells[at[n]].astype(np.float32)
            side = math.isqrt(len(share))
            cells = (share / share.sum()).reshape(side, side)
        logit = 0.0 if trace.p_logit is None else scale * trace.p_logit + bias
        results.append(
            BlockResult(
                start_s=trace.first_frame / FPS,
                end_s=(trace.first_frame + BLOCK_FRAMES) / FPS,
                region=trace.region,
                confidence=float(levels[n]),
                weight=float(weights[n]),
                p_sync=0.5 * (1.0 + math.tanh(logit / 2.0)),
                used=bool(used[n]),
                reason=trace.reason,
                cells=cells,
            )
        )
    return results


def left_out(block: Block, reason: str) -> BlockTrace:
    return BlockTrace(
        first_frame=block.first_frame,
        track=block.track,
        region=block.region,
        reason=reason,
        p_logit=None,
        kept_ms=np.zeros(0, np.int64),
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
