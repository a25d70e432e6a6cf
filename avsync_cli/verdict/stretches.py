"""A file cut into stretches: neighbouring windows with one course of the lag, and what they say."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from avsync_cli.inference.evidence import Evidence, WindowResult
from avsync_cli.names import Status
from avsync_cli.timebase import BLOCK_FRAMES, FPS, FRAME_MS
from avsync_cli.verdict.answer import Segment, Tolerance
from avsync_cli.verdict.posterior import (
    Answer,
    Constants,
    fair_logits,
    group_answer,
    window_votes,
)
from avsync_cli.verdict.structure import (
    Drift,
    best_course,
    find_drift,
    place_cut,
    step_price,
    without_drift,
)

BLOCK_S = BLOCK_FRAMES / FPS

UNJUDGED_S = 20.0
"""A gap of this length between windows is told as a stretch that could not be judged."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Neighbouring windows with one course, and what they say.

    Attributes:
        windows: those within the scanned range.
        answer: their answer; offsets are those at the course's `about_s`.
        drift: shared by all parts, or None.
        start_s, end_s: of the stretch; parts may meet within a window.
        beyond: whether the lag has left the scanned range here.
    """

    windows: list[WindowResult]
    answer: Answer
    drift: Drift | None
    start_s: float
    end_s: float
    beyond: bool = False

    def offset_at(self, time_s: float) -> float:
        """The lag at a time."""
        offset = self.answer.offset_ms
        return offset if self.drift is None else self.drift.at(offset, time_s)

    @property
    def offset_ms(self) -> float:
        """The lag at the stretch's middle."""
        return self.offset_at((self.start_s + self.end_s) / 2)

    @property
    def ci_ms(self) -> tuple[float, float]:
        """95 % interval of it."""
        moved = self.offset_ms - self.answer.offset_ms
        low, high = self.answer.ci_ms
        return low + moved, high + moved

    @property
    def ends_ms(self) -> tuple[float, float]:
        """The lag at the stretch's start and end."""
        return self.offset_at(self.start_s), self.offset_at(self.end_s)

    @property
    def blocks(self) -> float:
        """Amount of evidence."""
        return sum(w.blocks for w in self.windows)


def find_stretches(
    evidence: Evidence,
    windows: list[WindowResult],
    offsets: np.ndarray,
    constants: Constants,
    tolerance: Tolerance,
    drift: Drift | None = None,
) -> list[Part]:
    """Neighbouring windows with one course each: usually all of them with one offset.

    Args:
        evidence: of the file; here its blocks' curves tell when the lag changes.
        windows: those to read, in order of time.
        offsets: (O,) ms, the scan's.
        constants, tolerance: as `decide_verdict` has them.
        drift: looked for unless it is given.
    """
    votes, scores = window_votes(windows, constants)
    logits = np.stack([fair_logits(w, constants) for w in windows])
    blocks = np.array([w.blocks for w in windows])
    times_s = np.array([(w.start_s + w.end_s) / 2 for w in windows])
    if drift is None:
        drift = find_drift(votes, scores, times_s, offsets, constants)
    if drift is not None:
        beyond = np.full(len(windows), -np.log(len(offsets)))
        votes = without_drift(votes, offsets, times_s, drift, beyond)
        scores, logits = (
            without_drift(x, offsets, times_s, drift, np.median(x, axis=1))
            for x in (scores, logits)
        )
    runs, _ = best_course(votes, step_price(len(offsets), constants))

    def answer_of(rows: slice) -> Answer:
        return group_answer(
            votes[rows], scores[rows], logits[rows], blocks[rows], offsets, constants, tolerance
        )

    found: list[tuple[slice, Answer]] = []
    for rows in runs:
        answer = answer_of(rows)
        # A step of less than a frame is nothing one could see, and may be a change of speaker.
        if found and abs(found[-1][1].offset_ms - answer.offset_ms) < FRAME_MS:
            rows = slice(found.pop()[0].start, rows.stop)
            answer = answer_of(rows)
        found.append((rows, answer))
    parts = _timed(evidence, windows, found, drift, constants)
    if drift is None:
        return parts
    reach = float(offsets[-1])
    return [piece for part in parts for piece in _within_range(part, reach)]


