"""Make a model's certainty mean what it says, on clips it has not learnt from.

What the model hands on are log-odds of single windows. How much a file's windows are worth
together, and how sure one may be of the offset they add up to, is measured here: held-out clips of
many lengths, their sound moved by random amounts, and the constants of `verdict.posterior` under
which the true offsets are most probable.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from avsync_cli.corpus.cache import CachedClip, build_cache
from avsync_cli.corpus.manifest import to_learn_from
from avsync_cli.corpus.progress import Progress, Stage, stage
from avsync_cli.errors import DataError
from avsync_cli.evaluation.logistic import logistic_fit
from avsync_cli.evaluation.match import PRIOR_ODDS, fit_match
from avsync_cli.evaluation.metrics import calibration_error
from avsync_cli.evaluation.tables import mean
from avsync_cli.evaluation.trials import Trial, judged, likely_zero, trials
from avsync_cli.model.engine import Engine, load_engine
from avsync_cli.timebase import FRAME_MS
from avsync_cli.verdict.answer import ITU
from avsync_cli.verdict.decision import decide_verdict
from avsync_cli.verdict.posterior import Constants, log_odds
from avsync_cli.verdict.seconds import fair_votes, second_windows
from avsync_cli.verdict.steps import WOBBLE_MS

SCALES = tuple(float(s) for s in np.round(np.geomspace(0.1, 3.0, 18), 3))
POWERS = (0.2, 0.4, 0.6, 0.8, 1.0)
OUTLIERS = (0.02, 0.05, 0.1, 0.2)
SECOND_SCALES = tuple(float(s) for s in np.round(np.geomspace(0.2, 5.0, 24), 3))
LEAST_MASS = 1e-4
"""What an offset is taken to have at least: one hopeless stretch must not decide the constants."""


def likelihood(samples: list[Trial], constants: dict[str, float]) -> float:
    """Mean log-probability of the true offset, within one frame; every source counts alike."""
    by_source: dict[str, list[float]] = {}
    for sample in samples:
        verdict = decide_verdict(replace(sample.evidence, calibration=constants), ITU)
        near = np.abs(sample.evidence.offsets_ms - sample.truth_ms) <= FRAME_MS
        mass = float(verdict.curve[near].sum())
        logs = by_source.setdefault(sample.origin.source, [])
        logs.append(float(np.log(max(mass, LEAST_MASS))))
    return float(np.mean([np.mean(v) for v in by_source.values()]))


def fit(samples: list[Trial]) -> dict[str, float]:
    """The constants under which the true offsets are most probable.

    Raises:
        DataError: nothing to fit to.
    """
    usable = [s for s in samples if s.evidence.windows]
    if not usable:
        raise DataError("no held-out clip could be judged", "add clips with speech to validate on")
    best, chosen = -np.inf, {"scale": 1.0, "power": 0.5, "outlier": 0.05}
    # One after the other and round again: along the ridge of scale and power it hardly matters.
    for _ in range(2):
        for name, values in (("scale", SCALES), ("power", POWERS), ("outlier", OUTLIERS)):
            for value in values:
                tried = chosen | {name: value}
                score = likelihood(usable, tried)
                if score > best:
                    best, chosen = score, tried
    return chosen


def fit_seconds(samples: list[Trial], constants: dict[str, float]) -> dict[str, float]:
    """The scale under which the true offset, as near as a second's own lies to it, is most probable
    by each second alone.

    Args:
        samples: trials with a true offset.
        constants: those fitted to whole stretches.
    """

    def likelihood_of(scale: float) -> float:
        own = Constants.of(constants | {"scale": scale})
        by_source: dict[str, list[float]] = {}
        for sample in samples:
            seconds = sample.evidence.seconds
            if seconds is not None and len(seconds.start_s):
                votes = fair_votes(second_windows(seconds, seconds.offsets_ms), own)
                near = np.abs(seconds.offsets_ms - sample.truth_ms) <= WOBBLE_MS
                mass = np.exp(votes[:, near]).sum(axis=1)
                logs = np.log(np.maximum(mass, LEAST_MASS))
                by_source.setdefault(sample.origin.source, []).extend(logs.tolist())
        return float(np.mean([np.mean(v) for v in by_source.values()])) if by_source else 0.0

    return {"second_scale": max(SECOND_SCALES, key=likelihood_of)}


def fit_confidence(
    matched: list[Trial], swapped: list[Trial], constants: dict[str, float]
) -> dict[str, float]:
    """The line that makes the confidence come true among files of which some have no offset."""
    found = [judged(trial, constants) for trial in [*matched, *swapped]]
    odds = np.array([log_odds(s.confidence) for s in found])
    right = np.array([float(s.right) for s in found])
    share = 1.0 / (1.0 + PRIOR_ODDS)
    weight = np.array(
        [(1.0 - share) / len(matched)] * len(matched) + [share / len(swapped)] * len(swapped)
    )
    scale, bias = logistic_fit(np.stack([odds, np.ones_like(odds)], axis=1), right, weight)
    # A line that falls would call the doubtful sure: then there was nothing to learn from.
    return {"confidence_scale": scale, "confidence_bias": bias} if scale > 0 else {}


def outcome(samples: list[Trial], constants: dict[str, float]) -> dict[str, float]:
    """How confidence and truth agree under given constants.

    Returns:
        "ece" (expected calibration error of the confidence, over all samples), "right" (share
        within one frame), "decided" (share with an answer), "wrong_decided" (share of the answers
        that are off by more than a frame), "covered" (share of answers whose interval holds the
        truth).
    """
    found = [judged(sample, constants) for sample in samples]
    answers = [s for s in found if s.decided]
    return {
        "samples": float(len(found)),
        "ece": calibration_error([s.confidence for s in found], [s.right for s in found]),
        "right": mean([s.right for s in found]),
        "decided": mean([s.decided for s in found]),
        "wrong_decided": mean([not s.right for s in answers]) if answers else 0.0,
        "covered": mean([s.covered for s in found if s.covered is not None]),
    }


def calibrate(
    engine: Engine, clips: list[CachedClip], progress: Stage | None
) -> tuple[dict[str, float], dict[str, float]]:
    """Calibration constants of a model, and how well they do.

    Args:
        engine: the model.
        clips: held-out clips of sources in sync; never those a note's figures come from.
        progress: called with (clips done, clips in all).

    Returns:
        constants for model.json, and `outcome` measured on the same clips under other cuts and
        shifts than those fitted.
    """
    zero_of = likely_zero(engine)

    def cut(seed: int, swapped: bool = False) -> list[Trial]:
        return trials(engine, clips, zero_of, seed=seed, swapped=swapped, progress=progress)

    matched, swapped = cut(0), cut(0, swapped=True)
    constants = fit(matched)
    constants |= fit_seconds(matched, constants)
    pairs = [s.evidence for s in matched], [s.evidence for s in swapped]
    constants |= fit_match(*pairs, constants)
    if swapped:
        constants |= fit_confidence(matched, swapped, constants)
    measured = outcome(cut(1), constants)
    measured["swapped_decided"] = outcome(cut(1, swapped=True), constants)["decided"]
    return constants, measured


def calibrate_bundle(
    bundle: Path, data: Path, cache: Path, progress: Progress
) -> tuple[dict[str, float], dict[str, float]]:
    """`calibrate` for a model folder, on a folder or manifest of held-out talking clips.

    Of a manifest with rows of split "val" only those count, and rows of split "test" never; rows of
    other kinds than talking are left out, since few of them can be judged at all.

    Raises:
        DataError: no such data, or no clip of it is for this.
    """
    clips = to_learn_from(data)
    marked = [c for c in clips if c.split == "val"]
    clips = [c for c in marked or clips if c.kind in ("", "talking")]
    cached, _ = build_cache(clips, cache, progress=stage(progress, "cache"))
    if not cached:
        what = f"no clip of {data} can be calibrated on"
        raise DataError(what, "it takes clips of talkers that are not of the split test", data)
    return calibrate(load_engine(bundle), cached, progress=stage(progress, "calibrate"))
