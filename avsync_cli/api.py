"""The functions that the package offers to Python. A call means what it says: configuration files
and variables, which are for the command line, do not reach it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from avsync_cli.config import DEFAULTS, Command, Settings
from avsync_cli.judging import Excerpt, analyse_file, load_model

if TYPE_CHECKING:
    from avsync_cli.model.engine import Engine
    from avsync_cli.verdict.answer import Judgement


class Options(TypedDict, total=False):
    """How a file is judged; what is left out is as on the command line.

    Attributes:
        range_ms: offsets from -range to +range are tried, 10 to 30,000 ms.
        step_ms: distance between two of them, a multiple of 10 ms.
        tolerance: name of a profile such as "ebu", or "EARLY:LATE" in ms.
        model: name of a bundled model, or its folder.
        attention: "none", "temporal" or "spatio-temporal": that variant of the model.
        engine: a model from `load_model`, to judge many files with one; in place of the two above.
        threads: threads for inference; 0 uses every core.
        video_track, audio_track: numbers of the tracks, from 0; None takes those of a player.
        start_s, duration_s: the part of the file to judge, in s; None runs to the end.
        progress: called with (seconds done, seconds in all); what it raises ends the work.
    """

    range_ms: int
    step_ms: int
    tolerance: str
    model: str
    attention: str | None
    engine: Engine
    threads: int
    video_track: int | None
    audio_track: int | None
    start_s: float
    duration_s: float | None
    progress: Callable[[float, float], None]


def score(path: str | os.PathLike[str], **options: Unpack[Options]) -> Judgement:
    """Say whether a file's sound is in sync, looking for offsets within a second.

    Args:
        path: a file that ffmpeg can open, with picture and sound.
        **options: see `Options`.

    Returns:
        The judgement: `.verdict` answers, `.evidence` is what the answer rests on.

    Raises:
        AvsyncError: the file, the model or an option cannot be used; the subclass says which.
        TypeError: there is no such option.
    """
    return _judged("score", path, options)


def scan(path: str | os.PathLike[str], **options: Unpack[Options]) -> Judgement:
    """Find the offset of a file's sound: `score` with a range of two seconds."""
    return _judged("offset-scan", path, options)


def _judged(command: Command, path: str | os.PathLike[str], options: Options) -> Judgement:
    unknown = sorted(set(options) - set(Options.__annotations__))
    if unknown:
        raise TypeError(f"{command}() got an unexpected keyword argument {unknown[0]!r}")
    settings = replace(DEFAULTS[command], **_part(Settings, options)).checked()
    engine = options.get("engine")
    if engine is None:
        engine = load_model(settings.model, settings.attention, settings.threads)
    excerpt = Excerpt(**_part(Excerpt, options))
    return analyse_file(path, settings, engine, excerpt, options.get("progress"))


def _part(owner: type[Any], options: Options) -> dict[str, Any]:
    """The options that are fields of `owner`."""
    names = {field.name for field in fields(owner)}
    return {name: value for name, value in options.items() if name in names}
