"""A film judged by some of its stretches: which to read next, and when it is enough.

**When the lag is sure.** After n stretches let P be the probability, given all that was read, that
the lag told is right within a frame. Reading ends at the first n at which P >= c. Whether to go on,
and where, depends on nothing but what was read (and on pictures and loudness, which do not show a
lag), so that the share of wrong answers among those given is the mean of 1 - P at the end, at most
1 - c: a posterior, unlike a p-value, may be looked at as often as one likes. P is the confidence of
the verdict times the probability that the lag is no other where nothing was read. Files that step
are `STEP_SHARE` of all, a step is as likely at any second, and one between two stretches that agree
needs a second one that undoes it: so the latter is 1 - STEP_SHARE u, where u is the share of the
file before the first and after the last stretch that agrees with the answer.

**Where the model errs.** That holds as far as the confidence does. So the answer must also be that
of single stretches at the head, in the middle and at the tail. One that is about something else
(`Constants.outlier`, 5 %) peaks anywhere, within a frame of another's peak in w = 80 ms of the
2 s scanned: three of them agree on a wrong lag with probability 0.05^3 w^2 = 2e-7, some three among
thirty stretches with 1e-3 at the most, before any is weighed against those that disagree. What all
of a film's stretches have in common (a dub) a whole reading cannot see either. Nothing lies beyond
an end, though, and one stretch there that agrees with the rest by chance (0.05 w of the lags that
are about) would hide a step before it: so either end has two witnesses.

**The structure.** Neighbours that disagree are read between, half-way again and again, until a step
lies within STEP_WITHIN_S, or the pieces line up to a drift. Either side of a step has two witnesses
as well: by one that is about something else the step would be told where it is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import numpy as np

from avsync_cli.inference.evidence import Evidence
from avsync_cli.timebase import FRAME_MS
from avsync_cli.verdict.answer import Segment, Tolerance, Verdict
from avsync_cli.verdict.decision import decide_verdict
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

MOST_SHARE = 0.25
"""Of a film's windows: where so many do not settle it, all of it is read in order."""

LOOKS = 3
"""Windows that are looked at cheaply for one that is read."""

MOST_SKIPPED = 12
"""Places without promise that are passed over, one after the other."""


UNSETTLED = "too little was read to settle it"


class Film(Protocol):
    """What is read: windows of a film by their numbers, `first` to `last`."""

    first: int
    last: int

    @property
    def window_s(self) -> float: ...

    def promise(self, window: int) -> float:
        """0 to 1, by a cheap look."""
        ...

    def read(self, window: int) -> Evidence | None:
        """What it says; None where there is nothing."""
        ...

    def read_s(self, windows: Sequence[int]) -> float:
        """Seconds of the film that are read for them."""
        ...


@dataclass(frozen=True)
class Peak:
    """A window whose own lag is clear."""

    window: int
    at_s: float
    lag_ms: float


@dataclass(frozen=True)
class Sampled:
    """What was read, and whether that settles it.

    Attributes:
        evidence: of the stretches; None where nothing could be read.
        settled: whether lag and structure are sure enough.
        unseen: share of the film whose lag the stretches do not vouch for.
        is_broken: whether nothing was found at some time: the film ends early, or its time stamps
            leap.
    """

    evidence: Evidence | None
    settled: bool
    unseen: float
    is_broken: bool = False

    def told(self, verdict: Verdict) -> Verdict:
        """The verdict on the evidence, less sure by what may be otherwise where nothing was read;
        where it is not settled, it says so."""
        kept = 1.0 - STEP_SHARE * self.unseen
        best = verdict.best
        return replace(
            verdict,
            confidence=verdict.confidence * kept,
            best=best and replace(best, p=best.p * kept),
            p_sync=verdict.p_sync * kept,
            reasons=verdict.reasons + ([] if self.settled else [UNSETTLED]),
        )


