"""The offset curve, drawn on any canvas, and what it has in common with the figure over time."""

from __future__ import annotations

import math

import numpy as np

from avsync_cli.drawing.canvas import Canvas
from avsync_cli.inference.evidence import BlockResult
from avsync_cli.verdict.answer import Judgement

STATUS_ROLE = {"in_sync": "ok", "out_of_sync": "bad", "undecided": "open"}
TRACK_ROLES = ("accent", "second", "third", "fourth")
"""Colours of face tracks, in turn; the whole frame is "muted"."""

LETTER = 6.6
"""Units a letter of 12 px is wide, about, on either canvas."""


def region_role(block: BlockResult) -> str:
    """The colour of a block's region."""
    track = block.region.track
    if block.region.kind == "frame" or track is None:
        return "muted"
    return TRACK_ROLES[track % len(TRACK_ROLES)]


# --- The offset curve -----------------------------------------------------------------------------


def draw_curve(canvas: Canvas, report: Judgement, top: float = 14.0) -> None:
    """How well the sound fits after every move of the scan, with the tolerance and the answer;
    what lies above `top` is left free."""
    verdict, offsets = report.verdict, np.asarray(report.evidence.offsets_ms, np.float64)
    score = np.asarray(verdict.curve_score, np.float64)
    finite = np.isfinite(score)
    low, high = (float(score[finite].min()), float(score[finite].max())) if finite.any() else (0, 0)
    if high - low < 1e-6:
        low, high = low - 1.0, high + 1.0
    low, high = low - 0.05 * (high - low), high + 0.18 * (high - low)
    left, right, bottom = 46.0, canvas.width - 14.0, canvas.height - 46.0

    def x(offset_ms: float) -> float:
        share = (offset_ms - offsets[0]) / (offsets[-1] - offsets[0])
        return float(left + np.clip(share, 0.0, 1.0) * (right - left))

    def y(value: float) -> float:
        return bottom - (value - low) / (high - low) * (bottom - top)

    canvas.rect((left, top, right - left, bottom - top), "panel")
    tolerance = report.tolerance
    early, late = x(-tolerance.early_ms), x(tolerance.late_ms)
    canvas.rect((early, top, late - early, bottom - top), "ok", 0.14)
    for value in ticks(low, high, 4):
        if bottom - y(value) < 10:  # its label would touch those of the other axis
            continue
        canvas.line([(left, y(value)), (right, y(value))], "grid")
        canvas.text(left - 6, y(value) + 4, f"{value:+g}" if value else "0", "muted", "end")
    for value in ticks(offsets[0], offsets[-1], max(4, int(canvas.width / 110))):
        canvas.line([(x(value), bottom), (x(value), bottom + 4)], "muted")
        tick_label(canvas, x(value), bottom + 17, f"{value:+g}" if value else "0")
    if offsets[0] < 0 < offsets[-1]:
        canvas.line([(x(0), top), (x(0), bottom)], "muted", dashed=True)
    if offsets[0] < offsets[-1]:
        floor = low if not finite.any() else float(score[finite].min())
        shown = np.where(finite, score, floor)
        points = [(x(o), y(s)) for o, s in zip(offsets, shown, strict=True)]
        canvas.area(points, bottom, "accent", 0.16)
        canvas.line(points, "accent", 2.0)
    wide = canvas.width >= 560
    canvas.text(left, canvas.height - 8, "< sound early" if wide else "early")
    middle = "offset of the sound in ms; shaded: within tolerance" if wide else "offset in ms"
    canvas.text((left + right) / 2, canvas.height - 8, middle, "muted", "middle")
    canvas.text(right, canvas.height - 8, "sound late >" if wide else "late", "muted", "end")
    if verdict.offset_ms is None:
        return
    role = STATUS_ROLE[verdict.status]
    at = x(verdict.offset_ms)
    if verdict.offset_ci_ms is not None:
        low, high = (x(end) for end in verdict.offset_ci_ms)
        canvas.rect((low, top, max(high - low, 1.0), bottom - top), role, 0.18)
    canvas.line([(at, top), (at, bottom)], role, 2.0)
    label = f"{verdict.offset_ms:+.0f} ms"
    beside = at + 8 + LETTER * len(label) < right
    canvas.text(at + 8 if beside else at - 8, top + 14, label, role, "start" if beside else "end")


# --- Axes -----------------------------------------------------------------------------------------


def tick_label(canvas: Canvas, x: float, y: float, text: str) -> None:
    """A label below its tick, moved to the left where the canvas ends."""
    if x + LETTER * len(text) / 2 > canvas.width:
        canvas.text(canvas.width - 1, y, text, "muted", "end")
    else:
        canvas.text(x, y, text, "muted", "middle")


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round values within low..high, about so many: steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(k * step, 6) + 0.0 for k in range(first, last + 1)]


def time_ticks(start_s: float, end_s: float, about: int) -> list[float]:
    """Whole seconds, minutes or hours within a span, at most so many."""
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400)
    step = next((s for s in steps if (end_s - start_s) / s <= about), 28_800)
    first = math.ceil(start_s / step - 1e-9)
    return [float(k * step) for k in range(first, math.floor(end_s / step + 1e-9) + 1)]
