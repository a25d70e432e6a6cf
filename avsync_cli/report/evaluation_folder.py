"""The folder that `avsync eval --report` writes: tables, JSON and figures, whole or not at all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from avsync_cli.drawing.charts import Axis, Chart, Series, cell_figure
from avsync_cli.errors import UsageError
from avsync_cli.files import folder_beside
from avsync_cli.report.evaluation import evaluation_json, report_name
from avsync_cli.report.evaluation_tables import csv_tables, reading_tables

if TYPE_CHECKING:
    from avsync_cli.evaluation.records import AttentionTrace, EvalReport, Histogram

JSON_NAME = "report.json"

LOUDNESS_DB = 40.0
"""Range of loudness that is drawn: what is softer than that below the loudest is a pause."""


def check_folder(folder: Path) -> None:
    """Refuse a place that holds something other than an earlier report.

    Raises:
        UsageError: it is a file, or a folder of other things.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file", "give a folder with --report")
    if any(folder.iterdir()) and not (folder / JSON_NAME).is_file():
        raise UsageError(f"{folder} holds other things", "give a new folder with --report")


def write_folder(report: EvalReport, folder: Path) -> None:
    """Write everything beside `folder` and put it in its place.

    Raises:
        UsageError: the place cannot be written, or holds something other than a report.
    """
    check_folder(folder)
    with folder_beside(folder) as beside:
        _fill(report, beside)


def _fill(report: EvalReport, folder: Path) -> None:
    (folder / JSON_NAME).write_text(evaluation_json(report), encoding="utf-8")
    for name, text in csv_tables(report).items():
        (folder / name).write_text(text, encoding="utf-8")
    drawn = figures(report)
    for name, (_, text) in drawn.items():
        (folder / name).write_text(text, encoding="utf-8")
    parts = [f"# Evaluation of {report_name(report)}\n"]
    parts += [table.markdown() for table in reading_tables(report)]
    if drawn:
        parts.append("## Figures\n")
        parts += [f"![{caption}]({name})\n\n{caption}\n" for name, (caption, _) in drawn.items()]
    if report.failed:
        parts.append(f"Clips that could not be used: {len(dict(report.failed))}\n")
    (folder / "report.md").write_text("\n".join(parts), encoding="utf-8")


def figures(report: EvalReport) -> dict[str, tuple[str, str]]:
    """File names, captions and SVG of everything that can be drawn."""
    every = [report, *report.others]
    drawn: dict[str, tuple[str, str]] = {}
    if len({row.frames for row in report.placement}) > 1:
        for rule in ("0", "own"):
            chart = _against_context(every, rule)
            if chart.series:
                drawn[f"accuracy-rule-{rule}.svg"] = (chart.title, chart.svg())
    shown: set[str] = set()
    for number, each in enumerate(every):
        if each.family in shown:
            continue  # another seed of a model that is drawn already
        shown |= {each.family} - {""}
        mark = "" if number == 0 else f"-{number}-{_slug(each.model)}"
        for name, histogram in each.histograms.items():
            chart = _histogram(each, name, histogram)
            drawn[f"histogram-{name}{mark}.svg"] = (chart.title, chart.svg())
        if each.showcase is not None:
            for n, trace in enumerate(each.showcase.traces, 1):
                chart = _trace(each, trace)
                drawn[f"attention-{n}{mark}.svg"] = (chart.title, chart.svg())
            for n, maps in enumerate(each.showcase.maps, 1):
                title = f"{report_name(each)}: attention, {maps.name}"
                pictures = [
                    (p, c, maps.side_px) for p, c in zip(maps.pictures, maps.cells, strict=True)
                ]
                drawn[f"cells-{n}{mark}.svg"] = (title, cell_figure(title, pictures))
    sure = [r for r in every if r.certainty is not None and r.certainty.bins]
    if sure:
        for name, chart in (("reliability", _reliability(sure)), ("risk-coverage", _risk(sure))):
            drawn[f"{name}.svg"] = (chart.title, chart.svg())
    return drawn


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "model"


