"""Judgements read back from the lines of JSON that they were written as: `machine` the other way.

What no line holds is not there: the windows behind the heat map, and the cells of attention.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field
from typing import Any, TypeVar, get_args

import numpy as np

from avsync_cli.config import brief
from avsync_cli.errors import UsageError
from avsync_cli.inference.evidence import BlockResult, Clap, Evidence, MediaSummary, Region, Strikes
from avsync_cli.names import Direction, RegionKind, Status
from avsync_cli.report.machine import Failure, Tool, told
from avsync_cli.verdict.answer import Candidate, Judgement, Segment, Tolerance, TrackResult, Verdict

T = TypeVar("T")

_FIX: tuple[str, ...] = ("avsync", "fix")
"""How a repair is called where a line does not say how it was."""

REPEATED_LIMIT = 1_000_000
"""Blocks, stretches or points of a line: more than a week of film has."""


@dataclass(frozen=True)
class Reread:
    """What one line holds.

    Attributes:
        result: the judgement, or why there is none.
        tool: who judged.
        command: "score" or "offset-scan"; "" of a failure, which does not tell.
        lacking: keys that this version writes and the line does not have.
    """

    result: Judgement | Failure
    tool: Tool
    command: str
    lacking: frozenset[str]


def reread(line: Mapping[str, Any]) -> Reread:
    """What a line of `--jsonl` or `--resume` says.

    Raises:
        UsageError: a value in it cannot be.
    """
    entry = _Fields(line)
    who = entry.table("tool").value(Tool)
    path = entry.take("path", _text)
    if entry.take("status", _text) == "error":
        return Reread(entry.table("error").value(Failure, path=path), who, "", frozenset())
    offsets_ms, score, curve = _curve(entry)
    verdict = entry.value(
        Verdict,
        segments=[part.value(Segment) for part in entry.tables("segments")],
        curve=curve,
        curve_score=score,
        best=entry.perhaps("best", Candidate),
        second=entry.perhaps("second_best", Candidate),
    )
    fix_words: tuple[str, ...] = entry.take("fix_words", _texts, _FIX)
    result = Judgement(
        path=path,
        evidence=_evidence(entry, offsets_ms),
        verdict=verdict,
        tolerance=entry.table("tolerance").value(Tolerance),
        fix_words=fix_words,
        # Every answer has a bar; only one that was asked for is repeated, to be judged by again.
        min_confidence=verdict.min_confidence if "--min-confidence" in fix_words else None,
        tracks=tuple(t.value(TrackResult) for t in entry.tables("tracks", optional=True)),
    )
    return Reread(result, who, entry.take("command", _text, "score"), frozenset(entry.lacking))


def _evidence(entry: _Fields, offsets_ms: np.ndarray) -> Evidence:
    media = entry.table("media").value(MediaSummary)
    read = _Fields(entry.take("read", _mapping, {}))
    read_s: float | None = read.take("seconds", _kind("float | None"), None)
    seconds = media.duration_s if read_s is None else read_s
    return Evidence(
        offsets_ms=offsets_ms,
        windows=[],
        media=media,
        blocks=[
            block.value(BlockResult, region=block.table("region").value(Region))
            for block in entry.tables("blocks")
        ],
        judged_s=entry.take("usable", _number, 0.0) * seconds,
        stretches=read.take("stretches", _kind("int | None"), None),
        read_s=read_s,
        clap=entry.perhaps("clap", Clap),
        strikes=entry.perhaps("strikes", Strikes),
    )


def _curve(entry: _Fields) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(O,) offsets in ms, scores and probabilities; empty where the line has no curve."""
    points = entry.tables("curve", optional=True)
    offsets = np.array([point.take("offset_ms", _whole) for point in points], np.int64)
    score, p = (
        np.array([point.take(key, _share) for point in points], np.float64)
        for key in ("score", "p")
    )
    return offsets, score, np.nan_to_num(p)


