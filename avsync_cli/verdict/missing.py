"""What would decide a file that is undecided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from avsync_cli.config import further_ms
from avsync_cli.inference.evidence import BlockResult, MediaSummary, WindowResult
from avsync_cli.verdict.answer import Verdict
from avsync_cli.verdict.posterior import Constants, find_peak, group_answer, read_windows
from avsync_cli.verdict.reasons import EDGE_CONFIDENCE, NO_SOURCE, SCATTERED, why_in_doubt
from avsync_cli.verdict.stretches import Part

SPEECH = "a stretch in which one visible person speaks to the camera"

STAMPS = "a copy with sound time stamps"

PICTURES = "a recording with more pictures a second"

MORE_S = (1, 2, 3, 5, 10, 20, 30, 60)
"""Seconds more of the same that are tried: nobody adds a minute to see whether it helps."""

_WINDOW_S = 8.0

_WIDER = "a wider scan (--range {:g}s)"


def lacks(media: MediaSummary) -> str:
    """What a file lacks of which nothing could be judged, in words."""
    if media.stamps == "unsound":
        return STAMPS
    return PICTURES if media.is_sparse else SPEECH


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
        return _WIDER.format(2 * float(offsets[-1]) / 1000.0)
    if main.drift is None:
        for more_s in MORE_S:
            windows = _with_more(main.windows, more_s, constants)
            answer = group_answer(read_windows(windows, constants), offsets, constants)
            if answer.sure(constants.undecided_below):
                seconds = "a second" if more_s == 1 else f"{more_s} seconds"
                return f"speech of one visible person for {seconds} more"
    reach_ms = float(offsets[-1])
    if why_in_doubt(main.answer, offsets) == NO_SOURCE and further_ms(reach_ms) > reach_ms:
        wider = _WIDER.format(further_ms(reach_ms) / 1000.0)
        return f"{SPEECH}, or, should the sound be off by more, {wider}"
    return SPEECH


def asks_further(verdict: Verdict) -> bool:
    """Whether a file is undecided, and may be off by more than was looked for."""
    nothing_fits = verdict.reasons[:1] == [NO_SOURCE]
    return verdict.status == "undecided" and (nothing_fits or _says_wider(verdict))


def not_further(verdict: Verdict) -> Verdict:
    """The same of a file that was looked at further off, in vain."""
    return replace(verdict, would_decide=SPEECH) if _says_wider(verdict) else verdict


def _says_wider(verdict: Verdict) -> bool:
    return _WIDER.split("{")[0] in verdict.would_decide


def busiest(blocks: Sequence[BlockResult], seconds: float) -> tuple[float, float] | None:
    """The stretch of a file in which faces are followed most, by its first and last second.

    Args:
        blocks: of the file; those that were left out do not count.
        seconds: how long it may be.

    Returns:
        None where no face is.
    """
    faces = sorted((b.start_s, b.end_s) for b in blocks if b.used and b.region.kind == "face")
    if not faces:
        return None
    starts, ends = np.array(faces).T
    beyond = np.searchsorted(ends, starts + seconds, side="right")
    first = int(np.argmax(beyond - np.arange(len(starts))))
    return float(starts[first]), float(ends[beyond[first] - 1])


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
