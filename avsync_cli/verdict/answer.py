"""The answer for a file: plain values.

Signs: an offset > 0 means the sound is LATE (it comes after the picture that belongs to it), < 0
that it is EARLY.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avsync_cli.by_value import ByValue
from avsync_cli.inference.evidence import Evidence
from avsync_cli.names import Direction, Status
from avsync_cli.timebase import HOP_MS


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch of time with one answer; where the lag drifts, offsets are those at its middle."""

    start_s: float
    end_s: float
    offset_ms: float | None
    offset_ci_ms: tuple[float, float] | None
    confidence: float
    status: Status


@dataclass(frozen=True)
class Tolerance:
    """How much the sound may be early or late and still count as in sync, both in ms >= 0."""

    name: str
    early_ms: float
    late_ms: float


ITU = Tolerance("itu", 45.0, 125.0)
"""ITU-R BT.1359, where viewers begin to notice: the default everywhere."""


def direction_of(offset_ms: float) -> Direction:
    """The sign in words; what rounds to no step of the scan has none."""
    if abs(offset_ms) < HOP_MS / 2:
        return "none"
    return "audio_late" if offset_ms > 0 else "audio_early"


@dataclass(frozen=True)
class Candidate:
    """An offset that may be the file's, > 0 for sound that is late, and the probability 0..1 that
    it is, to one frame."""

    offset_ms: float
    p: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Verdict(ByValue):
    """The answer for one file; a pure function of `Evidence` and `Tolerance`.

    Attributes:
        status: the answer in one word.
        offset_ms: estimated offset; > 0 the sound is late. None when undecided.
        offset_ci_ms: 95 % interval of it, or None.
        direction: the sign in words.
        confidence: calibrated probability that `offset_ms` is within one frame (40 ms) of the
            truth, 0..1; for "undecided", that of the best candidate. Of an answer by strikes
            (`Evidence.strikes`), within two.
        p_sync: probability that the file as it stands is within the tolerance, 0..1.
        at_border: whether a limit of the tolerance lies within the offset's 95 % interval (of any
            decided stretch), so that "in" or "out" is close to even; False when undecided.
        drift_ms_per_min: by how much the lag grows in a minute; None unless it does.
        reasons: why undecided, or what limits the answer.
        segments: stretches of time with one answer each.
        curve: (O,) probability of each offset of the scan, summing to 1.
        curve_score: (O,) pooled log-odds of "in sync" at each offset.
        drift_ci_ms_per_min: 95 % interval of the drift, or None.
        usable: share 0..1 of the file's time with evidence.
        best, second: the likeliest offset of the stretch that speaks for the file, decided or not,
            and the next one that is more than two frames away; None without evidence.
        margin: by how many logits the pooled log-odds "in sync" at the best offset exceed those at
            any that far away; below 0 where seconds that disagree outweigh those that agree.
        evidence_s: seconds of evidence for the best offset.
        min_confidence: how sure an answer had to be.
        would_decide: what an undecided file lacks, in words; "" for a decided one.
    """

    status: Status
    offset_ms: float | None
    offset_ci_ms: tuple[float, float] | None
    direction: Direction
    confidence: float
    p_sync: float
    drift_ms_per_min: float | None
    reasons: list[str]
    segments: list[Segment]
    curve: np.ndarray
    curve_score: np.ndarray
    drift_ci_ms_per_min: tuple[float, float] | None = None
    usable: float = 0.0
    at_border: bool = False
    best: Candidate | None = None
    second: Candidate | None = None
    margin: float = 0.0
    evidence_s: float = 0.0
    min_confidence: float = 0.8
    would_decide: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackResult(ByValue):
    """A face from one cut to the next, judged by itself.

    Attributes:
        track: its number in the file, as in `Region.track`.
        start_s, end_s: when it is seen.
        boxes: (5, 4) left, top, width and height as shares of the picture at five moments evenly
            spread from first to last frame.
        judged_s: seconds of it that could be judged.
        speaking: share 0..1 of its time in which it speaks in sync: a second counts where at the
            lag of its stretch of the file (the face's own, where that has none) "in sync" is
            likelier than not, and likelier than for any other face of that second.
        offset_ms, offset_ci_ms: its own likeliest offset, however sure, with its 95 % interval;
            None where nothing was judged.
        height: log-odds "in sync" at that offset.
        margin: how far that is above the log-odds at any offset more than two frames away.
        confidence: probability that the face and the sound belong together at that offset, to
            somebody who takes a dub to be as likely as not.
        kept: whether that is at least as sure as an answer must be.
        reason: why it is not kept, or "".
    """

    track: int
    start_s: float
    end_s: float
    boxes: np.ndarray
    judged_s: float
    speaking: float
    offset_ms: float | None
    offset_ci_ms: tuple[float, float] | None
    height: float
    margin: float
    confidence: float
    kept: bool
    reason: str


@dataclass(frozen=True)
class Judgement:
    """What is known of one file, decided once: terminal, JSON, page and repair all read this.

    Attributes:
        path: the file as it was named.
        evidence: what the answer rests on.
        verdict: the answer.
        tolerance: by what it was decided.
        fix_words: the start of a command that repairs the file as it was judged: program, command,
            and the flags that the answer depends on.
        min_confidence: how sure the answer was asked to be; None for the model's own bar.
        tracks: every face that was followed, judged by itself, in order of their numbers.
    """

    path: str
    evidence: Evidence
    verdict: Verdict
    tolerance: Tolerance
    fix_words: tuple[str, ...] = ("avsync", "fix")
    min_confidence: float | None = None
    tracks: tuple[TrackResult, ...] = ()
