"""Strikes by eye and ear, without anything learnt: where a thing moves fast and stops, and where a
sound sets in, slid past each other.

Sounds that set in are few and short: each is asked how much like a blow the picture is at its time,
in every square of it (`regions.motion`). What counts is only how rarely a square looks more like
one than then, so that at a wrong lag every answer is as likely as any other, whatever the film is
of. Where the sounds repeat themselves after a while, a lag that much off fits nearly as well; it is
a rival, and counts as a near one. Numpy only.

The few constants were chosen on clips of the split `train` alone; docs/beyond-faces.md says how,
and how far it carries.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from avsync_cli.model.features import LOG_CENTRE, LOG_SCALE, log_mel
from avsync_cli.timebase import HOP_MS, HOP_SAMPLES
from avsync_cli.verdict.posterior import log_odds

LINES = 72
"""Of the pictures that the constants were chosen with."""

LEAST_S = 5.0
"""Shorter ones hold too few strikes to tell a lag by."""

SHIFTS = np.arange(-100, 101)
"""Steps of the scan that the constants were chosen with: a second either way."""

NEAR_MS = 80.0
"""How far from the truth an answer may be to count as right."""

AFTER_STEPS = 7
"""Steps from when motion looks most like a blow to when its sound is strongest: the pictures before
the contact are the fast ones, and a sound takes 20 ms to set in."""

_BANDS = 20
_FLUX_STEPS = 2
_FLUX_FLOOR = 1e-2
"""What is 20 dB below a band's loud moments counts as silence there: noise has flux, too."""

_APART_STEPS = 20
"""Steps around an onset in which there is no stronger one: what rattles is one event."""

_LEAST_RISE = 0.25
"""How far an onset must rise from the usual level to that of the strongest to count at all; at
0.75 it counts in full."""

_WIDE_STEPS = 2
"""Steps by which a blow may be off, by rounding and by the shutter."""

_SEEN, _POWER = 0.5, 6.0
"""Share of onsets whose blow is seen, and how much it is then the strongest: of a share u of all
times that look less like one, the likelihood is 0.5 + 0.5 x 6 u^5, against 1 for no relation."""

_SHARED = 0.6
"""Weight of each of the two views of a square's motion, which tell much the same."""

_LIVELY, _WHOLE = 80, 0.3
"""Percentile of squares, by how much they stop, above which they make up the whole picture, and how
likely that, and no one square, is where things strike."""

_ALONE = 0.7
"""Weight of an onset: what moves for a second or two tells of each of the onsets in it."""

_ELSEWHERE = 0.3
"""Share of stretches whose sound comes from elsewhere."""

_SAME_STEPS = 4
_BESIDE_STEPS = 12
"""Onsets within 40 ms of each other count as the same; lags within 120 ms are no rivals."""

PEAK = 6.43, -2.68, 14.54
"""From the log-odds of the mass at a peak, and the log of the number of onsets behind it, to the
log-odds of its being right: of many onsets, more go together by chance."""

_RIVAL = 0.35
"""Where another lag has more than that for itself, the two are about equally good: a thing that
always stops as long after the blow as it is drawn back. No answer of train has more than 0.32."""


@dataclass(frozen=True)
class Onsets:
    """Where a sound sets in.

    Attributes:
        steps: (K,) int, of 10 ms, rising.
        weights: (K,) above 0 .. 1, how much of an onset each is.
    """

    steps: np.ndarray
    weights: np.ndarray

    @property
    def number(self) -> float:
        """How many they are, each by its weight."""
        return float(self.weights.sum())

    def alike(self, lags: np.ndarray) -> np.ndarray:
        """(L,) share 0..1 of the onsets that have another one `lags` steps later."""
        found = np.zeros(len(lags))
        if not len(self.steps):
            return found
        first, last = self.steps.min(), self.steps.max()
        for n, lag in enumerate(lags):
            apart = np.abs(self.steps[:, None] + lag - self.steps[None])
            match = np.where(apart <= _SAME_STEPS, self.weights[None], 0.0).max(axis=1)
            inside = (self.steps + lag >= first) & (self.steps + lag <= last)
            total = self.weights[inside].sum()
            found[n] = np.minimum(match, self.weights)[inside].sum() / total if total else 0.0
        return found


def onset_strength(sound: np.ndarray) -> np.ndarray:
    """(S // 160,) float32 how strongly sounds set in at each step of 10 ms, >= 0.

    The root of the rises of log power over 20 ms, added up over bands. Each band is counted from
    its own loud moments, so that loudness and timbre of the recording do not matter.

    Args:
        sound: (S,) float32 in -1..1 at 16 kHz; all that is compared in one go.
    """
    mel = log_mel(sound)
    if len(mel) <= _FLUX_STEPS:
        return np.zeros(len(mel), np.float32)
    power = np.exp(mel * LOG_SCALE + LOG_CENTRE).reshape(len(mel), _BANDS, -1).mean(axis=2)
    loud = np.percentile(power, 99, axis=0)
    level = np.log(power / (loud + 1e-6) + _FLUX_FLOOR)
    rise = np.maximum(level[_FLUX_STEPS:] - level[:-_FLUX_STEPS], 0.0).sum(axis=1)
    strength: np.ndarray = np.pad(np.sqrt(rise), (_FLUX_STEPS, 0)).astype(np.float32)
    return strength