def _timed(
    evidence: Evidence,
    windows: list[WindowResult],
    found: list[tuple[slice, Answer]],
    drift: Drift | None,
    constants: Constants,
) -> list[Part]:
    """The parts with their times; where two meet, single blocks tell when."""
    parts: list[Part] = []
    for rows, answer in found:
        mine = windows[rows]
        start_s, end_s = mine[0].start_s, max(w.end_s for w in mine)
        if parts:
            last = parts[-1]
            cut_s = place_cut(
                evidence.seconds,
                last.windows[-1].start_s,
                mine[0].end_s,
                (last.answer.offset_ms, drift),
                (answer.offset_ms, drift),
                constants,
            )
            if cut_s is not None and last.start_s < cut_s < end_s:
                end_before = min(cut_s, max(last.end_s, mine[0].end_s))
                parts[-1] = Part(
                    windows=last.windows,
                    answer=last.answer,
                    drift=drift,
                    start_s=last.start_s,
                    end_s=end_before,
                )
                start_s = cut_s
        parts.append(Part(windows=mine, answer=answer, drift=drift, start_s=start_s, end_s=end_s))
    return parts


def _within_range(part: Part, reach_ms: float) -> list[Part]:
    """A drifting part, cut where its lag leaves the scanned range."""
    inside = [w for w in part.windows if abs(part.offset_at((w.start_s + w.end_s) / 2)) <= reach_ms]
    if not inside or len(inside) == len(part.windows):
        return [part]
    pieces: list[Part] = []
    before = [w for w in part.windows if w.end_s <= inside[0].start_s]
    after = [w for w in part.windows if w.start_s >= inside[-1].end_s]
    for group, beyond in ((before, True), (inside, False), (after, True)):
        if group:
            start_s, end_s = group[0].start_s, max(w.end_s for w in group)
            pieces.append(
                Part(
                    windows=group,
                    answer=part.answer,
                    drift=part.drift,
                    start_s=start_s,
                    end_s=end_s,
                    beyond=beyond,
                )
            )
    return pieces


def straddles(part: Part, tolerance: Tolerance) -> bool:
    """Whether a limit of the tolerance lies within the interval of the lag, at either end."""
    low, high = part.answer.ci_ms
    return any(
        low - part.answer.offset_ms < limit - end_ms < high - part.answer.offset_ms
        for end_ms in part.ends_ms
        for limit in (-tolerance.early_ms, tolerance.late_ms)
    )


def as_segment(part: Part, status: Status) -> Segment:
    """The stretch as reports take it; no offset where nothing is decided."""
    decided = status != "undecided"
    return Segment(
        start_s=part.start_s,
        end_s=part.end_s,
        offset_ms=part.offset_ms if decided else None,
        offset_ci_ms=part.ci_ms if decided else None,
        confidence=part.answer.confidence,
        status=status,
    )


def with_rest(segments: list[Segment], windows: list[WindowResult]) -> list[Segment]:
    """Segments, and undecided ones for what was looked at before the first and after the last."""
    begin_s, end_s = windows[0].start_s, max(w.end_s for w in windows)
    told = list(segments)
    if told[0].start_s - begin_s >= BLOCK_S:
        told.insert(
            0,
            Segment(
                start_s=begin_s,
                end_s=told[0].start_s,
                offset_ms=None,
                offset_ci_ms=None,
                confidence=0.0,
                status="undecided",
            ),
        )
    if end_s - told[-1].end_s >= BLOCK_S:
        told.append(
            Segment(
                start_s=told[-1].end_s,
                end_s=end_s,
                offset_ms=None,
                offset_ci_ms=None,
                confidence=0.0,
                status="undecided",
            )
        )
    return told


def with_gaps(segments: list[Segment], windows: list[WindowResult]) -> list[Segment]:
    """Segments with the long gaps between windows cut out as undecided ones of their own."""
    gaps: list[tuple[float, float]] = []
    end_s = windows[0].end_s
    for window in windows[1:]:
        if window.start_s - end_s >= UNJUDGED_S:
            gaps.append((end_s, window.start_s))
        end_s = max(end_s, window.end_s)
    told: list[Segment] = []
    for segment in segments:
        for low_s, high_s in gaps:
            if segment.start_s < low_s and high_s < segment.end_s:
                told.append(replace(segment, end_s=low_s))
                segment = replace(segment, start_s=high_s)
            elif segment.start_s < low_s < segment.end_s:  # a cut fell into the gap
                segment = replace(segment, end_s=low_s)
            elif segment.start_s < high_s < segment.end_s:
                segment = replace(segment, start_s=high_s)
        told.append(segment)
    told += [
        Segment(
            start_s=low_s,
            end_s=high_s,
            offset_ms=None,
            offset_ci_ms=None,
            confidence=0.0,
            status="undecided",
        )
        for low_s, high_s in gaps
    ]
    return sorted(told, key=lambda s: s.start_s)
