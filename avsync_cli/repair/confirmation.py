"""Whether the model's judgement on a copy shows that its sound is where it belongs, in every part.

Every function returns "" if it does, else what speaks against the copy, in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from avsync_cli.repair.plan import GOOD_ENOUGH_MS
from avsync_cli.timebase import FRAME_MS
from avsync_cli.verdict.answer import Judgement, Tolerance, Verdict
from avsync_cli.verdict.decision import decide_verdict
from avsync_cli.wording import clock


def confirms(
    before: Verdict | None, after: Verdict, tolerance: Tolerance, level_ms: float = 0.0
) -> str:
    """What speaks against the copy as a whole.

    Args:
        before: the verdict on the original, None if it was not judged.
        after: on the copy.
        tolerance: what counts as in sync; a frame counts in any case.
        level_ms: the lag that was planned, within the tolerance.
    """
    if after.status == "undecided" or after.offset_ms is None:
        return "the copy cannot be judged"
    decided = [s.offset_ms for s in after.segments if s.offset_ms is not None] or [after.offset_ms]
    worst = max([*decided, after.offset_ms], key=lambda lag: abs(lag - level_ms))
    if not _in_place(worst, tolerance, level_ms):
        return f"the sound is still {_lag_words(worst, level_ms)}"
    if after.drift_ms_per_min is not None:
        return f"the lag still drifts by {after.drift_ms_per_min:+.0f} ms a minute"
    if before is not None and before.offset_ms is not None and len(decided) == 1:
        gained = abs(before.offset_ms) - abs(after.offset_ms)
        if gained < 0 and abs(before.offset_ms) > GOOD_ENOUGH_MS:
            return "the sound is further away than it was"
    return ""


def parts_confirm(after: Judgement, borders_s: Sequence[float], level_ms: float) -> str:
    """What speaks against head, middle, tail or one piece, each judged by itself: one that is sure
    of another lag counts, however sure the whole is.

    Args:
        after: the judgement on the copy.
        borders_s: where pieces of the plan meet.
        level_ms: the lag that was planned, within the tolerance.
    """
    windows = after.evidence.windows
    if not windows:
        return ""
    ends_s = max(window.end_s for window in windows)
    thirds = [ends_s * k / 3 for k in range(4)]
    pieces = [0.0, *borders_s, ends_s]
    for marks in (thirds, pieces if borders_s else []):
        for start_s, end_s in pairwise(marks):
            inside = [w for w in windows if start_s <= (w.start_s + w.end_s) / 2 < end_s + 1e-6]
            if not inside:
                continue
            evidence = replace(after.evidence, windows=inside, seconds=None)
            part = decide_verdict(evidence, after.tolerance)
            lag = None if part.status == "undecided" else part.offset_ms
            if lag is not None and not _in_place(lag, after.tolerance, level_ms):
                stretch = f"{clock(start_s)} to {clock(end_s)}"
                return f"from {stretch} the sound is still {_lag_words(lag, level_ms)}"
    return ""


def _lag_words(offset_ms: float, level_ms: float) -> str:
    planned = f", and was to be at {level_ms:+.0f} ms" if level_ms else ""
    return f"{abs(offset_ms):.0f} ms {'late' if offset_ms > 0 else 'early'}{planned}"


def _in_place(offset_ms: float, tolerance: Tolerance, level_ms: float) -> bool:
    """Within the tolerance, and within a frame of what was planned; a step of the scan is allowed
    in any case."""
    late = max(tolerance.late_ms, GOOD_ENOUGH_MS)
    early = max(tolerance.early_ms, GOOD_ENOUGH_MS)
    return -early <= offset_ms <= late and abs(offset_ms - level_ms) <= FRAME_MS
