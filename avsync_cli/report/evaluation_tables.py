"""Tables of an evaluation: for reading, and as CSV for everything else."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from avsync_cli.evaluation.records import EvalReport, PlacementRow
from avsync_cli.report.evaluation import figure, report_name
from avsync_cli.report.table import NOTHING, Table, csv_line


def percent(value: float, ends: tuple[float, float] = (math.nan, math.nan)) -> str:
    """A share in per cent, with its interval in brackets where there is one."""
    text = figure(value, 1, 100.0)
    if not math.isnan(value) and not math.isnan(ends[0]):
        text += f" [{100 * ends[0]:.0f}, {100 * ends[1]:.0f}]"
    return text


def _group(row: Any) -> str:
    kind = getattr(row, "kind", "")
    parts = [p for p in (row.source if not kind else "", row.speaker, kind) if p]
    return " / ".join(parts) or "(no source)"


def reading_tables(report: EvalReport) -> list[Table]:
    """Every table that has rows, for a model and those it is compared with."""
    every = [report, *report.others]
    tables = [compared(every)] if report.others and report.placement else []
    tables.append(over_seeds(every))
    for each in every:
        title = f"{report_name(each)}: placement by"
        tables.append(placement_table(f"{title} source", [*each.placement, *each.by_kind]))
        tables.append(placement_table(f"{title} speaker", each.by_speaker))
    tables += [classes(every), shifts(every), certainty(every)]
    return [t for t in tables if t.rows]


def compared(reports: Sequence[EvalReport]) -> Table:
    """One line a scorer and rule: placement of all sources at every length."""
    lengths = sorted({row.frames for r in reports for row in r.placement})
    rows = []
    for report in reports:
        at = {row.frames: row for row in report.placement if row.source == "all"}
        for rule in ("0", "own"):
            cells = [_placed(at.get(n), rule) for n in lengths]
            rows.append([report_name(report), rule, *cells])
    note = (
        "Placed within ±1 frame over ±15 frames, per cent of windows, with 95 % intervals over "
        "sources, by frames of context. Rule 0: of the clip as it is, sources in sync only; rule "
        "own: of the clip's own zero, all sources."
    )
    head = ("model", "rule", *map(str, lengths))
    return Table(title="Compared", note=note, head=head, rows=rows)


def _placed(row: PlacementRow | None, rule: str) -> str:
    """Placement under one rule."""
    if row is None:
        return NOTHING
    if rule == "0":
        return percent(row.within, row.within_ci)
    return percent(row.own_within, row.own_ci)


def families(reports: Sequence[EvalReport]) -> dict[str, list[EvalReport]]:
    """Reports of models that differ by nothing but their seed, where there are several."""
    found: dict[str, list[EvalReport]] = {}
    for report in reports:
        if report.family:
            found.setdefault(report.family, []).append(report)
    return {name: members for name, members in found.items() if len(members) > 1}


def over_seeds(reports: Sequence[EvalReport]) -> Table:
    """Mean and spread of what several seeds of one model read, for all clips and each kind."""
    rows = []
    for name, members in families(reports).items():
        placed = [
            {(r.kind, r.frames): r for r in [*m.placement, *m.by_kind] if r.source == "all"}
            for m in members
        ]
        classed = [{(r.source, r.speaker, r.kind, r.frames): r for r in m.classes} for m in members]
        for key in classed[0]:
            source, speaker, kind, frames = key
            if source != "all" or speaker or any(key not in c for c in classed):
                continue
            here = [c[key] for c in classed]
            at = [p[kind, frames].own_within for p in placed if (kind, frames) in p]
            shares = [[r.hard for r in here], [r.hard_auc for r in here]]
            shares += [[r.easy for r in here], [r.easy_auc for r in here], at]
            group = [name, str(len(members)), kind or "all", str(frames)]
            rows.append([*group, *map(_spread, shares)])
    note = (
        "Mean ± standard deviation over seeds, per cent: the questions of the tables below, and "
        "placement within one frame of the clip's own zero. The spread is that of learning, not of "
        "the choice of clips; for that see the intervals below."
    )
    head = "model|seeds|kind|frames|hard|hard AUC|easy|easy AUC|placed (own)".split("|")
    return Table(title="Over seeds", note=note, head=head, rows=rows)


def _spread(values: Sequence[float]) -> str:
    known = [v for v in values if not math.isnan(v)]
    if len(known) < 2:
        return percent(known[0]) if known else NOTHING
    return f"{percent(statistics.mean(known))} ± {100 * statistics.stdev(known):.1f}"


def placement_table(title: str, rows: Sequence[PlacementRow]) -> Table:
    """One line a group and rule, one column a window length; the rule that counts is bold."""
    lengths = sorted({row.frames for row in rows})
    by = {row.frames: row.by for row in rows}
    groups: dict[str, dict[int, PlacementRow]] = {}
    for row in rows:
        groups.setdefault(_group(row), {})[row.frames] = row
    lines = []
    for name, cells in groups.items():
        some = next(iter(cells.values()))
        for rule in ("0", "own"):
            here = [cells.get(n) for n in lengths]
            windows = "windows" if rule == "0" else "own_windows"
            number = max((getattr(r, windows) for r in here if r), default=0)
            shown = [_placed(row, rule) for row in here]
            mark = f"**{rule}**" if rule == some.rule else rule
            median = cells[max(cells)].median_frames if rule == "0" else math.nan
            middle = NOTHING if math.isnan(median) else f"{median:+.0f}"
            lines.append([name, mark, str(number), *shown, middle])
        number = max((r.heard_windows for r in here if r), default=0)
        shown = [percent(r.heard_within, r.heard_ci) if r else NOTHING for r in here]
        lines.append([name, f"{some.rule}, heard", str(number), *shown, NOTHING])
    note = (
        "Per cent of windows placed within ±1 frame over ±15 frames [95 % interval]; rule 0: of "
        "the clip as it is, rule own: of what the rest of the clip says; the rule that counts for "
        "the source is bold; heard: under that rule, without windows that are pauses. Score used: "
        + ", ".join(f"{n} frames {by[n]}" for n in lengths)
        + ". The last column is the median offset found, in frames."
    )
    head = ["group", "rule", "windows", *(str(n) for n in lengths), "median"]
    return Table(title=title, note=note, head=head, rows=lines)


def classes(reports: Sequence[EvalReport]) -> Table:
    """The paper's question, of all scorers and groups but speakers."""
    rows = [
        [
            report_name(report),
            _group(row),
            row.rule,
            str(row.frames),
            row.by,
            str(row.windows),
            percent(row.hard, row.hard_ci),
            percent(row.hard_auc),
            percent(row.easy, row.easy_ci),
            percent(row.easy_auc),
        ]
        for report in reports
        for row in report.classes
        if not row.speaker
    ]
    note = (
        "Balanced accuracy at the scorer's own threshold (– where it has none), and area under the "
        "ROC curve, in per cent. Hard: the sound shifted by 2..15 frames. Easy: the sound of "
        "another position of the same video."
    )
    head = "model|group|rule|frames|score|windows|hard|hard AUC|easy|easy AUC".split("|")
    return Table(title="In sync or not", note=note, head=head, rows=rows)


