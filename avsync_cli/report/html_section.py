"""What the HTML report shows of one file: plain values and figures for the template."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from markupsafe import Markup

from avsync_cli.drawing.attention import cell_shades, region_words, seen_patch, shaded_cells
from avsync_cli.drawing.lanes import Extras, draw_lanes, lanes_height, time_sides, time_span
from avsync_cli.drawing.offset_curve import draw_offset_curve
from avsync_cli.drawing.palette import region_role
from avsync_cli.drawing.svg import SvgCanvas
from avsync_cli.inference.evidence import BlockResult
from avsync_cli.report import sentences
from avsync_cli.report.html_tables import MAX_ROWS, curve_table, heaviest, tables_over_time
from avsync_cli.report.remedy import remedy
from avsync_cli.verdict.answer import Judgement
from avsync_cli.wording import clock, drift_words, interval_words, percent, span, weight_words

_WIDTHS = {"wide": 1080.0, "narrow": 380.0}
"""Every figure is drawn twice, so that its letters are readable on a desk and on a phone."""

_CURVE_HEIGHTS = {"wide": 320.0, "narrow": 260.0}
_STILL_WIDTH = 320.0
_TOLD_SEGMENTS = 8


@dataclass(frozen=True)
class Still:
    """A picture of a block's middle, as JPEG."""

    block: BlockResult
    jpeg: bytes


@dataclass(frozen=True)
class Illustrations:
    """What was fetched or worked out for one file after it was judged; any of it may be missing."""

    lanes: Extras = field(default_factory=Extras)
    stills: tuple[Still, ...] = ()


def section_values(judgement: Judgement, shown: Illustrations, number: int) -> dict[str, Any]:
    """What the template of a section takes; `number` makes the ids unique on the page."""
    evidence, verdict = judgement.evidence, judgement.verdict
    values: dict[str, Any] = {
        "number": number,
        "path": judgement.path,
        "status": verdict.status,
        "at_border": sentences.is_at_border(judgement),
        "headline": sentences.headline(judgement),
        "says": sentences.capital(sentences.verdict_words(judgement)),
        "reasons": sentences.notes(judgement),
        "media": ", ".join(_media_facts(judgement)),
        "facts": list(_facts(judgement)),
        "remedy": remedy(judgement),
        "lanes": None,
        "stills": [_still(judgement, s, f"still-{number}-{k}") for k, s in enumerate(shown.stills)],
        "curve": None,
    }
    if evidence.blocks or evidence.windows:
        values["lanes"] = _lanes(judgement, shown.lanes, number)
        if len(verdict.curve_score) >= 2:
            values["curve"] = _curve(judgement, number)
    return values


# --- The answer -----------------------------------------------------------------------------------


def _media_facts(judgement: Judgement) -> Iterator[str]:
    media = judgement.evidence.media
    yield f"{media.width}×{media.height}"
    yield f"{media.fps:.4g} frames a second"
    if media.vfr:
        yield "variable frame rate"
    yield f"{media.audio_hz / 1000:g} kHz sound"
    yield f"{clock(media.duration_s)} long"


def _facts(judgement: Judgement) -> Iterator[tuple[str, str]]:
    verdict, evidence = judgement.verdict, judgement.evidence
    if verdict.offset_ms is not None:
        yield "Offset", f"{verdict.offset_ms:+.0f} ms"
        if verdict.offset_ci_ms is not None:
            yield "95 % interval", interval_words(verdict.offset_ms, verdict.offset_ci_ms)
    elif verdict.best is not None:
        yield "Best so far", f"{verdict.best.offset_ms:+.0f} ms"
    yield "Sure of it", percent(verdict.confidence)
    if verdict.second is not None:
        second = verdict.second
        yield "Second best", f"{second.offset_ms:+.0f} ms, {percent(second.p)}"
        yield "Margin", f"{verdict.margin:.1f} logits over {verdict.evidence_s:.0f} s"
    if verdict.would_decide:
        yield "It takes", verdict.would_decide
    yield "Within tolerance", f"{percent(verdict.p_sync)} likely"
    if verdict.drift_ms_per_min is not None:
        yield "Drift", drift_words(verdict.drift_ms_per_min)
    if evidence.stretches is not None:
        yield "Read", sentences.read_words(evidence)
    if evidence.judged_s > 0:
        long = clock(evidence.read_s or evidence.media.duration_s)
        yield "Usable evidence", f"{clock(evidence.judged_s)} of {long}"
    yield "Tolerance", sentences.tolerance_words(judgement.tolerance)


# --- Figures --------------------------------------------------------------------------------------