# --- Values ---------------------------------------------------------------------------------------


@dataclass
class _Fields:
    """A table of a line; keys without a default must be there."""

    values: Mapping[str, Any]
    lacking: set[str] = field(default_factory=set)

    def take(self, key: str, kind: Callable[[Any], T], *default: T) -> T:
        if key not in self.values and default:
            self.lacking.add(key)
            return default[0]
        try:
            return kind(self.values.get(key))
        except (TypeError, ValueError, OverflowError):
            what = f"{key} {brief(self.values.get(key))} cannot be"
            raise UsageError(what, "take the line out, or judge the file anew") from None

    def table(self, key: str) -> _Fields:
        return _Fields(self.take(key, _mapping), self.lacking)

    def tables(self, key: str, *, optional: bool = False) -> list[_Fields]:
        default: tuple[list[Mapping[str, Any]], ...] = ([],) if optional else ()
        return [_Fields(value) for value in self.take(key, _mappings, *default)]

    def value(self, kind: type[T], **others: Any) -> T:
        """A value of a dataclass, of the keys that `machine.plain` writes; `others` are given."""
        for each in told(kind):
            if each.name not in others:
                read = _share if each.name in _MAYBE_NAN else _kind(str(each.type))
                default = () if each.default is MISSING else (each.default,)
                others[each.name] = self.take(each.name, read, *default)
        return kind(**others)

    def perhaps(self, key: str, kind: type[T]) -> T | None:
        """The same of a table that may be null, or not there."""
        found = self.take(key, lambda value: None if value is None else _mapping(value), None)
        return None if found is None else _Fields(found).value(kind)


def _of(kind: type[T]) -> Callable[[Any], T]:
    """Takes a value of exactly that type, as JSON has it."""

    def check(value: Any) -> T:
        if type(value) is not kind:
            raise TypeError
        found: T = value
        return found

    return check


_mapping, _text, _flag = _of(dict), _of(str), _of(bool)


def _sequence(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > REPEATED_LIMIT:
        raise TypeError
    return value


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [_mapping(item) for item in _sequence(value)]


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(_text, _sequence(value)))


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise TypeError
    return float(value)


def _share(value: Any) -> float:
    """A figure that may be no number, which is written as null."""
    return math.nan if value is None else _number(value)


def _whole(value: Any) -> int:
    if type(value) is not int or not -(2**31) <= value < 2**31:
        raise TypeError
    return value


def _numbers(count: int) -> Callable[[Any], tuple[float, ...]]:
    """Takes so many numbers."""

    def read(value: Any) -> tuple[float, ...]:
        if len(_sequence(value)) != count:
            raise ValueError
        return tuple(map(_number, value))

    return read


def _one_of(literal: Any) -> Callable[[Any], Any]:
    words = get_args(literal)
    return lambda value: words[words.index(value)]


_KINDS: Mapping[str, Callable[[Any], Any]] = {
    "float": _number,
    "int": _whole,
    "bool": _flag,
    "str": _text,
    "list[str]": lambda value: list(_texts(value)),
    "tuple[float, ...]": lambda row: tuple(map(_number, _sequence(row))),
    "tuple[float, float]": _numbers(2),
    "tuple[float, float, float, float]": _numbers(4),
    "np.ndarray": lambda rows: np.array([_numbers(4)(row) for row in _sequence(rows)]),
    "Status": _one_of(Status),
    "Direction": _one_of(Direction),
    "RegionKind": _one_of(RegionKind),
}
"""What reads a field, by its type as it is written."""

_MAYBE_NAN = frozenset({"confidence", "p_sync", "weight", "margin"})
"""Figures that may be no number."""


def _kind(written: str) -> Callable[[Any], Any]:
    plain, _, none = written.partition(" | ")
    read = _KINDS[plain]
    return (lambda value: None if value is None else read(value)) if none else read
