"""One file in, one report out: the call behind the Python API and behind every command.

It turns settings (names, profiles) into what inference takes (an engine, limits in ms) and adds
nothing of its own to the answer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avsync_cli.config import Profile, Settings, model_names, models_dir, tolerance_profile
from avsync_cli.errors import ModelError

if TYPE_CHECKING:
    from avsync_cli.model.engine import Engine
    from avsync_cli.verdict.answer import Judgement, Tolerance

ProgressCall = Callable[[float, float], None]


@dataclass(frozen=True)
class Excerpt:
    """Which tracks of a file to judge, and which part of it.

    Attributes:
        video_track, audio_track: number among the file's tracks of that kind, from 0; None takes
            the one a player would.
        start_s, duration_s: the part of the timeline; None runs to the end.
    """

    video_track: int | None = None
    audio_track: int | None = None
    start_s: float = 0.0
    duration_s: float | None = None


def tolerance_for(profile: Profile, fps: float) -> Tolerance:
    """The limits of `profile` in ms; "frame" is one frame of a file with `fps` frames a second."""
    from avsync_cli.verdict.answer import Tolerance

    if profile.early_ms is None or profile.late_ms is None:
        frame_ms = 1000.0 / fps if fps > 0 else 0.0
        return Tolerance(profile.name, frame_ms, frame_ms)
    return Tolerance(profile.name, profile.early_ms, profile.late_ms)


def analyse_file(
    path: str | os.PathLike[str],
    settings: Settings,
    engine: Engine,
    excerpt: Excerpt | None = None,
    progress: ProgressCall | None = None,
) -> Judgement:
    """Judge one file.

    Args:
        path: the file.
        settings: range, step, tolerance and threads.
        engine: from `load_model`.
        excerpt: tracks and part of the file; all of it by default.
        progress: called with (seconds done, seconds in all) now and then.

    Raises:
        MediaError: the file cannot be judged; the subclass says why.
        FfmpegMissingError: there is no ffmpeg.
    """
    from avsync_cli.inference.pipeline import AnalyseOptions, analyse

    excerpt = excerpt or Excerpt()
    profile = tolerance_profile(settings.tolerance)
    # A frame's duration is known only once the file is open, and the verdict is a pure function
    # of the evidence: so the profile "frame" is judged again when it is.
    options = AnalyseOptions(
        range_ms=settings.range_ms,
        step_ms=settings.step_ms,
        tolerance=tolerance_for(profile, fps=25.0),
        video_track=excerpt.video_track,
        audio_track=excerpt.audio_track,
        start_s=excerpt.start_s,
        duration_s=excerpt.duration_s,
        threads=settings.threads,
    )
    report = analyse(os.fspath(path), options, engine, progress)
    if profile.early_ms is None:
        from avsync_cli.verdict.decision import decide_verdict

        tolerance = tolerance_for(profile, report.evidence.media.fps)
        verdict = decide_verdict(report.evidence, tolerance)
        report = replace(report, tolerance=tolerance, verdict=verdict)
    return report


def load_model(
    model: str | os.PathLike[str] = "default", attention: str | None = None, threads: int = 0
) -> Engine:
    """Load a model for `score` and `scan`.

    Args:
        model: name of a bundled model, or its folder.
        attention: "none", "temporal" or "spatio-temporal": that variant of the model.
        threads: threads for inference; 0 uses every core.

    Raises:
        ModelError: no such model or variant, or a damaged one.
    """
    from avsync_cli.model.engine import load_engine

    chosen = model if isinstance(model, str) else Path(model)
    if attention is not None:
        chosen = find_variant(chosen, attention)
    return load_engine(chosen, threads)


def find_variant(model: str | Path, attention: str) -> Path:
    """The folder of `model` if it has that attention, else of the bundled `<model>-<attention>`.

    Raises:
        ModelError: neither is there.
    """
    named = models_dir() / model
    folders = [named, named.with_name(f"{named.name}-{attention}")]
    if Path(model).is_dir() and not named.is_dir():
        folders = [Path(model)]
    for folder in folders:
        if describe_model(folder).get("config", {}).get("attention") == attention:
            return folder
    have = [
        f"{name} ({describe_model(models_dir() / name).get('config', {}).get('attention')})"
        for name in model_names()
    ]
    hint = f"there are {', '.join(have)}" if have else "no model is bundled; give a folder"
    raise ModelError(f"model {str(model)!r} has no variant with {attention} attention", hint)


def describe_model(folder: Path) -> dict[str, Any]:
    """What a model's `model.json` says, or {}; the engine checks it again, and harder."""
    try:
        described = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(described, dict) or not isinstance(described.get("config", {}), dict):
        return {}
    return described
