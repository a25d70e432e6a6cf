"""Strikes by eye and ear, without anything learnt: where the picture changes its course suddenly,
and where a sound sets in, slid past each other.

What strikes, stops or turns. Over three pictures that is a second difference of brightness, large
in the few cells of the picture where it happens; while something moves on evenly it is small. In
the sound it is a rise of power in many bands within 20 ms (spectral flux). Where both belong to one
event, cells go with onsets at one lag and at no other. Numpy only, from the samples and from the
pictures that the pipeline makes anyway.

The idea is Hershey and Movellan's ("Audio Vision", 1999), for what strikes. The few constants were
chosen on clips of the split `train` alone; docs/beyond-faces.md says how, and how far it carries.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avsync_cli.evaluation.scoring import NO_CONFIDENCE, OpenTrack, Scores, Track
from avsync_cli.model.engine import Engine
from avsync_cli.model.features import LOG_CENTRE, LOG_SCALE, centre_crop, log_mel
from avsync_cli.regions.crops import FRAME_PX
from avsync_cli.timebase import FRAME_MS, HOPS_PER_FRAME
from avsync_cli.verdict.posterior import log_odds

CELLS = 8
"""Cells a side: a stick or a ball fills one of them, and 64 are few enough to be lucky by chance
seldom."""

SPREAD_STEPS = 6
"""Steps of sound that belong to a frame: its 40 ms, and 20 ms to set in."""

NEAR_MS = 80.0
"""How far from the truth an answer may be to count as right."""

_BANDS = 20
_FLUX_STEPS = 2
_FLUX_FLOOR = 1e-2
"""What is 20 dB below a band's loud moments counts as silence there: noise has flux, too."""

_HELD_LEVELS = 0.02
"""Mean change below which a picture is the one before, held: files with fewer than 25 pictures a
second have such, and a stop and a start at each of them that nobody saw."""

_SHAKE = 0.5
"""Share of what happens to the middle of all cells that is taken out of each: a shaken camera and a
heavy blow both shake everything."""

_LOWEST, _HIGHEST = -1.0, 2.0
"""Limits of a cell's change in its own standard deviations: one event decides nothing alone."""

_KAPPA = 0.4
"""Share of a frame's worth that it has beside its neighbours, which are much like it."""

_ELSEWHERE = 0.3
"""Share of stretches whose sound comes from elsewhere."""

PEAK_SCALE, PEAK_BIAS = 1.204, 0.225
"""From the log-odds of the mass at a peak to those of its being right."""


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


def sudden_change(pictures: np.ndarray) -> np.ndarray:
    """(T, 64) float32 how suddenly motion changes at each frame in each of 8 x 8 cells.

    The log of the mean second difference of brightness, with half of the camera's taken out.

    Args:
        pictures: (T, 64, 64) uint8, contiguous in time. Held ones count as one.
    """
    grey = pictures.astype(np.float32)
    steps = np.abs(np.diff(grey, axis=0)).mean(axis=(1, 2)) > _HELD_LEVELS
    new = np.concatenate([np.ones(min(1, len(grey)), bool), steps])
    seen = grey[new]
    second = np.zeros_like(seen)
    second[1:-1] = np.abs(seen[2:] - 2.0 * seen[1:-1] + seen[:-2])
    side = pictures.shape[1] // CELLS
    cells = second.reshape(len(second), CELLS, side, CELLS, side).mean(axis=(2, 4))
    change = np.log1p(cells.reshape(len(second), -1))
    change -= _SHAKE * np.median(change, axis=1, keepdims=True)
    held: np.ndarray = change[np.cumsum(new) - 1]
    return held


