"""The offset curve: how well the sound fits after every move of the scan."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avsync_cli.drawing.canvas import LETTER, ROOMY, Canvas
from avsync_cli.drawing.palette import STATUS_ROLE
from avsync_cli.drawing.pixels import PixelCanvas
from avsync_cli.drawing.plot import Plot, Scale, round_ticks, signed
from avsync_cli.drawing.svg import SvgCanvas
from avsync_cli.verdict.answer import Judgement, Verdict

WIDTH, HEIGHT = 960.0, 400.0

_LETTERS = 150
"""Letters of a line that fit the picture's width."""

_BESIDE = 46.0
"""Units on the left of the field and below it, for labels."""


def offset_curve_file(judgement: Judgement, suffix: str, *, says: str, shows: str) -> bytes:
    """The curve as a picture of its own.

    Args:
        judgement: whose curve it is.
        suffix: ".svg", or ".png", which is twice the size in pixels.
        says: the verdict in a sentence, written above the curve.
        shows: what the curve shows, for people who cannot see it.
    """
    if suffix == ".png":
        pixels = PixelCanvas(WIDTH, HEIGHT, scale=2)
        _draw_with_words(pixels, judgement, says)
        return pixels.png()
    canvas = SvgCanvas(WIDTH, HEIGHT)
    canvas.rect((0.0, 0.0, WIDTH, HEIGHT), "paper")
    _draw_with_words(canvas, judgement, says)
    return canvas.document(f"Offset curve of {judgement.path}", shows).encode()


def _draw_with_words(canvas: Canvas, judgement: Judgement, says: str) -> None:
    canvas.text((14, 22), _cut(Path(judgement.path).name), "ink")
    canvas.text((14, 40), _cut(says), STATUS_ROLE[judgement.verdict.status])
    draw_offset_curve(canvas, judgement, top=54.0)


def _cut(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 3]}..."


def draw_offset_curve(canvas: Canvas, judgement: Judgement, top: float = 14.0) -> None:
    """Draw the curve, with the tolerance and the answer; what lies above `top` is left free."""
    offsets = np.asarray(judgement.evidence.offsets_ms, np.float64)
    score = np.asarray(judgement.verdict.curve_score, np.float64)
    finite = np.isfinite(score)
    low, high = (float(score[finite].min()), float(score[finite].max())) if finite.any() else (0, 0)
    if high - low < 1e-6:
        low, high = low - 1.0, high + 1.0
    least, above = 0.05 * (high - low), 0.18 * (high - low)
    right, bottom = canvas.width - 14.0, canvas.height - _BESIDE
    plot = Plot(
        canvas,
        Scale(low=offsets[0], high=max(offsets[-1], offsets[0] + 1), start=_BESIDE, end=right),
        Scale(low=low - least, high=high + above, start=bottom, end=top),
    )
    _draw_field(plot, judgement)
    if offsets[0] < offsets[-1]:
        points = plot.placed(offsets, np.where(finite, score, low))
        canvas.area([*points, (right, bottom), (_BESIDE, bottom)], "accent", 0.16)
        canvas.line(points, "accent", 2.0)
    _draw_axis_words(plot)
    _draw_answer(plot, judgement.verdict)


def _draw_field(plot: Plot, judgement: Judgement) -> None:
    plot.panel()
    plot.span(-judgement.tolerance.early_ms, judgement.tolerance.late_ms, "ok", 0.14)
    for value in round_ticks(plot.y.low, plot.y.high, 4):
        if plot.bottom - plot.y(value) < 10:  # its label would touch those of the other axis
            continue
        plot.level(value, "grid")
        plot.side_label(value, signed(value))
    ticks = round_ticks(plot.x.low, plot.x.high, max(4, int(plot.canvas.width / 110)))
    plot.ticks_below(ticks, signed)
    if plot.x.low < 0 < plot.x.high:
        plot.upright(0, "muted", dashed=True)


def _draw_axis_words(plot: Plot) -> None:
    canvas, y = plot.canvas, plot.canvas.height - 8
    early, middle, late = "early", "offset in ms", "late"
    if canvas.width >= ROOMY:
        early, late = "< sound early", "sound late >"
        middle = "offset of the sound in ms; shaded: within tolerance"
    canvas.text((plot.left, y), early)
    canvas.text(((plot.left + plot.right) / 2, y), middle, "muted", "middle")
    canvas.text((plot.right, y), late, "muted", "end")


def _draw_answer(plot: Plot, verdict: Verdict) -> None:
    if verdict.offset_ms is None:
        return
    role = STATUS_ROLE[verdict.status]
    if verdict.offset_ci_ms is not None:
        plot.span(*verdict.offset_ci_ms, role, 0.18)
    plot.upright(verdict.offset_ms, role, 2.0)
    at, label = plot.x(verdict.offset_ms), f"{verdict.offset_ms:+.0f} ms"
    beside = at + 8 + LETTER * len(label) < plot.right
    place = (at + 8 if beside else at - 8), plot.top + 14
    plot.canvas.text(place, label, role, "start" if beside else "end")
