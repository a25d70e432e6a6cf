"""The tables of the HTML report: what its figures show, for those who cannot see them or want it
exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avsync_cli.drawing.attention import region_words
from avsync_cli.inference.evidence import BlockResult
from avsync_cli.names import STATUS_WORDS
from avsync_cli.report.table import Table
from avsync_cli.verdict.answer import Judgement
from avsync_cli.wording import percent, span, weight_words

MAX_ROWS = 500
"""Rows of a table: what a browser lays out at once, and a person may still look through."""


def heaviest(blocks: Sequence[BlockResult], count: int) -> list[BlockResult]:
    """The `count` blocks with the most weight, in the order they were in."""
    if len(blocks) <= count:
        return list(blocks)
    chosen = sorted(range(len(blocks)), key=lambda k: -blocks[k].weight)[:count]
    return [blocks[k] for k in sorted(chosen)]


def tables_over_time(judgement: Judgement, votes: np.ndarray | None) -> list[Table]:
    """The tables that have rows: stretches, faces, blocks, windows."""
    tables = [_segment_table(judgement), _face_table(judgement), _block_table(judgement)]
    return [table for table in (*tables, _window_table(judgement, votes)) if table.rows]


def _segment_table(judgement: Judgement) -> Table:
    rows = [
        (
            span(s.start_s, s.end_s),
            STATUS_WORDS[s.status],
            "" if s.offset_ms is None else f"{s.offset_ms:+.0f}",
            "" if s.offset_ci_ms is None else " to ".join(f"{x:+.0f}" for x in s.offset_ci_ms),
            percent(s.confidence),
        )
        for s in judgement.verdict.segments[:MAX_ROWS]
    ]
    return Table(
        title=f"Stretches ({len(rows)})",
        note="Stretches of the film with one answer each; above 0 the sound is late.",
        head=("Time", "Verdict", "Offset, ms", "95 % interval, ms", "Sure"),
        rows=rows,
        words=frozenset((0, 1)),
    )


def _face_table(judgement: Judgement) -> Table:
    rows = [
        (
            span(t.start_s, t.end_s, tenths=True),
            f"face {t.track}",
            percent(t.speaking),
            "" if t.offset_ms is None else f"{t.offset_ms:+.0f}",
            "" if t.offset_ms is None else f"{t.margin:.1f}",
            percent(t.confidence),
            t.reason,
        )
        for t in sorted(judgement.tracks, key=lambda t: -t.judged_s)[:MAX_ROWS]
    ]
    return Table(
        title=f"Faces ({len(rows)})",
        note=(
            "Each judged by itself, from one cut to the next: the share of its time in which it "
            "speaks in sync, its likeliest offset, and how sure it is that the sound is its own."
        ),
        head=("Time", "Face", "Speaks", "Offset, ms", "Margin, logits", "Sure", "Note"),
        rows=rows,
        words=frozenset((0, 1, 6)),
    )


def _block_table(judgement: Judgement) -> Table:
    blocks = judgement.evidence.blocks
    note = (
        "Confidence is the attention paid to a block, any number; weight its share in the "
        "decision; p(sync) the probability that the block as it stands is in sync."
    )
    shown = heaviest(blocks, MAX_ROWS)
    if len(shown) < len(blocks):
        note = f"The {MAX_ROWS} with the most weight of {len(blocks)} blocks. {note}"
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
    return Table(
        title=f"Blocks ({len(shown)})",
        note=note,
        head=("Time", "Region", "Confidence", "Weight", "p(sync)", "Note"),
        rows=rows,
        words=frozenset((0, 1, 5)),
    )


def _window_table(judgement: Judgement, votes: np.ndarray | None) -> Table:
    rows = []
    shares: Sequence[np.ndarray] = [] if votes is None else list(votes[:MAX_ROWS])
    for window, vote in zip(judgement.evidence.windows, shares, strict=False):
        peak = int(vote.argmax())
        near = float(vote[max(0, peak - 4) : peak + 5].sum())
        offset = f"{judgement.evidence.offsets_ms[peak]:+d}"
        rows.append((span(window.start_s, window.end_s, tenths=True), offset, percent(near)))
    return Table(
        title=f"Windows ({len(rows)})",
        note="The heat map in figures: what a few neighbouring blocks say by themselves.",
        head=("Time", "Likeliest offset, ms", "Probability near it"),
        rows=rows,
        words=frozenset((0,)),
    )


def curve_table(judgement: Judgement) -> Table:
    """About a hundred steps of the offset curve, its peak among them."""
    offsets, verdict = judgement.evidence.offsets_ms, judgement.verdict
    every = max(1, len(offsets) // 100)
    best = int(np.argmax(verdict.curve))
    rows = [
        (f"{offsets[k]:+d}", f"{verdict.curve_score[k]:.2f}", f"{100 * verdict.curve[k]:.2g} %")
        for k in range(best % every, len(offsets), every)
    ]
    return Table(
        title=f"Curve ({len(rows)} of {len(offsets)} steps)",
        note="Log-odds of being in sync after the sound is moved earlier by the offset.",
        head=("Offset, ms", "Log-odds", "Probability"),
        rows=rows,
    )
