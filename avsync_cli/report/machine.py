"""The answer for a script: one JSON document, JSON lines, or CSV. Keys are a contract: add only.

File names are written as Python holds them: bytes that are not UTF-8 are lone surrogates, which
JSON and CSV carry as escapes (`\\udcff`), so `os.fsencode` gets the name back.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from avsync_cli.inference.evidence import BlockResult, Clap
from avsync_cli.report.table import csv_line
from avsync_cli.verdict.answer import Candidate, Judgement, Segment, Tolerance, TrackResult

SCHEMA_VERSION = 1

CSV_COLUMNS = (
    "path",
    "status",
    "offset_ms",
    "offset_ci_low_ms",
    "offset_ci_high_ms",
    "direction",
    "confidence",
    "p_sync",
    "drift_ms_per_min",
    "duration_s",
    "fps",
    "vfr",
    "width",
    "height",
    "audio_hz",
    "audio_track",
    "reasons",
    "error",
    "at_border",
    "complete",
    "declared_s",
    "decoded_s",
    "audio_tracks",
    "best_offset_ms",
    "best_p",
    "second_offset_ms",
    "second_p",
    "margin",
    "evidence_s",
    "min_confidence",
    "would_decide",
)


PIECE_COLUMNS = (
    "path",
    "piece",
    "pieces",
    "start_s",
    "end_s",
    "status",
    "offset_ms",
    "offset_ci_low_ms",
    "offset_ci_high_ms",
    "confidence",
    "file_status",
    "audio_track",
    "error",
)


@dataclass(frozen=True)
class Tool:
    """What judged: version of avsync, name of the model, backend that ran it."""

    version: str
    model: str
    backend: str


@dataclass(frozen=True)
class Failure:
    """A file that could not be judged."""

    path: str
    message: str
    hint: str = ""


def status_of(outcome: Judgement | Failure) -> str:
    """The answer in a word, "error" for none."""
    return "error" if isinstance(outcome, Failure) else outcome.verdict.status


def document(
    reports: Iterable[Judgement],
    failures: Iterable[Failure],
    tool: Tool,
    tolerance: Mapping[str, Any],
    *,
    curve: bool,
) -> dict[str, Any]:
    """The JSON document of a run.

    Args:
        reports: in order of input.
        failures: likewise.
        tool: who judged.
        tolerance: `tolerance_entry` of the run.
        curve: whether the files' entries hold their offset curves.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"version": tool.version, "model": tool.model, "backend": tool.backend},
        "tolerance": dict(tolerance),
        "files": [file_entry(report, curve=curve) for report in reports],
        "errors": [failure_entry(failure) for failure in failures],
    }


def tolerance_entry(name: str, early_ms: float | None, late_ms: float | None) -> dict[str, Any]:
    """The run's tolerance; limits are None where each file has its own (profile "frame")."""
    return {"name": name, "early_ms": _number(early_ms), "late_ms": _number(late_ms)}


def file_entry(report: Judgement, *, curve: bool) -> dict[str, Any]:
    """One file's entry in the document."""
    verdict, evidence, media = report.verdict, report.evidence, report.evidence.media
    entry: dict[str, Any] = {
        "path": report.path,
        "status": verdict.status,
        "offset_ms": _number(verdict.offset_ms),
        "offset_ci_ms": _pair(verdict.offset_ci_ms),
        "direction": verdict.direction,
        "confidence": _number(verdict.confidence),
        "p_sync": _number(verdict.p_sync),
        "at_border": verdict.at_border,
        "drift_ms_per_min": _number(verdict.drift_ms_per_min),
        "drift_ci_ms_per_min": _pair(verdict.drift_ci_ms_per_min),
        "usable": _number(verdict.usable),
        "read": {"stretches": evidence.stretches, "seconds": _number(evidence.read_s)},
        "best": _candidate(verdict.best),
        "second_best": _candidate(verdict.second),
        "clap": _clap(evidence.clap, media.audio_hz),
        "margin": _number(verdict.margin),
        "evidence_s": _number(verdict.evidence_s),
        "min_confidence": _number(verdict.min_confidence),
        "would_decide": verdict.would_decide,
        "reasons": list(verdict.reasons),
        "tolerance": _own_tolerance(report.tolerance),
        "media": {
            "duration_s": _number(media.duration_s),
            "fps": _number(media.fps),
            "vfr": media.vfr,
            "width": media.width,
            "height": media.height,
            "audio_hz": media.audio_hz,
            "audio_track": media.audio_track,
            "audio_tracks": media.audio_tracks,
            "stamps": media.stamps,
            "declared_s": _number(media.declared_s),
            "decoded_s": _number(media.decoded_s),
            "complete": media.complete,
        },
        "segments": [_segment(segment) for segment in verdict.segments],
        "tracks": [_track(track) for track in report.tracks],
        "blocks": [_block(block) for block in evidence.blocks],
    }
    if curve:
        entry["curve"] = [
            {"offset_ms": int(offset), "score": _number(score), "p": _number(p)}
            for offset, score, p in zip(
                evidence.offsets_ms, verdict.curve_score, verdict.curve, strict=True
            )
        ]
    return entry


def _clap(clap: Clap | None, audio_hz: int) -> dict[str, Any] | None:
    if clap is None:
        return None
    return {
        "frame": clap.frame,
        "picture_s": _number(clap.picture_s),
        "sample": round(clap.sound_s * audio_hz),
        "sound_s": _number(clap.sound_s),
        "offset_ms": _number(clap.offset_ms),
        "frame_ms": _number(clap.frame_ms),
    }


