"""What was read of a film so far, and what it says; see `sampling` for why it is asked this way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from avsync_cli.inference.evidence import Evidence
from avsync_cli.timebase import FRAME_MS
from avsync_cli.verdict.answer import Segment, Verdict
from avsync_cli.verdict.posterior import Constants, window_votes
from avsync_cli.verdict.steps import STEP_SHARE
from avsync_cli.verdict.stretches import STEP_WITHIN_S

LEAST_AGREEING = 3
"""Stretches that must agree with the answer by themselves."""

AGREEING = 0.75
"""Share of the stretches with a clear lag that must agree: one in twenty is about something else,
and more that are not are a change, such as a drift too slow to be told yet."""

BAND, BANDS = 0.05, 5
"""Share of a film that counts as its end, and how many of these are tried from there inward."""

TRIES = 3
"""Stretches read in a band after which it says no more."""

END_WITNESSES = 2
"""Stretches at either end that must agree with the answer: of one alone that is about something
else, one in ten lies within a frame of a wrong lag by chance, and nothing beyond it would tell."""

MIDDLE = (0.3, 0.7)
MIDDLE_TRIES = 6
"""The same for the middle, which is these shares of a film."""

LOOKS = 3
"""Windows that are looked at cheaply for one that is read."""


@dataclass(frozen=True)
class Peak:
    """A window whose own lag is clear."""

    window: int
    at_s: float
    lag_ms: float


class ReadSoFar:
    """The windows of a film that were read, and the answer they give together.

    Args:
        first, last: numbers of the film's windows.
        window_s: how long one is.

    Attributes:
        windows: what each window read says, by its number; None where there was nothing.
        looked: what each window promised that was looked at cheaply, 0 to 1.
        verdict: on all of them; None before the first.
        peaks: those whose own lag is clear, in order.
    """

    def __init__(self, first: int, last: int, window_s: float) -> None:
        self.first, self.last, self.window_s = first, last, window_s
        self.windows: dict[int, Evidence | None] = {}
        self.looked: dict[int, float] = {}
        self.verdict: Verdict | None = None
        self.peaks: list[Peak] = []

    @property
    def count(self) -> int:
        """Windows that there are."""
        return self.last - self.first + 1

    def judged(self, evidence: Evidence, verdict: Verdict) -> None:
        """Take what all windows read say together."""
        self.verdict, self.peaks = verdict, self._clear(evidence)

    def _clear(self, evidence: Evidence) -> list[Peak]:
        """Windows more than half of whose vote lies within a frame of its peak, in order."""
        constants = Constants.of(evidence.calibration)
        offsets = np.asarray(evidence.offsets_ms, np.float64)
        found = []
        for window in evidence.windows:
            if window.blocks <= 0 or not np.isfinite(window.logits).all():
                continue
            vote = np.exp(window_votes([window], constants)[0][0])
            at = int(np.argmax(vote))
            if vote[np.abs(offsets - offsets[at]) <= FRAME_MS].sum() > 0.5:
                middle_s = (window.start_s + window.end_s) / 2
                number = int(window.start_s / self.window_s + 1e-6)
                found.append(Peak(number, middle_s, float(offsets[at])))
        return found

    def is_answered(self, until: float) -> bool:
        """Whether enough stretches agree with an answer that is as sure as `until`, and nothing is
        left open that more of them would tell."""
        verdict = self.verdict
        least = max(LEAST_AGREEING, AGREEING * len(self.peaks))
        if verdict is None or verdict.status == "undecided" or len(self.agreeing()) < least:
            return False
        # A drift may leave the scanned range.
        if verdict.drift_ms_per_min is None and any(map(self._may_tell_more, verdict.segments)):
            return False
        told = [s.confidence for s in verdict.segments if s.offset_ms is not None]
        return min(told) * (1.0 - STEP_SHARE * self.unseen()) >= until

    def _may_tell_more(self, segment: Segment) -> bool:
        """Whether a stretch is long, has no lag yet, and was not read throughout."""
        if segment.offset_ms is not None or segment.end_s - segment.start_s <= STEP_WITHIN_S:
            return False
        first, last = (int(t / self.window_s) for t in (segment.start_s, segment.end_s))
        return any(window not in self.windows for window in range(first + 1, last))

    def agreeing(self) -> list[Peak]:
        """Clear windows at the lag that is told of their time; all of them while none is told."""
        verdict = self.verdict
        if verdict is None or verdict.status == "undecided":
            return self.peaks
        return [
            p
            for p in self.peaks
            if (lag_ms := lag_at(verdict, p.at_s)) is not None
            and abs(p.lag_ms - lag_ms) <= FRAME_MS
        ]

    def is_middle_settled(self) -> bool:
        """Whether a stretch of the middle agrees, or so many were tried that none will."""
        low, high = (self.first + share * self.count for share in MIDDLE)
        tried = [w for w in self.windows if low <= w <= high]
        if any(low <= p.window <= high for p in self.agreeing()):
            return True
        return len(tried) >= min(MIDDLE_TRIES, math.floor(high) - math.ceil(low) + 1)

    def bands(self, head: bool) -> list[list[int]]:
        """Windows of the bands from one end inward, each from that end on."""
        wide = max(TRIES, math.ceil(BAND * self.count))
        order = list(range(self.first, self.last + 1))
        order = order if head else order[::-1]
        return [order[k * wide : (k + 1) * wide] for k in range(BANDS)]

    def unseen(self) -> float:
        """Share of the film before the first and after the last window that agrees, less bands in
        which nothing can be judged."""
        total = 0
        agreeing = {p.window for p in self.agreeing()}
        for head in (True, False):
            order = [w for band in self.bands(head) for w in band]
            for band in self.bands(head):
                if agreeing.intersection(band) or not self.is_tried(band):
                    break
                order = order[len(band) :]
            first = next((n for n, w in enumerate(order) if w in agreeing), None)
            if first is None:
                edge = min(agreeing, default=self.last) - self.first
                edge = edge if head else self.last - max(agreeing, default=self.first)
                first = max(0, edge - BANDS * len(self.bands(head)[0]) + len(order))
            total += first
        return min(1.0, total / self.count)

    def is_tried(self, band: list[int]) -> bool:
        tried = sum(w in self.windows for w in band)
        dull = all(self.looked.get(w, 1.0) == 0.0 or w in self.windows for w in from_edge(band))
        return tried >= min(TRIES, len(band)) or (tried > 0 and dull)

    def gap(self) -> tuple[int, int] | None:
        """The middle third between the two neighbours that disagree and lie furthest apart, if that
        is too far to tell when the lag changed."""
        verdict = self.verdict
        if verdict is None:
            return None
        settled = verdict.status != "undecided"
        peaks = self.agreeing() if settled else self.peaks
        wide: list[tuple[int, int, int]] = []
        for before, after in pairwise(peaks):
            if settled and segment_at(verdict, before.at_s) is segment_at(verdict, after.at_s):
                continue
            if not settled and abs(before.lag_ms - after.lag_ms) <= FRAME_MS:
                continue
            apart = after.window - before.window - 1
            unread = [w for w in range(before.window + 1, after.window) if w not in self.windows]
            if apart * self.window_s > STEP_WITHIN_S and unread:
                third = len(unread) // 3
                wide.append((apart, unread[third], unread[-1 - third]))
        if not wide:
            return self._unwitnessed(peaks) if settled else None
        _, low, high = max(wide)
        return low, high

    def _unwitnessed(self, agreeing: list[Peak]) -> tuple[int, int] | None:
        """Where to find a second witness for a side of a step that has but one nearby: that one
        may be about something else, and the step lie beyond it."""
        assert self.verdict is not None
        pieces = [id(segment_at(self.verdict, p.at_s)) for p in agreeing]
        for before, after in pairwise(range(len(agreeing))):
            if pieces[before] == pieces[after]:
                continue
            for inner, outer in ((before, before - 1), (after, after + 1)):
                if not 0 <= outer < len(agreeing) or pieces[inner] != pieces[outer]:
                    continue
                one, other = agreeing[inner].window, agreeing[outer].window
                between = range(min(one, other) + 1, max(one, other))
                unread = [w for w in between if w not in self.windows]
                tried = len(between) - len(unread)
                if tried < TRIES and unread and len(between) * self.window_s > STEP_WITHIN_S:
                    near = sorted(unread, key=lambda w: abs(w - one))[: 2 * LOOKS]
                    return min(near), max(near)
        return None


def from_edge(band: list[int]) -> list[int]:
    """Some windows of a band, denser towards its edge: the first, second, third, fifth, ..."""
    places = [0, 1, *(2**n for n in range(1, 20))]
    return [band[at] for at in places if at < len(band)]


def segment_at(verdict: Verdict, time_s: float) -> Segment | None:
    """The told stretch of a time, or the nearest to it."""
    told = [s for s in verdict.segments if s.offset_ms is not None]
    if not told:
        return None
    return min(told, key=lambda s: max(s.start_s - time_s, time_s - s.end_s, 0.0))


def lag_at(verdict: Verdict, time_s: float) -> float | None:
    """The lag that is told of a time, in ms."""
    segment = segment_at(verdict, time_s)
    if segment is None or segment.offset_ms is None:
        return None
    middle_s = (segment.start_s + segment.end_s) / 2
    return segment.offset_ms + (verdict.drift_ms_per_min or 0.0) * (time_s - middle_s) / 60.0
