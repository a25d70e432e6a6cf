"""Single seconds as windows, and windows made of single seconds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from avsync_cli.inference.evidence import SecondCurves, WindowResult
from avsync_cli.timebase import BLOCK_FRAMES, FPS
from avsync_cli.verdict.posterior import Constants, window_votes

BLOCK_S = BLOCK_FRAMES / FPS

POOLED_GAIN = 1.05
"""How much further from its middle a window's curve reaches than the mean of its seconds' curves,
measured on windows of held-out clips (correlation 0.995)."""

_ROUNDING_S = 0.5 / FPS


def second_windows(
    seconds: SecondCurves, offsets_ms: np.ndarray, rows: slice = slice(None)
) -> list[WindowResult]:
    """Every second as a window of its own, its log-odds read between the offsets that were kept."""
    kept = seconds.offsets_ms.astype(np.float64)
    wanted = np.asarray(offsets_ms, np.float64)
    found = []
    for start, row in zip(seconds.start_s[rows], seconds.logits[rows], strict=True):
        known = np.isfinite(row)
        filled = np.where(known, row, np.median(row[known])).astype(np.float64)
        heard = None if known.all() else np.floor(np.interp(wanted, kept, known) + 1e-9)
        found.append(
            WindowResult(
                start_s=float(start),
                end_s=float(start) + BLOCK_S,
                logits=np.interp(wanted, kept, filled).astype(np.float32),
                blocks=1.0,
                support=None if heard is None else heard.astype(np.float32),
            )
        )
    return found


def for_seconds(constants: Constants) -> Constants:
    """Constants under which single seconds are compared with one another."""
    return replace(constants, scale=constants.second_scale or constants.scale)


def fair_votes(units: list[WindowResult], constants: Constants) -> np.ndarray:
    """(T, O) votes that say nothing at all of a lag at which a unit's sound lies beyond the file:
    near the ends a large lag must not look like a step only because the rest was heard."""
    votes, _ = window_votes(units, constants)
    for row, unit in zip(votes, units, strict=True):
        if unit.support is not None:
            row[np.asarray(unit.support) <= 0.0] = -math.log(len(row))
    return votes


def windows_of(windows: list[WindowResult], units: list[WindowResult]) -> list[WindowResult]:
    """Windows that the units of one stretch make up: whole ones, and what is left of others."""
    begin_s, end_s = units[0].start_s - _ROUNDING_S, max(u.end_s for u in units) + _ROUNDING_S
    found = []
    for window in windows:
        if window.start_s >= begin_s and window.end_s <= end_s:
            found.append(window)
            continue
        inside = [u for u in units if window.start_s <= (u.start_s + u.end_s) / 2 < window.end_s]
        if inside:
            found.append(_pooled(inside))
    return found or [_pooled(units)]


def _pooled(units: list[WindowResult]) -> WindowResult:
    """One window for several seconds: nearly what the model says of them together."""
    mean = np.mean([u.logits for u in units], axis=0)
    middle = np.median(mean)
    return WindowResult(
        start_s=units[0].start_s,
        end_s=max(u.end_s for u in units),
        logits=(middle + POOLED_GAIN * (mean - middle)).astype(np.float32),
        blocks=float(len(units)),
        support=np.mean([_support(u) for u in units], axis=0).astype(np.float32),
    )


def _support(unit: WindowResult) -> np.ndarray:
    return np.ones(len(unit.logits)) if unit.support is None else np.asarray(unit.support)
