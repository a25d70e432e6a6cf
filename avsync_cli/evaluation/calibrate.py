"""Make a model's certainty mean what it says, on clips it has not learnt from.

What the model hands on are log-odds of single windows. How much a file's windows are worth
together, and how sure one may be of the offset they add up to, is measured here: held-out clips of
many lengths, their sound moved by random amounts, and the constants of `verdict.posterior` under
which the true offsets are most probable.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from avsync_cli.corpus.cache import CachedClip, build_cache
from avsync_cli.corpus.manifest import load_manifest
from avsync_cli.errors import DataError
from avsync_cli.evaluation.logistic import line_in, logistic_fit
from avsync_cli.evaluation.match import PRIOR_ODDS, fit_match
from avsync_cli.evaluation.metrics import calibration_error
from avsync_cli.evaluation.own_offset import OwnOffset, own_offset
from avsync_cli.evaluation.windows import clip_curves
from avsync_cli.inference.evidence import Evidence
from avsync_cli.inference.pipeline import AnalyseOptions, analyse_tracks
from avsync_cli.model.engine import Engine, load_engine
from avsync_cli.regions.stream import RegionPiece
from avsync_cli.timebase import BLOCK_FRAMES, FPS, FRAME_MS, HOP_MS, HOP_SAMPLES, SAMPLES_PER_FRAME
from avsync_cli.verdict.answer import ITU, Verdict
from avsync_cli.verdict.decision import decide_verdict
from avsync_cli.verdict.posterior import log_odds

LENGTHS_S = (1.5, 3.0, 6.0, None)
"""Lengths to which clips are cut: certainty must be right for short files as for long ones."""

MAX_LAG_MS = 800
"""Largest lag that clips are given, well within the scan of +-1 s."""

SCALES = tuple(float(s) for s in np.round(np.geomspace(0.1, 3.0, 18), 3))
POWERS = (0.2, 0.4, 0.6, 0.8, 1.0)
OUTLIERS = (0.02, 0.05, 0.1, 0.2)

REACH_FRAMES = 15
"""Wrong offsets of the blocks' own calibration reach this far."""


@dataclass(frozen=True)
class Sample:
    """Evidence for a stretch of a clip, and the offset that was put into it.

    Attributes:
        evidence: what the pipeline found.
        truth_ms: the lag it was given.
        source: of the clip.
    """

    evidence: Evidence
    truth_ms: float
    source: str


