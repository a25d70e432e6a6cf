"""What a run over one file leaves behind: plain values, no behaviour beyond small sums.

`pipeline` makes an `Evidence`, `verdict` turns it into a `Verdict` without looking at the file
again, and `report` writes both down. Signs: an offset > 0 means the sound is LATE (it comes after
the picture that belongs to it), < 0 that it is EARLY.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Status = Literal["in_sync", "out_of_sync", "undecided"]
Direction = Literal["audio_late", "audio_early", "none"]


@dataclass(frozen=True)
class Region:
    """Where the model looked: a face track, or the whole frame.

    Attributes:
        kind: "face" or "frame".
        track: number of the face track in the file, from 0; None for the whole frame.
        box: (left, top, width, height) as shares of the displayed picture, 0..1, at mid-block.
    """

    kind: Literal["face", "frame"]
    track: int | None
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class BlockResult:
    """One block (25 frames) of one region, judged.

    Attributes:
        start_s, end_s: on the file's timeline.
        region: where the model looked.
        confidence: the attention module's output for the block before the softmax (a logit, any
            real number; for spatio-temporal attention the log-sum-exp over the block's cells minus
            log of their number), at the file's estimated offset.
        weight: its share in the softmax over all used blocks of the file, 0..1, summing to 1.
        p_sync: probability 0..1 that this block alone, as it stands in the file (offset 0), is in
            sync.
        used: False when the block was left out of the decision.
        reason: why it was left out ("silence", "frozen picture", "no picture", ...), else "".
        cells: (h, w) attention weights within the block, summing to 1; None unless
            spatio-temporal.
    """

    start_s: float
    end_s: float
    region: Region
    confidence: float
    weight: float
    p_sync: float
    used: bool = True
    reason: str = ""
    cells: np.ndarray | None = None


@dataclass(frozen=True)
class WindowResult:
    """A few neighbouring blocks judged together at every offset of the scan.

    Attributes:
        start_s, end_s: on the file's timeline.
        logits: (O,) float32, log-odds of "in sync" after the sound is moved EARLIER by
            `offsets_ms[o]`; its peak is therefore the window's own offset.
        blocks: number of used blocks behind it (over all regions at least one; time, not area).
        support: (O,) float32, share 0..1 of its blocks whose sound exists at each offset; near the
            ends of a file it is less than 1, and where it is 0 the logit is only the curve's
            median. None where all of it exists everywhere.
    """

    start_s: float
    end_s: float
    logits: np.ndarray
    blocks: float
    support: np.ndarray | None = None


@dataclass(frozen=True)
class MediaSummary:
    """The facts about the file that the answer repeats."""

    duration_s: float
    fps: float
    vfr: bool
    width: int
    height: int
    audio_hz: int
    audio_track: int
    audio_channels: int = 1
    container: str = ""


@dataclass(frozen=True)
class BlockCurves:
    """What single blocks say: less than windows do, but to the second.

    Attributes:
        start_s: (N,) float64, start of each block, not falling.
        offsets_ms: (K,) rising, a frame apart.
        logits: (N, K) float16 log-odds of "in sync" of the block by itself.
    """

    start_s: np.ndarray
    offsets_ms: np.ndarray
    logits: np.ndarray


@dataclass
class Evidence:
    """Everything a verdict may depend on.

    Attributes:
        offsets_ms: (O,) int64, rising, in equal steps; the scan's grid.
        windows: in order of time.
        blocks: in order of time, then of region.
        media: facts about the file.
        reasons: words of the kind "no face found", "silence", said when they limit the answer.
        judged_s: seconds of the file covered by at least one used block.
        calibration: constants of the model that turn logits into probabilities (see `verdict`).
        block_curves: single blocks' own log-odds, to tell when a lag changes; None if not kept.
    """

    offsets_ms: np.ndarray
    windows: list[WindowResult]
    blocks: list[BlockResult]
    media: MediaSummary
    reasons: list[str] = field(default_factory=list)
    judged_s: float = 0.0
    calibration: dict[str, float] = field(default_factory=dict)
    block_curves: BlockCurves | None = None


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class Verdict:
    """The answer for one file; a pure function of `Evidence` and `Tolerance`.

    Attributes:
        status: the answer in one word.
        offset_ms: estimated offset; > 0 the sound is late. None when undecided.
        offset_ci_ms: 95 % interval of it, or None.
        direction: the sign in words.
        confidence: calibrated probability that `offset_ms` is within one frame (40 ms) of the
            truth, 0..1; for "undecided", that of the best candidate.
        p_sync: probability that the file as it stands is within the tolerance, 0..1.
        drift_ms_per_min: by how much the lag grows in a minute; None unless it does.
        reasons: why undecided, or what limits the answer.
        segments: stretches of time with one answer each.
        curve: (O,) probability of each offset of the scan, summing to 1.
        curve_score: (O,) pooled log-odds of "in sync" at each offset.
        drift_ci_ms_per_min: 95 % interval of the drift, or None.
        usable: share 0..1 of the file's time with evidence.
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


@dataclass(frozen=True)
class FileReport:
    """One file's path, evidence and verdict, as the reports take it."""

    path: str
    evidence: Evidence
    verdict: Verdict
    tolerance: Tolerance
