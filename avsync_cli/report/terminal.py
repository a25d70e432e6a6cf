"""The answer for a person: pieces, blocks, the offset curve, one sentence and the way to fix it.

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
from avsync_cli.report.sentences import is_at_border, more_pieces, notes, verdict_words
from avsync_cli.report.text_curve import curve_plot
from avsync_cli.verdict.answer import Judgement, Segment
from avsync_cli.wording import interval_words, percent, safe_text, span, weight_words

MAX_ROWS = 12
"""Rows of the table of pieces and of the one of blocks: both and the sentence fit a screen."""

DECIDING_SHARE = 0.9
"""Weight of the blocks that are shown together, where `MAX_ROWS` of them have it."""

STATUS_STYLE = {"in_sync": "green", "out_of_sync": "bold red", "undecided": "yellow"}
AT_BORDER_STYLE = "yellow"

_BAR_CELLS = 10
_EIGHTHS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True)
class Layout:
    """How to write: at most `width` columns, block characters or ASCII, all rows or the first."""

    width: int = 80
    unicode: bool = True
    all_rows: bool = False


# --- Sentence -------------------------------------------------------------------------------------


def sentence(judgement: Judgement) -> Text:
    """One line that answers: file, verdict, offset in words, how sure, where, by which standard."""
    style = AT_BORDER_STYLE if is_at_border(judgement) else STATUS_STYLE[judgement.verdict.status]
    text = Text(f"{safe_text(judgement.path)}: ")
    text.append(verdict_words(judgement), style=style)
    return text


def details(judgement: Judgement) -> list[Text]:
    """Lines below the sentence: limits of the answer, the fix."""
    verdict = judgement.verdict
    lines: list[Text] = []
    left = [safe_text(note) for note in notes(judgement)]
    if verdict.status != "undecided" and left:
        lines.append(Text(f"  note: {', '.join(left)}", style="dim"))
    found = remedy(judgement)
    if found is not None:
        lines.append(Text(f"  {found.what}", style="dim"))
        lines.append(Text(f"  {found.command}", no_wrap=True, overflow="ignore"))
    return lines


# --- Table of pieces ------------------------------------------------------------------------------


def piece_table(segments: Sequence[Segment], layout: Layout) -> list[Text]:
    """The pieces of a file, each with its verdict; [] for a file in one piece."""
    if len(segments) < 2:
        return []
    shown = segments if layout.all_rows else segments[:MAX_ROWS]
    times = _times([(s.start_s, s.end_s) for s in shown], layout, tenths=False)
    width = max(len("piece"), *map(len, times))
    lines = [Text(f"{'piece':<{width}}  {'verdict':<11}  {'offset':>9}  95 %", style="bold")]
    for time, segment in zip(times, shown, strict=True):
        line = Text(f"{time:<{width}}  ")
        line.append(f"{STATUS_WORDS[segment.status]:<11}", style=STATUS_STYLE[segment.status])
        if segment.offset_ms is not None:
            exact = interval_words(segment.offset_ms, segment.offset_ci_ms)
            sure = f"{percent(segment.confidence)} sure"
            line.append(f"  {f'{segment.offset_ms:+.0f} ms':>9}  {exact}, {sure}")
        lines.append(_fitted(line, layout))
    if len(shown) < len(segments):
        more = more_pieces(len(segments) - len(shown))
        lines.append(Text(f"{more}: --blocks, or --csv --pieces", style="dim"))
    return lines


# --- Table of blocks ------------------------------------------------------------------------------


def deciding(blocks: Sequence[BlockResult]) -> list[BlockResult]:
    """The blocks that decided: those with the most weight, until most of it is told, in order."""
    ranked = sorted((b for b in blocks if b.used), key=lambda b: -b.weight)[:MAX_ROWS]
    before = np.cumsum([0.0] + [b.weight for b in ranked])[:-1]
    chosen = {id(b) for b, told in zip(ranked, before, strict=True) if told < DECIDING_SHARE}
    return [b for b in blocks if id(b) in chosen]


def block_table(blocks: Sequence[BlockResult], layout: Layout) -> list[Text]:
    """The table of blocks: time, region, attention confidence as number and bar, weight, p(sync).

    The bar runs from the lowest to the highest confidence among the used blocks of the file.
    """
    if not blocks:
        return []
    rows = list(blocks) if layout.all_rows or len(blocks) <= MAX_ROWS else deciding(blocks)
    known = [block.confidence for block in blocks if block.used]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    times = _times([(row.start_s, row.end_s) for row in rows], layout, tenths=True)
    time_width = max([len("time"), *map(len, times)])
    region_width = max([len("region"), *(len(_region(row)) for row in rows)])

    bars = layout.width >= 60
    bar_head = "" if not bars else " " * (_BAR_CELLS + 1)
    head = (
        f"{'time':<{time_width}}  {'region':<{region_width}}  confidence{bar_head}  weight  p(sync)"
    )
    lines = [Text(head[: layout.width], style="bold")] if rows else []
    for time, row in zip(times, rows, strict=True):
        line = Text(f"{time:<{time_width}}  {_region(row):<{region_width}}  ")
        if row.used:
            line.append(f"{row.confidence:>10.2f}")
            if bars:
                line.append(" ")
                line.append(_bar(row.confidence, low, high, layout.unicode), style="cyan")
        else:
            line.append(f"{'–' if layout.unicode else '-':>10}{bar_head}", style="dim")
        line.append(f"  {weight_words(row.weight):>6}  ")
        if row.used:
            line.append(f"{row.p_sync:>7.2f}")
        else:
            line.append(f"  {safe_text(row.reason) or 'left out'}", style="dim")
        lines.append(_fitted(line, layout))
    if len(rows) < len(blocks):
        # Short enough for the narrowest terminal the table is made for.
        what = "more" if rows else "left out"
        lines.append(Text(f"{len(blocks) - len(rows)} {what}: --blocks shows all", style="dim"))
    return lines


def _times(spans: Sequence[tuple[float, float]], layout: Layout, *, tenths: bool) -> list[str]:
    times = [span(start_s, end_s, tenths) for start_s, end_s in spans]
    return times if layout.unicode else [time.replace("–", "-") for time in times]


def _fitted(line: Text, layout: Layout) -> Text:
    line.truncate(layout.width, overflow="ellipsis" if layout.unicode else "crop")
    return line if layout.unicode else _ascii(line)


def _region(block: BlockResult) -> str:
    return f"face {block.region.track}" if block.region.kind == "face" else "frame"


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
        table: with the pieces and the blocks.
        curve: with the offset curve.
    """
    lines: list[Text] = []
    if table:
        pieces = piece_table(judgement.verdict.segments, layout)
        blocks = block_table(judgement.evidence.blocks, layout)
        for part in (pieces, blocks):
            lines += [*part, Text("")] if part else []
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
    told = f": {', '.join(parts)}" if parts else ""
    return f"{total} {'file' if total == 1 else 'files'}{told}"
