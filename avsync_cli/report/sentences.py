"""What is said of a verdict: its sentence, and the parts that every report shares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avsync_cli.config import TOLERANCES
from avsync_cli.drawing.attention import region_words
from avsync_cli.inference.evidence import BlockResult, Evidence
from avsync_cli.media.completeness import SHORT_S
from avsync_cli.verdict.answer import Judgement, Segment, Tolerance, Verdict
from avsync_cli.verdict.reasons import CHANGES, NEAR_LIMIT
from avsync_cli.wording import (
    clock,
    drift_words,
    interval_words,
    lag_words,
    moment,
    offset_words,
    percent,
    safe_text,
    span,
    weight_words,
)

TOLD_PIECES = 4
"""Pieces that a sentence names; a table has the others."""

MEASURABLE_MS = 20.0
"""Half a frame: less is within what a picture's frames can show."""

_AT_ZERO = "--tolerance frame or fix --force if you want it at zero"


# --- The whole file -------------------------------------------------------------------------------


def verdict_words(judgement: Judgement) -> str:
    """The answer in one sentence: verdict, offset in words, how sure, where, by which standard and
    its limits; then the sound track where there are several, and where an incomplete file ends."""
    verdict, limits = judgement.verdict, limits_words(judgement.tolerance)
    remarks = media_remarks(judgement)
    if verdict.status == "undecided" or verdict.offset_ms is None:
        reasons = [safe_text(reason) for reason in verdict.reasons if reason not in remarks]
        why = ", ".join(reasons) or "too little evidence"
        parts = [f"undecided: {why}{_so_far_words(verdict)}"]
        parts += [f"it takes {verdict.would_decide}"] if verdict.would_decide else []
    elif len(pieces := told_pieces(verdict)) > 1:
        inside = "within" if verdict.status == "in_sync" else "outside"
        sure = percent(min(p.confidence for p in pieces if p.offset_ms is not None))
        parts = [f"the lag changes ({sure} sure): {_pieces_words(pieces, judgement)}"]
        parts.append(f"{inside} {limits}")
    elif is_at_border(judgement):
        parts = [f"at the border of {limits}: {_found_words(judgement)}"]
        parts.append(f"{percent(verdict.p_sync)} likely within it")
    elif verdict.status == "out_of_sync":
        parts = [_found_words(judgement), f"outside {limits}"]
    elif _is_measurable(verdict):
        parts = [f"in sync, {_found_words(judgement)}, which {limits} tolerates", _AT_ZERO]
    else:
        parts = [f"in sync, {_found_words(judgement)}", f"within {limits}"]
    if judgement.evidence.stretches is not None:
        parts.append(read_words(judgement.evidence))
    return "; ".join([*parts, *remarks])


def read_words(evidence: Evidence) -> str:
    """How much of a file was read: "from 9 stretches, 96 s of 1:58:02"; "" where it was all."""
    if evidence.stretches is None or evidence.read_s is None:
        return ""
    plural = "" if evidence.stretches == 1 else "es"
    read, whole = round(evidence.read_s), clock(evidence.media.duration_s)
    return f"from {evidence.stretches} stretch{plural}, {read} s of {whole}"


def _found_words(judgement: Judgement) -> str:
    """Offset, certainty and drift, and the time that they were found in."""
    verdict = judgement.verdict
    assert verdict.offset_ms is not None
    words = f"{offset_words(verdict.offset_ms)} ({sure_words(verdict)})"
    if verdict.drift_ms_per_min is not None:
        words += f" half-way, and comes {drift_words(verdict.drift_ms_per_min)}"
    judged = None if judgement.evidence.stretches is not None else _judged_span(judgement)
    if judged is None:
        return words
    return f"{words}, from {clock(judged[0])} to {clock(judged[1])}{_but_for(verdict, *judged)}"


def _but_for(verdict: Verdict, start_s: float, end_s: float) -> str:
    """What the answer leaves open between these seconds: " but for 2:03–4:12"."""
    unknown = [s for s in verdict.segments if s.offset_ms is None and start_s < s.start_s < end_s]
    if not unknown:
        return ""
    if len(unknown) > 1:
        return f" but for {len(unknown)} stretches"
    return f" but for {span(unknown[0].start_s, unknown[0].end_s)}"


def clap_words(offset_ms: float, frame_ms: float) -> str:
    """Where the sound of a clap is: "sound 62 ms late"; less than half a frame is not seen."""
    if abs(offset_ms) < frame_ms / 2:
        return "sound on the same frame"
    return f"sound {lag_words(offset_ms) or 'on the same frame'}"


def told_pieces(verdict: Verdict) -> Sequence[Segment]:
    """The pieces of a file that is told piece by piece, because its lag steps; else none."""
    lags = {s.offset_ms for s in verdict.segments if s.offset_ms is not None}
    steps = len(lags) > 1 and verdict.drift_ms_per_min is None
    return verdict.segments if steps and verdict.status != "undecided" else ()


def _pieces_words(pieces: Sequence[Segment], judgement: Judgement) -> str:
    """The pieces in order: "0:00–1:40 in sync, from 1:40 on 272 ms late"."""
    said = [
        f"{span(p.start_s, p.end_s)} {_piece_words(p, judgement)}" for p in pieces[:TOLD_PIECES]
    ]
    more = len(pieces) - len(said)
    if more:
        said.append(more_pieces(more))
    elif pieces[-1].offset_ms is not None:
        said[-1] = f"from {clock(pieces[-1].start_s)} on {_piece_words(pieces[-1], judgement)}"
    return ", ".join(said)


