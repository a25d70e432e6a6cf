"""The answer for a person: a table of blocks, the offset curve, one sentence and the way to fix it.

Everything is put together as `rich.text.Text`, never as markup, so that a file name cannot be taken
for formatting; the caller's console decides on colour and width. Where the terminal's encoding has
no block characters, plain ASCII stands in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.text import Text

from avsync_cli.inference.evidence import BlockResult
from avsync_cli.names import STATUS_WORDS
from avsync_cli.report.remedy import remedy
from avsync_cli.report.sentences import is_at_border, notes, verdict_words
from avsync_cli.report.text_curve import curve_plot
from avsync_cli.verdict.answer import Judgement, Segment
from avsync_cli.wording import (
    clock,
    offset_words,
    percent,
    safe_text,
    span,
    weight_words,
)

MAX_ROWS = 40
"""Rows of the block table before neighbours are merged: about what a screen holds."""

MAX_SEGMENTS = 12
"""Stretches listed below the sentence."""

STATUS_STYLE = {"in_sync": "green", "out_of_sync": "bold red", "undecided": "yellow"}
AT_BORDER_STYLE = "yellow"

_BAR_CELLS = 10
_EIGHTHS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True)
class Layout:
    """How to write: at most `width` columns, block characters or ASCII, every block or merged."""

    width: int = 80
    unicode: bool = True
    all_blocks: bool = False


# --- Sentence -------------------------------------------------------------------------------------


def sentence(judgement: Judgement) -> Text:
    """One line that answers: file, verdict, offset in words, how sure, where, by which standard."""
    style = AT_BORDER_STYLE if is_at_border(judgement) else STATUS_STYLE[judgement.verdict.status]
    text = Text(f"{safe_text(judgement.path)}: ")
    text.append(verdict_words(judgement), style=style)
    return text


def details(judgement: Judgement) -> list[Text]:
    """Lines below the sentence: segments that differ, limits of the answer, the fix."""
    verdict = judgement.verdict
    lines: list[Text] = []
    if len(verdict.segments) > 1:
        for segment in verdict.segments[:MAX_SEGMENTS]:
            lines.append(_segment_line(segment))
        more = len(verdict.segments) - MAX_SEGMENTS
        if more > 0:
            lines.append(Text(f"  … and {more} more stretches; --json lists them", style="dim"))
    left = [safe_text(note) for note in notes(judgement)]
    if verdict.status != "undecided" and left:
        lines.append(Text(f"  note: {', '.join(left)}", style="dim"))
    found = remedy(judgement)
    if found is not None:
        lines.append(Text(f"  {found.what}", style="dim"))
        lines.append(Text(f"  {found.command}", no_wrap=True, overflow="ignore"))
    return lines


def _segment_line(segment: Segment) -> Text:
    text = Text(f"  {clock(segment.start_s)} to {clock(segment.end_s)}  ")
    if segment.offset_ms is None:
        words = "undecided"
    else:
        words = f"{offset_words(segment.offset_ms)} ({percent(segment.confidence)} sure)"
    text.append(words, style=STATUS_STYLE[segment.status])
    return text


# --- Table of blocks ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Row:
    """One line of the table: a block, or neighbours merged."""

    start_s: float
    end_s: float
    region: str
    confidence: float | None
    weight: float
    p_sync: float | None
    note: str


def block_table(blocks: Sequence[BlockResult], layout: Layout) -> list[Text]:
    """The table of blocks: time, region, attention confidence as number and bar, weight, p(sync).

    The bar runs from the lowest to the highest confidence among the used blocks of the file.
    """
    if not blocks:
        return []
    merged = not layout.all_blocks and len(blocks) > MAX_ROWS
    rows = _merge(blocks, MAX_ROWS) if merged else [_row([block]) for block in blocks]
    known = [row.confidence for row in rows if row.confidence is not None]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)

    tenths = not merged
    times = [span(row.start_s, row.end_s, tenths) for row in rows]
    if not layout.unicode:
        times = [time.replace("–", "-") for time in times]
    time_width = max(len("time"), *map(len, times))
    region_width = max(len("region"), *(len(row.region) for row in rows))

    bars = layout.width >= 60
    bar_head = "" if not bars else " " * (_BAR_CELLS + 1)
    head = (
        f"{'time':<{time_width}}  {'region':<{region_width}}  confidence{bar_head}  weight  p(sync)"
    )
    lines = [Text(head[: layout.width], style="bold")]
    for time, row in zip(times, rows, strict=True):
        line = Text(f"{time:<{time_width}}  {row.region:<{region_width}}  ")
        if row.confidence is None:
            line.append(f"{'–' if layout.unicode else '-':>10}{bar_head}", style="dim")
        else:
            line.append(f"{row.confidence:>10.2f}")
            if bars:
                line.append(" ")
                line.append(_bar(row.confidence, low, high, layout.unicode), style="cyan")
        line.append(f"  {weight_words(row.weight):>6}  ")
        if row.p_sync is not None:
            line.append(f"{row.p_sync:>7.2f}")
        if row.note:
            line.append(f"  {row.note}", style="dim")
        line.truncate(layout.width, overflow="ellipsis" if layout.unicode else "crop")
        lines.append(line)
    if merged:
        # Short enough for the narrowest terminal the table is made for.
        lines.append(Text(f"{len(blocks)} blocks merged; see --all-blocks", style="dim"))
    return lines


def _region(block: BlockResult) -> str:
    return f"face {block.region.track}" if block.region.kind == "face" else "frame"


def _merge(blocks: Sequence[BlockResult], rows: int) -> list[_Row]:
    """At most `rows` rows of equal spans of time; weights add up, the rest is their mean."""
    start = min(block.start_s for block in blocks)
    end = max(block.end_s for block in blocks)
    # Whole seconds a row, so that the times read well.
    row_s = max(1.0, float(np.ceil((end - start) / rows)))
    groups: dict[int, list[BlockResult]] = {}
    for block in blocks:
        groups.setdefault(int((block.start_s - start) // row_s), []).append(block)
    return [_row(groups[index]) for index in sorted(groups)]


def _row(group: list[BlockResult]) -> _Row:
    """One line for neighbours; of what was left out, the usual reason."""
    used = [block for block in group if block.used]
    names = sorted({_region(block) for block in used or group})
    note = ""
    if len(used) < len(group):
        reasons = [block.reason for block in group if not block.used and block.reason]
        usual = max(set(reasons), key=reasons.count) if reasons else "left out"
        note = safe_text(usual) if not used else f"{len(used)} of {len(group)} used"
    confidence, p_sync = None, None
    weights = [block.weight for block in used]
    if used:
        confidence = float(np.mean([block.confidence for block in used]))
        values = [block.p_sync for block in used]
        p_sync = float(np.average(values, weights=weights if sum(weights) > 0 else None))
    return _Row(
        start_s=min(block.start_s for block in group),
        end_s=max(block.end_s for block in group),
        region=names[0] if len(names) == 1 else f"{len(names)} regions",
        confidence=confidence,
        weight=sum(weights),
        p_sync=p_sync,
        note=note,
    )


def _bar(value: float, low: float, high: float, unicode: bool) -> str:
    """A bar of ten cells; full for `high` and for a file whose blocks are all alike."""
    share = 1.0 if high <= low else (value - low) / (high - low)
    if not unicode:
        return ("#" * round(share * _BAR_CELLS)).ljust(_BAR_CELLS)
    eighths = max(1, round(share * _BAR_CELLS * 8))
    full, rest = divmod(eighths, 8)
    bar = "█" * full + (_EIGHTHS[rest] if rest else "")
    return bar.ljust(_BAR_CELLS)


# --- Whole answer ---------------------------------------------------------------------------------


def render(judgement: Judgement, layout: Layout, *, table: bool, curve: bool) -> list[Text]:
    """All lines of the answer for one file, in order; every line at most `layout.width` columns
    wide but the sentence and the command, which are not broken.

    Args:
        judgement: the file's evidence and verdict.
        layout: columns and characters.
        table: with the blocks.
        curve: with the offset curve.
    """
    lines: list[Text] = []
    if table:
        lines += [*block_table(judgement.evidence.blocks, layout), Text("")]
    if curve:
        offset = judgement.verdict.offset_ms
        plot = curve_plot(
            judgement.evidence.offsets_ms,
            judgement.verdict.curve_score,
            offset,
            layout.width,
            unicode=layout.unicode,
        )
        lines += [*(Text(line) for line in plot), Text("")] if plot else []
    answer = [sentence(judgement), *details(judgement)]
    return lines + ([_ascii(line) for line in answer] if not layout.unicode else answer)


_ASCII = str.maketrans({"±": "+/-", "–": "-", "…": "...", "’": "'"})


def _ascii(line: Text) -> Text:
    """The same line with our own typography in ASCII (a file name keeps its letters)."""
    out = line.copy()
    out.plain = line.plain.translate(_ASCII)
    return out


def summary(counts: dict[str, int]) -> str:
    """The last line of a batch: "12 files: 9 in sync, 2 out of sync, 1 undecided"."""
    words = {**STATUS_WORDS, "error": "could not be judged"}
    parts = [f"{counts[key]} {said}" for key, said in words.items() if counts.get(key)]
    total = sum(counts.values())
    return f"{total} {'file' if total == 1 else 'files'}: {', '.join(parts)}"
