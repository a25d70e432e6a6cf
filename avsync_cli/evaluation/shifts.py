"""Known shifts: does the estimate move by as much as the sound was moved?

Two ways. "file": the clip is written anew with its sound moved and judged from the file, by the
whole road that users take; nothing between container and estimate can hide an error. "cache": the
sound is moved in the cached samples, which costs so little that every clip can be given every shift
of +-1..+-15 frames. In both the clip's own offset cancels out, and so does an error of the
estimate that moves along with the sound: known shifts show that the estimate is steady, not that
it is right.
"""

from __future__ import annotations

import concurrent.futures
import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from avsync_cli.corpus.cache import CachedClip, move_sound
from avsync_cli.corpus.manifest import Clip
from avsync_cli.corpus.progress import Stage, counted
from avsync_cli.corpus.shards import media_file
from avsync_cli.corpus.workers import worker_pool
from avsync_cli.errors import AvsyncError
from avsync_cli.evaluation import tables
from avsync_cli.evaluation.records import Group, ShiftRow, ShiftSummary
from avsync_cli.evaluation.remembering import RememberingEngine
from avsync_cli.evaluation.scoring import Scorer
from avsync_cli.evaluation.shifted_copy import shift_sound
from avsync_cli.evaluation.sweep import open_tracks
from avsync_cli.evaluation.tables import mean
from avsync_cli.evaluation.trials import Answer, answer, clip_pieces
from avsync_cli.files import scratch_folder
from avsync_cli.inference.pipeline import AnalyseOptions, analyse, analyse_tracks
from avsync_cli.media.probe import probe
from avsync_cli.model.engine import Engine, load_engine
from avsync_cli.timebase import FPS, FRAME_MS, HOPS_PER_FRAME

MIN_CLIP_S = 4.0
"""Shorter clips hold too little speech for a shift of 600 ms to be a fair question."""

FRAME_SHIFTS = tuple(s for s in range(-15, 16) if s)
"""Shifts in frames that cached clips are given."""

CLIP_RIGHT = 0.95
"""Share of a clip's shifts that must be followed for the clip to count as right."""

_MARGIN_MS = 400
"""A scan reaches this much beyond the largest shift, for offsets of the clip's own."""


def cached_shifts(
    scorer: Scorer,
    clips: Sequence[CachedClip],
    shifts: Sequence[int] = FRAME_SHIFTS,
    progress: Stage | None = None,
) -> list[ShiftRow]:
    """Give every clip of `MIN_CLIP_S` and more every shift, in its cached sound.

    Models are asked for a verdict, as `score` would; baselines, which have none, for the best
    offset of the whole track.

    Args:
        scorer: who judges.
        clips: held-out clips.
        shifts: in frames, > 0 makes the sound later.
        progress: called with (clips done, clips in all).
    """
    rows: list[ShiftRow] = []
    for clip in counted(clips, len(clips), progress):
        if clip.frames >= MIN_CLIP_S * FPS:
            if scorer.engine is None:
                found = _by_score(scorer, clip, (0, *shifts))
            else:
                found = _by_verdict(scorer.engine, clip, (0, *shifts))
            rows += _rows(clip.clip, "cache", [s * FRAME_MS for s in shifts], found)
    return rows


def _rows(
    clip: Clip, way: str, shifts_ms: Sequence[int], found: Sequence[Answer]
) -> list[ShiftRow]:
    """Rows of one clip; `found` begins with the clip as it is."""
    own, *others = found
    return [
        ShiftRow(
            path=clip.key,
            source=clip.source,
            speaker=clip.speaker,
            way=way,
            shift_ms=shift,
            moved_ms=said.guess_ms - own.guess_ms,
            right=abs(said.guess_ms - own.guess_ms - shift) <= FRAME_MS,
            confidence=said.confidence,
            decided=said.decided and own.decided,
        )
        for shift, said in zip(shifts_ms, others, strict=True)
    ]


def _by_verdict(engine: Engine, clip: CachedClip, shifts: Sequence[int]) -> list[Answer]:
    remembering = RememberingEngine(engine)
    sound = clip.wave()
    range_ms = max(1000, max(map(abs, shifts)) * FRAME_MS + _MARGIN_MS)
    options = AnalyseOptions(range_ms=range_ms)
    pieces = clip_pieces(clip, clip.crops(), 0, clip.frames)
    moved = (move_sound(sound, shift * HOPS_PER_FRAME) for shift in shifts)
    return [answer(analyse_tracks(pieces, each, options, remembering)) for each in moved]


