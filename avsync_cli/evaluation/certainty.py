"""Is a model as sure as it should be, and does it keep silent when it should?

Clips are cut to several lengths, their sound moved by a known amount, and judged as `score` would.
The confidence of every verdict is then held against whether its offset was right: bins for a
reliability diagram, the expected calibration error, and, as the bar for an answer is raised, the
share answered against the share of the answers that are wrong. The same stretches with the sound of
another clip have no lag: whatever is answered there is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from avsync_cli.corpus.cache import CachedClip
from avsync_cli.evaluation.calibrate import LENGTHS_S, MAX_LAG_MS, clip_pieces, move_sound
from avsync_cli.evaluation.metrics import (
    bootstrap_interval,
    bootstrap_statistic,
    calibration_error,
    reliability,
    risk_coverage,
)
from avsync_cli.evaluation.own_offset import own_offset
from avsync_cli.evaluation.records import Certainty, ConfidenceRow, Origin, Stretch
from avsync_cli.evaluation.sweep import RuleOf, clip_generator, origin_of
from avsync_cli.evaluation.tables import (
    Groups,
    by_kind,
    by_source,
    by_speaker,
    cluster_items,
    clusters,
    mean,
    overall,
)
from avsync_cli.inference.evidence import Evidence
from avsync_cli.inference.pipeline import AnalyseOptions, analyse_tracks
from avsync_cli.model.engine import Engine
from avsync_cli.timebase import FPS, HOP_MS, SAMPLES_PER_FRAME
from avsync_cli.verdict.answer import ITU
from avsync_cli.verdict.decision import decide_verdict
from avsync_cli.verdict.posterior import Constants


def stretches(
    engine: Engine,
    clips: Sequence[CachedClip],
    rule_of: RuleOf,
    seed: int = 0,
    swapped: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Stretch]:
    """Judge stretches of several lengths of every clip, with known lags of up to 800 ms.

    Clips that count from their own zero are used where the whole clip is sure of it, and only in
    stretches of half their length at most: the zero must not be the answer that it judges.

    Args:
        engine: the model.
        clips: held-out clips.
        rule_of: which rule a source's clips count under.
        seed: of places and lags.
        swapped: give every stretch the sound of the next clip instead, of the same source where
            there is one.
        progress: called with (clips done, clips in all).
    """
    found: list[Stretch] = []
    ordered = sorted(clips, key=lambda c: (c.clip.source, c.folder.name))
    for number, clip in enumerate(ordered, 1):
        other = ordered[number % len(ordered)] if swapped and len(ordered) > 1 else None
        if not swapped or other is not None:
            found += _judge_clip(engine, clip, rule_of, seed, other)
        if progress is not None:
            progress(number, len(ordered))
    return found


def _judge_clip(
    engine: Engine, clip: CachedClip, rule_of: RuleOf, seed: int, other: CachedClip | None
) -> list[Stretch]:
    origin, rng = origin_of(clip, rule_of), clip_generator(clip, seed)
    sound = np.asarray(clip.sound(), np.float32) / 32768.0
    longest, zero_ms = clip.frames, 0.0
    if other is not None:
        sound = np.resize(np.asarray(other.sound(), np.float32) / 32768.0, len(sound))
    elif origin.rule == "own":
        own = own_offset(engine, clip)
        if not own.sure:
            return []
        longest, zero_ms = clip.frames // 2, own.offset_ms
    crops, options = clip.crops(), AnalyseOptions()
    found = []
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
            evidence = analyse_tracks(pieces, moved, options, engine)
            truth = math.nan if other is not None else truth_ms
            found.append(judged(evidence, origin, frames / FPS, truth))
    return found


def judged(evidence: Evidence, origin: Origin, seconds: float, truth_ms: float) -> Stretch:
    """A stretch's verdict against the truth."""
    verdict = decide_verdict(evidence, ITU)
    decided = verdict.offset_ms is not None
    guess = verdict.offset_ms
    if guess is None:
        guess = float(evidence.offsets_ms[int(np.argmax(verdict.curve))])
    covered = None
    if verdict.offset_ci_ms is not None:
        low, high = verdict.offset_ci_ms
        covered = low - HOP_MS / 2 <= truth_ms <= high + HOP_MS / 2
    return Stretch(origin, seconds, truth_ms, guess, verdict.confidence, decided, covered)


def confidence_rows(
    found: Sequence[Stretch], groups: Groups[Stretch], seed: int = 0
) -> list[ConfidenceRow]:
    """Calibration and answers by group."""
    rows = []
    for group, rule, members in groups(found):
        answers = [s for s in members if s.decided]
        decided = mean([float(s.decided) for s in members])

        def wrong(stretch: Stretch) -> float:
            return float(not stretch.right)

        rows.append(
            ConfidenceRow(
                *group,
                rule,
                len(members),
                mean([float(s.right) for s in members]),
                _ece(members),
                bootstrap_statistic(cluster_items(members), _ece, seed),
                decided,
                1.0 - decided,
                mean([wrong(s) for s in answers]),
                bootstrap_interval(clusters(answers, wrong), seed),
                mean([float(s.covered) for s in answers if s.covered is not None]),
            )
        )
    return rows


def _ece(members: list[Stretch]) -> float:
    return calibration_error([s.confidence for s in members], [s.right for s in members])


def summarise(
    found: Sequence[Stretch],
    strangers: Sequence[Stretch],
    calibration: dict[str, float],
    seed: int = 0,
) -> Certainty:
    """Everything that is said of a model's confidence."""
    confidence, right = [s.confidence for s in found], [s.right for s in found]
    every: list[Groups[Stretch]] = [overall, by_kind, by_source, by_speaker]
    return Certainty(
        [row for groups in every for row in confidence_rows(found, groups, seed)],
        reliability(confidence, right) if found else [],
        risk_coverage(confidence, right),
        Constants.of(calibration).undecided_below,
        len(strangers),
        mean([float(s.decided) for s in strangers]),
    )
