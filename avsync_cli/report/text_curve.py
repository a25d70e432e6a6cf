"""The offset curve as characters: how well the sound fits after every move of a scan."""

from __future__ import annotations

import numpy as np

_LEVELS = " ▁▂▃▄▅▆▇█"
_HEIGHT = 8
"""Rows of the plot itself."""


def curve_plot(
    offsets_ms: np.ndarray,
    scores: np.ndarray,
    peak_ms: float | None,
    width: int,
    *,
    unicode: bool = True,
) -> list[str]:
    """Columns over the offset axis, an axis with its ends and zero, and a mark below the estimate.

    Args:
        offsets_ms: (O,) rising.
        scores: (O,) any real numbers; drawn from the lowest to the highest. Not finite ones are
            drawn as the lowest.
        peak_ms: the estimate to mark, or None.
        width: columns to use, axis labels included.
        unicode: eighth blocks, or "#" in ASCII.

    Returns:
        Lines of at most `width` columns; [] when there is nothing to draw: no finite score, or all
        of them alike.
    """
    finite = np.isfinite(scores)
    if len(offsets_ms) < 2 or not finite.any():
        return []
    low, high = float(scores[finite].min()), float(scores[finite].max())
    if high - low < 1e-6:
        return []
    labels = {_HEIGHT: f"{high:+.1f}", 1: f"{low:+.1f}"}
    margin = max(map(len, labels.values())) + 2
    columns = max(10, min(width - margin - 1, len(offsets_ms)))
    levels = (_tops(offsets_ms, np.where(finite, scores, low), columns) - low) / (high - low)

    edge = "│" if unicode else "|"
    lines = []
    for row in range(_HEIGHT, 0, -1):
        cells = "".join(_cell(level * _HEIGHT - (row - 1), unicode) for level in levels)
        lines.append(f"{labels.get(row, ''):>{margin - 2}} {edge}{cells}".rstrip())
    zero = _column(0.0, offsets_ms, columns)
    lines.append(" " * (margin - 1) + _axis(zero, columns, unicode))
    lines.append(" " * margin + _ticks(offsets_ms, zero, columns))
    if peak_ms is not None and (at := _column(peak_ms, offsets_ms, columns)) is not None:
        lines.append(" " * margin + _mark(f"{peak_ms:+.0f} ms", at, columns, unicode))
    return lines


def _tops(offsets_ms: np.ndarray, scores: np.ndarray, columns: int) -> np.ndarray:
    """(columns,) the best score of each column, so that a narrow peak is never averaged away."""
    span = float(offsets_ms[-1] - offsets_ms[0])
    place = np.minimum(((offsets_ms - offsets_ms[0]) * columns / span).astype(int), columns - 1)
    tops = np.full(columns, float(scores.min()))
    np.maximum.at(tops, place, scores)
    return tops


def _axis(zero: int | None, columns: int, unicode: bool) -> str:
    axis = list(("─" if unicode else "-") * columns)
    if zero is not None:
        axis[zero] = "┼" if unicode else "+"
    return ("└" if unicode else "+") + "".join(axis)


def _mark(words: str, at: int, columns: int, unicode: bool) -> str:
    """An arrow below a column with words beside it, on the left where the right has no room."""
    arrow = "▲" if unicode else "^"
    text = f"{arrow} {words}"
    if at + len(text) <= columns:
        return " " * at + text
    return " " * max(0, at + 1 - len(text)) + f"{words} {arrow}"


def _cell(filled: float, unicode: bool) -> str:
    """One character for a column of which `filled` rows (may be negative) reach into this row."""
    share = min(max(filled, 0.0), 1.0)
    if unicode:
        return _LEVELS[round(share * 8)]
    return "#" if share >= 0.5 else " "


def _column(offset_ms: float, offsets_ms: np.ndarray, columns: int) -> int | None:
    first, last = float(offsets_ms[0]), float(offsets_ms[-1])
    if not first <= offset_ms <= last:
        return None
    return min(int((offset_ms - first) * columns / (last - first)), columns - 1)


def _ticks(offsets_ms: np.ndarray, zero: int | None, columns: int) -> str:
    """Labels below the axis: both ends with their meaning, and zero where there is room."""
    left, right = f"{offsets_ms[0]:+d} ms early", f"late {offsets_ms[-1]:+d} ms"
    if len(left) + len(right) + 5 > columns:
        left, right = f"{offsets_ms[0]:+d}", f"{offsets_ms[-1]:+d}"
    line = list(left.ljust(columns))
    line[columns - len(right) :] = right
    if zero is not None and len(left) < zero - 1 and zero + 1 < columns - len(right):
        line[zero] = "0"
    return "".join(line)
