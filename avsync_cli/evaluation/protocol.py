"""What `avsync eval` measures, and how.

Four questions, on clips the model has not seen:

* placement: a window of n frames is slid over +-15 frames of its clip's sound; right is within one
  frame of 0 (the protocol of SyncNet and VocaLiST). Sources that carry an offset of their own fail
  this however good the model is; their median offset is shown beside.
* placement relative to the clip's own zero: the same windows, right when within one frame of what
  the rest of the clip says, i.e. all its windows that share no frame with this one. An offset that
  the clip carries cancels out; an error of the rest counts against the window.
* classes, the paper's question: is this pair in sync, or shifted by 2..15 frames? Balanced
  accuracy: half the share of true pairs accepted, half the share of shifted pairs refused.
* known shifts: the file is written anew with its sound moved by a known amount, and judged from
  scratch; right is when the estimate moves by that amount within 40 ms. A clip's own offset
  cancels out.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from avsync_cli.errors import AvsyncError, DataError
from avsync_cli.evaluation.metrics import bootstrap_interval
from avsync_cli.evaluation.windows import WindowCurve, clip_curves
from avsync_cli.inference.engine import Engine, load_engine
from avsync_cli.timebase import FRAME_MS
from avsync_cli.training.cache import CachedClip, build_cache
from avsync_cli.training.manifest import Clip, load_manifest

Progress = Callable[[str, int, int, dict[str, float]], None]

REACH_FRAMES = 15
"""Offsets tried on either side, as published figures have it."""

NEAR_FRAMES = 1
"""An offset within one frame counts as right."""

MIN_SHIFT_CLIP_S = 5.0
"""Shorter clips hold too little speech for a shift of 400 ms to be a fair question."""


@dataclass(frozen=True)
class EvalOptions:
    """What to measure.

    Attributes:
        data: folder or manifest.
        cache: folder for decoded crops and sound.
        model: name or folder of the model.
        split: only rows of this split; "" for all rows.
        kinds: only rows of these kinds; empty for all.
        contexts: window lengths in frames, multiples of 25.
        windows_a_clip: most windows taken of a clip.
        shifts_ms: known shifts to write into files; empty to leave that out.
        range_ms: range of the scan of shifted files.
        workers: processes; 0 for one a core.
    """

    data: Path
    cache: Path
    model: str = "default"
    split: str = ""
    kinds: tuple[str, ...] = ()
    contexts: tuple[int, ...] = (25, 50, 75, 125)
    windows_a_clip: int = 6
    shifts_ms: tuple[int, ...] = ()
    range_ms: int = 1000
    workers: int = 0


@dataclass(frozen=True)
class PlacementRow:
    """Placement and classes of one source (or of all) at one window length.

    Attributes:
        source: the source, or "all".
        frames: window length.
        windows: how many.
        within: share placed within one frame of 0.
        own_windows: how many of them have a rest of the clip to be compared with.
        own_within: share of these placed within one frame of what that rest says.
        within_ci: 95 % interval of it (over sources for "all", over windows otherwise).
        median_frames: median offset found; other than 0 for sources with an offset of their own.
        classes: balanced accuracy of "in sync" against "shifted by 2..15 frames".
    """

    source: str
    frames: int
    windows: int
    within: float
    within_ci: tuple[float, float]
    median_frames: float
    classes: float
    own_windows: int
    own_within: float


@dataclass(frozen=True)
class ShiftRow:
    """One file judged with its sound moved by a known amount.

    Attributes:
        path: the clip.
        source: of the clip.
        shift_ms: by how much the sound was moved (> 0: later).
        moved_ms: by how much the estimate moved.
        right: whether that is within 40 ms.
        confidence: of the estimate on the shifted file.
        decided: whether both files got an answer.
    """

    path: str
    source: str
    shift_ms: int
    moved_ms: float
    right: bool
    confidence: float
    decided: bool


@dataclass
class EvalReport:
    """Everything `evaluate` measured."""

    model: str
    placement: list[PlacementRow] = field(default_factory=list)
    shifts: list[ShiftRow] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def evaluate(options: EvalOptions, progress: Progress | None = None) -> EvalReport:
    """Measure a model on a manifest.

    Args:
        options: what to measure.
        progress: told what is going on and how far it is.

    Raises:
        AvsyncError: no such data, model or cache. Single bad files are listed, not raised.
    """
    clips = [
        c
        for c in load_manifest(options.data)
        if (not options.split or c.split == options.split)
        and (not options.kinds or c.kind in options.kinds)
    ]
    if not clips:
        raise DataError(f"no clip of {options.data} is of the split and kinds asked for")
    engine = load_engine(options.model)
    report = EvalReport(f"{engine.name} {engine.version}")

    def caching(done: int, total: int) -> None:
        if progress is not None:
            progress("cache", done, total, {})

    cached, failed = build_cache(clips, options.cache, options.workers, caching)
    report.failed += [(str(c.path), why) for c, why in failed]
    report.placement = placement(engine, cached, options, progress)
    if options.shifts_ms:
        report.shifts = known_shifts(clips, options, report.failed, progress)
    return report


@dataclass
class _Tally:
    best: list[int] = field(default_factory=list)
    classes: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)

    @property
    def hits(self) -> list[float]:
        return [float(abs(b) <= NEAR_FRAMES) for b in self.best]


def placement(
    engine: Engine, clips: list[CachedClip], options: EvalOptions, progress: Progress | None = None
) -> list[PlacementRow]:
    """Placement and classes by source and window length, "all" last."""
    tallies: dict[tuple[str, int], _Tally] = defaultdict(_Tally)
    for number, clip in enumerate(clips, 1):
        sound = np.asarray(clip.sound(), np.float32) / 32768.0
        crops = clip.crops()
        for track in clip.tracks:
            piece = np.asarray(crops[track.start : track.start + track.count])
            curves = [
                curve
                for frames in options.contexts
                for curve in clip_curves(
                    engine,
                    piece,
                    track.first_frame,
                    sound,
                    frames,
                    REACH_FRAMES,
                    options.windows_a_clip,
                )
            ]
            for curve in curves:
                _count(tallies[clip.clip.source, curve.frames], curve, curves)
        if progress is not None:
            progress("windows", number, len(clips), {})
    rows = []
    sources = sorted({source for source, _ in tallies})
    for frames in options.contexts:
        by_source = {s: tallies[s, frames] for s in sources if tallies[s, frames].best}
        rows += [
            _row(s, frames, [t.hits for t in (tally,)], [tally]) for s, tally in by_source.items()
        ]
        if by_source:
            every = list(by_source.values())
            rows.append(_row("all", frames, [t.hits for t in every], every))
    return rows


def _count(tally: _Tally, curve: WindowCurve, curves: list[WindowCurve]) -> None:
    """Add one window of a clip to its source's tally."""
    tally.best.append(curve.best())
    near = range(REACH_FRAMES - NEAR_FRAMES, REACH_FRAMES + NEAR_FRAMES + 1)
    shifted = np.delete(curve.margin, near)
    accepted = float(curve.margin[REACH_FRAMES] > 0)
    tally.classes.append(0.5 * accepted + 0.5 * float(np.mean(shifted <= 0)))
    rest = [
        c.margin * c.frames
        for c in curves
        if c.first_frame >= curve.first_frame + curve.frames
        or c.first_frame + c.frames <= curve.first_frame
    ]
    if rest:
        own = int(np.argmax(np.sum(rest, axis=0))) - REACH_FRAMES
        tally.own.append(float(abs(curve.best() - own) <= NEAR_FRAMES))


