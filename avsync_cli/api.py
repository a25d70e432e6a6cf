"""The functions that the package offers to Python. A call means what it says: configuration files
and variables, which are for the command line, do not reach it."""

from __future__ import annotations

import numbers
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, get_args

from avsync_cli.config import DEFAULTS, Command, Settings, brief
from avsync_cli.errors import UsageError
from avsync_cli.judging import Excerpt, analyse_file
from avsync_cli.loading import load_model
from avsync_cli.media.source import Source

if TYPE_CHECKING:
    from avsync_cli.model.engine import Engine
    from avsync_cli.repair.run import Pitch, Repair
    from avsync_cli.verdict.answer import Judgement


class Options(TypedDict, total=False):
    """How a file is judged; what is left out is as on the command line.

    Attributes:
        range_ms: offsets from -range to +range are tried, 10 to 30,000 ms, and no others. Left out,
            a file in which nothing fits is looked at once more, four times as far.
        step_ms: distance between two of them, a multiple of 10 ms.
        tolerance: name of a profile such as "ebu", or "EARLY:LATE" in ms.
        min_confidence: least confidence of an answer, 0.5 to 0.999; None takes the model's own.
        model: name of a bundled model, or its folder.
        attention: "none", "temporal" or "spatio-temporal": that variant of the model.
        engine: a model from `load_model`, to judge many files with one; in place of the two above.
        threads: threads for inference; 0 uses half the cores, beside
            the decoder.
        slate: look for a clap at the head; it is `evidence.clap` then.
        quick: read stretches of a long file until they settle it; `score` and `scan` only.
        until: with `quick`, the probability from which on an answer is sure, 0.8 to 0.99.
        most_s: with `quick`, seconds of the file to read at the most; None reads until it is sure.
        video_track, audio_track: numbers of the tracks, from 0; None takes those of a player.
        start_s, duration_s: the part of the file to judge, in s; None runs to the end.
        progress: called with (seconds done, seconds in all); what it raises ends the work.
    """

    range_ms: int
    step_ms: int
    tolerance: str
    min_confidence: float | None
    model: str
    attention: str | None
    engine: Engine
    threads: int
    slate: bool
    quick: bool
    until: float
    most_s: float | None
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
        TypeError: there is no such option, or none of such a kind.
    """
    return _judged("score", path, options)


def scan(path: str | os.PathLike[str], **options: Unpack[Options]) -> Judgement:
    """Find the offset of a file's sound: `score` with a range of two seconds."""
    return _judged("offset-scan", path, options)


def fix(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    in_place: bool = False,
    offset_ms: float | None = None,
    pitch: Pitch = "auto",
    force: bool = False,
    **options: Unpack[Options],
) -> Repair:
    """Write a copy whose sound is where it belongs, and measure it again.

    Args:
        path: as for `score`.
        output: the copy; its extension names the container. Never one that exists.
        in_place: put the copy in the file's place, in place of `output`.
        offset_ms: the lag, if it is known: > 0 the sound is late. The file is not judged then.
        pitch: where sound drifts: "keep" its pitch, let it "shift" with the speed; "auto" keeps it
            from 1 % on.
        force: also move the sound of a file in sync.
        **options: see `Options`.

    Returns:
        what was done: `.outcome`, `.confirmed`, `.doubt`, `.lost`, and the judgements on the file
        and on the copy. What was not confirmed is not written.

    Raises:
        AvsyncError: the file is undecided, or something cannot be used; the subclass says which.
        TypeError: there is no such option, or none of such a kind.
    """
    from avsync_cli.repair.containers import carrier
    from avsync_cli.repair.run import Order, Pitch, repair

    if pitch not in get_args(Pitch):
        raise UsageError(f"no pitch is {brief(pitch)}", f"use one of {', '.join(get_args(Pitch))}")
    if options.get("quick"):
        raise UsageError("what is put right is judged whole", "leave quick out")
    if (output is not None) == in_place:
        raise UsageError("name either an output or in_place", "one of the two")
    target = Path(os.fsdecode(path if output is None else output))
    target = target.resolve() if in_place else target
    carrier(target)
    settings, engine, excerpt = _how("fix", "score", options)
    order = Order(
        source=Source.of(path),
        target=target,
        in_place=in_place,
        offset_ms=offset_ms,
        pitch=pitch,
        force=force,
        settings=settings,
        excerpt=excerpt,
    )
    return repair(order, engine, lambda _: nullcontext(options.get("progress")))


def _judged(command: Command, path: str | os.PathLike[str], options: Options) -> Judgement:
    settings, engine, excerpt = _how(command, command, options)
    return analyse_file(os.fsdecode(path), settings, engine, excerpt, options.get("progress"))


def _how(name: str, like: Command, options: Options) -> tuple[Settings, Engine, Excerpt]:
    unknown = sorted(set(options) - set(Options.__annotations__))
    if unknown:
        raise TypeError(f"{name}() got an unexpected keyword argument {unknown[0]!r}")
    for key, value in options.items():
        _check_kind(key, value)
    settings = DEFAULTS[like].but(**_part(Settings, options)).checked()
    excerpt = Excerpt(**_part(Excerpt, options)).checked()
    engine = options.get("engine")
    if engine is None:
        engine = load_model(settings.model, settings.attention, settings.threads)
    return settings, engine, excerpt


_KINDS = {"bool": bool, "int": numbers.Integral, "float": numbers.Real, "str": str}
"""By the names of annotations; numbers of numpy are numbers."""


def _check_kind(name: str, value: object) -> None:
    wanted = Options.__annotations__[name].__forward_arg__
    kinds = wanted.split(" | ")
    # A number of ms may have been divided: 1000 / 25 is none of the whole numbers of Python.
    kind = numbers.Real if name.endswith("_ms") else _KINDS.get(kinds[0])
    if kind is None or (value is None and "None" in kinds):
        return
    if name == "model" and isinstance(value, os.PathLike):
        return
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{name} must be {wanted}, not {brief(value)}")


def _part(owner: type[Any], options: Options) -> dict[str, Any]:
    """The options that are fields of `owner`."""
    names = {field.name for field in fields(owner)}
    return {name: value for name, value in options.items() if name in names}
