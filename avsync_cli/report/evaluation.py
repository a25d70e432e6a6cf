"""What `avsync eval` measured, as tables for a person and as JSON."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.text import Text

from avsync_cli.timebase import FRAME_MS
from avsync_cli.wording import safe_text

if TYPE_CHECKING:
    from avsync_cli.evaluation.records import (
        ClassRow,
        EvalReport,
        PlacementRow,
        ShiftRow,
        ShiftSummary,
    )

SOURCE_WIDTH = 28
"""Columns for a source's name; what is longer is cut."""

MAX_MISSES = 40
"""Missed known shifts listed before the rest is only counted."""

LENGTHS_A_TABLE = 5
"""Window lengths side by side; more go into another table below, so that lines stay readable."""


def evaluation_lines(report: EvalReport) -> list[Text]:
    """Tables by source and window length: placement, classes, known shifts, certainty; failures."""
    lines = _report_lines(report)
    for other in report.others:
        lines += [Text(""), *_report_lines(other)]
    if report.others and report.placement:
        lines += [Text(""), *_comparison(report)]
    if report.failed:
        # A clip can fail once a question.
        failed = dict(report.failed)
        lines += [Text(""), Text(f"clips that could not be used: {len(failed)}", style="yellow")]
        lines += [Text(f"  {safe_text(why)}") for why in failed.values()]
    return lines


def _report_lines(report: EvalReport) -> list[Text]:
    lines = [Text(f"model {report_name(report)}", style="bold")]
    if report.placement:
        lines += [Text(""), *_placement(report.placement)]
        lines += [Text(""), *_own(report.placement)]
    if report.classes:
        lines += [Text(""), *_classes(report.classes)]
    if report.shift_summary:
        lines += [Text(""), *_shifts(report.shift_summary, report.shifts)]
    if report.certainty is not None:
        lines += [Text(""), *_certainty(report)]
    return lines


def report_name(report: EvalReport) -> str:
    """A scorer's name with what must be said of it."""
    parts = [p for p in (report.attention, report.note) if p]
    name = safe_text(report.model)
    return f"{name} ({', '.join(parts)})" if parts else name


def _placement(rows: list[PlacementRow]) -> list[Text]:
    title = f"placed within one frame of 0, by frames of context (chance {_chance():.0f} %)"
    lines = _share_table(rows, title, lambda row: row.within, lambda row: row.windows)
    lengths, table = _by_source(rows)
    if "all" in table:
        ends = [
            f"{share(row.within_ci[0])} to {share(row.within_ci[1])} at {n}"
            for n in lengths
            if (row := table["all"].get(n)) is not None
        ]
        lines.append(Text("95 % interval over sources:", style="dim"))
        for first in range(0, len(ends), 3):
            lines.append(Text(f"  {', '.join(ends[first : first + 3])}", style="dim"))
    by = {row.frames: row.by for row in rows}
    kinds = {kind: [n for n in lengths if by[n] == kind] for kind in dict.fromkeys(by.values())}
    used = "; ".join(f"{kind} at {', '.join(map(str, ns))}" for kind, ns in kinds.items())
    lines.append(Text(f"score used: {used} frames", style="dim"))
    own = sorted({row.source for row in rows if row.rule == "own" and row.source != "all"})
    if own:
        names = ", ".join(map(safe_text, own))
        lines.append(Text(f"offsets of their own, not in all: {names}", style="dim"))
    medians = [
        f"{safe_text(source)} {row.median_frames * FRAME_MS:+.0f} ms"
        for source, cells in table.items()
        if abs((row := cells[max(cells)]).median_frames) > 1
    ]
    if medians:
        lines.append(Text(f"median offset found: {', '.join(medians)}", style="dim"))
    return lines


def _own(rows: list[PlacementRow]) -> list[Text]:
    title = "placed within one frame of what the rest of the clip says (its own zero)"
    return _share_table(rows, title, lambda row: row.own_within, lambda row: row.own_windows)


def _classes(rows: list[ClassRow]) -> list[Text]:
    judged = [r for r in rows if not math.isnan(r.hard) and not r.speaker and not r.kind]
    if not judged:
        return [Text("classes: only windows of whole blocks are decided", style="dim")]
    lines = []
    hard, easy = operator.attrgetter("hard"), operator.attrgetter("easy")
    for title, value in (
        ("in sync or shifted by 2 to 15 frames, balanced accuracy (chance 50 %)", hard),
        ("in sync or sound of another position, balanced accuracy (chance 50 %)", easy),
    ):
        lines += _share_table(judged, title, value, lambda row: row.windows)
    return lines


def _share_table(
    rows: list[Any],
    title: str,
    value: Callable[[Any], float],
    count: Callable[[Any], int],
) -> list[Text]:
    """A title, and tables of a line a source with one share for every window length."""
    lengths, table = _by_source(rows)
    lines = [Text(title, style="bold")]
    for first in range(0, len(lengths), LENGTHS_A_TABLE):
        part = lengths[first : first + LENGTHS_A_TABLE]
        head = "".join(f"{n:>8}" for n in part)
        lines.append(Text(f"{'source':<{SOURCE_WIDTH}}{'windows':>9}{head}", style="dim"))
        for source, cells in table.items():
            here = [cells.get(n) for n in part]
            if not any(here):
                continue
            shown = "".join(f"{share(None if r is None else value(r)):>8}" for r in here)
            most = max(count(r) for r in here if r is not None)
            lines.append(_line(source, f"{most:>9}{shown}"))
    return lines


