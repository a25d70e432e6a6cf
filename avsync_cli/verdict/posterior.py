"""From the log-odds of windows to a probability for every offset, with its constants in the open.

Every window votes for offsets with a softmax of its log-odds, scaled by what the model was found
to be worth on validation data, and mixed with a uniform floor: whatever a window says, its vote
for or against an offset is bounded, so that a flat curve (silence, music) changes nothing, and a
single wrong one cannot outvote the rest. Votes multiply: more evidence for one offset makes it
surer.

A posterior says what is known of the offset; its mass around the peak is the confidence, its mass
within the tolerance the probability of being in sync.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from avsync_cli.inference.evidence import WindowResult
from avsync_cli.timebase import FRAME_MS
from avsync_cli.verdict.agreement import AGREED_BY_CHANCE, Seconds, agreed, common_evidence
from avsync_cli.verdict.answer import Tolerance


@dataclass(frozen=True, kw_only=True)
class Constants:
    """What turns log-odds into probabilities; `Evidence.calibration` overrides by name.

    Attributes:
        scale: factor on a window's log-odds before its softmax over the offsets.
        second_scale: the same for single seconds where they are compared with one another, to find
            steps. What makes all seconds of a file wrong alike (a speaker's habit) counts when its
            lag is told, but not in what its seconds differ by: they may be believed more. 0 takes
            `scale`.
        power: a window's log-odds count blocks^power: 1 if every second were new evidence, 0 if
            a long window were worth no more than a short one.
        outlier: share of windows expected to be wrong or about something else.
        support_power: log-odds at an offset at which only a share s of a window's blocks has
            sound shrink towards the curve's middle by s^support_power, so that little evidence
            is never the best evidence.
        file_outlier: share of files whose curve is wrong as a whole (dubbed, post-synchronised).
        match_scale, match_growth, match_level, match_fall: log-odds, from the evidence alone, that
            sound and picture belong together at all: how far the peak (log-odds "in sync" of the
            windows that vote for it) rises above match_level - match_fall * ln(blocks), times
            match_scale + match_growth * ln(blocks).
            Speech laid over other speech has a best offset too, but a low one, and the more of it
            is seen the clearer that is.
        match_bias: log-odds of that beforehand, among files as they come. Like `match_doubt` it
            has a default that trusts every peak, for a model that was not calibrated.
        match_doubt: the same for somebody who expects dubs; an answer must convince them too.
        confidence_scale, confidence_bias: line that turns the log-odds of the posterior's mass
            around the offset into those of the confidence, fitted on held-out clips.
        common_odds: odds, before the windows are compared, that they have one offset in common.
        jitter_ms: standard deviation of what no amount of evidence removes: decode, distance to
            the microphone, habits of the speaker.
        undecided_below: least confidence, and least p_match, of an answer.
        split_odds: natural log of the odds by which two stretches with offsets of their own must
            explain the windows better than one.
    """

    scale: float = 1.0
    second_scale: float = 0.0
    power: float = 0.5
    outlier: float = 0.05
    support_power: float = 0.5
    file_outlier: float = 0.002
    match_scale: float = 0.0
    match_growth: float = 0.0
    match_level: float = 0.0
    match_fall: float = 0.0
    match_bias: float = 10.0
    match_doubt: float = 10.0
    confidence_scale: float = 1.0
    confidence_bias: float = 0.0
    common_odds: float = 50.0
    jitter_ms: float = 8.0
    undecided_below: float = 0.8
    split_odds: float = 3.0

    @classmethod
    def of(cls, calibration: dict[str, float]) -> Constants:
        """The constants with a model's own values put in; other keys are for other readers."""
        own = {k: float(v) for k, v in calibration.items() if k in cls.__dataclass_fields__}
        return cls(**own)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one group of windows says.

    Attributes:
        curve: (O,) probability of each offset, summing to 1.
        peak_ms: the likeliest offset of the grid.
        centre_ms: mean of the curve within a frame of it.
        offset_ms: the peak, read between the steps.
        ci_ms: 95 % interval of it.
        confidence: probability that it is within one frame of the truth.
        p_match: probability that sound and picture belong together at all, for a doubter (see
            `Constants.match_doubt`).
        at_edge: whether the peak lies at the end of what was scanned.
        second_ms: the next likeliest offset more than two frames away; None if none was scanned.
        second_p: probability of that one, calibrated as the confidence is.
        margin: pooled log-odds "in sync" at the peak less those at the best of these; 0 if none.
        evidence_s: seconds of evidence for the peak.
        height: mean log-odds "in sync" there of these.
    """

    curve: np.ndarray
    peak_ms: float
    centre_ms: float
    offset_ms: float
    ci_ms: tuple[float, float]
    confidence: float
    p_match: float
    at_edge: bool
    second_ms: float | None = None
    second_p: float = 0.0
    margin: float = 0.0
    evidence_s: float = 0.0
    height: float = 0.0

    def sure(self, least: float) -> bool:
        """Whether there is no reason to doubt the offset, nor that there is one."""
        return not self.at_edge and min(self.confidence, self.p_match) >= least


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


@dataclass(frozen=True)
class Reading:
    """Windows as arrays, a row each.

    Attributes:
        votes, scores: (W, O) as of `window_votes`.
        logits: (W, O) as of `fair_logits`.
        heights: (W, O) log-odds as evidence, see `_evidence`.
        blocks: (W,) blocks behind each.
    """

    votes: np.ndarray
    scores: np.ndarray
    logits: np.ndarray
    heights: np.ndarray
    blocks: np.ndarray


def read_windows(windows: list[WindowResult], constants: Constants) -> Reading:
    """What `group_answer` looks at."""
    votes, scores = window_votes(windows, constants)
    logits = np.stack([fair_logits(w, constants) for w in windows])
    heights = np.stack([_evidence(w) for w in windows])
    return Reading(votes, scores, logits, heights, np.array([w.blocks for w in windows]))


def _evidence(window: WindowResult) -> np.ndarray:
    """(O,) log-odds of a window, nearer to 0, which is none, the less sound there is."""
    logits = np.asarray(window.logits, np.float64)
    return logits if window.support is None else logits * np.sqrt(window.support)


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


MATCH_BLOCKS = 10.0
"""Blocks beyond which a peak's height says no more: longer stretches were hardly measured."""


@dataclass(frozen=True)
class Peak:
    """What the windows say at their best common offset.

    Attributes:
        at: index of it.
        agreeing: (W,) how much each window is for it, 0..1.
        height: mean log-odds "in sync" there of the windows that are for it.
        blocks: how much evidence these are.
    """

    at: int
    agreeing: np.ndarray
    height: float
    blocks: float

    def odds(self, constants: Constants) -> float:
        """Log-odds, by this evidence alone, that sound and picture belong together."""
        size = math.log(min(max(self.blocks, 1.0), MATCH_BLOCKS))
        steepness = max(0.0, constants.match_scale + constants.match_growth * size)
        return steepness * (self.height - constants.match_level + constants.match_fall * size)


def find_peak(reading: Reading) -> Peak:
    """The offset that windows fit best together.

    Which one it is, fair log-odds tell: little sound makes high peaks by chance. How high it is
    they would tell wrongly: a curve's middle, to which they shrink, speaks against any offset.
    """
    at = int(np.argmax(reading.votes.sum(axis=0)))
    agreeing = agreement(reading.votes[:, at], reading.votes.shape[1])
    weights, heights = reading.blocks * agreeing, reading.heights[:, at]
    total = float(weights.sum())
    mean = heights.mean() if total <= 0.0 else (weights * heights).sum() / total
    return Peak(at, agreeing, float(mean), total)


def log_odds(share: float) -> float:
    """Natural log of share to the rest; a millionth off 0 and 1, where it would have no end."""
    inside = min(max(share, 1e-6), 1.0 - 1e-6)
    return math.log(inside / (1.0 - inside))


def _logistic(odds: float) -> float:
    return 0.5 * (1.0 + math.tanh(odds / 2.0))


def _confidence(share: float, constants: Constants) -> float:
    if (constants.confidence_scale, constants.confidence_bias) == (1.0, 0.0):
        return share
    odds = constants.confidence_scale * log_odds(share) + constants.confidence_bias
    return _logistic(odds)


def agreement(votes: np.ndarray, offsets: int) -> np.ndarray:
    """How much each window is for an offset, 0 (no more than for any other) to 1.

    Args:
        votes: (W,) log-probabilities of that offset.
        offsets: how many there are.
    """
    return np.clip(1.0 - np.exp(-math.log(offsets) - votes), 0.0, 1.0)


def group_answer(
    reading: Reading, offsets: np.ndarray, constants: Constants, seconds: Seconds | None = None
) -> Answer:
    """What windows with one offset in common say of it.

    Args:
        reading: the windows.
        offsets: (O,) ms, the scan's.
        constants: of the model.
        seconds: those that they consist of, if they are known: that these agree is evidence, too,
            that sound and picture belong together.
    """
    votes = reading.votes
    total = votes.sum(axis=0)
    posterior = np.exp(total - total.max())
    posterior /= posterior.sum()
    curve = blurred(posterior, offsets, constants.jitter_ms)
    found = find_peak(reading)
    peak, match = found.at, found.odds(constants)
    if seconds is not None:
        together = agreed(seconds, float(offsets[peak]), constants.outlier)
        match += max(0.0, together - AGREED_BY_CHANCE)
    belongs = _logistic(match + constants.match_bias)
    common = constants.common_odds * math.exp(min(30.0, common_evidence(votes, constants.outlier)))
    wrong = 1.0 - belongs * (1.0 - constants.file_outlier) * common / (1.0 + common)
    curve = (1.0 - wrong) * curve + wrong / len(offsets)
    # Where the peak lies between two steps is read from the unbounded scores of those windows
    # that vote for it: the votes themselves are cut off a step or two away.
    offset = refined(offsets, (found.agreeing[:, None] * reading.scores).sum(axis=0), peak)
    edge_ms = float(offsets[-1]) - min(float(FRAME_MS), float(offsets[-1]) / 4)
    # The interval says how exact the offset is, `confidence` whether it is the right one: so the
    # even floor, which stands for a wrong curve, is taken away first.
    risen = curve - curve.min()
    risen = risen / risen.sum() if risen.any() else curve
    low, high = quantile(offsets, risen, 0.025), quantile(offsets, risen, 0.975)
    near = np.abs(offsets - offsets[peak]) <= FRAME_MS
    second, margin = runner_up(reading, offsets, peak)

    def sure(lag_ms: float) -> float:
        return _confidence(mass(offsets, curve, lag_ms, FRAME_MS, FRAME_MS), constants)

    return Answer(
        curve=curve,
        peak_ms=float(offsets[peak]),
        centre_ms=float((offsets * risen)[near].sum() / risen[near].sum()),
        offset_ms=offset,
        ci_ms=(min(low, offset), max(high, offset)),
        confidence=sure(offset),
        p_match=_logistic(match + constants.match_doubt),
        at_edge=abs(float(offsets[peak])) > edge_ms or peak in (0, len(offsets) - 1),
        second_ms=second,
        second_p=0.0 if second is None else sure(second),
        margin=margin,
        evidence_s=found.blocks,
        height=found.height,
    )


def runner_up(reading: Reading, offsets: np.ndarray, peak: int) -> tuple[float | None, float]:
    """The offset in ms that the windows vote for most beyond two frames from the peak, and by how
    many logits the peak of the pooled log-odds exceeds those beyond."""
    away = np.flatnonzero(np.abs(offsets - offsets[peak]) > 2 * FRAME_MS)
    if not len(away):
        return None, 0.0
    pooled = np.average(reading.logits, axis=0, weights=reading.blocks)
    second = away[int(np.argmax(reading.votes.sum(axis=0)[away]))]
    return float(offsets[second]), float(pooled[peak] - pooled[away].max())


def p_within(answer: Answer, offsets: np.ndarray, tolerance: Tolerance, lag_ms: float) -> float:
    """Probability that the true lag is within the tolerance, where the estimate is `lag_ms`.

    The posterior is laid around the estimate that is told, which is read between the scan's steps:
    so an estimate on a limit of the tolerance is as likely within as beyond.
    """
    moved = answer.centre_ms - lag_ms
    return mass(offsets, answer.curve, moved, tolerance.early_ms, tolerance.late_ms)


def refined(offsets: np.ndarray, score: np.ndarray, peak: int) -> float:
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


def blurred(posterior: np.ndarray, offsets: np.ndarray, jitter_ms: float) -> np.ndarray:
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


def mass(
    offsets: np.ndarray, curve: np.ndarray, centre: float, below: float, above: float
) -> float:
    edges, below_edge = _cumulative(offsets, curve)
    high, low = np.interp([centre + above, centre - below], edges, below_edge)
    return float(min(1.0, max(0.0, high - low)))


def quantile(offsets: np.ndarray, curve: np.ndarray, share: float) -> float:
    edges, below_edge = _cumulative(offsets, curve)
    return float(np.interp(share * below_edge[-1], below_edge, edges))