class Search:
    """Reads stretches of one film until they settle it.

    Args:
        film: what is read.
        pool: makes one evidence of that of some windows, in order of time, and of the seconds read.
        tolerance: what counts as in sync.
        until: probability from which on the answer is sure.
        most_s: seconds of the film to read at the most; None for MOST_SHARE of it.
    """

    def __init__(
        self,
        film: Film,
        pool: Callable[[Sequence[Evidence], float], Evidence],
        tolerance: Tolerance,
        until: float,
        most_s: float | None = None,
    ) -> None:
        self._film, self._pool, self._tolerance = film, pool, tolerance
        self._until, self._most_s = until, most_s
        self._count = film.last - film.first + 1
        self._read: dict[int, Evidence | None] = {}
        self._looked: dict[int, float] = {}
        self._peaks: list[Peak] = []
        self._verdict: Verdict | None = None
        self._spread = self._targets()
        self._skipped: list[tuple[int, int]] = []
        self._bisected = False

    def run(self, tell: Callable[[float], None] = lambda _: None) -> Sampled:
        """Read, judge, read on.

        Args:
            tell: called with the seconds read after every stretch.
        """
        evidence: Evidence | None = None
        while (window := self._next()) is not None and self._may_read(window):
            self._read[window] = found = self._film.read(window)
            tell(self._film.read_s(list(self._read)))
            if found is None:
                return Sampled(evidence, False, 1.0, is_broken=True)
            evidence = self._pooled()
            self._verdict = decide_verdict(evidence, self._tolerance)
            self._peaks = self._clear(evidence)
            if evidence.media.stamps == "unsound":
                break
            if self._is_settled(self._verdict):
                return Sampled(evidence, True, self._unseen())
        return Sampled(evidence, False, self._unseen())

    def _may_read(self, window: int) -> bool:
        wanted = [*self._read, window]
        if self._most_s is not None:
            return self._film.read_s(wanted) <= self._most_s or not self._read
        return len(wanted) <= math.ceil(MOST_SHARE * self._count)

    def _pooled(self) -> Evidence:
        known = [found for _, found in sorted(self._read.items()) if found is not None]
        return self._pool(known, self._film.read_s(list(self._read)))

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
                number = int(window.start_s / self._film.window_s + 1e-6)
                found.append(Peak(number, middle_s, float(offsets[at])))
        return found

    # --- Enough? ----------------------------------------------------------------------------------

    def _is_settled(self, verdict: Verdict) -> bool:
        least = max(LEAST_AGREEING, AGREEING * len(self._peaks))
        if verdict.status == "undecided" or len(self._agreeing()) < least:
            return False
        # A drift may leave the scanned range.
        if verdict.drift_ms_per_min is None and any(map(self._may_tell_more, verdict.segments)):
            return False
        told = [s.confidence for s in verdict.segments if s.offset_ms is not None]
        if min(told) * (1.0 - STEP_SHARE * self._unseen()) < self._until:
            return False
        ends = self._end_window(True), self._end_window(False)
        return ends == (None, None) and self._middle_settled() and self._gap() is None

    def _may_tell_more(self, segment: Segment) -> bool:
        """Whether a stretch is long, has no lag yet, and was not read throughout."""
        if segment.offset_ms is not None or segment.end_s - segment.start_s <= STEP_WITHIN_S:
            return False
        first, last = (int(t / self._film.window_s) for t in (segment.start_s, segment.end_s))
        return any(window not in self._read for window in range(first + 1, last))

    def _agreeing(self) -> list[Peak]:
        """Clear windows at the lag that is told of their time; all of them while none is told."""
        verdict = self._verdict
        if verdict is None or verdict.status == "undecided":
            return self._peaks
        return [
            p
            for p in self._peaks
            if (lag_ms := lag_at(verdict, p.at_s)) is not None
            and abs(p.lag_ms - lag_ms) <= FRAME_MS
        ]

    def _middle_settled(self) -> bool:
        low, high = (self._film.first + share * self._count for share in MIDDLE)
        tried = [w for w in self._read if low <= w <= high]
        if any(low <= p.window <= high for p in self._agreeing()):
            return True
        return len(tried) >= min(MIDDLE_TRIES, math.floor(high) - math.ceil(low) + 1)

    def _bands(self, head: bool) -> list[list[int]]:
        """Windows of the bands from one end inward, each from that end on."""
        wide = max(TRIES, math.ceil(BAND * self._count))
        order = list(range(self._film.first, self._film.last + 1))
        order = order if head else order[::-1]
        return [order[k * wide : (k + 1) * wide] for k in range(BANDS)]

    def _unseen(self) -> float:
        """Share of the film before the first and after the last window that agrees, less bands in
        which nothing can be judged."""
        total = 0
        agreeing = {p.window for p in self._agreeing()}
        for head in (True, False):
            order = [w for band in self._bands(head) for w in band]
            for band in self._bands(head):
                if agreeing.intersection(band) or not self._is_tried(band):
                    break
                order = order[len(band) :]
            first = next((n for n, w in enumerate(order) if w in agreeing), None)
            if first is None:
                edge = min(agreeing, default=self._film.last) - self._film.first
                edge = edge if head else self._film.last - max(agreeing, default=self._film.first)
                first = max(0, edge - BANDS * len(self._bands(head)[0]) + len(order))
            total += first
        return min(1.0, total / self._count)

    def _is_tried(self, band: list[int]) -> bool:
        tried = sum(w in self._read for w in band)
        dull = all(self._looked.get(w, 1.0) == 0.0 or w in self._read for w in _from_edge(band))
        return tried >= min(TRIES, len(band)) or (tried > 0 and dull)

    # --- What next --------------------------------------------------------------------------------

    def _next(self) -> int | None:
        """The next window to read; None where all were."""
        if len(self._read) >= self._count:
            return None
        # A gap is halved every other time: what looks like a change may be a stretch gone wrong.
        gap = None if self._bisected else self._gap()
        self._bisected = gap is not None
        if gap is not None:
            return self._best_of(*gap)
        for head in (True, False):
            window = self._end_window(head)
            if window is not None:
                return window
        for low, high in self._spread:
            window = self._best_of(low, high)
            if window is None:
                continue
            dull = self._looked.get(window, 1.0) == 0.0
            if not dull or len(self._skipped) >= MOST_SKIPPED:
                return window
            self._skipped.append((low, high))
        for low, high in self._skipped:
            window = self._best_of(low, high)
            if window is not None:
                return window
        return next(w for w in range(self._film.first, self._film.last + 1) if w not in self._read)

    def _targets(self) -> Iterator[tuple[int, int]]:
        """Spans of windows, in a low-discrepancy order (van der Corput's in base 2): the middle of
        the film, its quarters, the middles between these, and so on."""
        first, count = self._film.first, self._count
        for n in range(1, 2 * count):
            depth = n.bit_length()
            at = sum(((n >> bit) & 1) / 2 ** (bit + 1) for bit in range(depth))
            half = count / 2 ** (depth + 2)
            low, high = math.ceil(at * count - half), math.floor(at * count + half)
            yield first + max(0, low), first + min(count - 1, max(low, high))

    def _end_window(self, head: bool) -> int | None:
        """The next window at one end of the film; None where that end is settled."""
        agreeing = {p.window for p in self._agreeing()}
        witnesses = 0
        for band in self._bands(head):
            witnesses += len(agreeing.intersection(band))
            if witnesses >= END_WITNESSES:
                return None
            if self._is_tried(band):
                continue
            look = [w for w in _from_edge(band) if w not in self._read]
            for at in range(0, len(look), LOOKS):
                best = self._likeliest(look[at : at + LOOKS])
                if self._looked[best] > 0.0:
                    return best
            if look and not any(w in self._read for w in band):
                return look[0]
            left = [w for w in band if w not in self._read]
            if left and not look:
                return left[0]
        return None

    def _best_of(self, low: int, high: int) -> int | None:
        """The unread window that promises most, of some between two that are spread evenly; the
        middle one where none promises more."""
        unread = [w for w in range(low, high + 1) if w not in self._read]
        if not unread:
            return None
        places = (len(unread) // 2, len(unread) // 6, len(unread) * 5 // 6)
        return self._likeliest(list(dict.fromkeys(unread[at] for at in places)))

    def _likeliest(self, windows: list[int]) -> int:
        for window in windows:
            if window not in self._looked:
                self._looked[window] = self._film.promise(window)
        return max(windows, key=lambda w: self._looked[w])

    def _gap(self) -> tuple[int, int] | None:
        """The middle third between the two neighbours that disagree and lie furthest apart, if that
        is too far to tell when the lag changed."""
        verdict = self._verdict
        if verdict is None:
            return None
        settled = verdict.status != "undecided"
        peaks = self._agreeing() if settled else self._peaks
        wide: list[tuple[int, int, int]] = []
        for before, after in pairwise(peaks):
            if settled and segment_at(verdict, before.at_s) is segment_at(verdict, after.at_s):
                continue
            if not settled and abs(before.lag_ms - after.lag_ms) <= FRAME_MS:
                continue
            apart = after.window - before.window - 1
            unread = [w for w in range(before.window + 1, after.window) if w not in self._read]
            if apart * self._film.window_s > STEP_WITHIN_S and unread:
                third = len(unread) // 3
                wide.append((apart, unread[third], unread[-1 - third]))
        if not wide:
            return self._unwitnessed(peaks) if settled else None
        _, low, high = max(wide)
        return low, high

    def _unwitnessed(self, agreeing: list[Peak]) -> tuple[int, int] | None:
        """Where to find a second witness for a side of a step that has but one nearby: that one
        may be about something else, and the step lie beyond it."""
        assert self._verdict is not None
        pieces = [id(segment_at(self._verdict, p.at_s)) for p in agreeing]
        for before, after in pairwise(range(len(agreeing))):
            if pieces[before] == pieces[after]:
                continue
            for inner, outer in ((before, before - 1), (after, after + 1)):
                if not 0 <= outer < len(agreeing) or pieces[inner] != pieces[outer]:
                    continue
                one, other = agreeing[inner].window, agreeing[outer].window
                between = range(min(one, other) + 1, max(one, other))
                unread = [w for w in between if w not in self._read]
                tried = len(between) - len(unread)
                if tried < TRIES and unread and len(between) * self._film.window_s > STEP_WITHIN_S:
                    near = sorted(unread, key=lambda w: abs(w - one))[: 2 * LOOKS]
                    return min(near), max(near)
        return None


def _from_edge(band: list[int]) -> list[int]:
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
