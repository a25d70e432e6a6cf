"""Every face by itself: whether the sound is its own, at which lag, and when it speaks.

The file's answer lets all regions compete; here each face is judged as if it were alone, by what
its blocks say by themselves. Nothing is run again: the evidence has it, at offsets a frame apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from avsync_cli.inference.evidence import BlockTrace, Evidence, TrackPath, WindowResult
from avsync_cli.timebase import BLOCK_FRAMES, FPS
from avsync_cli.verdict.answer import TrackResult, Verdict
from avsync_cli.verdict.posterior import Answer, Constants, group_answer, read_windows
from avsync_cli.verdict.reasons import EDGE_CONFIDENCE, why_in_doubt
from avsync_cli.verdict.seconds import POOLED_GAIN

SHORT = "seen for less than a second"

AT_EDGE = "the lag may lie beyond the scanned range"

PATH_POINTS = 5
"""Moments at which the way of a face is told."""

_WINDOW_FRAMES = 8 * BLOCK_FRAMES


def face_tracks(evidence: Evidence, verdict: Verdict) -> Iterator[TrackResult]:
    """Every face of a file, in order of their numbers.

    Args:
        evidence: with traces and paths.
        verdict: its answer.
    """
    constants = Constants.of(evidence.calibration)
    offsets = np.asarray(evidence.offsets_ms, np.float64)
    own: dict[int, list[BlockTrace]] = {}
    rivals: dict[int, list[BlockTrace]] = {}
    for trace in evidence.traces:
        if trace.region.kind == "face" and trace.region.track is not None:
            own.setdefault(trace.region.track, []).append(trace)
            if not trace.reason:
                rivals.setdefault(trace.first_frame // BLOCK_FRAMES, []).append(trace)
    for number, path in sorted(evidence.paths.items()):
        traces = own.get(number, [])
        windows = _windows(traces, offsets)
        answer = None
        if windows and evidence.media.tells_when:
            answer = group_answer(read_windows(windows, constants), offsets, constants)
        speaking = 0.0 if answer is None else _speaking(path, traces, rivals, verdict, answer)
        reason = _why_not(traces, answer, offsets, constants)
        rows = np.linspace(0, len(path.boxes) - 1, PATH_POINTS).round().astype(int)
        yield TrackResult(
            track=number,
            start_s=path.first_frame / FPS,
            end_s=(path.first_frame + len(path.boxes)) / FPS,
            boxes=path.shares[rows],
            judged_s=sum(w.blocks for w in windows),
            speaking=speaking,
            offset_ms=None if answer is None else answer.offset_ms,
            offset_ci_ms=None if answer is None else answer.ci_ms,
            height=0.0 if answer is None else answer.height,
            margin=0.0 if answer is None else answer.margin,
            confidence=0.0 if answer is None else min(answer.confidence, answer.p_match),
            kept=not reason,
            reason=reason,
        )


def _windows(traces: Sequence[BlockTrace], offsets: np.ndarray) -> list[WindowResult]:
    """A face's blocks as windows of eight seconds of it alone."""
    groups: dict[int, list[BlockTrace]] = {}
    for trace in traces:
        if not trace.reason and np.isfinite(trace.logits).any():
            groups.setdefault(trace.first_frame // _WINDOW_FRAMES, []).append(trace)
    found = []
    for group in groups.values():
        read = np.stack([_curve(trace, offsets) for trace in group])
        mean, middle = read.mean(axis=0), np.median(read.mean(axis=0))
        seen = _frames(group)
        found.append(
            WindowResult(
                start_s=group[0].first_frame / FPS,
                end_s=(group[-1].first_frame + BLOCK_FRAMES) / FPS,
                logits=(middle + POOLED_GAIN * (mean - middle)).astype(np.float32),
                blocks=len(seen) / BLOCK_FRAMES,
                support=np.mean([_heard(trace, offsets) for trace in group], axis=0),
            )
        )
    return found


def _frames(traces: Sequence[BlockTrace]) -> set[int]:
    """The frames of blocks, of which the last may overlap the one before."""
    return {t.first_frame + k for t in traces for k in range(BLOCK_FRAMES)}


def _curve(trace: BlockTrace, at_ms: np.ndarray | float) -> np.ndarray:
    """A block's log-odds at any offsets, read between those that were kept."""
    known = np.isfinite(trace.logits)
    logits = trace.logits[known].astype(np.float64)
    return np.asarray(np.interp(at_ms, trace.kept_ms[known], logits))


def _heard(trace: BlockTrace, offsets: np.ndarray) -> np.ndarray:
    """1 where a block's sound exists, 0 where it does not."""
    known = np.isfinite(trace.logits).astype(np.float64)
    return np.asarray(np.floor(np.interp(offsets, trace.kept_ms, known) + 1e-9))


def _speaking(
    path: TrackPath,
    traces: Sequence[BlockTrace],
    rivals: dict[int, list[BlockTrace]],
    verdict: Verdict,
    answer: Answer,
) -> float:
    """Share of a face's frames in seconds in which it speaks in sync."""
    speaks = []
    for trace in traces:
        if trace.reason or not np.isfinite(trace.logits).any():
            continue
        at_s = trace.first_frame / FPS
        told = (s.offset_ms for s in verdict.segments if s.start_s <= at_s < s.end_s)
        lag_ms = next((ms for ms in told if ms is not None), answer.offset_ms)
        beside = rivals[trace.first_frame // BLOCK_FRAMES]
        said = float(_curve(trace, lag_ms))
        others = [float(_curve(t, lag_ms)) for t in beside if np.isfinite(t.logits).any()]
        if said > 0.0 and said >= max(others):
            speaks.append(trace)
    last = path.first_frame + len(path.boxes)
    shown = [frame for frame in _frames(speaks) if path.first_frame <= frame < last]
    return len(shown) / len(path.boxes)


def _why_not(
    traces: Sequence[BlockTrace], answer: Answer | None, offsets: np.ndarray, constants: Constants
) -> str:
    """Why a face is not kept, or ""."""
    if answer is None:
        reasons = [trace.reason for trace in traces if trace.reason]
        return max(set(reasons), key=reasons.count) if reasons else SHORT
    if answer.sure(constants.undecided_below):
        return ""
    edge = answer.at_edge and answer.confidence >= EDGE_CONFIDENCE
    return AT_EDGE if edge else why_in_doubt(answer, offsets)
