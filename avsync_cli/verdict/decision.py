"""From evidence to an answer: a pure function.

The windows' votes (see `posterior`) are read along the course of the lag (see `structure`); every
stretch of it gets an answer of its own, and one of them speaks for the file.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from avsync_cli.inference.evidence import Evidence, WindowResult
from avsync_cli.names import Status
from avsync_cli.timebase import FRAME_MS
from avsync_cli.verdict.answer import Candidate, Tolerance, Verdict, direction_of
from avsync_cli.verdict.left_out import NEGLIGIBLE, STEP_MORE_LIKELY
from avsync_cli.verdict.missing import lacks, would_decide
from avsync_cli.verdict.posterior import Constants, fair_logits, mass, window_votes
from avsync_cli.verdict.reasons import NO_EVIDENCE, SCATTERED, all_reasons, cut_words, out_words
from avsync_cli.verdict.speeds import find_wrong_speed
from avsync_cli.verdict.stretches import (
    STEP_WITHIN_S,
    Part,
    as_segment,
    p_sync,
    straddles,
    with_gaps,
    with_rest,
    with_unplaced,
)
from avsync_cli.verdict.structure import Structure, find_structure

LEAST_SHARE = 1 / 3
"""Share of the windows with a clear peak that must lie in decided stretches: among many windows
that point all over the place, neighbours that agree by chance are always found."""


def decide_verdict(evidence: Evidence, tolerance: Tolerance) -> Verdict:
    """The answer for one file.

    Args:
        evidence: windows, seconds, offsets and calibration; the blocks are not looked at.
        tolerance: what still counts as in sync.

    Returns:
        "undecided", with reasons, when nothing was judged, when no offset is sure enough, when the
        best one lies at the edge of the scan, or when a part of the file points elsewhere and it
        is not clear where to.
    """
    constants = Constants.of(evidence.calibration)
    offsets = np.asarray(evidence.offsets_ms, np.float64)
    windows = [w for w in evidence.windows if w.blocks > 0 and np.isfinite(w.logits).all()]
    if not windows or not evidence.media.tells_when:
        return _nothing(evidence, tolerance, offsets, constants)
    looked_at = windows
    has_gaps = evidence.stretches is not None
    windows, structure, statuses = _read(evidence, windows, offsets, constants, tolerance)
    parts = structure.parts
    limits = _limits(structure, statuses, constants)
    if limits:
        statuses = ["undecided"] * len(parts)
    weights = np.array([p.blocks for p in parts])
    chosen, status = _speaks(statuses, weights)
    main = parts[chosen]
    segments = [as_segment(p, state) for p, state in zip(parts, statuses, strict=True)]
    segments = with_rest(segments, looked_at)  # a wrong speed leaves the scan for good
    decided = status != "undecided"
    found = main.drift if decided else None
    growth = 0.0 if found is None else found.ms_per_min
    read_s = evidence.media.duration_s if evidence.read_s is None else evidence.read_s
    curve, score = _pooled_curves(parts, windows, constants)
    verdict = Verdict(
        status=status,
        offset_ms=main.offset_ms if decided else None,
        offset_ci_ms=main.ci_ms if decided else None,
        direction=direction_of(main.offset_ms) if decided else "none",
        confidence=main.answer.confidence,
        p_sync=min(p_sync(p, offsets, tolerance) for p in parts if not p.doubted),
        drift_ms_per_min=None if found is None else found.ms_per_min,
        reasons=limits
        + [out_words(p.start_s, p.end_s) for p in parts if p.doubted and decided]
        + [out_words(*stretch_s) for stretch_s in structure.unseen_s if decided]
        + all_reasons(evidence, main, status, segments, offsets, tolerance),
        # Where nothing was read is no reason to call it undecided, unless the lag changes there.
        segments=with_unplaced(segments, STEP_WITHIN_S)
        if has_gaps
        else with_gaps(segments, windows, growth, structure.unseen_s),
        curve=curve,
        curve_score=score,
        drift_ci_ms_per_min=None if found is None else found.ci_ms_per_min,
        at_border=any(
            state != "undecided" and straddles(p, tolerance)
            for p, state in zip(parts, statuses, strict=True)
        ),
        usable=min(1.0, evidence.judged_s / read_s) if read_s > 0 else 0.0,
        min_confidence=constants.undecided_below,
        would_decide="" if decided else would_decide(main, limits, offsets, constants),
    )
    return _ranked(verdict, main)


def _read(
    evidence: Evidence,
    windows: list[WindowResult],
    offsets: np.ndarray,
    constants: Constants,
    tolerance: Tolerance,
) -> tuple[list[WindowResult], Structure, list[Status]]:
    """The windows that are read, the course of the lag in them, and what each stretch comes to;
    at a wrong speed, the windows that have not left the scan."""
    has_gaps = evidence.stretches is not None
    structure = find_structure(windows, evidence.seconds, offsets, constants, has_gaps=has_gaps)
    statuses = [_status(p, constants, tolerance) for p in structure.parts]
    if all(status == "undecided" for status in statuses):
        wrong_speed = find_wrong_speed(evidence.seconds, evidence.offsets_ms, constants)
        if wrong_speed is not None:
            drift, windows = wrong_speed
            structure = find_structure(windows, None, offsets, constants, drift, has_gaps=has_gaps)
            statuses = [_status(p, constants, tolerance) for p in structure.parts]
    return windows, structure, statuses


def _ranked(verdict: Verdict, main: Part) -> Verdict:
    """The verdict with what its stretch ranks by: best and second offset, margin and evidence."""
    answer = main.answer
    second = None
    if answer.second_ms is not None:
        # At the end of the scan half of the best one's share lies beyond: the next is no likelier.
        most = min(answer.confidence, 1.0 - answer.confidence)
        second = Candidate(answer.second_ms, min(answer.second_p, most))
    return replace(
        verdict,
        best=Candidate(main.offset_ms, answer.confidence),
        second=second,
        margin=answer.margin,
        evidence_s=answer.evidence_s,
    )


def _pooled_curves(
    parts: list[Part], windows: list[WindowResult], constants: Constants
) -> tuple[np.ndarray, np.ndarray]:
    """The parts' posteriors and the windows' log-odds, (O,) each, for the file as a whole."""
    weights = np.array([p.blocks for p in parts])
    curve = np.tensordot(weights / weights.sum(), np.stack([p.answer.curve for p in parts]), axes=1)
    blocks = np.array([w.blocks for w in windows])
    score = (np.stack([fair_logits(w, constants) for w in windows]) * blocks[:, None]).sum(axis=0)
    return curve / curve.sum(), score / blocks.sum()


def _limits(structure: Structure, statuses: list[Status], constants: Constants) -> list[str]:
    """Why nothing may be told of a file although a part of it is sure; [] if it may."""
    if _scattered(structure.parts, statuses, constants):
        return [SCATTERED]
    if _cut_somewhere(structure, statuses, constants):
        return [cut_words(structure.step_s)]
    return []


def _scattered(parts: list[Part], statuses: list[Status], constants: Constants) -> bool:
    """Whether the decided stretches are islands in a sea of windows that disagree.

    Along a drift this is no question: it has been paid for, and may leave the scanned range.
    """
    if len(parts) < 2 or any(p.drift is not None for p in parts):
        return False
    votes, _ = window_votes([w for p in parts for w in p.windows], constants)
    clear = votes.max(axis=1) > np.log(5.0 / votes.shape[1])
    inside = np.concatenate(
        [np.full(len(p.windows), s != "undecided") for p, s in zip(parts, statuses, strict=True)]
    )
    return bool(inside.any()) and (clear & inside).sum() < LEAST_SHARE * clear.sum()


def _cut_somewhere(structure: Structure, statuses: list[Status], constants: Constants) -> bool:
    """Whether a part of the file speaks against every answer that could be given.

    One lag is told only if the evidence did not make a step likelier than it was beforehand, and
    both ends go with the rest.
    Several are told if the step between them is sure, and all that matters is decided.
    """
    parts = structure.parts
    if sum(not p.doubted for p in parts) == 1:
        sure = any(status != "undecided" for status in statuses)
        return sure and (structure.end_against or structure.step_odds > STEP_MORE_LIKELY)
    if any(p.beyond for p in parts) or all(s == "undecided" for s in statuses):
        return False
    weights = np.array([p.blocks for p in parts])
    unknown = np.array([s == "undecided" for s in statuses])
    doubtful = (~unknown).sum() < 2 and weights[unknown].sum() > NEGLIGIBLE * weights.sum()
    return bool(doubtful) or structure.step_probability < constants.undecided_below


def _nothing(
    evidence: Evidence, tolerance: Tolerance, offsets: np.ndarray, constants: Constants
) -> Verdict:
    flat = np.full(len(offsets), 1.0 / len(offsets))
    confidence = mass(offsets, flat, 0.0, FRAME_MS, FRAME_MS)
    p_sync = mass(offsets, flat, 0.0, tolerance.early_ms, tolerance.late_ms)
    reasons = list(evidence.reasons) or [NO_EVIDENCE]
    none = np.zeros(len(offsets))
    return Verdict(
        status="undecided",
        offset_ms=None,
        offset_ci_ms=None,
        direction="none",
        confidence=confidence,
        p_sync=p_sync,
        drift_ms_per_min=None,
        reasons=reasons,
        segments=[],
        curve=flat,
        curve_score=none,
        min_confidence=constants.undecided_below,
        would_decide=lacks(evidence.media),
    )


def _status(part: Part, constants: Constants, tolerance: Tolerance) -> Status:
    if part.beyond or part.doubted or not part.answer.sure(constants.undecided_below):
        return "undecided"
    inside = all(-tolerance.early_ms <= ms <= tolerance.late_ms for ms in part.ends_ms)
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
