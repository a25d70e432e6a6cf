"""What is said of a verdict: its sentence, and the parts that every report shares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avsync_cli.config import TOLERANCES
from avsync_cli.drawing.attention import region_words
from avsync_cli.inference.evidence import BlockResult
from avsync_cli.verdict.answer import Judgement, Segment, Tolerance, Verdict
from avsync_cli.wording import (
    clock,
    drift_words,
    interval_words,
    offset_words,
    percent,
    safe_text,
    weight_words,
)

GUESS_FROM = 0.2
"""Confidence from which an undecided file's likeliest offset is named at all."""


# --- The whole file -------------------------------------------------------------------------------


def verdict_words(judgement: Judgement) -> str:
    """The answer in one sentence: verdict, offset in words, how sure, where, by which standard."""
    verdict = judgement.verdict
    if verdict.status == "undecided" or verdict.offset_ms is None:
        why = ", ".join(safe_text(reason) for reason in verdict.reasons) or "too little evidence"
        return f"undecided: {why}{_guess_words(judgement)}"

    inside = verdict.status == "in_sync"
    words = offset_words(verdict.offset_ms)
    parts = [f"in sync, {words}" if inside else words, f" ({sure_words(verdict)})"]
    judged = _judged_span(judgement)
    if verdict.drift_ms_per_min is not None:
        parts.append(f" half-way, and comes {drift_words(verdict.drift_ms_per_min)}")
    if judged is not None:
        parts.append(f", from {clock(judged[0])} to {clock(judged[1])}")
    parts.append(f"; {'within' if inside else 'outside'} {tolerance_name(judgement.tolerance)}")
    return "".join(parts)


def capital(words: str) -> str:
    """The words as the beginning of a sentence."""
    return words[:1].upper() + words[1:]


def headline(judgement: Judgement) -> str:
    """The offset in a few words: "Sound 108 ms late"."""
    offset_ms = judgement.verdict.offset_ms
    if offset_ms is None:
        return "No answer"
    amount = round(abs(offset_ms))
    if not amount:
        return "Sound on time"
    return f"Sound {amount} ms {'late' if offset_ms > 0 else 'early'}"


def best_guess_ms(judgement: Judgement) -> float | None:
    """The likeliest offset of a file without an answer, where it is worth a word."""
    verdict = judgement.verdict
    if verdict.confidence < GUESS_FROM or not len(verdict.curve):
        return None
    return float(judgement.evidence.offsets_ms[int(np.argmax(verdict.curve))])


def _guess_words(judgement: Judgement) -> str:
    guess_ms = best_guess_ms(judgement)
    if guess_ms is None:
        return ""
    sure = percent(judgement.verdict.confidence)
    return f" (best guess: {offset_words(guess_ms)}, {sure} sure)"


def _judged_span(judgement: Judgement) -> tuple[float, float] | None:
    """First and last second that the answer rests on."""
    segments = [s for s in judgement.verdict.segments if s.offset_ms is not None]
    used: Sequence[Segment | BlockResult] = segments or [
        b for b in judgement.evidence.blocks if b.used
    ]
    if not used:
        return None
    return min(part.start_s for part in used), max(part.end_s for part in used)


# --- Its parts ------------------------------------------------------------------------------------


def sure_words(verdict: Verdict) -> str:
    """The parenthesis after an offset: "±10 ms, 98 % sure"."""
    parts = [f"{percent(verdict.confidence)} sure"]
    if verdict.offset_ms is not None and verdict.offset_ci_ms is not None:
        parts.insert(0, interval_words(verdict.offset_ms, verdict.offset_ci_ms))
    return ", ".join(parts)


def segment_words(segment: Segment) -> str:
    """A stretch's answer: "audio is 120 ms late, 98 % sure"."""
    if segment.offset_ms is None:
        return "undecided"
    return f"{offset_words(segment.offset_ms)}, {percent(segment.confidence)} sure"


def block_words(block: BlockResult) -> str:
    """A block's part in the decision."""
    name = region_words(block.region)
    if not block.used:
        return f"{name} left out ({safe_text(block.reason) or 'no reason given'})"
    return f"{name} weighs {weight_words(block.weight)}"


def curve_words(judgement: Judgement) -> str:
    """What the offset curve shows."""
    verdict, offsets = judgement.verdict, judgement.evidence.offsets_ms
    best = int(np.argmax(verdict.curve)) if len(verdict.curve) else 0
    said = f"Log-odds of being in sync at offsets from {offsets[0]:+d} to {offsets[-1]:+d} ms; "
    return said + f"the likeliest is {offsets[best]:+d} ms."


def tolerance_words(tolerance: Tolerance) -> str:
    """The standard behind a tolerance, with its limits."""
    profile = TOLERANCES.get(tolerance.name)
    limits = f"{tolerance.early_ms:.4g} ms early to {tolerance.late_ms:.4g} ms late"
    if profile is None:
        return limits
    return f"{profile.source}: {limits}"


def tolerance_name(tolerance: Tolerance) -> str:
    """The standard behind a tolerance, short enough for a sentence."""
    profile = TOLERANCES.get(tolerance.name)
    return tolerance_words(tolerance) if profile is None else profile.source.partition(" (")[0]
