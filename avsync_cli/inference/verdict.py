"""From evidence to an answer: a pure function, with its constants in the open.

Every window votes for offsets with a softmax of its log-odds, scaled by what the model was found
to be worth on validation data, and mixed with a uniform floor: whatever a window says, its vote
for or against an offset is bounded, so that a flat curve (silence, music) changes nothing, and a
single wrong one cannot outvote the rest. Votes multiply: more evidence for one offset makes it
surer.

A posterior says what is known of the file's offset; its mass around the peak is the confidence,
its mass within the tolerance the probability of being in sync.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

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
from avsync_cli.timebase import FRAME_MS, HOP_MS

NO_EVIDENCE = "nothing could be judged"

_EDGE_CONFIDENCE = 0.3
"""Below this a peak at the edge is just the highest of many, no hint at a lag beyond."""


@dataclass(frozen=True)
class Constants:
    """What turns log-odds into probabilities; `Evidence.calibration` overrides by name.

    Attributes:
        scale: factor on a window's log-odds before its softmax over the offsets.
        power: a window's log-odds count blocks^power: 1 if every second were new evidence, 0 if
            a long window were worth no more than a short one.
        outlier: share of windows expected to be wrong or about something else.
        support_power: log-odds at an offset at which only a share s of a window's blocks has
            sound shrink towards the curve's middle by s^support_power, so that little evidence
            is never the best evidence.
        file_outlier: share of files whose curve is wrong as a whole (dubbed, post-synchronised).
        match_scale, match_bias: log-odds that sound and picture belong together at all, as a line
            in the height of the peak (log-odds "in sync" of the windows that vote for it). Speech
            laid over other speech has a best offset too, but its peak is low. The defaults, for a
            model that was not calibrated, trust every peak.
        jitter_ms: standard deviation of what no amount of evidence removes: decode, distance to
            the microphone, habits of the speaker.
        undecided_below: least confidence of an answer.
        split_odds: natural log of the odds by which two stretches with offsets of their own must
            explain the windows better than one.
    """

    scale: float = 1.0
    power: float = 0.5
    outlier: float = 0.05
    support_power: float = 0.5
    file_outlier: float = 0.002
    match_scale: float = 0.0
    match_bias: float = 10.0
    jitter_ms: float = 8.0
    undecided_below: float = 0.8
    split_odds: float = 3.0

    @classmethod
    def of(cls, calibration: dict[str, float]) -> Constants:
        """The constants with a model's own values put in; other keys are for other readers."""
        own = {k: float(v) for k, v in calibration.items() if k in cls.__dataclass_fields__}
        return cls(**own)


@dataclass(frozen=True)
class _Answer:
    """What one group of windows says."""

    curve: np.ndarray
    peak_ms: float
    offset_ms: float
    ci_ms: tuple[float, float]
    confidence: float
    p_sync: float
    at_edge: bool


