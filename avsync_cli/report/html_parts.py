"""The pieces of the HTML report that tell of one file; `html` puts them together.

Whatever comes from outside, file names above all, passes `text`, which makes it safe to show and
to stand in HTML.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from avsync_cli.drawing.attention import cell_box, cell_shades, region_words
from avsync_cli.drawing.canvas import SvgCanvas
from avsync_cli.drawing.figures import draw_curve, region_role
from avsync_cli.drawing.over_time import (
    OverTime,
    draw_over_time,
    over_time_height,
    plot_sides,
    time_span,
)
from avsync_cli.inference.evidence import BlockResult
from avsync_cli.names import STATUS_WORDS
from avsync_cli.report.html_tables import (
    MAX_ROWS,
    block_table,
    curve_table,
    heaviest,
    segment_table,
    text,
    window_table,
)
from avsync_cli.report.terminal import GUESS_FROM, fix_lines, verdict_words
from avsync_cli.report.words import tolerance_words
from avsync_cli.verdict.answer import Judgement, Segment
from avsync_cli.wording import (
    clock,
    drift_words,
    interval_words,
    offset_words,
    percent,
    safe_text,
    span,
    weight_words,
)

WIDTHS = {"wide": 1080.0, "narrow": 380.0}
"""Every figure is drawn twice, so that its letters are readable on a desk and on a phone."""

_CURVE_HEIGHTS = {"wide": 320.0, "narrow": 260.0}
_STILL_WIDTH = 320.0


@dataclass(frozen=True)
class Still:
    """A picture of a block's middle, as JPEG."""

    block: BlockResult
    jpeg: bytes


@dataclass(frozen=True)
class Pictures:
    """What was fetched or worked out for one file after it was judged; any of it may be missing."""

    over_time: OverTime = field(default_factory=OverTime)
    stills: tuple[Still, ...] = ()


def badge(status: str) -> str:
    """The verdict in a word, on its colour."""
    return f'<span class="badge {text(status)}">{STATUS_WORDS[status]}</span>'


def file_section(report: Judgement, pictures: Pictures, number: int) -> str:
    """One file's whole section; `number` makes its ids unique on the page."""
    parts = [_answer(report), _facts(report), _fix(report)]
    parts.append(_over_time(report, pictures.over_time, number))
    parts.append(_stills(report, pictures.stills, number))
    parts.append(_curve(report, number))
    return (
        f'<section class="file" id="file-{number}" aria-labelledby="name-{number}">'
        f'<h2 id="name-{number}">{text(report.path)}</h2>{"".join(parts)}</section>'
    )


# --- The answer -----------------------------------------------------------------------------------


def headline(report: Judgement) -> str:
    """The offset in a few words: "Sound 108 ms late"."""
    verdict = report.verdict
    if verdict.offset_ms is None:
        return "No answer"
    amount = round(abs(verdict.offset_ms))
    if not amount:
        return "Sound on time"
    return f"Sound {amount} ms {'late' if verdict.offset_ms > 0 else 'early'}"


def _answer(report: Judgement) -> str:
    verdict, media = report.verdict, report.evidence.media
    facts = [f"{media.width}×{media.height}", f"{media.fps:.4g} frames a second"]
    facts += ["variable frame rate"] if media.vfr else []
    facts += [f"{media.audio_hz / 1000:g} kHz sound", f"{clock(media.duration_s)} long"]
    reasons = "".join(f"<li>{text(reason)}</li>" for reason in verdict.reasons)
    listed = f'<ul class="reasons">{reasons}</ul>' if reasons else ""
    words = verdict_words(report)
    return (
        f'<p class="meta">{text(", ".join(facts))}</p>'
        f'<p class="verdict"><strong>{headline(report)}</strong> {badge(verdict.status)}</p>'
        f'<p class="says">{text(words[:1].upper() + words[1:])}.</p>{listed}'
    )