def failure_entry(failure: Failure) -> dict[str, Any]:
    """One file's entry among the errors."""
    return {"path": failure.path, "message": failure.message, "hint": failure.hint}


def to_json(value: Mapping[str, Any]) -> str:
    """The document as text, indented, ASCII only, with a newline at its end."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def json_line(
    outcome: Judgement | Failure,
    tool: Tool,
    tolerance: Mapping[str, Any],
    *,
    curve: bool,
    command: str = "score",
    resume: Mapping[str, Any] | None = None,
) -> str:
    """One file as one line; complete in itself, with `"status": "error"` for a failure.

    Args:
        outcome: what became of the file.
        tool: who judged.
        tolerance: `tolerance_entry` of the run.
        curve: whether the offset curve is in it.
        command: that judged, "score" or "offset-scan".
        resume: by what a later run knows the line to be still true.
    """
    head = {
        "schema_version": SCHEMA_VERSION,
        "tool": {"version": tool.version, "model": tool.model, "backend": tool.backend},
    }
    body: dict[str, Any]
    if isinstance(outcome, Failure):
        error = {"message": outcome.message, "hint": outcome.hint}
        body = {"path": outcome.path, "status": "error", "tolerance": dict(tolerance)}
        body["error"] = error
    else:
        body = file_entry(outcome, curve=curve)
        body |= {"command": command, "fix_words": list(outcome.fix_words)}
    if resume is not None:
        body["resume"] = dict(resume)
    return json.dumps({**head, **body}, allow_nan=False, separators=(",", ":")) + "\n"


def csv_header(*, pieces: bool = False) -> str:
    """The first line of the CSV, of files or of pieces."""
    return csv_line(PIECE_COLUMNS if pieces else CSV_COLUMNS)


def csv_row(outcome: Judgement | Failure) -> str:
    """One file as one line of CSV; empty cells where there is no value."""
    if isinstance(outcome, Failure):
        return _csv_cells(CSV_COLUMNS, _failed(outcome))
    entry = file_entry(outcome, curve=False)
    reasons = "; ".join(entry["reasons"])
    for name, key in (("best", "best"), ("second", "second_best")):
        found = entry[key] or {}
        entry |= {f"{name}_offset_ms": found.get("offset_ms"), f"{name}_p": found.get("p")}
    return _csv_cells(CSV_COLUMNS, {**entry, **entry["media"], "reasons": reasons})


def csv_pieces(outcome: Judgement | Failure) -> str:
    """One file as a line of CSV for every piece; one line for a file without any."""
    if isinstance(outcome, Failure):
        return _csv_cells(PIECE_COLUMNS, {**_failed(outcome), "file_status": "error"})
    verdict = outcome.verdict
    track = outcome.evidence.media.audio_track
    file = {"path": outcome.path, "file_status": verdict.status, "audio_track": track}
    pieces = [_segment(s) for s in verdict.segments] or [{"status": verdict.status}]
    return "".join(
        _csv_cells(PIECE_COLUMNS, {**file, **piece, "piece": number, "pieces": len(pieces)})
        for number, piece in enumerate(pieces, 1)
    )


def _failed(failure: Failure) -> dict[str, Any]:
    return {"path": failure.path, "status": "error", "error": failure.message}


def _csv_cells(columns: Iterable[str], entry: Mapping[str, Any]) -> str:
    low, high = entry.get("offset_ci_ms") or (None, None)
    cells = {**entry, "offset_ci_low_ms": low, "offset_ci_high_ms": high}
    return csv_line([cells.get(column) for column in columns])


def _block(block: BlockResult) -> dict[str, Any]:
    region = block.region
    return {
        "start_s": _number(block.start_s),
        "end_s": _number(block.end_s),
        "region": {
            "kind": region.kind,
            "track": region.track,
            "box": [_number(side) for side in region.box],
        },
        "confidence": _number(block.confidence),
        "weight": _number(block.weight),
        "p_sync": _number(block.p_sync),
        "used": block.used,
        "reason": block.reason,
    }


def _track(track: TrackResult) -> dict[str, Any]:
    return {
        "track": track.track,
        "start_s": _number(track.start_s),
        "end_s": _number(track.end_s),
        "boxes": [[_number(side) for side in box] for box in track.boxes],
        "judged_s": _number(track.judged_s),
        "speaking": _number(track.speaking),
        "offset_ms": _number(track.offset_ms),
        "offset_ci_ms": _pair(track.offset_ci_ms),
        "height": _number(track.height),
        "margin": _number(track.margin),
        "confidence": _number(track.confidence),
        "kept": track.kept,
        "reason": track.reason,
    }


def _segment(segment: Segment) -> dict[str, Any]:
    return {
        "start_s": _number(segment.start_s),
        "end_s": _number(segment.end_s),
        "offset_ms": _number(segment.offset_ms),
        "offset_ci_ms": _pair(segment.offset_ci_ms),
        "confidence": _number(segment.confidence),
        "status": segment.status,
    }


def _candidate(found: Candidate | None) -> dict[str, Any] | None:
    return None if found is None else {"offset_ms": _number(found.offset_ms), "p": _number(found.p)}


def _own_tolerance(tolerance: Tolerance) -> dict[str, Any]:
    return tolerance_entry(tolerance.name, tolerance.early_ms, tolerance.late_ms)


def _pair(pair: tuple[float, float] | None) -> list[float | None] | None:
    return None if pair is None else [_number(pair[0]), _number(pair[1])]


def _number(value: Any) -> float | None:
    """A plain float of at most six decimals; None for what JSON cannot say."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), 6)