def decide_verdict(evidence: Evidence, tolerance: Tolerance) -> Verdict:
    """The answer for one file.

    Args:
        evidence: windows, offsets and calibration; the blocks are not looked at.
        tolerance: what still counts as in sync.

    Returns:
        "undecided", with reasons, when nothing was judged, when no offset is sure enough, or when
        the best one lies at the edge of the scan.
    """
    constants = Constants.of(evidence.calibration)
    offsets = np.asarray(evidence.offsets_ms, np.float64)
    windows = [w for w in evidence.windows if w.blocks > 0 and np.isfinite(w.logits).all()]
    if not windows:
        flat = np.full(len(offsets), 1.0 / len(offsets))
        reasons = list(evidence.reasons) or [NO_EVIDENCE]
        confidence = _mass(offsets, flat, 0.0, FRAME_MS, FRAME_MS)
        p_sync = _mass(offsets, flat, 0.0, tolerance.early_ms, tolerance.late_ms)
        return Verdict(
            "undecided",
            None,
            None,
            "none",
            confidence,
            p_sync,
            None,
            reasons,
            [],
            flat,
            np.zeros(len(offsets)),
        )
    votes, scores = window_votes(windows, constants)
    blocks = np.array([w.blocks for w in windows])
    logits = np.stack([fair_logits(w, constants) for w in windows])
    parts = _stretches(votes, scores, logits, blocks, offsets, constants, tolerance)
    score = (logits * blocks[:, None]).sum(axis=0)
    answers = [answer for _, answer in parts]
    statuses = [_status(a, constants, tolerance) for a in answers]
    weights = np.array([blocks[rows].sum() for rows, _ in parts])
    chosen, status = _speaks(statuses, weights)
    main = answers[chosen]
    segments = [
        _segment(windows[rows], answer, state)
        for (rows, answer), state in zip(parts, statuses, strict=True)
    ]
    curve = np.tensordot(weights / weights.sum(), np.stack([a.curve for a in answers]), axes=1)
    decided = status != "undecided"
    return Verdict(
        status,
        main.offset_ms if decided else None,
        main.ci_ms if decided else None,
        _direction(main.offset_ms) if decided else "none",
        main.confidence,
        min(a.p_sync for a in answers),
        None,
        _reasons(evidence, main, status, segments, offsets, tolerance),
        segments,
        curve / curve.sum(),
        score / blocks.sum(),
    )


def fair_logits(window: WindowResult, constants: Constants) -> np.ndarray:
    """(O,) float64 log-odds of a window, with poorly supported offsets shrunk to its middle."""
    logits = np.asarray(window.logits, np.float64)
    if window.support is None:
        return logits
    support = np.asarray(window.support, np.float64)
    if not (support > 0).any():
        return np.zeros_like(logits)
    middle = float(np.median(logits[support > 0]))
    shrunk: np.ndarray = middle + support**constants.support_power * (logits - middle)
    return shrunk


def window_votes(
    windows: list[WindowResult], constants: Constants
) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities (W, O) of every window's offsets, and the scaled log-odds behind them."""
    scores = np.stack(
        [constants.scale * w.blocks**constants.power * fair_logits(w, constants) for w in windows]
    )
    sharp = np.exp(scores - scores.max(axis=1, keepdims=True))
    sharp /= sharp.sum(axis=1, keepdims=True)
    floor = constants.outlier / scores.shape[1]
    return np.log((1.0 - constants.outlier) * sharp + floor), scores


def peak_height(logits: np.ndarray, weights: np.ndarray) -> float:
    """Weighted mean of the windows' log-odds at the peak; their plain mean if none has weight."""
    total = float(weights.sum())
    return float(logits.mean() if total <= 0.0 else (weights * logits).sum() / total)


def _answer(
    votes: np.ndarray,
    scores: np.ndarray,
    logits: np.ndarray,
    blocks: np.ndarray,
    offsets: np.ndarray,
    constants: Constants,
    tolerance: Tolerance,
) -> _Answer:
    """What windows with one offset in common say of it."""
    total = votes.sum(axis=0)
    posterior = np.exp(total - total.max())
    posterior /= posterior.sum()
    peak = int(np.argmax(posterior))
    curve = _blurred(posterior, offsets, constants.jitter_ms)
    # Where the peak lies between two steps is read from the unbounded scores of those windows
    # that vote for it: the votes themselves are cut off a step or two away.
    floor = np.log(constants.outlier / len(offsets)) if constants.outlier > 0 else -np.inf
    agreeing = 1.0 - np.exp(floor - votes[:, peak])
    height = peak_height(logits[:, peak], blocks * agreeing)
    belongs = 0.5 * (1.0 + math.tanh(0.5 * (constants.match_scale * height + constants.match_bias)))
    wrong = 1.0 - belongs * (1.0 - constants.file_outlier)
    curve = (1.0 - wrong) * curve + wrong / len(offsets)
    offset = _refined(offsets, (agreeing[:, None] * scores).sum(axis=0), peak)
    edge_ms = float(offsets[-1]) - min(float(FRAME_MS), float(offsets[-1]) / 4)
    # The interval says how exact the offset is, `confidence` whether it is the right one: so the
    # even floor, which stands for a wrong curve, is taken away first.
    risen = curve - curve.min()
    risen = risen / risen.sum() if risen.any() else curve
    low, high = _quantile(offsets, risen, 0.025), _quantile(offsets, risen, 0.975)
    return _Answer(
        curve,
        float(offsets[peak]),
        offset,
        (min(low, offset), max(high, offset)),
        _mass(offsets, curve, offset, FRAME_MS, FRAME_MS),
        _mass(offsets, curve, 0.0, tolerance.early_ms, tolerance.late_ms),
        abs(float(offsets[peak])) > edge_ms or peak in (0, len(offsets) - 1),
    )


