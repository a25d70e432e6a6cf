"""A file cut into stretches: neighbouring windows with one course of the lag, and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from avsync_cli.inference.evidence import WindowResult
from avsync_cli.names import Status
from avsync_cli.timebase import BLOCK_FRAMES, FPS
from avsync_cli.verdict.answer import Segment, Tolerance
from avsync_cli.verdict.drift import Drift
from avsync_cli.verdict.posterior import Answer, p_within

BLOCK_S = BLOCK_FRAMES / FPS

UNJUDGED_S = 20.0
"""A gap of this length between windows is told as a stretch that could not be judged."""

UNPLACED_S = 3.0
"""Where a step may lie anywhere within so long a time, that time is told as undecided."""

UNVOUCHED_S = 60.0
"""The same where so long nothing is seen that goes with the sound: a reel that was dubbed would
else be told as what is around it. Listeners, pictures of what is talked about and pauses are told
as the rest of a film."""

STEP_WITHIN_S = 10.0
"""The same of a file of which only parts were read: there a step is told to 5 s either way."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Neighbouring windows with one course, and what they say.

    Attributes:
        windows: those within the scanned range.
        answer: their answer; offsets are those at the course's `about_s`.
        drift: shared by all parts, or None.
        start_s, end_s: of the stretch; parts may meet within a window.
        beyond: whether the lag has left the scanned range here.
        doubted: whether it is left out, since it may point elsewhere than the rest of the file.
    """

    windows: list[WindowResult]
    answer: Answer
    drift: Drift | None
    start_s: float
    end_s: float
    beyond: bool = False
    doubted: bool = False

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


def p_sync(part: Part, offsets: np.ndarray, tolerance: Tolerance) -> float:
    """Probability that the stretch is within the tolerance from start to end."""
    if part.beyond:
        return 0.0
    return min(p_within(part.answer, offsets, tolerance, end_ms) for end_ms in part.ends_ms)


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
        told.insert(0, undecided(begin_s, told[0].start_s))
    if end_s - told[-1].end_s >= BLOCK_S:
        told.append(undecided(told[-1].end_s, end_s))
    return told


def undecided(start_s: float, end_s: float) -> Segment:
    """A stretch of which no lag is told."""
    return Segment(
        start_s=start_s,
        end_s=end_s,
        offset_ms=None,
        offset_ci_ms=None,
        confidence=0.0,
        status="undecided",
    )


def with_gaps(
    segments: list[Segment],
    windows: list[WindowResult],
    ms_per_min: float = 0.0,
    unseen_s: Sequence[tuple[float, float]] = (),
) -> list[Segment]:
    """Segments with the long gaps between windows cut out, and undecided ones of their own in these
    and where it is not known when one ends and the next begins.

    Args:
        segments: offsets are those at their middles.
        windows: in order of time.
        ms_per_min: by how much the lag grows.
        unseen_s: (first, last) second of more that is cut out.
    """

    def cut(whole: Segment, start_s: float, end_s: float) -> Segment:
        part = replace(whole, start_s=start_s, end_s=end_s)
        if whole.offset_ms is None or not ms_per_min:
            return part
        moved = ms_per_min * (start_s + end_s - whole.start_s - whole.end_s) / 120.0
        low, high = whole.offset_ci_ms or (whole.offset_ms, whole.offset_ms)
        return replace(
            part, offset_ms=whole.offset_ms + moved, offset_ci_ms=(low + moved, high + moved)
        )

    gaps = list(unseen_s)
    end_s = windows[0].end_s
    for window in windows[1:]:
        if window.start_s - end_s >= UNJUDGED_S:
            gaps.append((end_s, window.start_s))
        end_s = max(end_s, window.end_s)
    told: list[Segment] = []
    for segment in segments:
        for low_s, high_s in sorted(gaps):
            if segment.start_s < low_s and high_s < segment.end_s:
                told.append(cut(segment, segment.start_s, low_s))
                segment = cut(segment, high_s, segment.end_s)
            elif segment.start_s < low_s < segment.end_s:  # a cut fell into the gap
                segment = cut(segment, segment.start_s, low_s)
            elif segment.start_s < high_s < segment.end_s:
                segment = cut(segment, high_s, segment.end_s)
        told.append(segment)
    return with_unplaced(told, UNPLACED_S)


def with_unplaced(segments: list[Segment], least_s: float) -> list[Segment]:
    """Segments, and undecided ones where the next does not begin within so long of one's end."""
    between = [
        undecided(before.end_s, after.start_s)
        for before, after in pairwise(segments)
        if after.start_s - before.end_s >= least_s
    ]
    return sorted(segments + between, key=lambda s: s.start_s)