def more_pieces(count: int) -> str:
    """How many are not told one by one: "and 1 more piece"."""
    return f"and {count} more piece{'' if count == 1 else 's'}"


def _piece_words(piece: Segment, judgement: Judgement) -> str:
    """One piece's answer: "in sync", "272 ms late", "80 ms late (tolerated)"."""
    if piece.offset_ms is None:
        return "undecided"
    if piece.status == "in_sync" and not _is_measurable(piece):
        return "in sync"
    words = f"{round(abs(piece.offset_ms))} ms {'late' if piece.offset_ms > 0 else 'early'}"
    if _straddles(piece.offset_ci_ms, judgement.tolerance):
        return f"{words} (at the border)"
    return words if piece.status == "out_of_sync" else f"{words} (tolerated)"


def _straddles(ci_ms: tuple[float, float] | None, tolerance: Tolerance) -> bool:
    limits = -tolerance.early_ms, tolerance.late_ms
    return ci_ms is not None and any(ci_ms[0] < limit < ci_ms[1] for limit in limits)


def _is_measurable(found: Verdict | Segment) -> bool:
    """Whether sound that is tolerated is late or early all the same, by what could be seen."""
    if found.offset_ms is None or found.offset_ci_ms is None:
        return False
    low, high = found.offset_ci_ms
    return abs(found.offset_ms) >= MEASURABLE_MS and not low <= 0.0 <= high


def is_at_border(judgement: Judgement) -> bool:
    """Whether the offset that the sentence names may as well lie on the other side of a limit."""
    verdict, tolerance = judgement.verdict, judgement.tolerance
    if not verdict.at_border or verdict.offset_ci_ms is None:
        return False
    return verdict.drift_ms_per_min is not None or _straddles(verdict.offset_ci_ms, tolerance)


def media_remarks(judgement: Judgement) -> list[str]:
    """What must be said beside the answer: which of several sound tracks was judged, the clap at
    the head, how sure it was asked to be, and that something is missing at the file's end."""
    media = judgement.evidence.media
    remarks = []
    if media.audio_tracks > 1:
        number = f"{media.audio_track + 1} of {media.audio_tracks}"
        remarks.append(f"audio track {number} (--audio-track {media.audio_track})")
    clap = judgement.evidence.clap
    if clap is not None:
        heard = clap_words(clap.offset_ms, clap.frame_ms)
        remarks.append(f"clap at {moment(clap.picture_s)} (frame {clap.frame}), {heard}")
    if judgement.min_confidence is not None:
        remarks.append(f"by --min-confidence {judgement.min_confidence:g}")
    # A file may also be incomplete in its middle.
    declared_s, decoded_s = media.declared_s or 0.0, media.decoded_s or 0.0
    if media.complete is False and declared_s - decoded_s > SHORT_S:
        remarks.append(f"the file ends at {clock(decoded_s)} of {clock(declared_s)}")
    return remarks


def notes(judgement: Judgement) -> list[str]:
    """What limits the answer and is not in its sentence already."""
    said = media_remarks(judgement) + ([NEAR_LIMIT] if is_at_border(judgement) else [])
    if told_pieces(judgement.verdict):
        said += [r for r in judgement.verdict.reasons if r.startswith(CHANGES)]
    return [reason for reason in judgement.verdict.reasons if reason not in said]


def capital(words: str) -> str:
    """The words as the beginning of a sentence."""
    return words[:1].upper() + words[1:]


def headline(judgement: Judgement) -> str:
    """The offset in a few words: "Sound 108 ms late"."""
    offset_ms = judgement.verdict.offset_ms
    if offset_ms is None:
        return "No answer"
    lags = [s.offset_ms for s in told_pieces(judgement.verdict) if s.offset_ms is not None]
    if lags:
        return f"The lag changes by {round(max(lags) - min(lags))} ms"
    return f"Sound {lag_words(offset_ms) or 'on time'}"


def _so_far_words(verdict: Verdict) -> str:
    """The likeliest offset of a file without an answer, and the next one."""
    if verdict.best is None:
        return ""
    words = f"best so far: {offset_words(verdict.best.offset_ms)}, {percent(verdict.best.p)}"
    if verdict.second is not None:
        words += f"; next: {verdict.second.offset_ms:+.0f} ms, {percent(verdict.second.p)}"
    return f" ({words})"


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
    limits = _limits(tolerance)
    return limits if profile is None else f"{profile.source}: {limits}"


def tolerance_name(tolerance: Tolerance) -> str:
    """The standard behind a tolerance, short enough for a sentence."""
    profile = TOLERANCES.get(tolerance.name)
    return _limits(tolerance) if profile is None else profile.source.partition(" (")[0]


def limits_words(tolerance: Tolerance) -> str:
    """The same with its limits: "EBU R37 (40 ms early to 60 ms late)"."""
    name, limits = tolerance_name(tolerance), _limits(tolerance)
    return name if name == limits else f"{name} ({limits})"


def _limits(tolerance: Tolerance) -> str:
    return f"{tolerance.early_ms:.4g} ms early to {tolerance.late_ms:.4g} ms late"