def _stretches(
    votes: np.ndarray,
    scores: np.ndarray,
    logits: np.ndarray,
    blocks: np.ndarray,
    offsets: np.ndarray,
    constants: Constants,
    tolerance: Tolerance,
) -> list[tuple[slice, _Answer]]:
    """Groups of neighbouring windows with one offset each: usually one group.

    The most probable path through (window, offset) where a change of offset costs more than one
    window alone can pay: what a single window can say against an offset is bounded by the floor.
    """
    price = math.log(votes.shape[1] / max(constants.outlier, 1e-9)) + constants.split_odds
    best = votes[0].copy()
    came_from = np.zeros(votes.shape, np.int32)
    stay = np.arange(votes.shape[1], dtype=np.int32)
    for i in range(1, len(votes)):
        top = int(np.argmax(best))
        jump = best[top] - price
        came_from[i] = np.where(best >= jump, stay, top)
        best = np.maximum(best, jump) + votes[i]
    state = int(np.argmax(best))
    cuts = [len(votes)]
    for i in range(len(votes) - 1, 0, -1):
        before = int(came_from[i, state])
        if before != state:
            cuts.append(i)
        state = before
    cuts.append(0)
    cuts.reverse()
    parts: list[tuple[slice, _Answer]] = []

    def answer_of(low: int, high: int) -> _Answer:
        rows = slice(low, high)
        return _answer(
            votes[rows], scores[rows], logits[rows], blocks[rows], offsets, constants, tolerance
        )

    for low, high in pairwise(cuts):
        answer = answer_of(low, high)
        # A step of less than a frame is nothing one could see, and may be a change of speaker.
        if parts and abs(parts[-1][1].offset_ms - answer.offset_ms) < FRAME_MS:
            low = parts.pop()[0].start
            answer = answer_of(low, high)
        parts.append((slice(low, high), answer))
    return parts


def _status(answer: _Answer, constants: Constants, tolerance: Tolerance) -> Status:
    if answer.at_edge or answer.confidence < constants.undecided_below:
        return "undecided"
    inside = -tolerance.early_ms <= answer.offset_ms <= tolerance.late_ms
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


def _segment(windows: list[WindowResult], answer: _Answer, status: Status) -> Segment:
    decided = status != "undecided"
    return Segment(
        windows[0].start_s,
        max(w.end_s for w in windows),
        answer.offset_ms if decided else None,
        answer.ci_ms if decided else None,
        answer.confidence,
        status,
    )


