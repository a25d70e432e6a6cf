"""The answer by strikes that are seen and heard, for a file of which the model knows none.

The model has learnt speech. Where no face is seen a hammer, a drum or a knife may tell the lag all
the same (`verdict.strikes`), less finely and less surely: what is told here says so, and never that
it is sure.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from avsync_cli.inference.evidence import Evidence, Strikes
from avsync_cli.names import Status
from avsync_cli.verdict.answer import Candidate, Segment, Tolerance, Verdict, direction_of
from avsync_cli.verdict.posterior import mass
from avsync_cli.verdict.reasons import NEAR_LIMIT
from avsync_cli.verdict.stretches import BLOCK_S, undecided
from avsync_cli.verdict.strikes import StrikePeak
from avsync_cli.wording import clock

MOST_SURE = 0.93
"""No answer is surer: of the 14 that real clips gave above 0.8, ten of train and three of test were
right."""

WITHIN_MS = 50.0
"""95 % interval of an answer that is right: none of those was further than 40 ms from zero."""

_SPREAD_MS = WITHIN_MS / 2


def as_strikes(peak: StrikePeak, end_s: float) -> Strikes:
    """What is told of a peak that was found in a file's first `end_s` seconds."""
    return Strikes(offset_ms=peak.offset_ms, p=min(peak.p, MOST_SURE), end_s=end_s)


def decide_by_strikes(
    verdict: Verdict, evidence: Evidence, strikes: Strikes, tolerance: Tolerance
) -> Verdict:
    """An undecided file's verdict by its strikes; as it was, where these are not sure enough.

    Args:
        verdict: of a file that the model left undecided; says how sure an answer must be.
        evidence: behind it, for its grid of offsets and its remarks.
        strikes: from `as_strikes`.
        tolerance: what still counts as in sync.
    """
    lag_ms, offsets = strikes.offset_ms, np.asarray(evidence.offsets_ms, np.float64)
    if strikes.p < verdict.min_confidence or abs(lag_ms) > float(offsets[-1]):
        return verdict
    inside = -tolerance.early_ms <= lag_ms <= tolerance.late_ms
    status: Status = "in_sync" if inside else "out_of_sync"
    ci_ms = lag_ms - WITHIN_MS, lag_ms + WITHIN_MS
    bell = np.exp(-np.square((offsets - lag_ms) / _SPREAD_MS) / 2)
    curve = strikes.p * bell / bell.sum() + (1.0 - strikes.p) / len(offsets)
    at_border = any(
        ci_ms[0] < limit < ci_ms[1] for limit in (-tolerance.early_ms, tolerance.late_ms)
    )
    words = f"by strikes seen and heard in the first {clock(strikes.end_s)}, to two frames"
    file_s = evidence.media.duration_s
    rest = [undecided(strikes.end_s, file_s)] if file_s - strikes.end_s >= BLOCK_S else []
    told = Segment(
        start_s=0.0,
        end_s=strikes.end_s,
        offset_ms=lag_ms,
        offset_ci_ms=ci_ms,
        confidence=strikes.p,
        status=status,
    )
    return replace(
        verdict,
        status=status,
        offset_ms=lag_ms,
        offset_ci_ms=ci_ms,
        direction=direction_of(lag_ms),
        confidence=strikes.p,
        p_sync=mass(offsets, curve, 0.0, tolerance.early_ms, tolerance.late_ms),
        at_border=at_border,
        reasons=[words, *([NEAR_LIMIT] if at_border else []), *evidence.reasons],
        segments=[told, *rest],
        curve=curve,
        best=Candidate(lag_ms, strikes.p),
        second=None,
        margin=0.0,
        would_decide="",
    )
