"""Figures of an evaluation: well-formed, harmless, and with the data where it belongs."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np

from avsync_cli.drawing.chart import Axis, Chart, Series, cell_figure

SVG = "{http://www.w3.org/2000/svg}"
SHARES = Axis(label="y", low=0.0, high=1.0)


def points(svg: str, tag: str = "polyline") -> list[list[tuple[float, float]]]:
    found = []
    for element in ElementTree.fromstring(svg).iter(f"{SVG}{tag}"):
        pairs = [p.split(",") for p in element.attrib["points"].split()]
        found.append([(float(x), float(y)) for x, y in pairs])
    return found


def test_a_line_goes_up_where_values_do() -> None:
    series = Series(
        name="one",
        x=[1, 2, 4],
        y=[0.0, 0.5, 1.0],
        low=[0, 0.4, 0.9],
        high=[0.1, 0.6, 1.0],
        marks=True,
    )
    chart = Chart(
        title="rise",
        x=Axis(label="x", log=True),
        y=Axis(label="y", low=0.0, high=1.0, percent=True),
        series=[series],
    )
    svg = chart.svg()
    (line,) = [p for p in points(svg) if len(p) == 3 and len({y for _, y in p}) == 3]
    (x0, y0), (x1, y1), (x2, y2) = line
    assert y0 > y1 > y2
    assert abs((x1 - x0) - (x2 - x1)) < 0.2  # equal ratios are equal distances
    assert y0 - y1 == y1 - y2
    assert len(points(svg, "polygon")) == 1
    assert "50 %" in svg or "40 %" in svg
    assert svg.count("<circle") == 3


def test_what_is_no_number_interrupts_the_line() -> None:
    series = Series(name="", x=[0, 1, 2, 3, 4], y=[0.1, 0.2, float("nan"), 0.3, 0.9])
    chart = Chart(title="gap", x=Axis(label="x"), y=SHARES, series=[series])
    coloured = re.findall(r'<polyline class="s-line-0"[^>]* points="([^"]*)"', chart.svg())
    assert [len(p.split()) for p in coloured] == [2, 2]
    assert "nan" not in chart.svg()


def test_histograms_step() -> None:
    series = Series(name="h", x=[0, 1, 2], y=[0.25, 0.75], step=True)
    svg = Chart(title="h", x=Axis(label="x"), y=SHARES, series=[series]).svg()
    assert any(len(p) == 4 for p in points(svg))


def test_names_cannot_break_out() -> None:
    nasty = '</title><script>alert("x")</script>\x1b&'
    axis, series = Axis(label=nasty), Series(name=nasty, x=[0, 1], y=[0, 1])
    chart = Chart(title=nasty, x=axis, y=axis, series=[series], notes=[(0.5, nasty)])
    svg = chart.svg()
    root = ElementTree.fromstring(svg)
    assert not list(root.iter(f"{SVG}script"))
    assert "\x1b" not in svg


def test_nothing_at_all_is_drawn_without_trouble() -> None:
    x, y = Axis(label="x"), Axis(label="y")
    ElementTree.fromstring(Chart(title="empty", x=x, y=y).svg())
    flat = Chart(title="flat", x=x, y=y, series=[Series(name="", x=[1.0], y=[2.0])])
    ElementTree.fromstring(flat.svg())


def test_cells_cover_the_middle_of_the_picture() -> None:
    cells = np.zeros((4, 4))
    cells[1, 2] = 1.0
    svg = cell_figure("cells", [(np.zeros((96, 96), np.uint8), cells, 64)])
    root = ElementTree.fromstring(svg)
    (image,) = root.iter(f"{SVG}image")
    left, shown = float(image.attrib["x"]), float(image.attrib["width"])
    opacities = [float(p.attrib["fill-opacity"]) for p in root.iter(f"{SVG}polygon")]
    ((cell, _),) = [p for p in zip(points(svg, "polygon"), opacities, strict=True) if p[1] > 0.0]
    centre = (np.mean([x for x, _ in cell]) - left) / shown
    assert abs(centre - (16 + 2.5 * 16) / 96) < 0.005
