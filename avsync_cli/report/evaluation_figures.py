"""Figures of an evaluation: accuracy by context, histograms, calibration, where attention lay."""

from __future__ import annotations

import re

from avsync_cli.drawing.chart import Axis, Chart, Series, cell_figure
from avsync_cli.evaluation.records import AttentionTrace, EvalReport, Histogram
from avsync_cli.report.evaluation import report_name

LOUDNESS_DB = 40.0
"""Range of loudness that is drawn: what is softer than that below the loudest is a pause."""


def figures(report: EvalReport) -> dict[str, tuple[str, str]]:
    """File names, captions and SVG of everything that can be drawn."""
    every = [report, *report.others]
    charts: dict[str, Chart] = {}
    if len({row.frames for row in report.placement}) > 1:
        for rule in ("0", "own"):
            charts[f"accuracy-rule-{rule}"] = _against_context(every, rule)
    drawn = _written({name: chart for name, chart in charts.items() if chart.series})
    shown: set[str] = set()
    for number, each in enumerate(every):
        if each.family not in shown:  # else another seed of a model that is drawn already
            shown |= {each.family} - {""}
            plain = re.sub(r"[^a-z0-9]+", "-", each.model.lower()).strip("-")[:40] or "model"
            mark = "" if number == 0 else f"-{number}-{plain}"
            drawn |= _of_model(each, mark)
    sure = [r for r in every if r.certainty is not None and r.certainty.bins]
    if sure:
        drawn |= _written({"reliability": _reliability(sure), "risk-coverage": _risk(sure)})
    return drawn


def _written(charts: dict[str, Chart]) -> dict[str, tuple[str, str]]:
    return {f"{name}.svg": (chart.title, chart.svg()) for name, chart in charts.items()}


def _of_model(report: EvalReport, mark: str) -> dict[str, tuple[str, str]]:
    """What shows one model by itself; `mark` ends the names."""
    charts = {
        f"histogram-{name}{mark}": _histogram(report, name, histogram)
        for name, histogram in report.histograms.items()
    }
    if report.showcase is None:
        return _written(charts)
    for n, trace in enumerate(report.showcase.traces, 1):
        charts[f"attention-{n}{mark}"] = _trace(report, trace)
    drawn = _written(charts)
    for n, maps in enumerate(report.showcase.maps, 1):
        title = f"{report_name(report)}: attention, {maps.name}"
        pictures = [(p, c, maps.side_px) for p, c in zip(maps.pictures, maps.cells, strict=True)]
        drawn[f"cells-{n}{mark}.svg"] = (title, cell_figure(title, pictures))
    return drawn


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
        lines.append(Series(name=report_name(report), x=x, y=y, low=low, high=high, marks=True))
    zero = "the clip as it is" if rule == "0" else "the clip's own zero"
    ticks = tuple(sorted({x for line in lines for x in line.x}))
    return Chart(
        title=f"Placed within one frame of {zero}",
        x=Axis(label="frames of context", ticks=ticks, log=True),
        y=_shares("share of windows (band: 95 % over sources)"),
        series=lines,
    )


def _histogram(report: EvalReport, name: str, histogram: Histogram) -> Chart:
    what = "confidence of the attention" if name == "confidence" else "log-odds of the decision"
    sets = [("in sync", histogram.positive), ("shifted by 2..15 frames", histogram.hard)]
    sets.append(("sound of another position", histogram.easy))
    lines = [Series(name=word, x=histogram.edges, y=y, step=True) for word, y in sets if any(y)]
    top = max((max(y) for _, y in sets), default=1.0) * 1.05
    title = f"{report_name(report)}: {what}"
    up = Axis(label="share of the pairs", low=0.0, high=top)
    return Chart(title=title, x=Axis(label=what), y=up, series=lines)


def _reliability(reports: list[EvalReport]) -> Chart:
    lines = []
    for report in reports:
        assert report.certainty is not None
        bins = report.certainty.bins
        ece = report.certainty.rows[0].ece if report.certainty.rows else float("nan")
        name = f"{report_name(report)}, ECE {ece:.3f}"
        lines.append(Series(name=name, x=[b[3] for b in bins], y=[b[4] for b in bins], marks=True))
    x, y = _shares("confidence"), _shares("share within one frame")
    return Chart(title="Is the confidence right?", x=x, y=y, series=lines, diagonal=True)


def _risk(reports: list[EvalReport]) -> Chart:
    lines, notes = [], []
    for report in reports:
        assert report.certainty is not None
        risk = report.certainty.risk
        x, y = [r[1] for r in risk], [r[2] for r in risk]
        lines.append(Series(name=report_name(report), x=x, y=y))
        answered = [r[1] for r in risk if r[0] >= report.certainty.bar]
        if answered:
            notes.append((max(answered), f"bar {report.certainty.bar:g}"))
    top = max([0.05, *(y for line in lines for y in line.y)])
    return Chart(
        title="What an answer costs",
        x=_shares("share answered (the rest: undecided)"),
        y=_shares("share of the answers off by more than a frame", top),
        series=lines,
        notes=notes,
    )


def _shares(label: str, high: float = 1.0) -> Axis:
    return Axis(label=label, low=0.0, high=high, percent=True)


def _trace(report: EvalReport, trace: AttentionTrace) -> Chart:
    loud = trace.sound_db
    high = max(loud, default=0.0)
    low = max(min(loud, default=0.0), high - LOUDNESS_DB)
    span = (high - low) or 1.0
    most = max(trace.weight, default=1.0) or 1.0
    scaled = [max(0.0, (x - low) / span) * most for x in loud]
    lines = [
        Series(name="attention (weight, 1 is the mean)", x=trace.at_s, y=trace.weight, marks=True),
        Series(name=f"loudness (upper {high - low:.0f} dB, scaled)", x=trace.sound_s, y=scaled),
    ]
    title = f"{report_name(report)}: attention and sound, {trace.name}"
    up = Axis(label="weight", low=0.0, high=most * 1.05)
    return Chart(title=title, x=Axis(label="time in s"), y=up, series=lines)