def _against_context(reports: list[EvalReport], rule: str) -> Chart:
    lines = []
    for report in reports:
        rows = sorted((r for r in report.placement if r.source == "all"), key=lambda r: r.frames)
        if not rows or all((r.windows if rule == "0" else r.own_windows) == 0 for r in rows):
            continue
        y = [r.within if rule == "0" else r.own_within for r in rows]
        ends = [r.within_ci if rule == "0" else r.own_ci for r in rows]
        x = [float(r.frames) for r in rows]
        low, high = [e[0] for e in ends], [e[1] for e in ends]
        lines.append(Series(report_name(report), x, y, low, high, marks=True))
    zero = "the clip as it is" if rule == "0" else "the clip's own zero"
    ticks = tuple(sorted({x for line in lines for x in line.x}))
    return Chart(
        f"Placed within one frame of {zero}",
        Axis("frames of context", ticks=ticks, log=True),
        Axis("share of windows (band: 95 % over sources)", 0.0, 1.0, percent=True),
        lines,
    )


def _histogram(report: EvalReport, name: str, histogram: Histogram) -> Chart:
    what = "confidence of the attention" if name == "confidence" else "log-odds of the decision"
    sets = [("in sync", histogram.positive), ("shifted by 2..15 frames", histogram.hard)]
    sets.append(("sound of another position", histogram.easy))
    lines = [Series(word, histogram.edges, y, step=True) for word, y in sets if any(y)]
    top = max((max(y) for _, y in sets), default=1.0) * 1.05
    title = f"{report_name(report)}: {what}"
    return Chart(title, Axis(what), Axis("share of the pairs", 0.0, top), lines)


def _reliability(reports: list[EvalReport]) -> Chart:
    lines = []
    for report in reports:
        assert report.certainty is not None
        bins = report.certainty.bins
        ece = report.certainty.rows[0].ece if report.certainty.rows else float("nan")
        name = f"{report_name(report)}, ECE {ece:.3f}"
        lines.append(Series(name, [b[3] for b in bins], [b[4] for b in bins], marks=True))
    x = Axis("confidence", 0.0, 1.0, percent=True)
    y = Axis("share within one frame", 0.0, 1.0, percent=True)
    return Chart("Is the confidence right?", x, y, lines, diagonal=True)


def _risk(reports: list[EvalReport]) -> Chart:
    lines, notes = [], []
    for report in reports:
        assert report.certainty is not None
        risk = report.certainty.risk
        lines.append(Series(report_name(report), [r[1] for r in risk], [r[2] for r in risk]))
        answered = [r[1] for r in risk if r[0] >= report.certainty.bar]
        if answered:
            notes.append((max(answered), f"bar {report.certainty.bar:g}"))
    top = max([0.05, *(y for line in lines for y in line.y)])
    return Chart(
        "What an answer costs",
        Axis("share answered (the rest: undecided)", 0.0, 1.0, percent=True),
        Axis("share of the answers off by more than a frame", 0.0, top, percent=True),
        lines,
        notes=notes,
    )


def _trace(report: EvalReport, trace: AttentionTrace) -> Chart:
    loud = trace.sound_db
    high = max(loud, default=0.0)
    low = max(min(loud, default=0.0), high - LOUDNESS_DB)
    span = (high - low) or 1.0
    most = max(trace.weight, default=1.0) or 1.0
    scaled = [max(0.0, (x - low) / span) * most for x in loud]
    lines = [
        Series("attention (weight, 1 is the mean)", trace.at_s, trace.weight, marks=True),
        Series(f"loudness (upper {high - low:.0f} dB, scaled)", trace.sound_s, scaled),
    ]
    title = f"{report_name(report)}: attention and sound, {trace.name}"
    return Chart(title, Axis("time in s"), Axis("weight", 0.0, most * 1.05), lines)