def _shifts(summary: list[ShiftSummary], rows: list[ShiftRow]) -> list[Text]:
    lines = []
    for way in dict.fromkeys(s.way for s in summary):
        place = "in the file" if way == "file" else "in the cached sound"
        lines.append(Text(f"sound moved {place} by a known amount: how the estimate moved"))
        lines[-1].stylize("bold")
        head = f"{'clips':>6}{'median':>9}{'95th':>9}{'±10 ms':>8}{'±20':>8}{'±40':>8}"
        lines.append(Text(f"{'source':<{SOURCE_WIDTH}}{head}", style="dim"))
        for s in summary:
            if s.way != way or s.speaker:
                continue
            cells = f"{s.clips:>6}{s.median_ms:>6.0f} ms{s.p95_ms:>6.0f} ms"
            cells += "".join(f"{share(x):>8}" for x in (s.within_10, s.within_20, s.within_40))
            lines.append(_line(s.source, cells))
            if s.source == "all":
                words = f"clips followed in 95 % of their shifts: {share(s.clips_right)}"
                lines.append(Text(f"{words}; both answered: {share(s.decided)}", style="dim"))
    misses = [row for row in rows if not row.right and row.way == "file"]
    for row in misses[:MAX_MISSES]:
        moved = f"moved {row.moved_ms:+.0f} ms instead of {row.shift_ms:+d} ms"
        lines.append(Text(f"  missed: {safe_text(row.path)}: {moved}"))
    if len(misses) > MAX_MISSES:
        lines.append(Text(f"  and {len(misses) - MAX_MISSES} more; --json lists all"))
    return lines


def _certainty(report: EvalReport) -> list[Text]:
    assert report.certainty is not None
    found = report.certainty
    lines = [Text("confidence of verdicts on stretches of 1.5 s and more", style="bold")]
    head = f"{'stretches':>10}{'ece':>8}{'answered':>10}{'wrong':>8}{'covered':>9}"
    lines.append(Text(f"{'source':<{SOURCE_WIDTH}}{head}", style="dim"))
    for row in found.rows:
        if row.speaker or row.kind:
            continue
        cells = f"{row.stretches:>10}{_number(row.ece):>8}{share(row.decided):>10}"
        lines.append(_line(row.source, f"{cells}{share(row.wrong):>8}{share(row.covered):>9}"))
    words = f"given another clip's sound, {found.strangers} stretches: answered all the same"
    lines.append(Text(f"{words} {share(found.strangers_decided)}", style="dim"))
    return lines


def _comparison(report: EvalReport) -> list[Text]:
    """One line a scorer: placement of all sources at every length."""
    lines = [Text("compared, all sources, placed within one frame of 0", style="bold")]
    every = [report, *report.others]
    lengths = sorted({row.frames for r in every for row in r.placement})
    for first in range(0, len(lengths), LENGTHS_A_TABLE):
        part = lengths[first : first + LENGTHS_A_TABLE]
        head = "".join(f"{n:>8}" for n in part)
        lines.append(Text(f"{'':<{SOURCE_WIDTH + 9}}{head}", style="dim"))
        for each in every:
            at = {row.frames: row.within for row in each.placement if row.source == "all"}
            name = report_name(each)
            width = SOURCE_WIDTH + 9
            name = name if len(name) < width else name[: width - 2] + "~"
            lines.append(Text(f"{name:<{width}}" + "".join(f"{share(at.get(n)):>8}" for n in part)))
    return lines


def _by_source(rows: list[Any]) -> tuple[list[int], dict[str, dict[int, Any]]]:
    """Window lengths in order, and every source's rows by length, "all" last."""
    table: dict[str, dict[int, Any]] = {}
    for row in sorted(rows, key=lambda r: (r.source == "all", r.source)):
        table.setdefault(row.source, {})[row.frames] = row
    return sorted({row.frames for row in rows}), table


def _line(source: str, rest: str) -> Text:
    name = safe_text(source) or "(no source)"
    name = name if len(name) < SOURCE_WIDTH else name[: SOURCE_WIDTH - 2] + "~"
    style = "bold" if source == "all" else ""
    return Text(f"{name:<{SOURCE_WIDTH}}{rest}", style=style)


def _chance() -> float:
    """Share of guesses that are right by luck: 3 of the 31 offsets tried."""
    from avsync_cli.evaluation.records import NEAR_FRAMES, REACH_FRAMES

    return 100.0 * (2 * NEAR_FRAMES + 1) / (2 * REACH_FRAMES + 1)


def share(value: float | None) -> str:
    """A share of 0..1 in per cent; "-" for none."""
    return "-" if value is None or math.isnan(value) else f"{100.0 * value:.1f} %"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


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
