"""From evidence to an answer: a pure function.

The windows' votes (see `posterior`) are read along the likeliest course of the lag (see
`overtime`); every stretch of it gets an answer of its own, and one of them speaks for the file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from avsync_cli.inference.evidence import (
    Direction,
    Evidence,
    Segment,
    Status,
    Tolerance,
    Verdict,
    WindowResult,
)
from avsync_cli.inference.overtime import (
    Drift,
    best_course,
    find_drift,
    likely_cause,
    place_cut,
    step_price,
    without_drift,
)
from avsync_cli.inference.posterior import (
    Answer,
    Constants,
    fair_logits,
    group_answer,
    mass,
    window_votes,
)
from avsync_cli.inference.speeds import find_wrong_speed
from avsync_cli.timebase import FRAME_MS, HOP_MS

NO_EVIDENCE = "nothing could be judged"

_EDGE_CONFIDENCE = 0.3
"""Below this a peak at the edge is just the highest of many, no hint at a lag beyond."""

SCATTERED = "different parts of the file point to different lags"

LEAST_SHARE = 1 / 3
"""Share of the windows with a clear peak that must lie in decided stretches: among many windows
that point all over the place, neighbours that agree by chance are always found."""

UNJUDGED_S = 20.0
"""A gap of this length between windows is told as a stretch that could not be judged."""


@dataclass(frozen=True)
class _Part:
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


def decide_verdict(evidence: Evidence, tolerance: Tolerance) -> Verdict:
    """The answer for one file.

    Args:
        evidence: windows, offsets and calibration; of the blocks only the curves are looked at.
        tolerance: what still counts as in sync.

    Returns:
        "undecided", with reasons, when nothing was judged, when no offset is sure enough, or when
        the best one lies at the edge of the scan.
    """
    constants = Constants.of(evidence.calibration)
    offsets = np.asarray(evidence.offsets_ms, np.float64)
    windows = [w for w in evidence.windows if w.blocks > 0 and np.isfinite(w.logits).all()]
    if not windows:
        return _nothing(evidence, tolerance, offsets)
    parts = _stretches(evidence, windows, offsets, constants, tolerance)
    statuses = [_status(p, constants, tolerance) for p in parts]
    if all(status == "undecided" for status in statuses):
        wrong_speed = find_wrong_speed(evidence.block_curves, evidence.offsets_ms, constants)
        if wrong_speed is not None:
            drift, windows = wrong_speed
            parts = _stretches(evidence, windows, offsets, constants, tolerance, drift)
            statuses = [_status(p, constants, tolerance) for p in parts]
    scattered = _scattered(parts, statuses, windows, constants)
    if scattered:
        statuses = ["undecided"] * len(parts)
    weights = np.array([p.blocks for p in parts])
    chosen, status = _speaks(statuses, weights)
    main = parts[chosen]
    segments = [_segment(p, state) for p, state in zip(parts, statuses, strict=True)]
    curve = np.tensordot(weights / weights.sum(), np.stack([p.answer.curve for p in parts]), axes=1)
    blocks = np.array([w.blocks for w in windows])
    score = (np.stack([fair_logits(w, constants) for w in windows]) * blocks[:, None]).sum(axis=0)
    decided = status != "undecided"
    found = main.drift if decided else None
    duration_s = evidence.media.duration_s
    return Verdict(
        status,
        main.offset_ms if decided else None,
        main.ci_ms if decided else None,
        _direction(main.offset_ms) if decided else "none",
        main.answer.confidence,
        min(_p_sync(p, offsets, tolerance) for p in parts),
        None if found is None else found.ms_per_min,
        ([SCATTERED] if scattered else [])
        + _reasons(evidence, main, status, segments, offsets, tolerance),
        _with_gaps(segments, windows),
        curve / curve.sum(),
        score / blocks.sum(),
        None if found is None else found.ci_ms_per_min,
        min(1.0, evidence.judged_s / duration_s) if duration_s > 0 else 0.0,
    )


def _scattered(
    parts: list[_Part], statuses: list[Status], windows: list[WindowResult], constants: Constants
) -> bool:
    """Whether the decided stretches are islands in a sea of windows that disagree.

    Along a drift this is no question: it has been paid for, and may leave the scanned range.
    """
    if len(parts) < 2 or any(p.drift is not None for p in parts):
        return False
    votes, _ = window_votes(windows, constants)
    clear = votes.max(axis=1) > np.log(5.0 / votes.shape[1])
    decided = {
        id(w) for p, s in zip(parts, statuses, strict=True) if s != "undecided" for w in p.windows
    }
    inside = sum(id(w) in decided for w, c in zip(windows, clear, strict=True) if c)
    return len(decided) > 0 and inside < LEAST_SHARE * clear.sum()


def _nothing(evidence: Evidence, tolerance: Tolerance, offsets: np.ndarray) -> Verdict:
    flat = np.full(len(offsets), 1.0 / len(offsets))
    confidence = mass(offsets, flat, 0.0, FRAME_MS, FRAME_MS)
    p_sync = mass(offsets, flat, 0.0, tolerance.early_ms, tolerance.late_ms)
    reasons = list(evidence.reasons) or [NO_EVIDENCE]
    none = np.zeros(len(offsets))
    return Verdict(
        "undecided", None, None, "none", confidence, p_sync, None, reasons, [], flat, none
    )


def _stretches(
    evidence: Evidence,
    windows: list[WindowResult],
    offsets: np.ndarray,
    constants: Constants,
    tolerance: Tolerance,
    drift: Drift | None = None,
) -> list[_Part]:
    """Neighbouring windows with one course each: usually all of them with one offset.

    A drift is looked for unless one is given.
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
) -> list[_Part]:
    """The parts with their times; where two meet, single blocks tell when."""
    parts: list[_Part] = []
    for rows, answer in found:
        mine = windows[rows]
        start_s, end_s = mine[0].start_s, max(w.end_s for w in mine)
        if parts:
            last = parts[-1]
            cut_s = place_cut(
                evidence.block_curves,
                last.windows[-1].start_s,
                mine[0].end_s,
                (last.answer.offset_ms, drift),
                (answer.offset_ms, drift),
                constants,
            )
            if cut_s is not None and last.start_s < cut_s < end_s:
                end_before = min(cut_s, max(last.end_s, mine[0].end_s))
                parts[-1] = _Part(last.windows, last.answer, drift, last.start_s, end_before)
                start_s = cut_s
        parts.append(_Part(mine, answer, drift, start_s, end_s))
    return parts


