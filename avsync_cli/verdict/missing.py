"""What would decide a file that is undecided."""

from __future__ import annotations

import numpy as np

from avsync_cli.inference.evidence import WindowResult
from avsync_cli.verdict.posterior import Constants, find_peak, group_answer, read_windows
from avsync_cli.verdict.reasons import EDGE_CONFIDENCE, NO_SOURCE, SCATTERED, why_in_doubt
from avsync_cli.verdict.stretches import Part

SPEECH = "a stretch in which one visible person speaks to the camera"

STAMPS = "a copy with sound time stamps"

MORE_S = (1, 2, 3, 5, 10, 20, 30, 60)
"""Seconds more of the same that are tried: nobody adds a minute to see whether it helps."""

_WINDOW_S = 8.0

_WIDER, _WIDEST_MS = 4, 5_000
"""How much wider a scan is proposed to be, and up to what range."""


def would_decide(main: Part, limits: list[str], offsets: np.ndarray, constants: Constants) -> str:
    """What would decide a file, in words.

    Args:
        main: its longest stretch.
        limits: why nothing may be told though a part is sure; [] for a file that is not sure.
        offsets: (O,) ms, the scan's.
        constants: of the model.
    """
    if SCATTERED in limits:
        return "a part of it judged by itself (--start, --duration)"
    if limits:
        return "each side of the cut judged by itself (--start, --duration)"
    if main.answer.at_edge and main.answer.confidence >= EDGE_CONFIDENCE:
        return f"a wider scan (--range {2 * float(offsets[-1]) / 1000.0:g}s)"
    if main.drift is None:
        for more_s in MORE_S:
            windows = _with_more(main.windows, more_s, constants)
            answer = group_answer(read_windows(windows, constants), offsets, constants)
            if answer.sure(constants.undecided_below):
                seconds = "a second" if more_s == 1 else f"{more_s} seconds"
                return f"speech of one visible person for {seconds} more"
    reach_ms = float(offsets[-1])
    if why_in_doubt(main.answer, offsets) == NO_SOURCE and reach_ms < _WIDEST_MS:
        wider_s = min(_WIDER * reach_ms, _WIDEST_MS) / 1000.0
        return f"{SPEECH}, or, should the sound be off by more, a wider scan (--range {wider_s:g}s)"
    return SPEECH


def _with_more(
    windows: list[WindowResult], more_s: float, constants: Constants
) -> list[WindowResult]:
    """The windows, and as many seconds more of what speaks for their best offset."""
    read = read_windows(windows, constants)
    peak = find_peak(read)
    weights = read.blocks * (peak.agreeing + 1e-6)
    logits = np.average(read.logits, axis=0, weights=weights).astype(np.float32)
    # A short window grows before others follow: evidence within one counts less than between two.
    kept, left_s = list(windows), more_s
    if kept[-1].blocks < _WINDOW_S:
        left_s += kept.pop().blocks
    while left_s > 0:
        blocks = min(left_s, _WINDOW_S)
        kept.append(WindowResult(start_s=0.0, end_s=blocks, logits=logits, blocks=blocks))
        left_s -= blocks
    return kept
