"""The tables of the HTML report: what its figures show, for those who cannot see them or want it
exactly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from avsync_cli.drawing.attention import region_words
from avsync_cli.inference.evidence import BlockResult
from avsync_cli.names import STATUS_WORDS
from avsync_cli.verdict.answer import Judgement
from avsync_cli.wording import percent, safe_text, span, weight_words

MAX_ROWS = 500
"""Rows of a table: what a browser lays out at once, and a person may still look through."""


def text(value: str) -> str:
    """`value` as HTML text or attribute value."""
    return escape(safe_text(value))


def heaviest(blocks: Sequence[BlockResult], count: int) -> list[BlockResult]:
    """The `count` blocks with the most weight, in the order they were in."""
    if len(blocks) <= count:
        return list(blocks)
    chosen = sorted(range(len(blocks)), key=lambda k: -blocks[k].weight)[:count]
    return [blocks[k] for k in sorted(chosen)]


def table(
    summary: str,
    caption: str,
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    words: frozenset[int] = frozenset(),
) -> str:
    """A table that opens on demand; cells are plain text, numbers right-aligned.

    Args:
        summary: what there is to open.
        caption: what the columns mean.
        head: column names.
        rows: cells.
        words: columns that hold words.
    """

    def cell(tag: str, column: int, value: str) -> str:
        kind = "" if column in words else ' class="n"'
        scope = ' scope="col"' if tag == "th" else ""
        return f"<{tag}{kind}{scope}>{text(value)}</{tag}>"

    top = "".join(cell("th", k, name) for k, name in enumerate(head))
    body = "".join(
        f"<tr>{''.join(cell('td', k, value) for k, value in enumerate(row))}</tr>" for row in rows
    )
    return (
        f"<details><summary>{text(summary)}</summary>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(summary)}">'
        f"<table><caption>{text(caption)}</caption><thead><tr>{top}</tr></thead>"
        f"<tbody>{body}</tbody></table></div></details>"
    )


def segment_table(report: Judgement) -> str:
    rows = [
        (
            span(s.start_s, s.end_s),
            STATUS_WORDS[s.status],
            "" if s.offset_ms is None else f"{s.offset_ms:+.0f}",
            "" if s.offset_ci_ms is None else " to ".join(f"{x:+.0f}" for x in s.offset_ci_ms),
            percent(s.confidence),
        )
        for s in report.verdict.segments[:MAX_ROWS]
    ]
    if not rows:
        return ""
    head = ("Time", "Verdict", "Offset, ms", "95 % interval, ms", "Sure")
    caption = "Stretches of the film with one answer each; above 0 the sound is late."
    return table(f"Stretches ({len(rows)})", caption, head, rows, frozenset((0, 1)))


def block_table(report: Judgement) -> str:
    blocks = report.evidence.blocks
    if not blocks:
        return ""
    caption = (
        "Confidence is the attention paid to a block, any number; weight its share in the "
        "decision; p(sync) the probability that the block as it stands is in sync."
    )
    shown = heaviest(blocks, MAX_ROWS)
    if len(shown) < len(blocks):
        caption = f"The {MAX_ROWS} with the most weight of {len(blocks)} blocks. {caption}"
    rows = [
        (
            span(b.start_s, b.end_s, tenths=True),
            region_words(b.region),
            f"{b.confidence:.2f}" if b.used else "",
            weight_words(b.weight),
            f"{b.p_sync:.2f}" if b.used else "",
            "" if b.used else f"left out: {b.reason or 'no reason given'}",
        )
        for b in shown
    ]
    head = ("Time", "Region", "Confidence", "Weight", "p(sync)", "Note")
    return table(f"Blocks ({len(shown)})", caption, head, rows, frozenset((0, 1, 5)))


def window_table(report: Judgement, votes: np.ndarray | None) -> str:
    if votes is None or not len(votes):
        return ""
    rows = []
    for window, vote in list(zip(report.evidence.windows, votes, strict=True))[:MAX_ROWS]:
        peak = int(vote.argmax())
        near = float(vote[max(0, peak - 4) : peak + 5].sum())
        offset = f"{report.evidence.offsets_ms[peak]:+d}"
        rows.append((span(window.start_s, window.end_s, tenths=True), offset, percent(near)))
    head = ("Time", "Likeliest offset, ms", "Probability near it")
    caption = "The heat map in figures: what a few neighbouring blocks say by themselves."
    return table(f"Windows ({len(rows)})", caption, head, rows, frozenset((0,)))


def curve_table(report: Judgement) -> str:
    offsets, verdict = report.evidence.offsets_ms, report.verdict
    every = max(1, len(offsets) // 100)
    best = int(np.argmax(verdict.curve))
    rows = [
        (f"{offsets[k]:+d}", f"{verdict.curve_score[k]:.2f}", f"{100 * verdict.curve[k]:.2g} %")
        for k in range(len(offsets))
        if k % every == best % every
    ]
    caption = "Log-odds of being in sync after the sound is moved earlier by the offset."
    head = ("Offset, ms", "Log-odds", "Probability")
    return table(f"Curve ({len(rows)} of {len(offsets)} steps)", caption, head, rows)
