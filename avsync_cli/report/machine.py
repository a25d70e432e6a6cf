"""The answer for a script: one JSON document, JSON lines, or CSV. Keys are a contract: add only.

Values of an answer are written as their dataclasses have them, field by field (`plain`); `reread`
reads them back. File names are written as Python holds them: bytes that are not UTF-8 are lone
surrogates, which JSON and CSV carry as escapes (`\\udcff`), so `os.fsencode` gets the name back.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, fields
from typing import Any

import numpy as np

from avsync_cli.inference.evidence import BlockResult, Clap, MediaSummary, Region
from avsync_cli.report.table import csv_line
from avsync_cli.verdict.answer import Judgement, Verdict

SCHEMA_VERSION = 1

CSV_COLUMNS = (
    "path status offset_ms offset_ci_low_ms offset_ci_high_ms direction confidence p_sync "
    "drift_ms_per_min duration_s fps vfr width height audio_hz audio_track reasons error at_border "
    "complete declared_s decoded_s audio_tracks best_offset_ms best_p second_offset_ms second_p "
    "margin evidence_s min_confidence would_decide"
).split()

PIECE_COLUMNS = (
    "path piece pieces start_s end_s status offset_ms offset_ci_low_ms offset_ci_high_ms "
    "confidence file_status audio_track error"
).split()

_UNTOLD: Mapping[type, frozenset[str]] = {
    Verdict: frozenset({"best", "second", "segments", "curve", "curve_score"}),
    MediaSummary: frozenset({"container"}),
    BlockResult: frozenset({"cells"}),
    Region: frozenset({"seen"}),
}
"""Fields that are not in the entry of a value: told elsewhere, or not at all."""


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
        "tool": plain(tool),
        "tolerance": dict(tolerance),
        "files": [file_entry(report, curve=curve) for report in reports],
        "errors": [plain(failure) for failure in failures],
    }


def tolerance_entry(name: str, early_ms: float | None, late_ms: float | None) -> dict[str, Any]:
    """The run's tolerance; limits are None where each file has its own (profile "frame")."""
    return {"name": name, "early_ms": _number(early_ms), "late_ms": _number(late_ms)}


def file_entry(report: Judgement, *, curve: bool) -> dict[str, Any]:
    """One file's entry in the document."""
    verdict, evidence = report.verdict, report.evidence
    entry: dict[str, Any] = {
        "path": report.path,
        **plain(verdict),
        "read": {"stretches": evidence.stretches, "seconds": _number(evidence.read_s)},
        "best": verdict.best and plain(verdict.best),
        "second_best": verdict.second and plain(verdict.second),
        "clap": evidence.clap and _clap(evidence.clap, evidence.media.audio_hz),
        "strikes": evidence.strikes and plain(evidence.strikes),
        "tolerance": plain(report.tolerance),
        "media": plain(evidence.media),
        "segments": [plain(segment) for segment in verdict.segments],
        "tracks": [plain(track) for track in report.tracks],
        "blocks": [plain(block) for block in evidence.blocks],
    }
    if curve:
        entry["curve"] = [
            {"offset_ms": int(offset), "score": _number(score), "p": _number(p)}
            for offset, score, p in zip(
                evidence.offsets_ms, verdict.curve_score, verdict.curve, strict=True
            )
        ]
    return entry


def _clap(clap: Clap, audio_hz: int) -> dict[str, Any]:
    sample = round(clap.sound_s * audio_hz)
    return {**plain(clap), "sample": sample, "offset_ms": _number(clap.offset_ms)}


def plain(value: object) -> dict[str, Any]:
    """The entry of a value: its fields by their names, as JSON can say them."""
    return {
        each.name: _said(getattr(value, each.name), "float" in str(each.type))
        for each in told(type(value))
    }


def told(kind: type[Any]) -> list[Field[Any]]:
    """The fields of a dataclass that the entries of its values have."""
    return [each for each in fields(kind) if each.name not in _UNTOLD.get(kind, ())]


def _said(value: Any, is_float: bool) -> Any:
    if isinstance(value, Region):
        return plain(value)
    if isinstance(value, np.ndarray):
        return [[_number(x) for x in row] for row in value]
    if isinstance(value, (list, tuple)):
        return [_said(item, is_float) for item in value]
    return _number(value) if is_float else value


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
    entry: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "tool": plain(tool)}
    if isinstance(outcome, Failure):
        entry |= {"path": outcome.path, "status": "error", "tolerance": dict(tolerance)}
        entry["error"] = {"message": outcome.message, "hint": outcome.hint}
    else:
        entry |= file_entry(outcome, curve=curve)
        entry |= {"command": command, "fix_words": list(outcome.fix_words)}
    if resume is not None:
        entry["resume"] = dict(resume)
    return json.dumps(entry, allow_nan=False, separators=(",", ":")) + "\n"


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
    pieces = [plain(s) for s in verdict.segments] or [{"status": verdict.status}]
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


def _number(value: Any) -> float | None:
    """A plain float of at most six decimals; None for what JSON cannot say."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), 6)
