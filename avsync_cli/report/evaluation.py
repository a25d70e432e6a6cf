"""What `avsync eval` measured, for the terminal and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from rich.text import Text

from avsync_cli.evaluation.records import (
    NEAR_FRAMES,
    REACH_FRAMES,
    Certainty,
    EvalReport,
    PlacementRow,
    ShiftRow,
)
from avsync_cli.report.table import NOTHING, Table, terminal_lines
from avsync_cli.timebase import FRAME_MS
from avsync_cli.wording import safe_text

MAX_MISSES = 40
"""Missed known shifts listed before the rest is only counted."""

LENGTHS_A_TABLE = 5
"""Window lengths side by side; more go below, so that lines stay readable."""

INTERVALS_A_LINE = 3


def evaluation_lines(report: EvalReport) -> list[Text]:
    """Tables by source and window length: placement, classes, known shifts, certainty; failures."""
    every = [report, *report.others]
    parts = [part for each in every for part in _report_parts(each)]
    if report.others and report.placement:
        parts.append(terminal_lines(_comparison(every), LENGTHS_A_TABLE))
    if report.failed:
        failed = dict(report.failed)  # a clip can fail once a question
        head = Text(f"clips that could not be used: {len(failed)}", style="yellow")
        parts.append([head, *(Text(f"  {safe_text(why)}") for why in failed.values())])
    return [line for part in parts for line in (Text(""), *part)][1:]


def _report_parts(report: EvalReport) -> list[list[Text]]:
    parts = [[Text(f"model {report_name(report)}", style="bold")]]
    if report.placement:
        title = f"placed within one frame of 0, by frames of context (chance {_chance():.0f} %)"
        lines = _share_lines(title, report.placement, "within")
        parts.append([*lines, *_texts(_placement_notes(report.placement), "dim")])
        title = "placed within one frame of what the rest of the clip says (its own zero)"
        parts.append(_share_lines(title, report.placement, "own_within", "own_windows"))
    if report.classes:
        parts.append(_classes(report))
    if report.shift_summary:
        parts.append(_shifts(report))
    if report.certainty is not None:
        parts.append(_certainty(report.certainty))
    return parts


def report_name(report: EvalReport) -> str:
    """A scorer's name with what must be said of it."""
    parts = [p for p in (report.attention, report.note) if p]
    name = safe_text(report.model)
    return f"{name} ({', '.join(parts)})" if parts else name


def share(value: float | None) -> str:
    """A share of 0..1 in per cent."""
    return f"{figure(value, 1, 100.0)} %" if is_known(value) else NOTHING


def figure(value: float | None, decimals: int, scale: float = 1.0) -> str:
    """A number with so many decimals."""
    return f"{scale * value:.{decimals}f}" if value is not None and is_known(value) else NOTHING


def is_known(value: float | None) -> bool:
    """Whether there is a number at all."""
    return value is not None and not math.isnan(value)


# --- Placement and classes ------------------------------------------------------------------------


def _share_lines(title: str, rows: Sequence[Any], value: str, count: str = "windows") -> list[Text]:
    """A table with a line a source, "all" last, and one share for every window length.

    Args:
        title: above it.
        rows: of a group and a length each.
        value, count: their fields with the share, and with how many windows it is of.
    """
    lengths = sorted({row.frames for row in rows})
    cells = []
    for source, found in _by_source(rows).items():
        shares = [share(getattr(found.get(n), value, None)) for n in lengths]
        windows = max(getattr(row, count) for row in found.values())
        cells.append((source or "(no source)", str(windows), *shares))
    head = ("source", "windows", *map(str, lengths))
    return terminal_lines(Table(title=title, head=head, rows=cells, kept=2), LENGTHS_A_TABLE)


def _by_source(rows: Iterable[Any]) -> dict[str, dict[int, Any]]:
    """Every source's rows by window length, "all" last."""
    found: dict[str, dict[int, Any]] = {}
    for row in sorted(rows, key=lambda r: (r.source == "all", r.source)):
        found.setdefault(row.source, {})[row.frames] = row
    return found