def _within_range(part: _Part, reach_ms: float) -> list[_Part]:
    """A drifting part, cut where its lag leaves the scanned range."""
    inside = [w for w in part.windows if abs(part.offset_at((w.start_s + w.end_s) / 2)) <= reach_ms]
    if not inside or len(inside) == len(part.windows):
        return [part]
    pieces: list[_Part] = []
    before = [w for w in part.windows if w.end_s <= inside[0].start_s]
    after = [w for w in part.windows if w.start_s >= inside[-1].end_s]
    for group, beyond in ((before, True), (inside, False), (after, True)):
        if group:
            start_s, end_s = group[0].start_s, max(w.end_s for w in group)
            pieces.append(_Part(group, part.answer, part.drift, start_s, end_s, beyond))
    return pieces


def _p_sync(part: _Part, offsets: np.ndarray, tolerance: Tolerance) -> float:
    """Probability that the stretch is within the tolerance from start to end."""
    if part.drift is None:
        return part.answer.p_sync
    if part.beyond:
        return 0.0
    at_ends = (
        mass(
            offsets,
            part.answer.curve,
            part.answer.offset_ms - end_ms,
            tolerance.early_ms,
            tolerance.late_ms,
        )
        for end_ms in part.ends_ms
    )
    return min(at_ends)


def _status(part: _Part, constants: Constants, tolerance: Tolerance) -> Status:
    answer = part.answer
    if part.beyond or answer.at_edge or answer.confidence < constants.undecided_below:
        return "undecided"
    inside = all(-tolerance.early_ms <= ms <= tolerance.late_ms for ms in part.ends_ms)
    return "in_sync" if inside else "out_of_sync"


def _speaks(statuses: list[Status], weights: np.ndarray) -> tuple[int, Status]:
    """Which stretch speaks for the file: the longest that is out of sync, else the longest that
    is in sync, else the longest."""
    kinds: tuple[Status, ...] = ("out_of_sync", "in_sync", "undecided")
    for status in kinds:
        among = [i for i, s in enumerate(statuses) if s == status]
        if among:
            return max(among, key=lambda i: weights[i]), status
    raise ValueError("no stretches")


def _segment(part: _Part, status: Status) -> Segment:
    decided = status != "undecided"
    return Segment(
        part.start_s,
        part.end_s,
        part.offset_ms if decided else None,
        part.ci_ms if decided else None,
        part.answer.confidence,
        status,
    )


def _with_gaps(segments: list[Segment], windows: list[WindowResult]) -> list[Segment]:
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
    told += [Segment(low_s, high_s, None, None, 0.0, "undecided") for low_s, high_s in gaps]
    return sorted(told, key=lambda s: s.start_s)


def _reasons(
    evidence: Evidence,
    main: _Part,
    status: Status,
    segments: list[Segment],
    offsets: np.ndarray,
    tolerance: Tolerance,
) -> list[str]:
    reasons: list[str] = []
    reach_s = float(offsets[-1]) / 1000.0
    if status == "undecided":
        answer = main.answer
        if answer.at_edge and answer.confidence >= _EDGE_CONFIDENCE:
            reasons.append(
                f"the lag may lie beyond the scanned range of ±{reach_s:g} s: "
                f"try --range {2 * reach_s:g}s"
            )
        else:
            reasons.append(_doubt(answer, offsets))
    elif (told := sum(s.offset_ms is not None for s in segments)) > 1:
        reasons.append(f"the lag changes within the file: {told} stretches differ")
    if status != "undecided" and main.drift is not None:
        reasons += _drift_reasons(main, segments, reach_s)
    if status != "undecided":
        low, high = main.ci_ms
        limits = (-tolerance.early_ms, tolerance.late_ms)
        if any(low < limit < high for limit in limits):
            reasons.append("the offset is close to the limit of the tolerance")
    return reasons + [r for r in evidence.reasons if r not in reasons]


def _drift_reasons(main: _Part, segments: list[Segment], reach_s: float) -> list[str]:
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
        reasons.append(
            f"the lag leaves the scanned range of ±{reach_s:g} s: try --range {4 * reach_s:g}s"
        )
    return reasons


def _doubt(main: Answer, offsets: np.ndarray) -> str:
    """Why the best offset is not sure enough."""
    rest = np.where(np.abs(offsets - main.peak_ms) > 2 * FRAME_MS, main.curve, 0.0)
    if rest.any():
        second = float(offsets[int(np.argmax(rest))])
        share = mass(offsets, main.curve, second, FRAME_MS, FRAME_MS)
        if share >= 0.5 * main.confidence and share >= 0.2:
            return f"lags of {main.peak_ms:+.0f} and {second:+.0f} ms fit about equally well"
    return "too little in the picture moves with the sound"


def _direction(offset_ms: float) -> Direction:
    """The sign in words; what rounds to no step of the scan has none."""
    if abs(offset_ms) < HOP_MS / 2:
        return "none"
    return "audio_late" if offset_ms > 0 else "audio_early"
