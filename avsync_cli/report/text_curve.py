"""The offset curve as characters: how well the sound fits after every move of a scan."""

from __future__ import annotations

import numpy as np

_LEVELS = " ▁▂▃▄▅▆▇█"
_HEIGHT = 8


def curve_plot(
    offsets_ms: np.ndarray,
    scores: np.ndarray,
    peak_ms: float | None,
    width: int,
    *,
    unicode: bool = True,
    height: int = _HEIGHT,
) -> list[str]:
    """Columns over the offset axis, an axis with its ends and zero, and a mark below the estimate.

    Args:
        offsets_ms: (O,) rising.
        scores: (O,) any real numbers; drawn from the lowest to the highest. Not finite ones are
            drawn as the lowest.
        peak_ms: the estimate to mark, or None.
        width: columns to use, axis labels included.
        unicode: eighth blocks, or "#" in ASCII.
        height: rows of the plot itself.

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
    labels = f"{high:+.1f}", f"{low:+.1f}"
    margin = max(map(len, labels)) + 2
    columns = max(10, min(width - margin - 1, len(offsets_ms)))

    span = float(offsets_ms[-1] - offsets_ms[0])
    place = np.minimum(((offsets_ms - offsets_ms[0]) * columns / span).astype(int), columns - 1)
    tops = np.full(columns, low)
    for column in range(columns):
        inside = scores[(place == column) & finite]
        # The best of a column, so that a narrow peak is never averaged away.
        tops[column] = inside.max() if inside.size else low
    levels = (tops - low) / (high - low)

    lines = []
    for row in range(height, 0, -1):
        label = labels[0] if row == height else labels[1] if row == 1 else ""
        edge = "│" if unicode else "|"
        cells = "".join(_cell(level * height - (row - 1), unicode) for level in levels)
        lines.append(f"{label:>{margin - 2}} {edge}{cells}".rstrip())

    zero = _column(0.0, offsets_ms, columns)
    axis = list(("─" if unicode else "-") * columns)
    if zero is not None:
        axis[zero] = "┼" if unicode else "+"
    corner = "└" if unicode else "+"
    lines.append(" " * (margin - 1) + corner + "".join(axis))
    lines.append(" " * margin + _ticks(offsets_ms, zero, columns))
    if peak_ms is not None:
        at = _column(peak_ms, offsets_ms, columns)
        if at is not None:
            mark = "▲" if unicode else "^"
            text = f"{mark} {peak_ms:+.0f} ms"
            # Written to the left of the mark where the right has no room.
            if at + len(text) > columns:
                text = f"{peak_ms:+.0f} ms {mark}"
                lines.append(" " * (margin + max(0, at + 1 - len(text))) + text)
            else:
                lines.append(" " * (margin + at) + text)
    return lines


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