def _row(
    source: str, frames: int, groups: list[list[float]], tallies: list[_Tally]
) -> PlacementRow:
    best = [b for t in tallies for b in t.best]
    classes = [c for t in tallies for c in t.classes]
    own = [o for t in tallies for o in t.own]
    return PlacementRow(
        source,
        frames,
        len(best),
        float(np.mean([h for g in groups for h in g])),
        bootstrap_interval(groups),
        float(np.median(best)),
        float(np.mean(classes)),
        len(own),
        float(np.mean(own)) if own else float("nan"),
    )


def known_shifts(
    clips: list[Clip],
    options: EvalOptions,
    failed: list[tuple[str, str]],
    progress: Progress | None = None,
) -> list[ShiftRow]:
    """Write every long enough clip anew at each shift, judge all, and compare with the original.

    Files that cannot be judged are added to `failed`.
    """
    rows: list[ShiftRow] = []
    workers = min(options.workers or os.cpu_count() or 1, len(clips))
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
        jobs = {pool.submit(_shift_clip, clip, options): clip for clip in clips}
        for done, job in enumerate(concurrent.futures.as_completed(jobs), 1):
            try:
                rows += job.result()
            except AvsyncError as error:
                failed.append((str(jobs[job].path), error.message))
            if progress is not None:
                progress("shifts", done, len(clips), {})
    return sorted(rows, key=lambda r: (r.source, r.path, r.shift_ms))


def _shift_clip(clip: Clip, options: EvalOptions) -> list[ShiftRow]:
    """All shifts of one clip, in a process of its own."""
    from avsync_cli.inference.pipeline import AnalyseOptions, analyse
    from avsync_cli.media.probe import probe
    from avsync_cli.media.remux import shift_sound

    if probe(clip.path).duration_s < MIN_SHIFT_CLIP_S:
        return []
    engine = load_engine(options.model, threads=1)
    settings = AnalyseOptions(range_ms=options.range_ms, threads=1)

    def estimate(path: Path) -> tuple[float, float, bool]:
        """Likeliest offset, confidence, and whether it counts as an answer."""
        verdict = analyse(path, settings, engine, None).verdict
        if verdict.offset_ms is not None:
            return verdict.offset_ms, verdict.confidence, True
        grid = np.arange(-options.range_ms, options.range_ms + 1, settings.step_ms)
        return float(grid[int(np.argmax(verdict.curve))]), verdict.confidence, False

    own, _, own_decided = estimate(clip.path)
    rows = []
    with tempfile.TemporaryDirectory(prefix="avsync-eval-") as folder:
        for shift in options.shifts_ms:
            moved_file = Path(folder) / f"moved{clip.path.suffix}"
            shift_sound(clip.path, moved_file, shift)
            found, confidence, decided = estimate(moved_file)
            moved = found - own
            rows.append(
                ShiftRow(
                    str(clip.path),
                    clip.source,
                    shift,
                    moved,
                    abs(moved - shift) <= FRAME_MS,
                    confidence,
                    decided and own_decided,
                )
            )
    return rows