def _facts(report: Judgement) -> str:
    verdict = report.verdict
    pairs: list[tuple[str, str]] = []
    if verdict.offset_ms is not None:
        pairs.append(("Offset", f"{verdict.offset_ms:+.0f} ms"))
        interval = interval_words(verdict.offset_ms, verdict.offset_ci_ms)
        pairs += [("95 % interval", interval)] if interval else []
    elif verdict.confidence >= GUESS_FROM and len(verdict.curve):
        best = float(report.evidence.offsets_ms[int(np.argmax(verdict.curve))])
        pairs.append(("Best guess", f"{best:+.0f} ms"))
    pairs.append(("Sure of it", percent(verdict.confidence)))
    pairs.append(("Within tolerance", f"{percent(verdict.p_sync)} likely"))
    if verdict.drift_ms_per_min is not None:
        pairs.append(("Drift", drift_words(verdict.drift_ms_per_min)))
    if report.evidence.judged_s > 0:
        long = clock(report.evidence.media.duration_s)
        pairs.append(("Usable evidence", f"{clock(report.evidence.judged_s)} of {long}"))
    pairs.append(("Tolerance", tolerance_words(report.tolerance)))
    cells = "".join(f"<div><dt>{a}</dt><dd>{text(b)}</dd></div>" for a, b in pairs)
    return f'<dl class="facts">{cells}</dl>'


def _fix(report: Judgement) -> str:
    if report.verdict.status != "out_of_sync" or report.verdict.offset_ms is None:
        return ""
    first, *commands = (line.plain.strip() for line in fix_lines(report, report.verdict))
    first = first[:1].upper() + first[1:]
    command = "".join(f"<pre><code>{text(line)}</code></pre>" for line in commands)
    return f"<p>{text(first)}</p>{command}"


# --- Over time ------------------------------------------------------------------------------------


def _over_time(report: Judgement, shown: OverTime, number: int) -> str:
    if not report.evidence.blocks and not report.evidence.windows:
        return ""
    drawn = []
    height = over_time_height(shown)
    for kind, width in WIDTHS.items():
        canvas = SvgCanvas(width, height)
        draw_over_time(canvas, report, shown)
        canvas.cursor(height - 22)
        left, right = plot_sides(width)
        more = f' class="{kind}" data-plot="{left:g} {right:g}"'
        name = f"time-{number}-{kind}"
        title = f"{report.path} over time"
        drawn.append(canvas.svg(name, title, _over_time_words(report), more))
    start, end = time_span(report)
    step = max(0.04, (end - start) / 1000)
    seek = (
        f'<div class="seek" hidden><input type="range" min="{start:g}" max="{end - 0.001:.3f}" '
        f'step="{step:.3g}" value="{start:g}" aria-label="Time in the film">'
        '<output aria-live="off">Move over the figure, or use the arrow keys on the knob.</output>'
        "</div>"
    )
    data = json.dumps(_readout(report, start, end), separators=(",", ":")).replace("<", "\\u003c")
    tables = segment_table(report) + block_table(report) + window_table(report, shown.votes)
    return (
        f'<h3>Over time</h3><figure class="overtime">{"".join(drawn)}{seek}'
        f'<script type="application/json">{data}</script></figure>{_legend(report)}{tables}'
    )


def _over_time_words(report: Judgement) -> str:
    said = [f"{span(s.start_s, s.end_s)} {_segment_words(s)}" for s in report.verdict.segments]
    used = sum(block.used for block in report.evidence.blocks)
    said = said[:8] + ([f"and {len(said) - 8} more stretches"] if len(said) > 8 else [])
    blocks = f"{used} of {len(report.evidence.blocks)} blocks were used"
    return "; ".join([*said, blocks]) + ". The tables below say the same."


def _legend(report: Judgement) -> str:
    roles: dict[str, list[str]] = {}
    for block in report.evidence.blocks:
        names = roles.setdefault(region_role(block) if block.used else "grid", [])
        name = region_words(block.region) if block.used else "left out"
        if name not in names:
            names.append(name)
    keys = [
        (role, names[0] if len(names) == 1 else f"{len(names)} faces")
        for role, names in sorted(roles.items(), key=lambda item: item[0] == "grid")
    ]
    tolerance = "dashed: limits of the tolerance; line: the answer"
    items = "".join(
        f'<li><svg class="key" viewBox="0 0 12 12" style="width:12px" aria-hidden="true">'
        f'<title>{text(name)}</title><rect class="f-{role}" width="12" height="12"/></svg>'
        f"{text(name)}</li>"
        for role, name in keys
    )
    return f'<ul class="legend" aria-label="Key">{items}<li>{tolerance}</li></ul>'


