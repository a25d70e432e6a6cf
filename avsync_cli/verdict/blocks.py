"""The blocks as reports show them, once it is decided where the lag lies.

Attention is shown at the lag of the block's own stretch of the file: there the softmax chose among
regions and cells. Whether a block by itself is in sync is read from its own posterior, as it is for
the file: its share within the tolerance.
"""

from __future__ import annotations

import math

import numpy as np

from avsync_cli.inference.evidence import BlockResult, BlockTrace, Evidence
from avsync_cli.timebase import BLOCK_FRAMES, FPS, FRAME_MS, HOP_MS
from avsync_cli.verdict.answer import Tolerance, Verdict
from avsync_cli.verdict.posterior import Constants


def shown_blocks(evidence: Evidence, verdict: Verdict, tolerance: Tolerance) -> list[BlockResult]:
    """Blocks of the report, in the order of the evidence's traces.

    Args:
        evidence: with traces.
        verdict: its answer.
        tolerance: what counts as in sync.
    """
    traces = evidence.traces
    constants = Constants.of(evidence.calibration)
    at = [
        int(np.argmin(np.abs(trace.kept_ms - lag_ms))) if not trace.reason else 0
        for trace, lag_ms in zip(traces, _lags_ms(evidence, verdict), strict=True)
    ]
    used = np.array([not trace.reason for trace in traces], bool)
    levels = np.zeros(len(traces))
    levels[used] = [t.confidence[i] for t, i in zip(traces, at, strict=True) if not t.reason]
    weights = np.zeros(len(traces))
    if used.any():
        weights[used] = np.exp(levels[used] - levels[used].max())
        weights /= weights.sum()
    return [
        BlockResult(
            start_s=trace.first_frame / FPS,
            end_s=(trace.first_frame + BLOCK_FRAMES) / FPS,
            region=trace.region,
            confidence=float(level),
            weight=float(weight),
            p_sync=_p_within(trace, constants, tolerance),
            used=not trace.reason,
            reason=trace.reason,
            cells=None if trace.reason else _cells(trace, place),
        )
        for trace, place, level, weight in zip(traces, at, levels, weights, strict=True)
    ]


def _lags_ms(evidence: Evidence, verdict: Verdict) -> list[float]:
    """For every block the lag of its stretch of the file, or the likeliest where none is sure."""
    likeliest = float(evidence.offsets_ms[int(np.argmax(verdict.curve))])
    lags = []
    for trace in evidence.traces:
        at_s = trace.first_frame / FPS
        own = (s.offset_ms for s in verdict.segments if s.start_s <= at_s < s.end_s)
        lag = next(own, None)
        lags.append(likeliest if lag is None else lag)
    return lags


def _cells(trace: BlockTrace, place: int) -> np.ndarray | None:
    """(h, w) attention within the block, summing to 1."""
    if trace.cells is None:
        return None
    share = trace.cells[place].astype(np.float32)
    side = math.isqrt(len(share))
    cells: np.ndarray = (share / share.sum()).reshape(side, side)
    return cells


def _p_within(trace: BlockTrace, constants: Constants, tolerance: Tolerance) -> float:
    """Probability that the block's own lag is within the tolerance; 0.5 where nothing is known."""
    known = np.isfinite(trace.logits)
    if not known.any():
        return 0.5
    kept = trace.kept_ms.astype(np.float64)
    logits = np.where(known, trace.logits, np.median(trace.logits[known])).astype(np.float64)
    # Read at the scan's finest steps: a peak between two kept offsets belongs to neither.
    half = float(np.diff(kept).min()) / 2 if len(kept) > 1 else FRAME_MS / 2
    lags = np.arange(kept[0] - half, kept[-1] + half + HOP_MS / 2, HOP_MS)
    lags = lags[np.abs(lags[:, None] - kept).min(axis=1) <= half]
    vote = np.exp(constants.scale * (np.interp(lags, kept, logits) - logits.max()))
    vote = (1.0 - constants.outlier) * vote / vote.sum() + constants.outlier / len(vote)
    inside = (lags >= -tolerance.early_ms) & (lags <= tolerance.late_ms)
    return float(vote[inside].sum())
