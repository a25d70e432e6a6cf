"""What `avsync eval` measures, and how; docs/evaluation.md says what each figure means.

Questions, on clips the model has not seen:

* placement: a window of n frames is slid over +-15 frames of its clip's sound; right is within one
  frame of 0 (the protocol of SyncNet and VocaLiST). Sources that carry an offset of their own fail
  this however good the model is; for those, placement relative to the clip's own zero counts: right
  is within one frame of what the blocks of the clip say that share no frame with the window. An
  error of theirs counts against the window.
* classes, the paper's question: is this pair in sync, or not? Not in sync is the same sound
  shifted by 2..15 frames (hard), or the sound of another position of the same video (easy).
* known shifts: the sound is moved by a known amount, in the file or in the cache; by how much does
  the estimate move? (`shifts`)
* certainty: does the confidence mean what it says, and what does an answer cost? (`certainty`)

Every figure comes for all clips, by kind, by source and by speaker, with a 95 % interval
bootstrapped over sources, and is the same for the same seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from avsync_cli.corpus.cache import CachedClip, build_cache
from avsync_cli.corpus.manifest import load_manifest
from avsync_cli.corpus.progress import Progress, stage
from avsync_cli.errors import DataError, UsageError
from avsync_cli.evaluation import certainty, shifts, sweep, tables
from avsync_cli.evaluation.records import EvalReport, Rule, WindowRecord
from avsync_cli.evaluation.scorers import load_scorer
from avsync_cli.evaluation.scoring import Scorer
from avsync_cli.evaluation.showcase import showcase
from avsync_cli.model.engine import load_engine
from avsync_cli.timebase import BLOCK_FRAMES

CONTEXTS = (5, 7, 9, 11, 13, 15, 25, 50, 125)
"""Window lengths in frames: those of published tables, and one, two and five seconds."""

PARTS = ("windows", "shifts", "certainty", "showcase")
"""What can be measured: windows stands for placement and classes, shifts for known shifts in the
cache, certainty for reliability and risk, showcase for pictures of the attention."""


@dataclass(frozen=True, kw_only=True)
class EvalOptions:
    """What to measure.

    Attributes:
        data: folder or manifest.
        cache: folder for decoded crops and sound.
        model: name or folder of the model, or whatever `load_scorer` takes.
        compare: more of them, measured in the same way on the same windows.
        split: only rows of this split; "" for all rows.
        kinds: only rows of these kinds; empty for all.
        own_zero: sources (or patterns such as "lab/*") that carry an offset of their own.
        contexts: window lengths in frames.
        windows_a_clip: most windows taken of a track.
        parts: which of `PARTS` to measure.
        shifts_ms: known shifts to write into files; empty to leave that out.
        range_ms: range of the scan of shifted files.
        seed: of everything random.
        workers: processes; 0 for one a core.
    """

    data: Path
    cache: Path
    model: str = "default"
    compare: tuple[str, ...] = ()
    split: str = ""
    kinds: tuple[str, ...] = ()
    own_zero: tuple[str, ...] = ()
    contexts: tuple[int, ...] = CONTEXTS
    windows_a_clip: int = 6
    parts: tuple[str, ...] = ("windows",)
    shifts_ms: tuple[int, ...] = ()
    range_ms: int = 1000
    seed: int = 0
    workers: int = 0

    def rule_of(self, source: str) -> Rule:
        """Which rule clips of a source count under."""
        return "own" if any(fnmatchcase(source, p) for p in self.own_zero) else "0"

    def checked(self) -> EvalOptions:
        """Itself, if it can be meant.

        Raises:
            UsageError: an unknown part, or a window that holds nothing to compare.
        """
        for part in self.parts:
            if part not in PARTS:
                raise UsageError(
                    f"nothing called {part!r} can be measured", f"use {', '.join(PARTS)}"
                )
        if min(self.contexts, default=1) < 1:
            raise UsageError("a window has at least one frame")
        return self


def evaluate(options: EvalOptions, progress: Progress | None = None) -> EvalReport:
    """Measure a model, and those it is compared with, on a manifest.

    Args:
        options: what to measure.
        progress: told what is going on and how far it is.

    Returns:
        the model's report; those of `options.compare` are its `others`.

    Raises:
        AvsyncError: no such data, model or cache. Single bad files are listed, not raised.
    """
    options = options.checked()
    clips = [
        c
        for c in load_manifest(options.data)
        if (not options.split or c.split == options.split)
        and (not options.kinds or c.kind in options.kinds)
    ]
    if not clips:
        what = f"no clip of {options.data} is of the split and kinds asked for"
        raise DataError(what, "compare its columns `split` and `kind`", options.data)
    # All of them first: a misspelt name should not be found out after an hour.
    scorers = [load_scorer(name) for name in (options.model, *options.compare)]
    if options.shifts_ms:
        load_engine(options.model)  # files are judged as users judge them
    cached, failed = build_cache(clips, options.cache, options.workers, stage(progress, "cache"))
    if not cached:
        why = f"none of the clips of {options.data} can be used, the first for: {failed[0][1]}"
        raise DataError(why, "see the warnings", options.data)
    report, *others = evaluate_scorers(scorers, cached, options, progress)
    report.others = others
    report.failed += [(c.key, why) for c, why in failed]
    if options.shifts_ms:
        report.shifts += shifts.file_shifts(
            clips,
            options.model,
            options.shifts_ms,
            options.range_ms,
            options.workers,
            report.failed,
            stage(progress, "files"),
        )
        report.shift_summary = shifts.summaries(report.shifts, options.seed)
    return report


def evaluate_scorers(
    scorers: Sequence[Scorer],
    clips: list[CachedClip],
    options: EvalOptions,
    progress: Progress | None = None,
) -> list[EvalReport]:
    """Measure scorers on cached clips; which parts is up to `options`."""
    reports = [
        EvalReport(model=s.name, attention=s.attention, note=s.note, family=s.family)
        for s in scorers
    ]
    if "windows" in options.parts:
        found = sweep.sweep(
            scorers,
            clips,
            options.contexts,
            options.windows_a_clip,
            options.rule_of,
            options.seed,
            stage(progress, "windows"),
        )
        for report, records in zip(reports, found, strict=True):
            _add_windows(report, records, options)
    for report, scorer in zip(reports, scorers, strict=True):
        _add_whole_clips(report, scorer, clips, options, progress)
    return reports


def _add_whole_clips(
    report: EvalReport,
    scorer: Scorer,
    clips: list[CachedClip],
    options: EvalOptions,
    progress: Progress | None,
) -> None:
    """What is measured of whole clips and verdicts, one scorer after another."""
    if "shifts" in options.parts:
        report.shifts = shifts.cached_shifts(scorer, clips, progress=stage(progress, "shifts"))
        report.shift_summary = shifts.summaries(report.shifts, options.seed)
    if "certainty" in options.parts and scorer.engine is not None:
        asked = scorer.engine, clips, options.rule_of
        found, strangers = (
            certainty.stretches(
                *asked, seed=options.seed, swapped=swapped, progress=stage(progress, name)
            )
            for name, swapped in (("certainty", False), ("strangers", True))
        )
        calibration = scorer.engine.calibration
        report.certainty = certainty.summarise(found, strangers, calibration, options.seed)
    if "showcase" in options.parts and scorer.engine is not None:
        report.showcase = showcase(scorer.engine, clips, options.seed)


def _add_windows(report: EvalReport, records: list[WindowRecord], options: EvalOptions) -> None:
    seed = options.seed
    report.placement = tables.placement_rows(records, tables.by_source, seed)
    report.placement += tables.placement_rows(records, tables.overall, seed)
    report.by_speaker = tables.placement_rows(records, tables.by_speaker, seed)
    report.by_kind = tables.placement_rows(records, tables.by_kind, seed)
    for groups in tables.EVERY:
        report.classes += tables.class_rows(records, groups, seed)
    whole = [n for n in options.contexts if n >= BLOCK_FRAMES]
    if whole:
        named = {
            "confidence": tables.confidence_histogram(records, min(whole)),
            "decision": tables.score_histogram(records, min(whole)),
        }
        report.histograms = {name: h for name, h in named.items() if h is not None}