def _by_score(scorer: Scorer, clip: CachedClip, shifts: Sequence[int]) -> list[Answer]:
    reach = max(map(abs, shifts)) + _MARGIN_MS // FRAME_MS
    offsets = np.arange(-reach, reach + 1)
    track = max(open_tracks(clip), key=lambda t: len(t.crops))
    found = []
    for shift in shifts:
        moved = replace(track, sound=move_sound(track.sound, shift * HOPS_PER_FRAME))
        score = scorer.open(moved, reach).scores(0, len(track.crops), offsets).score
        peak_ms = refined_peak(score, reach) * FRAME_MS
        found.append(Answer(guess_ms=peak_ms, confidence=0.0, decided=True, interval_ms=None))
    return found


def refined_peak(score: np.ndarray, reach: int) -> float:
    """Offset in frames of the best score, between frames by the parabola through its neighbours."""
    at = int(np.argmax(score))
    if not 0 < at < len(score) - 1:
        return float(at - reach)
    left, top, right = (float(score[at + i]) for i in (-1, 0, 1))
    bend = left - 2.0 * top + right
    part = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return at - reach + min(0.5, max(-0.5, part))


def file_shifts(
    clips: Sequence[Clip],
    model: str,
    shifts_ms: Sequence[int],
    range_ms: int,
    workers: int,
    failed: list[tuple[str, str]],
    progress: Stage,
) -> list[ShiftRow]:
    """Write every long enough clip anew at each shift, judge all, and compare with the original.

    Files that cannot be judged are added to `failed`.
    """
    rows: list[ShiftRow] = []
    workers = min(workers or os.cpu_count() or 1, len(clips))
    with worker_pool(workers) as pool:
        jobs = {
            pool.submit(_shift_file, clip, model, tuple(shifts_ms), range_ms): clip
            for clip in clips
        }
        for job in counted(concurrent.futures.as_completed(jobs), len(clips), progress):
            try:
                rows += job.result()
            except AvsyncError as error:
                failed.append((jobs[job].key, error.message))
    return sorted(rows, key=lambda r: (r.source, r.path, r.shift_ms))


def _shift_file(
    clip: Clip, model: str, shifts_ms: tuple[int, ...], range_ms: int
) -> list[ShiftRow]:
    """All shifts of one file, in a process of its own."""
    engine = load_engine(model, threads=1)
    settings = AnalyseOptions(range_ms=range_ms, threads=1)
    with media_file(clip.path, clip.member, clip.at, clip.size) as path, scratch_folder() as folder:
        if probe(path).duration_s < MIN_CLIP_S:
            return []
        found = [answer(analyse(path, settings, engine))]
        for shift in shifts_ms:
            moved_file = folder / f"moved{path.suffix}"
            shift_sound(path, moved_file, shift)
            found.append(answer(analyse(moved_file, settings, engine)))
    return _rows(clip, "file", shifts_ms, found)


def summaries(rows: Sequence[ShiftRow], seed: int = 0) -> list[ShiftSummary]:
    """Known shifts by way: all, by source, by speaker."""
    out: list[ShiftSummary] = []
    for way in sorted({r.way for r in rows}):
        ordered = sorted((r for r in rows if r.way == way), key=lambda r: (r.source, r.speaker))
        for groups in (tables.overall, tables.by_source, tables.by_speaker):
            out += [_summary(group, members, seed) for group, members in groups(ordered)]
    return out


def _summary(group: Group, rows: list[ShiftRow], seed: int) -> ShiftSummary:
    errors = np.array([abs(r.moved_ms - r.shift_ms) for r in rows])
    within_40, within_40_ci = tables.rate(rows, lambda r: float(r.right), seed)
    by_clip: dict[str, list[bool]] = {}
    for row in rows:
        by_clip.setdefault(row.path, []).append(row.right)
    return ShiftSummary(
        source=group.source,
        speaker=group.speaker,
        way=rows[0].way,
        clips=len(by_clip),
        shifts=len(rows),
        median_ms=float(np.median(errors)),
        p95_ms=float(np.percentile(errors, 95)),
        within_10=float(np.mean(errors <= 10.0)),
        within_20=float(np.mean(errors <= 20.0)),
        within_40=within_40,
        within_40_ci=within_40_ci,
        clips_right=mean([float(np.mean(right)) >= CLIP_RIGHT for right in by_clip.values()]),
        decided=mean([r.decided for r in rows]),
    )