def find_onsets(strength: np.ndarray) -> Onsets:
    """The peaks of a strength as of `onset_strength`."""
    highest = np.pad(strength, _APART_STEPS // 2)
    around = np.lib.stride_tricks.sliding_window_view(highest, _APART_STEPS + 1).max(axis=1)
    at = np.flatnonzero((strength >= around) & (strength > 0))
    if not len(at):
        return Onsets(at, np.zeros(0))
    usual, strong = np.median(strength), np.percentile(strength[at], 95)
    rise = np.clip((strength[at] - usual) / (strong - usual + 1e-6), 0.0, 1.0)
    weights = np.clip(1.5 * (rise - _LEAST_RISE) / (1.0 - _LEAST_RISE), 0.0, 1.0)
    return Onsets(at[weights > 0], weights[weights > 0])


def blow_likelihoods(strength: np.ndarray) -> np.ndarray:
    """(n, C + 1) float32 log-likelihood of a blow, against none, in each square and in the picture.

    Args:
        strength: (n, 2, C) as of `regions.motion.contact_strength`.
    """
    reach = ((_WIDE_STEPS, _WIDE_STEPS), (0, 0), (0, 0))
    wide = np.lib.stride_tricks.sliding_window_view(
        np.pad(strength, reach, "edge"), 2 * _WIDE_STEPS + 1, axis=0
    ).max(axis=-1)
    spans = wide[:, 0].std(axis=0)
    single = _fair(_SHARED * _from_ranks(wide).sum(axis=1))
    whole = np.exp(single[:, spans >= np.percentile(spans, _LIVELY)]).mean(axis=1, keepdims=True)
    return np.concatenate([single, _fair(np.log(whole))], axis=1).astype(np.float32)


def _from_ranks(values: np.ndarray) -> np.ndarray:
    order = np.argsort(np.argsort(values, axis=0, kind="stable"), axis=0, kind="stable")
    share = (order + 0.5) / max(1, len(values))
    likelihood: np.ndarray = np.log(1.0 - _SEEN + _SEEN * _POWER * share ** (_POWER - 1.0))
    return likelihood


def _fair(likelihood: np.ndarray) -> np.ndarray:
    """The same, so that over all times a blow is as likely as none."""
    fair: np.ndarray = likelihood - np.log(np.exp(likelihood).mean(axis=0))
    return fair


def coincidence(
    likelihoods: np.ndarray, onsets: Onsets, first_step: int, shifts: np.ndarray
) -> np.ndarray:
    """(O,) log-odds that the strikes seen are those heard, after the sound is taken from later.

    What all onsets say of a square is added up; any one square, or the picture as a whole, is
    where it happens. Onsets without a picture say nothing.

    Args:
        likelihoods: (n, C + 1) as of `blow_likelihoods`.
        onsets: as of `find_onsets`.
        first_step: step of the first row among the sound's.
        shifts: (O,) in steps of 10 ms.
    """
    odds = _odds_by_place(likelihoods, onsets, first_step, shifts)
    places = odds.shape[1]
    prior = np.full(places, (1.0 - _WHOLE) / max(1, places - 1))
    prior[-1] = _WHOLE
    top = odds.max(axis=1)
    found: np.ndarray = top + np.log((np.exp(odds - top[:, None]) * prior).sum(axis=1))
    return found


def _odds_by_place(
    likelihoods: np.ndarray, onsets: Onsets, first_step: int, shifts: np.ndarray
) -> np.ndarray:
    """(O, C) log-odds that what is heard is seen in each of C places."""
    count = len(likelihoods)
    at = _rows(onsets, first_step, np.asarray(shifts)[:, None])
    weights = np.where((at >= 0) & (at < count), _ALONE * onsets.weights[None], 0.0)
    rows = np.clip(at, 0, count - 1)
    return np.stack([w @ likelihoods[r] for w, r in zip(weights, rows, strict=True)])


def _rows(onsets: Onsets, first_step: int, shifts: np.ndarray | int) -> np.ndarray:
    """Of the pictures, where the blows that are heard must be seen."""
    rows: np.ndarray = onsets.steps - AFTER_STEPS - first_step - shifts
    return rows


@dataclass(frozen=True)
class StrikePeak:
    """The lag at which strikes seen and strikes heard go together best.

    Attributes:
        offset_ms: > 0 for late sound.
        mass: probability that lies within `NEAR_MS` of it, before calibration.
        onsets: number of onsets behind it.
        at_edge: whether it lies that near the end of the scan, where half of a peak is none.
        rival: the most probability that lies as near to any lag elsewhere.
        square: number of the square that goes with the sound best.
        heard_s: when those are heard that are seen there.
    """

    offset_ms: float
    mass: float
    onsets: float
    at_edge: bool = False
    rival: float = 0.0
    square: int = 0
    heard_s: tuple[float, ...] = ()

    @property
    def p(self) -> float:
        """Calibrated probability 0..1 of being right within `NEAR_MS`; 0 where it is no answer."""
        if not self.stands_out:
            return 0.0
        return 1.0 / (1.0 + math.exp(-float(np.dot(PEAK, self.evidence))))

    @property
    def stands_out(self) -> bool:
        """Whether it may be an answer: not at the edge, and without an equal."""
        return not self.at_edge and self.rival <= _RIVAL

    @property
    def evidence(self) -> tuple[float, float, float]:
        """What `PEAK` weighs: log-odds of the mass, log of the number of onsets, and one.

        A part of an onset counts as one: that it is weak makes no lag likelier.
        """
        return log_odds(self.mass), math.log(max(self.onsets, 1.0)), 1.0


def strike_peak(curve: np.ndarray, steps: np.ndarray, onsets: Onsets) -> StrikePeak:
    """What a curve of a scan of +-1 s says.

    Args:
        curve: (O,) as of `coincidence`.
        steps: (O,) its shifts, rising by equal numbers of steps of 10 ms.
        onsets: behind it; where they repeat themselves, what is that far off is hardly worse.
    """
    reach = round(40.0 / HOP_MS / float(steps[1] - steps[0]))
    near = np.convolve(_posterior(curve), np.ones(2 * reach + 1), "same")
    offset = int(steps[int(np.argmax(near))])
    beside = np.where(np.abs(steps - offset) <= _BESIDE_STEPS // 2, curve, -np.inf)
    top = int(np.argmax(beside))
    same = np.square(onsets.alike(steps - steps[top]))
    rivals = curve[top] - (curve[top] - curve) * (1.0 - same)
    rivals = np.where(np.abs(steps - steps[top]) > _BESIDE_STEPS, rivals, curve)
    posterior = _posterior(rivals)
    apart_ms = np.abs(steps - offset) * HOP_MS
    width = round(NEAR_MS / HOP_MS / float(steps[1] - steps[0]))
    around = np.convolve(posterior, np.ones(2 * width + 1), "same")
    return StrikePeak(
        offset_ms=offset * float(HOP_MS),
        mass=float(posterior[apart_ms <= NEAR_MS].sum()),
        onsets=onsets.number,
        at_edge=bool(min(offset - steps[0], steps[-1] - offset) * HOP_MS < NEAR_MS),
        rival=float(around[apart_ms > 2 * NEAR_MS].max()),
    )


def find_strikes(strength: np.ndarray, sound: np.ndarray) -> StrikePeak | None:
    """The lag at which strikes seen and heard in a stretch go together best.

    Args:
        strength: (n, 2, C) as of `regions.motion.contact_strength`, from the sound's beginning on.
        sound: (S,) float32 in -1..1 at 16 kHz; what is longer than the other is left out.

    Returns:
        None for a stretch that is too short or holds no onset.
    """
    steps = min(len(strength), len(sound) // HOP_SAMPLES)
    if steps * HOP_MS < LEAST_S * 1000:
        return None
    onsets = find_onsets(onset_strength(sound[: steps * HOP_SAMPLES]))
    if not len(onsets.steps):
        return None
    likelihoods = blow_likelihoods(strength[:steps])
    peak = strike_peak(coincidence(likelihoods, onsets, 0, SHIFTS), SHIFTS, onsets)
    return _with_place(peak, likelihoods, onsets)


def _with_place(peak: StrikePeak, likelihoods: np.ndarray, onsets: Onsets) -> StrikePeak:
    """The peak with the square that goes with the sound best."""
    shift = round(peak.offset_ms / HOP_MS)
    squares = likelihoods[:, :-1]
    place = int(np.argmax(_odds_by_place(squares, onsets, 0, np.array([shift]))))
    rows = _rows(onsets, 0, shift)
    inside = (rows >= 0) & (rows < len(likelihoods))
    seen = onsets.steps[inside][squares[rows[inside], place] > 0]
    return replace(peak, square=place, heard_s=tuple((seen * HOP_MS / 1000).tolist()))


def _posterior(curve: np.ndarray) -> np.ndarray:
    """(O,) probability of each lag, beside a sound from elsewhere that could have any."""
    sharp = np.exp(curve - curve.max())
    related = (1.0 - _ELSEWHERE) * sharp.mean() * math.exp(min(float(curve.max()), 50.0))
    related /= related + _ELSEWHERE
    posterior: np.ndarray = related * sharp / sharp.sum() + (1.0 - related) / len(curve)
    return posterior
