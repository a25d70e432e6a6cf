"""The offset curve as characters."""

from __future__ import annotations

import numpy as np
import pytest

from avsync_cli.report.text_curve import curve_plot

OFFSETS = np.arange(-2000, 2001, 10)


def _peak_at(offset_ms: float) -> np.ndarray:
    return 6.0 * np.exp(-(((OFFSETS - offset_ms) / 40.0) ** 2)) - 3.0


@pytest.mark.parametrize("offset_ms", [-2000, -400, 0, 120, 1990])
@pytest.mark.parametrize("unicode", [True, False])
def test_the_mark_stands_below_the_peak(offset_ms: float, unicode: bool) -> None:
    lines = curve_plot(OFFSETS, _peak_at(offset_ms), offset_ms, 80, unicode=unicode)
    top = lines[0]
    full = "█" if unicode else "#"
    mark = "▲" if unicode else "^"
    assert top.count(full) >= 1
    assert abs(lines[-1].index(mark) - top.index(full)) <= 1
    assert f"{offset_ms:+d} ms" in lines[-1]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_line_is_wider_than_asked(width: int) -> None:
    lines = curve_plot(OFFSETS, _peak_at(120), 120.0, width)
    assert max(map(len, lines)) <= width
    assert len({line.index("│") for line in lines[:8]}) == 1


def test_ascii_is_ascii() -> None:
    assert all(line.isascii() for line in curve_plot(OFFSETS, _peak_at(0), 0.0, 80, unicode=False))


def test_one_point_wide_peak_survives_a_narrow_plot() -> None:
    scores = np.zeros(len(OFFSETS))
    scores[37] = 1.0
    assert "█" in curve_plot(OFFSETS, scores, None, 40)[0]


def test_odd_curves() -> None:
    assert curve_plot(OFFSETS, np.full(len(OFFSETS), np.nan), None, 80) == []
    assert curve_plot(OFFSETS[:1], np.zeros(1), None, 80) == []
    assert curve_plot(OFFSETS, np.zeros(len(OFFSETS)), None, 80) == []
    holes = _peak_at(0)
    holes[:50] = -np.inf
    assert curve_plot(OFFSETS, holes, 0.0, 80)
