"""Why a file is undecided, and what limits the answer of one that is not, in words."""

from __future__ import annotations

import numpy as np

from avsync_cli.inference.evidence import Evidence
from avsync_cli.names import Status
from avsync_cli.timebase import FRAME_MS
from avsync_cli.verdict.answer import Segment, Tolerance
from avsync_cli.verdict.drift import STEEPEST_MS_PER_MIN, likely_cause
from avsync_cli.verdict.posterior import Answer, mass
from avsync_cli.verdict.stretches import Part, straddles
from avsync_cli.wording import clock

NO_EVIDENCE = "nothing could be judged"

NO_SOURCE = "too little in the picture moves with the sound"

MAYBE_DUB = "too little in the picture moves with the sound to rule out a dub"

NEAR_LIMIT = "the offset is close to the limit of the tolerance"

CHANGES = "the lag changes within the file"

SCATTERED = "different parts of the file point to different lags"

EDGE_CONFIDENCE = 0.3
"""Below this a peak at the edge is just the highest of many, no hint at a lag beyond."""


def all_reasons(
    evidence: Evidence,
    main: Part,
    status: Status,
    segments: list[Segment],
    offsets: np.ndarray,
    tolerance: Tolerance,
) -> list[str]:
    """What a person must know beside the answer.

    Args:
        evidence: its own reasons come last.
        main: the stretch that speaks for the file.
        status: of the file.
        segments: all stretches.
        offsets: (O,) ms, the scan's.
        tolerance: by which it was judged.
    """
    reasons: list[str] = []
    reach_s = float(offsets[-1]) / 1000.0
    if status == "undecided":
        answer = main.answer
        if answer.at_edge and answer.confidence >= EDGE_CONFIDENCE:
            reasons.append(
                f"the lag may lie beyond the scanned range of ±{reach_s:g} s: "
                f"try --range {2 * reach_s:g}s"
            )
        else:
            reasons.append(why_in_doubt(answer, offsets))
    elif (told := sum(s.offset_ms is not None for s in segments)) > 1:
        reasons.append(f"{CHANGES}: {told} stretches differ")
    if status != "undecided" and main.drift is not None:
        reasons += _drift_reasons(main, segments, reach_s)
    if status != "undecided" and straddles(main, tolerance):
        reasons.append(NEAR_LIMIT)
    return reasons + [r for r in evidence.reasons if r not in reasons]


def cut_words(step_s: float) -> str:
    """That a part of the file points elsewhere than the rest, and from when on."""
    return f"the sound seems to be cut at about {clock(step_s)}"


def out_words(start_s: float, end_s: float) -> str:
    """That a part of the file is left out."""
    return f"the lag may be another from {clock(start_s)} to {clock(end_s)}, which is left out"


def _drift_reasons(main: Part, segments: list[Segment], reach_s: float) -> list[str]:
    assert main.drift is not None
    rate = main.drift.ms_per_min
    start_ms, end_ms = main.ends_ms
    way = "later" if rate > 0 else "earlier"
    words = (
        f"the sound comes {way} by {abs(rate):.1f} ms every minute: "
        f"{start_ms:+.0f} ms at {main.start_s:.0f} s, {end_ms:+.0f} ms at {main.end_s:.0f} s"
    )
    cause = likely_cause(main.drift)
    reasons = [words + (f", as when {cause} are mistaken for each other" if cause else "")]
    if any(s.status == "undecided" and s.offset_ms is None for s in segments):
        # A steeper one than windows can follow leaves any range within a minute or two.
        gentle = abs(rate) <= STEEPEST_MS_PER_MIN
        advice = f": try --range {4 * reach_s:g}s" if gentle else ""
        reasons.append(f"the lag leaves the scanned range of ±{reach_s:g} s{advice}")
    return reasons


def why_in_doubt(main: Answer, offsets: np.ndarray) -> str:
    """Why the best offset is not sure enough."""
    rest = np.where(np.abs(offsets - main.peak_ms) > 2 * FRAME_MS, main.curve, 0.0)
    if rest.any():
        second = float(offsets[int(np.argmax(rest))])
        share = mass(offsets, main.curve, second, FRAME_MS, FRAME_MS)
        if share >= 0.5 * main.confidence and share >= 0.2:
            return f"lags of {main.peak_ms:+.0f} and {second:+.0f} ms fit about equally well"
    return MAYBE_DUB if main.p_match < main.confidence and main.confidence >= 0.5 else NO_SOURCE
