"""Judgements read back from the lines of JSON that they were written as: `machine` the other way.

What no line holds is not there: the windows behind the heat map, and the cells of attention.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args

import numpy as np

from avsync_cli.config import brief
from avsync_cli.errors import UsageError
from avsync_cli.inference.evidence import BlockResult, Clap, Evidence, MediaSummary, Region
from avsync_cli.names import Direction, RegionKind, Status
from avsync_cli.report.machine import Failure, Tool
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
    tool = entry.table("tool")
    who = Tool(*(tool.take(key, _text) for key in ("version", "model", "backend")))
    path = entry.take("path", _text)
    if entry.take("status", _text) == "error":
        error = entry.table("error")
        result: Judgement | Failure = Failure(
            path, error.take("message", _text), error.take("hint", _text)
        )
        return Reread(result, who, "", frozenset())
    offsets_ms, score, curve = _curve(entry)
    own = entry.table("tolerance")
    verdict = _verdict(entry, score, curve)
    fix_words: tuple[str, ...] = entry.take("fix_words", _texts, _FIX)
    result = Judgement(
        path=path,
        evidence=_evidence(entry, offsets_ms),
        verdict=verdict,
        tolerance=Tolerance(
            own.take("name", _text), own.take("early_ms", _number), own.take("late_ms", _number)
        ),
        fix_words=fix_words,
        # Every answer has a bar; only one that was asked for is repeated, to be judged by again.
        min_confidence=verdict.min_confidence if "--min-confidence" in fix_words else None,
        tracks=tuple(map(_track, entry.tables("tracks", optional=True))),
    )
    return Reread(result, who, entry.take("command", _text, "score"), frozenset(entry.lacking))


def _verdict(entry: _Fields, score: np.ndarray, curve: np.ndarray) -> Verdict:
    return Verdict(
        status=entry.take("status", _one_of(Status)),
        offset_ms=entry.take("offset_ms", _perhaps),
        offset_ci_ms=entry.take("offset_ci_ms", _pair),
        direction=entry.take("direction", _one_of(Direction)),
        confidence=entry.take("confidence", _share),
        p_sync=entry.take("p_sync", _share),
        drift_ms_per_min=entry.take("drift_ms_per_min", _perhaps),
        reasons=list(entry.take("reasons", _texts)),
        segments=[
            Segment(
                start_s=part.take("start_s", _number),
                end_s=part.take("end_s", _number),
                offset_ms=part.take("offset_ms", _perhaps),
                offset_ci_ms=part.take("offset_ci_ms", _pair),
                confidence=part.take("confidence", _share),
                status=part.take("status", _one_of(Status)),
            )
            for part in entry.tables("segments")
        ],
        curve=curve,
        curve_score=score,
        drift_ci_ms_per_min=entry.take("drift_ci_ms_per_min", _pair, None),
        usable=entry.take("usable", _number, 0.0),
        at_border=entry.take("at_border", _flag, False),
        best=_candidate(entry, "best"),
        second=_candidate(entry, "second_best"),
        margin=entry.take("margin", _share, 0.0),
        evidence_s=entry.take("evidence_s", _number, 0.0),
        min_confidence=entry.take("min_confidence", _number, 0.8),
        would_decide=entry.take("would_decide", _text, ""),
    )


def _candidate(entry: _Fields, key: str) -> Candidate | None:
    found = entry.take(key, lambda value: None if value is None else _mapping(value), None)
    if found is None:
        return None
    candidate = _Fields(found)
    return Candidate(candidate.take("offset_ms", _number), candidate.take("p", _number))


def _evidence(entry: _Fields, offsets_ms: np.ndarray) -> Evidence:
    media = entry.table("media")
    duration_s = media.take("duration_s", _number)
    read = _Fields(entry.take("read", _mapping, {}))
    read_s: float | None = read.take("seconds", _perhaps, None)
    return Evidence(
        offsets_ms=offsets_ms,
        windows=[],
        media=MediaSummary(
            duration_s=duration_s,
            fps=media.take("fps", _number),
            vfr=media.take("vfr", _flag),
            width=media.take("width", _whole),
            height=media.take("height", _whole),
            audio_hz=media.take("audio_hz", _whole),
            audio_track=media.take("audio_track", _whole),
            audio_tracks=media.take("audio_tracks", _whole, 1),
            stamps=media.take("stamps", _text, "sound"),
            declared_s=media.take("declared_s", _perhaps, None),
            decoded_s=media.take("decoded_s", _perhaps, None),
            complete=media.take("complete", lambda v: v if v is None else _flag(v), None),
        ),
        blocks=[_block(block) for block in entry.tables("blocks")],
        judged_s=entry.take("usable", _number, 0.0) * (duration_s if read_s is None else read_s),
        stretches=read.take("stretches", _perhaps_whole, None),
        read_s=read_s,
        clap=_clap(entry),
    )


def _track(track: _Fields) -> TrackResult:
    return TrackResult(
        track=track.take("track", _whole),
        start_s=track.take("start_s", _number),
        end_s=track.take("end_s", _number),
        boxes=track.take("boxes", lambda rows: np.array([_box(row) for row in _sequence(rows)])),
        judged_s=track.take("judged_s", _number),
        speaking=track.take("speaking", _number),
        offset_ms=track.take("offset_ms", _perhaps),
        offset_ci_ms=track.take("offset_ci_ms", _pair),
        height=track.take("height", _number),
        margin=track.take("margin", _number),
        confidence=track.take("confidence", _number),
        kept=track.take("kept", _flag),
        reason=track.take("reason", _text),
    )


def _clap(entry: _Fields) -> Clap | None:
    found = entry.take("clap", lambda value: None if value is None else _mapping(value), None)
    if found is None:
        return None
    clap = _Fields(found)
    seconds = {key: clap.take(key, _number) for key in ("picture_s", "sound_s", "frame_ms")}
    return Clap(frame=clap.take("frame", _whole), **seconds)


def _block(block: _Fields) -> BlockResult:
    region = block.table("region")
    return BlockResult(
        start_s=block.take("start_s", _number),
        end_s=block.take("end_s", _number),
        region=Region(
            region.take("kind", _one_of(RegionKind)),
            region.take("track", _perhaps_whole),
            region.take("box", _box),
        ),
        confidence=block.take("confidence", _share),
        weight=block.take("weight", _share),
        p_sync=block.take("p_sync", _share),
        used=block.take("used", _flag),
        reason=block.take("reason", _text),
    )


def _curve(entry: _Fields) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(O,) offsets in ms, scores and probabilities; empty where the line has no curve."""
    points = entry.tables("curve", optional=True)
    rows = [
        (p.take("offset_ms", _whole), p.take("score", _perhaps), p.take("p", _perhaps))
        for p in points
    ]
    offsets = np.array([row[0] for row in rows], np.int64)
    score, p = (
        np.array([np.nan if row[k] is None else row[k] for row in rows], np.float64) for k in (1, 2)
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


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value


def _sequence(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > REPEATED_LIMIT:
        raise TypeError
    return value


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return list(map(_mapping, _sequence(value)))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(_text, _sequence(value)))


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError
    return float(value)


def _share(value: Any) -> float:
    """A figure that may be no number, which is written as null."""
    return math.nan if value is None else _number(value)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -(2**31) <= value < 2**31:
        raise TypeError
    return value


def _perhaps_whole(value: Any) -> int | None:
    return None if value is None else _whole(value)


def _perhaps(value: Any) -> float | None:
    return None if value is None else _number(value)


def _pair(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    low, high = map(_number, _sequence(value))
    return low, high


def _box(value: Any) -> tuple[float, float, float, float]:
    left, top, width, height = map(_number, _sequence(value))
    return left, top, width, height


def _one_of(literal: Any) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if value not in get_args(literal):
            raise ValueError
        return value

    return check