def coincidence(
    change: np.ndarray, onsets: np.ndarray, first_step: int, shifts: np.ndarray
) -> np.ndarray:
    """(O,) log-odds that the strikes seen are those heard, after the sound is taken from later.

    For each cell the likelihood of its correlation with the onsets, against none, and then of any
    one cell. Sound that does not exist is left out.

    Args:
        change: (n, C) of frames, as of `sudden_change`.
        onsets: (J,) as of `onset_strength`.
        first_step: step of the first frame among the onsets.
        shifts: (O,) in steps of 10 ms.
    """
    spread = np.concatenate([[0.0], np.cumsum(onsets, dtype=np.float64)])
    at = first_step + np.asarray(shifts)[:, None] + np.arange(len(change)) * HOPS_PER_FRAME
    heard = (at >= 0) & (at + SPREAD_STEPS < len(spread))
    at = np.where(heard, at, 0)
    after = np.minimum(at + SPREAD_STEPS, len(spread) - 1)
    sound = np.where(heard, spread[after] - spread[at], 0.0) / SPREAD_STEPS
    spans = change.std(axis=0)
    cells = np.clip((change - change.mean(axis=0)) / (spans + 1e-3), _LOWEST, _HIGHEST)
    known = heard.astype(np.float64)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1.0)
    sound = (sound - sound.sum(axis=1, keepdims=True) / count) * known
    energy = np.maximum(known @ np.square(cells) - np.square(known @ cells) / count, 0.0)
    energy *= np.square(sound).sum(axis=1, keepdims=True)
    fit = np.clip(sound @ cells / np.sqrt(np.maximum(energy, 1e-6)), 0.0, 0.99)
    odds = -0.5 * _KAPPA * count * np.log1p(-np.square(fit))
    top = odds.max(axis=1, keepdims=True)
    found: np.ndarray = (top + np.log(np.exp(odds - top).mean(axis=1, keepdims=True)))[:, 0]
    return found


@dataclass(frozen=True)
class StrikePeak:
    """The lag at which strikes seen and strikes heard go together best.

    Attributes:
        offset_ms: > 0 for late sound.
        log_odds: that it is right within `NEAR_MS`, calibrated.
    """

    offset_ms: float
    log_odds: float

    @property
    def p(self) -> float:
        """The same as a probability, 0..1."""
        return 1.0 / (1.0 + math.exp(-self.log_odds))


def mass_at_peak(curve: np.ndarray, offsets_ms: np.ndarray) -> tuple[float, float]:
    """The likeliest offset in ms, and how much of the probability lies within `NEAR_MS` of it.

    Args:
        curve: (O,) as of `coincidence`.
        offsets_ms: (O,) in equal steps.
    """
    sharp = np.exp(curve - curve.max())
    posterior = (1.0 - _ELSEWHERE) * sharp / sharp.sum() + _ELSEWHERE / len(curve)
    reach = round(FRAME_MS / float(offsets_ms[1] - offsets_ms[0]))
    at = int(np.argmax(np.convolve(posterior, np.ones(2 * reach + 1), "same")))
    near = np.abs(offsets_ms - offsets_ms[at]) <= NEAR_MS
    return float(offsets_ms[at]), float(posterior[near].sum())


def strike_peak(curve: np.ndarray, offsets_ms: np.ndarray) -> StrikePeak:
    """What a curve of a scan of +-1 s says (arguments as `mass_at_peak`)."""
    offset_ms, mass = mass_at_peak(curve, offsets_ms)
    return StrikePeak(offset_ms, PEAK_SCALE * log_odds(mass) + PEAK_BIAS)


class StrikeScorer:
    """Coincidence of sudden changes in the picture with onsets in the sound."""

    name = "strikes / onsets"
    note = "no learning"
    attention = ""
    family = ""
    engine: Engine | None = None

    def open(self, track: Track, reach: int, others: Sequence[OpenTrack] = ()) -> OpenTrack:
        return StrikeTrack(track)


class StrikeTrack:
    """A track of which the strikes are known."""

    def __init__(self, track: Track) -> None:
        self._track = track
        self._onsets = onset_strength(track.sound)
        self._changes = [sudden_change(centre_crop(p, FRAME_PX)) for p in track.pictures]

    def scores(self, first: int, frames: int, offsets: np.ndarray, alone: bool = True) -> Scores:
        steps = np.asarray(offsets) * HOPS_PER_FRAME
        return Scores(self.curve(first, frames, steps), "correlation", None, NO_CONFIDENCE)

    def curve(self, first: int, frames: int, steps: np.ndarray) -> np.ndarray:
        """(O,) log-odds of a window, as of `coincidence`, at offsets in steps of 10 ms."""
        at = (self._track.first_frame + first) * HOPS_PER_FRAME
        found = [
            coincidence(self._changes[k][start : start + frames], self._onsets, at, steps)
            for k, start in self._track.seen(first, frames)
        ]
        best: np.ndarray = np.max(found, axis=0)
        return best