def _readout(report: Judgement, start: float, end: float) -> dict[str, object]:
    """What the cursor says: rows of [start, end, words] of stretches and blocks."""
    segments = [[s.start_s, s.end_s, _segment_words(s)] for s in report.verdict.segments]
    shown = heaviest(report.evidence.blocks, 10 * MAX_ROWS)
    blocks = [[round(b.start_s, 3), round(b.end_s, 3), _block_words(b)] for b in shown]
    return {"start": start, "end": end, "segments": segments, "blocks": blocks}


def _segment_words(segment: Segment) -> str:
    if segment.offset_ms is None:
        return "undecided"
    return f"{offset_words(segment.offset_ms)}, {percent(segment.confidence)} sure"


def _block_words(block: BlockResult) -> str:
    name = region_words(block.region)
    if not block.used:
        return f"{name} left out ({safe_text(block.reason) or 'no reason given'})"
    return f"{name} weighs {weight_words(block.weight)}"


# --- Stills ---------------------------------------------------------------------------------------


def _stills(report: Judgement, stills: Sequence[Still], number: int) -> str:
    if not stills:
        return ""
    items = []
    for k, still in enumerate(stills):
        block = still.block
        name = region_words(block.region)
        when = clock(block.start_s, tenths=True)
        caption = (
            f"<b>{when}</b> {name}, weight {weight_words(block.weight)}, p(sync) {block.p_sync:.2f}"
        )
        picture = _still_svg(report, still, f"still-{number}-{k}", f"{name} at {when}")
        items.append(f"<li><figure>{picture}<figcaption>{caption}</figcaption></figure></li>")
    with_cells = any(still.block.cells is not None for still in stills)
    toggle = (
        '<label class="toggle" hidden><input type="checkbox" checked> Show where attention lay'
        "</label>"
    )
    return (
        "<h3>What the answer rests on most</h3>"
        f'{toggle if with_cells else ""}<ul class="stills">{"".join(items)}</ul>'
    )


def _still_svg(report: Judgement, still: Still, name: str, title: str) -> str:
    media = report.evidence.media
    aspect = media.width / media.height if media.width and media.height else 16 / 9
    canvas = SvgCanvas(_STILL_WIDTH, _STILL_WIDTH / aspect)
    jpeg = base64.b64encode(still.jpeg).decode("ascii")
    canvas.picture(f"data:image/jpeg;base64,{jpeg}")

    def placed(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        left, top, width, height = box
        return (
            left * canvas.width,
            top * canvas.height,
            width * canvas.width,
            height * canvas.height,
        )

    shades = cell_shades(still.block)
    said = "The box is the region that was judged."
    if shades is not None:
        canvas.cells(placed(cell_box(still.block.region, aspect)), shades)
        row, column = np.unravel_index(int(shades.argmax()), shades.shape)
        where = f"row {row + 1} of {shades.shape[0]}, column {column + 1} of {shades.shape[1]}"
        said += f" Attention is strongest in {where} of the cells around the mouth."
    canvas.outline(placed(still.block.region.box))
    return canvas.svg(name, title, said)


# --- Curve ----------------------------------------------------------------------------------------


def _curve(report: Judgement, number: int) -> str:
    score = report.verdict.curve_score
    if not report.evidence.windows or len(score) < 2:
        return ""
    drawn = []
    for kind, width in WIDTHS.items():
        canvas = SvgCanvas(width, _CURVE_HEIGHTS[kind])
        draw_curve(canvas, report)
        title = f"Offset curve of {report.path}"
        name = f"curve-{number}-{kind}"
        drawn.append(canvas.svg(name, title, curve_words(report), f' class="{kind}"'))
    return (
        "<h3>Offset curve: how well the sound fits after every move</h3>"
        f"<figure>{''.join(drawn)}</figure>{curve_table(report)}"
    )


def curve_words(report: Judgement) -> str:
    """What the curve shows, in a sentence."""
    verdict, offsets = report.verdict, report.evidence.offsets_ms
    best = int(np.argmax(verdict.curve)) if len(verdict.curve) else 0
    said = f"Log-odds of being in sync at offsets from {offsets[0]:+d} to {offsets[-1]:+d} ms; "
    return said + f"the likeliest is {offsets[best]:+d} ms."
