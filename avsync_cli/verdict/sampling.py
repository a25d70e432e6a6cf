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
from typing import Protocol

from avsync_cli.inference.evidence import Evidence
from avsync_cli.verdict.answer import Tolerance, Verdict
from avsync_cli.verdict.decision import decide_verdict
from avsync_cli.verdict.read_so_far import END_WITNESSES, LOOKS, ReadSoFar, from_edge
from avsync_cli.verdict.steps import STEP_SHARE

MOST_SHARE = 0.25
"""Of a film's windows: where so many do not settle it, all of it is read in order."""

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
        self._so_far = ReadSoFar(film.first, film.last, film.window_s)
        self._read = self._so_far.windows
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
            self._so_far.judged(evidence, decide_verdict(evidence, self._tolerance))
            if evidence.media.stamps == "unsound":
                break
            if self._is_settled():
                return Sampled(evidence, True, self._so_far.unseen())
        return Sampled(evidence, False, self._so_far.unseen())

    def _is_settled(self) -> bool:
        so_far = self._so_far
        if not so_far.is_answered(self._until):
            return False
        ends = self._end_window(True), self._end_window(False)
        return ends == (None, None) and so_far.is_middle_settled() and so_far.gap() is None

    def _may_read(self, window: int) -> bool:
        wanted = [*self._read, window]
        if self._most_s is not None:
            return self._film.read_s(wanted) <= self._most_s or not self._read
        return len(wanted) <= math.ceil(MOST_SHARE * self._so_far.count)

    def _pooled(self) -> Evidence:
        known = [found for _, found in sorted(self._read.items()) if found is not None]
        return self._pool(known, self._film.read_s(list(self._read)))

    def _next(self) -> int | None:
        """The next window to read; None where all were."""
        if len(self._read) >= self._so_far.count:
            return None
        # A gap is halved every other time: what looks like a change may be a stretch gone wrong.
        gap = None if self._bisected else self._so_far.gap()
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
            dull = self._so_far.looked.get(window, 1.0) == 0.0
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
        first, count = self._film.first, self._so_far.count
        for n in range(1, 2 * count):
            depth = n.bit_length()
            at = sum(((n >> bit) & 1) / 2 ** (bit + 1) for bit in range(depth))
            half = count / 2 ** (depth + 2)
            low, high = math.ceil(at * count - half), math.floor(at * count + half)
            yield first + max(0, low), first + min(count - 1, max(low, high))

    def _end_window(self, head: bool) -> int | None:
        """The next window at one end of the film; None where that end is settled."""
        so_far = self._so_far
        agreeing = {p.window for p in so_far.agreeing()}
        witnesses = 0
        for band in so_far.bands(head):
            witnesses += len(agreeing.intersection(band))
            if witnesses >= END_WITNESSES:
                return None
            if so_far.is_tried(band):
                continue
            look = [w for w in from_edge(band) if w not in self._read]
            for at in range(0, len(look), LOOKS):
                best = self._likeliest(look[at : at + LOOKS])
                if so_far.looked[best] > 0.0:
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
        looked = self._so_far.looked
        for window in windows:
            if window not in looked:
                looked[window] = self._film.promise(window)
        return max(windows, key=lambda w: looked[w])