def _reasons(
    evidence: Evidence,
    main: _Answer,
    status: Status,
    segments: list[Segment],
    offsets: np.ndarray,
    tolerance: Tolerance,
) -> list[str]:
    reasons: list[str] = []
    reach_s = float(offsets[-1]) / 1000.0
    if status == "undecided":
        if main.at_edge and main.confidence >= _EDGE_CONFIDENCE:
            reasons.append(
                f"the lag may lie beyond the scanned range of ±{reach_s:g} s: "
                f"try --range {2 * reach_s:g}s"
            )
        else:
            reasons.append(_doubt(main, offsets))
    elif len({s.status for s in segments}) > 1 or len(segments) > 1:
        reasons.append(f"the lag changes within the file: {len(segments)} stretches differ")
    if status != "undecided":
        low, high = main.ci_ms
        limits = (-tolerance.early_ms, tolerance.late_ms)
        if any(low < limit < high for limit in limits):
            reasons.append("the offset is close to the limit of the tolerance")
    return reasons + [r for r in evidence.reasons if r not in reasons]


def _doubt(main: _Answer, offsets: np.ndarray) -> str:
    """Why the best offset is not sure enough."""
    rest = np.where(np.abs(offsets - main.peak_ms) > 2 * FRAME_MS, main.curve, 0.0)
    if rest.any():
        second = float(offsets[int(np.argmax(rest))])
        mass = _mass(offsets, main.curve, second, FRAME_MS, FRAME_MS)
        if mass >= 0.5 * main.confidence and mass >= 0.2:
            return f"lags of {main.peak_ms:+.0f} and {second:+.0f} ms fit about equally well"
    return "too little in the picture moves with the sound"


def _direction(offset_ms: float) -> Direction:
    """The sign in words; what rounds to no step of the scan has none."""
    if abs(offset_ms) < HOP_MS / 2:
        return "none"
    return "audio_late" if offset_ms > 0 else "audio_early"


def _refined(offsets: np.ndarray, score: np.ndarray, peak: int) -> float:
    """Top of the parabola through the score within a frame of the peak, in ms.

    Least squares over all steps there (nine at 10 ms, three at 40): a single step's noise moves
    it little. It stays within half a frame of the peak.
    """
    step = float(offsets[1] - offsets[0])
    reach = max(1, round(FRAME_MS / step))
    low, high = max(0, peak - reach), min(len(offsets), peak + reach + 1)
    if high - low < 3:
        return float(offsets[peak])
    x = (offsets[low:high] - offsets[peak]) / step
    bend, slope, _ = np.polyfit(x, score[low:high], 2)
    if not bend < 0:
        return float(offsets[peak])
    limit = max(0.5, FRAME_MS / 2 / step)
    return float(offsets[peak] + step * np.clip(-slope / (2 * bend), -limit, limit))


def _blurred(posterior: np.ndarray, offsets: np.ndarray, jitter_ms: float) -> np.ndarray:
    """The posterior with a normal error added; nothing leaves the scanned range."""
    step = float(offsets[1] - offsets[0])
    if jitter_ms <= 0:
        return posterior
    reach = min(len(offsets) - 1, math.ceil(4 * jitter_ms / step))
    edges = (np.arange(-reach, reach + 2) - 0.5) * step / (jitter_ms * math.sqrt(2.0))
    kernel = np.diff([math.erf(x) for x in edges])
    wide = np.convolve(posterior, kernel / kernel.sum())
    spread: np.ndarray = wide[reach : reach + len(posterior)]
    return spread / float(spread.sum())


def _cumulative(offsets: np.ndarray, curve: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges (O + 1,) of the steps, and the mass before each: every offset stands for its step."""
    step = float(offsets[1] - offsets[0])
    edges = np.concatenate([offsets - step / 2, [offsets[-1] + step / 2]])
    return edges, np.concatenate([[0.0], np.cumsum(curve)])


def _mass(
    offsets: np.ndarray, curve: np.ndarray, centre: float, below: float, above: float
) -> float:
    edges, mass = _cumulative(offsets, curve)
    high, low = np.interp([centre + above, centre - below], edges, mass)
    return float(min(1.0, max(0.0, high - low)))


def _quantile(offsets: np.ndarray, curve: np.ndarray, share: float) -> float:
    edges, mass = _cumulative(offsets, curve)
    return float(np.interp(share * mass[-1], mass, edges))