def _placement_notes(rows: Sequence[PlacementRow]) -> list[str]:
    lengths = sorted({row.frames for row in rows})
    by_source, by = _by_source(rows), {row.frames: row.by for row in rows}
    notes = []
    ends = [
        f"{share(row.within_ci[0])} to {share(row.within_ci[1])} at {n}"
        for n, row in sorted(by_source.get("all", {}).items())
    ]
    if ends:
        notes.append("95 % interval over sources:")
        groups = range(0, len(ends), INTERVALS_A_LINE)
        notes += [f"  {', '.join(ends[k : k + INTERVALS_A_LINE])}" for k in groups]
    kinds = {kind: [n for n in lengths if by[n] == kind] for kind in dict.fromkeys(by.values())}
    used = "; ".join(f"{kind} at {', '.join(map(str, ns))}" for kind, ns in kinds.items())
    notes.append(f"score used: {used} frames")
    own = sorted({row.source for row in rows if row.rule == "own" and row.source != "all"})
    notes += [f"offsets of their own, not in all: {', '.join(own)}"] if own else []
    medians = [
        f"{source} {row.median_frames * FRAME_MS:+.0f} ms"
        for source, found in by_source.items()
        if abs((row := found[max(found)]).median_frames) > 1
    ]
    notes += [f"median offset found: {', '.join(medians)}"] if medians else []
    return notes


def _classes(report: EvalReport) -> list[Text]:
    judged = [r for r in report.classes if is_known(r.hard) and not r.speaker and not r.kind]
    if not judged:
        return _texts(["classes: only windows of whole blocks are decided"])
    asked = {"hard": "shifted by 2 to 15 frames", "easy": "sound of another position"}
    return [
        line
        for value, what in asked.items()
        for line in _share_lines(
            f"in sync or {what}, balanced accuracy (chance 50 %)", judged, value
        )
    ]


def _comparison(reports: Sequence[EvalReport]) -> Table:
    """One line a scorer: placement of all sources at every length."""
    lengths = sorted({row.frames for r in reports for row in r.placement})
    rows = []
    for each in reports:
        at = {row.frames: row.within for row in each.placement if row.source == "all"}
        rows.append((report_name(each), *(share(at.get(n)) for n in lengths)))
    title = "compared, all sources, placed within one frame of 0"
    return Table(title=title, head=("", *map(str, lengths)), rows=rows)


def _chance() -> float:
    """Share of guesses that are right by luck: 3 of the 31 offsets tried."""
    return 100.0 * (2 * NEAR_FRAMES + 1) / (2 * REACH_FRAMES + 1)


# --- Known shifts and certainty -------------------------------------------------------------------


def _shifts(report: EvalReport) -> list[Text]:
    lines = []
    for way in dict.fromkeys(s.way for s in report.shift_summary):
        place = "in the file" if way == "file" else "in the cached sound"
        here = [s for s in report.shift_summary if s.way == way and not s.speaker]
        rows = [
            (
                s.source or "(no source)",
                str(s.clips),
                f"{s.median_ms:.0f} ms",
                f"{s.p95_ms:.0f} ms",
                *map(share, (s.within_10, s.within_20, s.within_40)),
            )
            for s in here
        ]
        title = f"sound moved {place} by a known amount: how the estimate moved"
        head = ("source", "clips", "median", "95th", "±10 ms", "±20", "±40")
        lines += terminal_lines(Table(title=title, head=head, rows=rows))
        for s in here:
            if s.source == "all":
                words = f"clips followed in 95 % of their shifts: {share(s.clips_right)}"
                lines += _texts([f"{words}; both answered: {share(s.decided)}"], "dim")
    return lines + _texts(_missed(report.shifts))


def _missed(rows: Sequence[ShiftRow]) -> list[str]:
    misses = [row for row in rows if not row.right and row.way == "file"]
    lines = [
        f"  missed: {row.path}: moved {row.moved_ms:+.0f} ms instead of {row.shift_ms:+d} ms"
        for row in misses[:MAX_MISSES]
    ]
    more = len(misses) - MAX_MISSES
    return lines + ([f"  and {more} more; --json lists all"] if more > 0 else [])


def _certainty(found: Certainty) -> list[Text]:
    rows = [
        (
            row.source or "(no source)",
            str(row.stretches),
            figure(row.ece, 3),
            *map(share, (row.decided, row.wrong, row.covered)),
        )
        for row in found.rows
        if not row.speaker and not row.kind
    ]
    title = "confidence of verdicts on stretches of 1.5 s and more"
    head = ("source", "stretches", "ece", "answered", "wrong", "covered")
    words = f"given another clip's sound, {found.strangers} stretches: answered all the same"
    lines = terminal_lines(Table(title=title, head=head, rows=rows))
    return lines + _texts([f"{words} {share(found.strangers_decided)}"], "dim")


def _texts(lines: Iterable[str], style: str = "") -> list[Text]:
    return [Text(safe_text(line), style=style) for line in lines]


# --- JSON -----------------------------------------------------------------------------------------


def evaluation_json(report: EvalReport) -> str:
    """The whole report as JSON, with null for what is not a number."""
    return json.dumps(_plain(report.to_json()), indent=2, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