def shifts(reports: Sequence[EvalReport]) -> Table:
    """Known shifts."""
    rows = [
        [
            report_name(report),
            _group(s),
            s.way,
            str(s.clips),
            str(s.shifts),
            f"{s.median_ms:.1f}",
            f"{s.p95_ms:.1f}",
            percent(s.within_10),
            percent(s.within_20),
            percent(s.within_40, s.within_40_ci),
            percent(s.clips_right),
            percent(s.decided),
        ]
        for report in reports
        for s in report.shift_summary
    ]
    note = (
        "Sound moved by a known amount: how far the estimate's movement is off, in ms, and shares "
        "in per cent. Way: moved in the file, or in the cached sound by ±1..±15 frames."
    )
    head = "model|group|way|clips|shifts|median|95th|±10 ms|±20 ms|±40 ms|clips right|answered"
    return Table(title="Known shifts", note=note, head=head.split("|"), rows=rows)


def certainty(reports: Sequence[EvalReport]) -> Table:
    """Calibration and answers."""
    rows = []
    for report in reports:
        if report.certainty is None:
            continue
        for row in report.certainty.rows:
            ends = row.ece_ci
            ece = figure(row.ece, 3)
            if not math.isnan(ends[0]):
                ece += f" [{ends[0]:.3f}, {ends[1]:.3f}]"
            rows.append(
                [
                    report_name(report),
                    _group(row),
                    row.rule,
                    str(row.stretches),
                    percent(row.right),
                    ece,
                    percent(row.undecided),
                    percent(row.wrong, row.wrong_ci),
                    percent(row.covered),
                ]
            )
        found = report.certainty
        group = [report_name(report), "another clip's sound", NOTHING, str(found.strangers)]
        answered = f"{percent(found.strangers_decided)} answered"
        undecided = percent(1.0 - found.strangers_decided)
        rows.append([*group, NOTHING, NOTHING, undecided, answered, NOTHING])
    note = (
        "Verdicts on stretches of 1.5, 3, 6 s and whole clips with known lags of up to 800 ms: "
        "expected calibration error of the confidence (10 bins), share left undecided, share of "
        "the answers off by more than a frame, share of the intervals that hold the truth."
    )
    head = "model|group|rule|stretches|right|ECE|undecided|wrong|covered".split("|")
    return Table(title="Certainty", note=note, head=head, rows=rows)


def csv_tables(report: EvalReport) -> dict[str, str]:
    """File names and contents: every row of every table, figures as plain numbers."""
    found: dict[str, list[dict[str, Any]]] = {}
    for each in [report, *report.others]:
        about = {"model": each.model, "attention": each.attention, "note": each.note}

        def add(name: str, rows: Sequence[Any], about: dict[str, str] = about) -> None:
            found.setdefault(name, []).extend(about | asdict(row) for row in rows)

        add("placement.csv", [*each.placement, *each.by_kind, *each.by_speaker])
        add("classes.csv", each.classes)
        add("shifts.csv", each.shift_summary)
        add("shifts-clips.csv", each.shifts)
        if each.certainty is not None:
            add("certainty.csv", each.certainty.rows)
    return {name: _csv(rows) for name, rows in found.items() if rows}


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of plain values as CSV; an interval is two columns."""
    flat = []
    for row in rows:
        cells: dict[str, Any] = {}
        for key, value in row.items():
            if isinstance(value, tuple):
                cells[f"{key}_low"], cells[f"{key}_high"] = map(_plain, value)
            else:
                cells[key] = _plain(value)
        flat.append(cells)
    return csv_line(flat[0]) + "".join(csv_line(cells.values()) for cells in flat)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.6g}")
    return value
