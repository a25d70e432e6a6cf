"""The answer by strikes that are seen and heard, for a file of which the model knows none.

The model has learnt speech. Where nobody is seen to speak a hammer, a drum or a clap may tell the
lag all the same (`verdict.strikes`), less finely and less surely: what is told here says so, and
never that it is sure.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from avsync_cli.inference.evidence import Evidence, Strikes
from avsync_cli.names import Status
from avsync_cli.regions.motion import squares
from avsync_cli.verdict.answer import Candidate, Segment, Tolerance, Verdict, direction_of
from avsync_cli.verdict.posterior import log_odds, mass
from avsync_cli.verdict.reasons import NEAR_LIMIT
from avsync_cli.verdict.stretches import BLOCK_S, undecided
from avsync_cli.verdict.strikes import NEAR_MS, StrikePeak
from avsync_cli.wording import clock

MOST_SURE = 0.93
"""No answer is surer: no more than 21 of real clips above 0.8 were counted, 17 of train and four of
test, all of them right."""

SPOKEN = 2.0
"""Odds that what sets in where a face is followed is a word, and no blow."""

WITHIN_MS = 50.0
"""95 % interval of an answer that is right: 20 of those were as near to zero, one was 80 ms off."""

_SPREAD_MS = WITHIN_MS / 2


def as_strikes(peak: StrikePeak, end_s: float, size: tuple[int, int]) -> Strikes:
    """What is told of a peak that was found in a file's first `end_s` seconds, in pictures of
    `size` (height, width)."""
    height, width = size
    left, top, across, down = map(float, squares(height, width)[peak.square])
    return Strikes(
        offset_ms=peak.offset_ms,
        p=min(peak.p, MOST_SURE),
        end_s=end_s,
        box=(left / width, top / height, across / width, down / height),
        heard_s=peak.heard_s,
    )


def is_open(verdict: Verdict, tracks: bool) -> bool:
    """Whether strikes may still answer for an undecided file: not where faces were followed, a part
    of the file was sure, and something else spoke against it."""
    return not tracks or verdict.confidence < verdict.min_confidence


def beside_faces(strikes: Strikes, verdict: Verdict, evidence: Evidence) -> Strikes:
    """What is left of strikes in a file in which faces were followed.

    What is heard may be words; and a lag by which the faces rather do not go with the sound is as
    much less likely. One that they favour is no likelier, since what a mouth does may have been
    taken for strikes.

    Args:
        strikes: from `as_strikes`.
        verdict: of the file, undecided; its curve is what the faces say.
        evidence: behind it, for its grid of offsets.
    """
    offsets = np.asarray(evidence.offsets_ms, np.float64)
    flat = np.full(len(offsets), 1.0 / len(offsets))
    favour, even = (
        log_odds(mass(offsets, curve, strikes.offset_ms, NEAR_MS, NEAR_MS))
        for curve in (verdict.curve, flat)
    )
    odds = log_odds(strikes.p) - math.log(SPOKEN) + min(0.0, favour - even)
    return replace(strikes, p=1.0 / (1.0 + math.exp(-odds)))


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