def _lanes(judgement: Judgement, extras: Extras, number: int) -> dict[str, Any]:
    height = lanes_height(judgement, extras)

    def draw(canvas: SvgCanvas, kind: str) -> Markup:
        draw_lanes(canvas, judgement, extras)
        canvas.cursor(height - 22)
        left, right = time_sides(canvas.width)
        more = f' class="{kind}" data-plot="{left:g} {right:g}"'
        title = f"{judgement.path} over time"
        says = _lanes_words(judgement)
        return Markup(canvas.svg(f"time-{number}-{kind}", title, says, attributes=more))

    start_s, end_s = time_span(judgement)
    blocks = heaviest(judgement.evidence.blocks, 10 * MAX_ROWS)
    return {
        "figures": _drawn_twice(draw, dict.fromkeys(_WIDTHS, height)),
        "start": f"{start_s:g}",
        "end": f"{end_s - 0.001:.3f}",
        "step": f"{max(0.04, (end_s - start_s) / 1000):.3g}",
        # What the cursor says: rows of [start, end, words].
        "readout": {
            "start": start_s,
            "end": end_s,
            "segments": [
                [s.start_s, s.end_s, sentences.segment_words(s)] for s in judgement.verdict.segments
            ],
            "blocks": [
                [round(b.start_s, 3), round(b.end_s, 3), sentences.block_words(b)] for b in blocks
            ],
        },
        "legend": _legend(judgement),
        "tables": tables_over_time(judgement, extras.votes),
    }


def _drawn_twice(
    draw: Callable[[SvgCanvas, str], Markup], heights: dict[str, float]
) -> list[Markup]:
    return [draw(SvgCanvas(_WIDTHS[kind], heights[kind]), kind) for kind in _WIDTHS]


def _lanes_words(judgement: Judgement) -> str:
    segments, blocks = judgement.verdict.segments, judgement.evidence.blocks
    said = [
        f"{span(s.start_s, s.end_s)} {sentences.segment_words(s)}"
        for s in segments[:_TOLD_SEGMENTS]
    ]
    more = len(segments) - _TOLD_SEGMENTS
    said += [f"and {more} more stretches"] if more > 0 else []
    said.append(f"{sum(b.used for b in blocks)} of {len(blocks)} blocks were used")
    return "; ".join(said) + ". The tables below say the same."


def _legend(judgement: Judgement) -> list[tuple[str, str]]:
    """Role and name of every colour of a bar, what was left out last."""
    roles: dict[str, list[str]] = {}
    for block in judgement.evidence.blocks:
        names = roles.setdefault(region_role(block) if block.used else "grid", [])
        name = region_words(block.region) if block.used else "left out"
        if name not in names:
            names.append(name)
    return [
        (role, names[0] if len(names) == 1 else f"{len(names)} faces")
        for role, names in sorted(roles.items(), key=lambda item: item[0] == "grid")
    ]


def _curve(judgement: Judgement, number: int) -> dict[str, Any]:
    def draw(canvas: SvgCanvas, kind: str) -> Markup:
        draw_offset_curve(canvas, judgement)
        title, says = f"Offset curve of {judgement.path}", sentences.curve_words(judgement)
        more = f' class="{kind}"'
        return Markup(canvas.svg(f"curve-{number}-{kind}", title, says, attributes=more))

    return {"figures": _drawn_twice(draw, _CURVE_HEIGHTS), "table": curve_table(judgement)}


def _still(judgement: Judgement, still: Still, name: str) -> dict[str, Any]:
    block, media = still.block, judgement.evidence.media
    aspect = media.width / media.height if media.width and media.height else 16 / 9
    canvas = SvgCanvas(_STILL_WIDTH, _STILL_WIDTH / aspect)
    canvas.picture(still.jpeg, "jpeg", (0.0, 0.0, canvas.width, canvas.height))

    left, top, width, height = block.region.box
    wide, high = canvas.width, canvas.height
    shades = cell_shades(block)
    says = "The box is the region that was judged."
    if shades is not None:
        patch = seen_patch(block.region, wide, high)
        canvas.cells(shaded_cells(patch, shades))
        row, column = np.unravel_index(int(shades.argmax()), shades.shape)
        where = f"row {row + 1} of {shades.shape[0]}, column {column + 1} of {shades.shape[1]}"
        says += f" Attention is strongest in {where} of the cells around the mouth."
    canvas.outline((left * wide, top * high, width * wide, height * high))
    region, when = region_words(block.region), clock(block.start_s, tenths=True)
    return {
        "figure": Markup(canvas.svg(name, f"{region} at {when}", says)),
        "when": when,
        "about": f"{region}, weight {weight_words(block.weight)}, p(sync) {block.p_sync:.2f}",
        "cells": block.cells is not None,
    }