def collect(
    engine: Engine,
    clips: list[CachedClip],
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    swapped: bool = False,
) -> list[Sample]:
    """Evidence of clips cut to several lengths, with their sound moved at random.

    Published clips are often a few frames off by themselves. Where a whole clip stands out and its
    halves agree (see `own_offset`), that is its zero; else its zero is 0.

    Args:
        engine: the model.
        clips: held-out clips.
        seed: of lengths' places and shifts.
        progress: called with (clips done, clips in all).
        swapped: give every clip the sound of the next one instead, of the same source where there
            is one: pairs that have no offset, whose `truth_ms` is not a number.
    """
    rng = np.random.default_rng(seed)
    clips = sorted(clips, key=lambda c: c.clip.source)
    options = AnalyseOptions(thorough=False)
    samples: list[Sample] = []
    for number, clip in enumerate(clips, 1):
        sound = np.asarray(clip.sound(), np.float32) / 32768.0
        crops = clip.crops()
        own = own_offset(engine, clip) if not swapped else OwnOffset(0.0, sure=False)
        zero_ms = own.offset_ms if own.sure else 0.0
        if swapped:
            other = np.asarray(clips[number % len(clips)].sound(), np.float32) / 32768.0
            sound = np.resize(other, len(sound))
        for length in LENGTHS_S:
            frames = clip.frames if length is None else min(clip.frames, int(length * FPS))
            if length is not None and frames >= clip.frames:
                continue
            start = int(rng.integers(clip.frames - frames + 1))
            truth_ms = float(rng.integers(-MAX_LAG_MS // HOP_MS, MAX_LAG_MS // HOP_MS + 1) * HOP_MS)
            shift_hops = round((truth_ms - zero_ms) / HOP_MS)
            moved = move_sound(sound, shift_hops)[start * SAMPLES_PER_FRAME :]
            pieces = clip_pieces(clip, crops, start, frames)
            if not pieces:
                continue
            evidence = analyse_tracks(pieces, moved[: frames * SAMPLES_PER_FRAME], options, engine)
            samples.append(Sample(evidence, math.nan if swapped else truth_ms, clip.clip.source))
        if progress is not None:
            progress(number, len(clips))
    return samples


def move_sound(sound: np.ndarray, hops: int) -> np.ndarray:
    """Sound made later by `hops` steps of 10 ms (earlier if negative), as long as before."""
    samples = hops * HOP_SAMPLES
    out = np.zeros_like(sound)
    if samples >= 0:
        out[samples:] = sound[: len(sound) - samples]
    else:
        out[:samples] = sound[-samples:]
    return out


def clip_pieces(clip: CachedClip, crops: np.ndarray, start: int, frames: int) -> list[RegionPiece]:
    """The part of a cached clip's tracks within a stretch, counted from the stretch's start."""
    pieces = []
    valid = clip.valid()
    for number, track in enumerate(clip.tracks):
        first = max(track.first_frame, start)
        end = min(track.first_frame + track.count, start + frames)
        if end - first < BLOCK_FRAMES:
            continue
        at = track.start + first - track.first_frame
        count = end - first
        pieces.append(
            RegionPiece(
                "face" if track.kind == "face" else "frame",
                number,
                first - start,
                np.asarray(crops[at : at + count]),
                np.asarray(valid[at : at + count]),
                np.tile(np.array([0, 0, 1, 1], np.float32), (count, 1)),
                last=True,
            )
        )
    return pieces


def likelihood(samples: list[Sample], constants: dict[str, float]) -> float:
    """Mean log-probability of the true offset, within one frame; every source counts alike."""
    by_source: dict[str, list[float]] = {}
    for sample in samples:
        verdict = decide_verdict(replace(sample.evidence, calibration=constants), ITU)
        near = np.abs(sample.evidence.offsets_ms - sample.truth_ms) <= FRAME_MS
        mass = float(verdict.curve[near].sum())
        by_source.setdefault(sample.source, []).append(float(np.log(max(mass, 1e-4))))
    return float(np.mean([np.mean(v) for v in by_source.values()]))


def fit(samples: list[Sample]) -> dict[str, float]:
    """The constants under which the true offsets are most probable.

    Raises:
        DataError: nothing to fit to.
    """
    judged = [s for s in samples if s.evidence.windows]
    if not judged:
        raise DataError("no held-out clip could be judged", "add clips with speech to validate on")
    best, chosen = -np.inf, {"scale": 1.0, "power": 0.5, "outlier": 0.05}
    # One after the other and round again: the constants hardly depend on each other.
    for _ in range(2):
        for name, values in (("scale", SCALES), ("power", POWERS), ("outlier", OUTLIERS)):
            for value in values:
                tried = chosen | {name: value}
                score = likelihood(judged, tried)
                if score > best:
                    best, chosen = score, tried
    return chosen


def fit_confidence(
    matched: list[Sample], swapped: list[Sample], constants: dict[str, float]
) -> dict[str, float]:
    """The line that makes the confidence come true among files of which some have no offset."""
    odds: list[float] = []
    right: list[float] = []
    for sample in [*matched, *swapped]:
        verdict = decide_verdict(replace(sample.evidence, calibration=constants), ITU)
        odds.append(log_odds(verdict.confidence))
        guess = _guess(verdict, sample.evidence)
        right.append(float(abs(guess - sample.truth_ms) <= FRAME_MS))
    share = 1.0 / (1.0 + PRIOR_ODDS)
    weight = np.array(
        [(1.0 - share) / len(matched)] * len(matched) + [share / len(swapped)] * len(swapped)
    )
    scale, bias = logistic_fit(line_in(np.array(odds)), np.array(right), weight)
    # A line that falls would call the doubtful sure: then there was nothing to learn from.
    return {"confidence_scale": scale, "confidence_bias": bias} if scale > 0 else {}


def _guess(verdict: Verdict, evidence: Evidence) -> float:
    """The offset of an answer, or the likeliest where there is none."""
    if verdict.offset_ms is not None:
        return verdict.offset_ms
    return float(evidence.offsets_ms[int(np.argmax(verdict.curve))])


def outcome(samples: list[Sample], constants: dict[str, float]) -> dict[str, float]:
    """How confidence and truth agree under given constants.

    Returns:
        "ece" (expected calibration error of the confidence, over all samples), "right" (share
        within one frame), "decided" (share with an answer), "wrong_decided" (share of the answers
        that are off by more than a frame), "covered" (share of answers whose interval holds the
        truth).
    """
    confidence, right, decided, covered = [], [], [], []
    for sample in samples:
        verdict = decide_verdict(replace(sample.evidence, calibration=constants), ITU)
        guess = _guess(verdict, sample.evidence)
        confidence.append(verdict.confidence)
        right.append(abs(guess - sample.truth_ms) <= FRAME_MS)
        decided.append(verdict.offset_ms is not None)
        if verdict.offset_ci_ms is not None:
            low, high = verdict.offset_ci_ms
            covered.append(low - HOP_MS / 2 <= sample.truth_ms <= high + HOP_MS / 2)
    answers = [r for r, d in zip(right, decided, strict=True) if d]
    return {
        "samples": float(len(samples)),
        "ece": calibration_error(confidence, right),
        "right": float(np.mean(right)),
        "decided": float(np.mean(decided)),
        "wrong_decided": 1.0 - float(np.mean(answers)) if answers else 0.0,
        "covered": float(np.mean(covered)) if covered else float("nan"),
    }


def fit_blocks(engine: Engine, clips: list[CachedClip]) -> dict[str, float]:
    """Scale and bias that turn a single block's log-odds at offset 0 into a probability.

    A logistic fit on blocks in sync and the same blocks shifted by 2..15 frames, both halves
    weighing the same: p(sync) of a block is meant for even odds.
    """
    right: list[float] = []
    wrong: list[np.ndarray] = []
    for clip in clips:
        sound = np.asarray(clip.sound(), np.float32) / 32768.0
        crops = clip.crops()
        for track in clip.tracks:
            piece = np.asarray(crops[track.start : track.start + track.count])
            for curve in clip_curves(
                engine, piece, track.first_frame, sound, BLOCK_FRAMES, REACH_FRAMES, 2
            ):
                right.append(float(curve.margin[REACH_FRAMES]))
                near = range(REACH_FRAMES - 1, REACH_FRAMES + 2)
                wrong.append(np.delete(curve.margin, near))
    if not right:
        return {"block_scale": 1.0, "block_bias": 0.0}
    margins = np.concatenate([np.array(right), *wrong])
    labels = np.concatenate([np.ones(len(right)), np.zeros(len(margins) - len(right))])
    weight = np.where(labels > 0, 0.5 / len(right), 0.5 / (len(margins) - len(right)))
    scale, bias = logistic_fit(line_in(margins), labels, weight)
    return {"block_scale": scale, "block_bias": bias}


def calibrate(
    engine: Engine,
    clips: list[CachedClip],
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, float], dict[str, float]]:
    """Calibration constants of a model, and how well they do.

    Args:
        engine: the model.
        clips: held-out clips of sources in sync; never those a note's figures come from.
        seed: of shifts and cuts.
        progress: called with (clips done, clips in all).

    Returns:
        constants for model.json, and `outcome` measured on the same clips under other cuts and
        shifts than those fitted.
    """
    matched = collect(engine, clips, seed, progress)
    constants = fit(matched) | fit_blocks(engine, clips)
    swapped = collect(engine, clips, seed, progress, swapped=True)
    pairs = [s.evidence for s in matched], [s.evidence for s in swapped]
    constants |= fit_match(*pairs, constants)
    if swapped:
        constants |= fit_confidence(matched, swapped, constants)
    measured = outcome(collect(engine, clips, seed + 1, progress), constants)
    strangers = collect(engine, clips, seed + 1, progress, swapped=True)
    measured["swapped_decided"] = outcome(strangers, constants)["decided"]
    return constants, measured


def calibrate_bundle(
    bundle: Path,
    data: Path,
    cache: Path,
    progress: Callable[[str, int, int, dict[str, float]], None] | None = None,
) -> tuple[dict[str, float], dict[str, float]]:
    """`calibrate` for a model folder, on a folder or manifest of held-out talking clips.

    Of a manifest with rows of split "val" only those count; rows of other kinds than talking are
    left out, since few of them can be judged at all.
    """
    clips = load_manifest(data)
    marked = [c for c in clips if c.split == "val"]
    clips = [c for c in marked or clips if c.kind in ("", "talking")]

    def stage(name: str) -> Callable[[int, int], None]:
        def report(done: int, total: int) -> None:
            if progress is not None:
                progress(name, done, total, {})

        return report

    cached, _ = build_cache(clips, cache, progress=stage("cache"))
    return calibrate(load_engine(bundle), cached, progress=stage("calibrate"))
