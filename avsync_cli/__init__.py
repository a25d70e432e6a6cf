"""avsync: is a video's sound in sync with its picture, by how much not, where, and how sure.

    >>> import avsync_cli
    >>> report = avsync_cli.score("holiday.mp4", tolerance="ebu")  # doctest: +SKIP
    >>> report.verdict.status, report.verdict.offset_ms             # doctest: +SKIP
    ('out_of_sync', 120.0)

An offset > 0 means that the sound is late. Importing this package imports nothing else; numpy and
ONNX Runtime come with the first call, torch never.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from avsync_cli._version import __version__

if TYPE_CHECKING:
    from avsync_cli.config import Command
    from avsync_cli.errors import AvsyncError
    from avsync_cli.judging import load_model
    from avsync_cli.model.engine import Engine
    from avsync_cli.verdict.answer import Judgement, Tolerance

__all__ = [
    "AvsyncError",
    "Judgement",
    "Tolerance",
    "__version__",
    "load_model",
    "scan",
    "score",
]

_LAZY = {
    "AvsyncError": "avsync_cli.errors",
    "Judgement": "avsync_cli.verdict.answer",
    "Tolerance": "avsync_cli.verdict.answer",
    "load_model": "avsync_cli.judging",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def score(path: str | os.PathLike[str], **options: Any) -> Judgement:
    """Say whether a file's sound is in sync, looking for offsets within a second.

    Args:
        path: a file that ffmpeg can open, with picture and sound.
        **options: any of
            range_ms, step_ms: offsets from -range to +range are tried, in these steps.
            tolerance: name of a profile such as "ebu", or "EARLY:LATE" in ms.
            model, attention: name or folder of the model, and its variant.
            engine: a model from `load_model`, to judge many files with one.
            threads: threads for inference; 0 uses every core.
            video_track, audio_track: numbers of the tracks, from 0.
            start_s, duration_s: the part of the file to judge.
            progress: called with (seconds done, seconds in all).

    Returns:
        The report: `.verdict` answers, `.evidence` is what the answer rests on.

    Raises:
        AvsyncError: the file, the model or an option cannot be used; the subclass says which.
    """
    return _analyse("score", path, options)


def scan(path: str | os.PathLike[str], **options: Any) -> Judgement:
    """Find the offset of a file's sound; `score` with a range of two seconds, same options."""
    return _analyse("offset-scan", path, options)


def _analyse(command: Command, path: str | os.PathLike[str], options: dict[str, Any]) -> Judgement:
    from dataclasses import fields, replace

    from avsync_cli import judging
    from avsync_cli.config import DEFAULTS, Settings, check_range_ms, check_step_ms

    options = dict(options)
    engine: Engine | None = options.pop("engine", None)
    progress: judging.ProgressCall | None = options.pop("progress", None)
    parts = {f.name: options.pop(f.name) for f in fields(judging.Excerpt) if f.name in options}
    known = {f.name for f in fields(Settings)}
    unknown = sorted(set(options) - known)
    if unknown:
        raise TypeError(f"unexpected option {unknown[0]!r}")
    # Configuration files and variables are for the command line; a call means what it says.
    settings = replace(DEFAULTS[command], **options)
    check_range_ms(settings.range_ms)
    check_step_ms(settings.step_ms)
    if engine is None:
        engine = judging.load_model(settings.model, settings.attention, settings.threads)
    return judging.analyse_file(path, settings, engine, judging.Excerpt(**parts), progress)
