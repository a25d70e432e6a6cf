"""Stretches of clips with a known lag, judged as `score` would judge a file of them.

Clips are cut to several lengths and their sound is moved by a known amount. The same stretches with
the sound of another clip have no lag at all: whatever is answered there is wrong. Calibration is
fitted to such trials, and certainty measured on others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from avsync_cli.corpus.cache import CachedClip, move_sound
from avsync_cli.corpus.progress import Stage, counted
from avsync_cli.evaluation.own_offset import own_offset
from avsync_cli.evaluation.records import Origin, Stretch
from avsync_cli.evaluation.remembering import RememberingEngine
from avsync_cli.evaluation.sweep import RuleOf, clip_generator, origin_of
from avsync_cli.inference.evidence import Evidence
from avsync_cli.inference.pipeline import AnalyseOptions, analyse_tracks
from avsync_cli.model.engine import Engine
from avsync_cli.regions.stream import RegionPiece
from avsync_cli.timebase import BLOCK_FRAMES, FPS, HOP_MS, SAMPLES_PER_FRAME
from avsync_cli.verdict.answer import ITU
from avsync_cli.verdict.decision import decide_verdict

LENGTHS_S = (1.5, 3.0, 6.0, None)
"""Lengths to which clips are cut: certainty must be right for short files as for long ones."""

MAX_LAG_MS = 800
"""Largest lag that clips are given, well within the scan of +-1 s."""

ZeroOf = Callable[[CachedClip], tuple[float, int] | None]
"""Lag in ms that a clip carries by itself, and the longest stretch of it in frames that may be
judged; None for a clip that cannot be used."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Evidence for a stretch of a clip.

    Attributes:
        origin: where it comes from.
        seconds: its length.
        truth_ms: the lag it was given; NaN with the sound of another clip.
        evidence: what the pipeline found.
    """

    origin: Origin
    seconds: float
    truth_ms: float
    evidence: Evidence


def likely_zero(engine: Engine) -> ZeroOf:
    """A clip's zero as far as it can be told: where the clip stands out and its halves agree, what
    they say, since published clips are often a few frames off by themselves; else 0."""

    def zero(clip: CachedClip) -> tuple[float, int]:
        own = own_offset(engine, clip)
        return (own.offset_ms if own.sure else 0.0), clip.frames

    return zero


def known_zero(engine: Engine, rule_of: RuleOf) -> ZeroOf:
    """0 for clips that count as in sync; their own for the others, where the whole clip is sure of
    it, and then for half its length at most: the zero must not be the answer that it judges."""

    def zero(clip: CachedClip) -> tuple[float, int] | None:
        if rule_of(clip.clip.source) == "0":
            return 0.0, clip.frames
        own = own_offset(engine, clip)
        return (own.offset_ms, clip.frames // 2) if own.sure else None

    return zero


def trials(
    engine: Engine,
    clips: Sequence[CachedClip],
    zero_of: ZeroOf,
    rule_of: RuleOf = lambda _: "0",
    *,
    seed: int = 0,
    swapped: bool = False,
    progress: Stage | None = None,
) -> list[Trial]:
    """Evidence for stretches of several lengths of every clip, with lags of up to 800 ms.

    Args:
        engine: the model.
        clips: held-out clips.
        zero_of: from which zero lags count.
        rule_of: which rule a source's clips count under.
        seed: of places and lags, drawn for each clip by itself.
        swapped: give every stretch the sound of the next clip instead, of the same source where
            there is one.
        progress: called with (clips done, clips in all).
    """
    found: list[Trial] = []
    ordered = sorted(clips, key=lambda c: (c.clip.source, c.folder.name))
    pairs = zip(ordered, ordered[1:] + ordered[:1], strict=True)
    for clip, other in counted(pairs, len(ordered), progress):
        # All stretches of a clip show the same picture.
        once = RememberingEngine(engine)
        if not swapped:
            zero = zero_of(clip)
            if zero is not None:
                found += _cut(once, clip, origin_of(clip, rule_of), zero, seed)
        elif other is not clip:
            found += _cut(once, clip, origin_of(clip, rule_of), (0.0, clip.frames), seed, other)
    return found


def _cut(
    engine: Engine,
    clip: CachedClip,
    origin: Origin,
    zero: tuple[float, int],
    seed: int,
    other: CachedClip | None = None,
) -> list[Trial]:
    (zero_ms, longest), rng = zero, clip_generator(clip, seed)
    sound, crops, found = clip.wave(), clip.crops(), []
    if other is not None:
        sound = np.resize(other.wave(), len(sound))
    for length in LENGTHS_S:
        frames = clip.frames if length is None else int(length * FPS)
        # Drawn whether or not it fits, so that one length's places do not depend on another's.
        place, lag = rng.random(), rng.integers(-MAX_LAG_MS // HOP_MS, MAX_LAG_MS // HOP_MS + 1)
        if frames > longest or (length is not None and frames >= clip.frames):
            continue
        start = int(place * (clip.frames - frames + 1))
        truth_ms = float(lag * HOP_MS)
        moved = move_sound(sound, round((truth_ms - zero_ms) / HOP_MS))
        moved = moved[start * SAMPLES_PER_FRAME :][: frames * SAMPLES_PER_FRAME]
        pieces = clip_pieces(clip, crops, start, frames)
        if pieces:
            evidence = analyse_tracks(pieces, moved, AnalyseOptions(), engine)
            truth_ms, seconds = truth_ms if other is None else math.nan, frames / FPS
            found.append(
                Trial(origin=origin, seconds=seconds, truth_ms=truth_ms, evidence=evidence)
            )
    return found


def clip_pieces(clip: CachedClip, crops: np.ndarray, start: int, frames: int) -> list[RegionPiece]:
    """The part of a cached clip's tracks within a stretch, counted from the stretch's start."""
    pieces = []
    valid = clip.valid()
    for number, track in enumerate(clip.tracks):
        first = max(track.first_frame, start)
        end = min(track.first_frame + track.count, start + frames)
        at, count = track.start + first - track.first_frame, end - first
        if count < BLOCK_FRAMES:
            continue
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


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a verdict says of the lag.

    Attributes:
        guess_ms: the offset, or where there is no answer the likeliest one.
        confidence: that it is within a frame of the truth.
        decided: whether it is an answer.
        interval_ms: 95 % interval, or None.
    """

    guess_ms: float
    confidence: float
    decided: bool
    interval_ms: tuple[float, float] | None


def answer(evidence: Evidence, calibration: Mapping[str, float] | None = None) -> Answer:
    """The answer that evidence leads to, perhaps under other constants than the model's own."""
    if calibration is not None:
        evidence = replace(evidence, calibration=dict(calibration))
    verdict = decide_verdict(evidence, ITU)
    guess_ms = verdict.offset_ms
    if guess_ms is None:
        guess_ms = float(evidence.offsets_ms[int(np.argmax(verdict.curve))])
    return Answer(
        guess_ms=guess_ms,
        confidence=verdict.confidence,
        decided=verdict.offset_ms is not None,
        interval_ms=verdict.offset_ci_ms,
    )


def judged(trial: Trial, calibration: Mapping[str, float] | None = None) -> Stretch:
    """A trial's answer against the truth."""
    said = answer(trial.evidence, calibration)
    covered = None
    if said.interval_ms is not None:
        low, high = said.interval_ms
        covered = low - HOP_MS / 2 <= trial.truth_ms <= high + HOP_MS / 2
    return Stretch(
        origin=trial.origin,
        seconds=trial.seconds,
        truth_ms=trial.truth_ms,
        guess_ms=said.guess_ms,
        confidence=said.confidence,
        decided=said.decided,
        covered=covered,
    )
