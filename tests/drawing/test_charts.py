"""Figures of an evaluation: well-formed, harmless, and with the data where it belongs."""

from __future__ import annotations

import re
import struct
import zlib
from xml.etree import ElementTree

import numpy as np

from avsync_cli.drawing.charts import Axis, Chart, Series, cell_figure, grey_png

SVG = "{http://www.w3.org/2000/svg}"


def points(svg: str, tag: str = "polyline") -> list[list[tuple[float, float]]]:
    found = []
    for element in ElementTree.fromstring(svg).iter(f"{SVG}{tag}"):
        pairs = [p.split(",") for p in element.attrib["points"].split()]
        found.append([(float(x), float(y)) for x, y in pairs])
    return found


def test_a_line_goes_up_where_values_do() -> None:
    series = Series("one", [1, 2, 4], [0.0, 0.5, 1.0], [0, 0.4, 0.9], [0.1, 0.6, 1.0], marks=True)
    chart = Chart("rise", Axis("x", log=True), Axis("y", 0.0, 1.0, percent=True), [series])
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
    series = Series("", [0, 1, 2, 3, 4], [0.1, 0.2, float("nan"), 0.3, 0.9])
    chart = Chart("gap", Axis("x"), Axis("y", 0.0, 1.0), [series])
    coloured = re.findall(r'<polyline points="([^"]*)"[^>]*#0072b2', chart.svg())
    assert [len(p.split()) for p in coloured] == [2, 2]
    assert "nan" not in chart.svg()


def test_histograms_step() -> None:
    series = Series("h", [0, 1, 2], [0.25, 0.75], step=True)
    svg = Chart("h", Axis("x"), Axis("y", 0.0, 1.0), [series]).svg()
    assert any(len(p) == 4 for p in points(svg))


def test_names_cannot_break_out() -> None:
    nasty = '</title><script>alert("x")</script>\x1b&'
    series = Series(nasty, [0, 1], [0, 1])
    svg = Chart(nasty, Axis(nasty), Axis(nasty), [series], notes=[(0.5, nasty)]).svg()
    root = ElementTree.fromstring(svg)
    assert not list(root.iter(f"{SVG}script"))
    assert "\x1b" not in svg


def test_nothing_at_all_is_drawn_without_trouble() -> None:
    ElementTree.fromstring(Chart("empty", Axis("x"), Axis("y")).svg())
    flat = Chart("flat", Axis("x"), Axis("y"), [Series("", [1.0], [2.0])])
    ElementTree.fromstring(flat.svg())


def test_cells_cover_the_middle_of_the_picture() -> None:
    cells = np.zeros((4, 4))
    cells[1, 2] = 1.0
    svg = cell_figure("cells", [(np.zeros((96, 96), np.uint8), cells, 64)])
    root = ElementTree.fromstring(svg)
    (image,) = root.iter(f"{SVG}image")
    left, shown = float(image.attrib["x"]), float(image.attrib["width"])
    shaded = [r.attrib for r in root.iter(f"{SVG}rect") if r.attrib.get("fill-opacity") == "0.700"]
    (cell,) = shaded
    centre = (float(cell["x"]) + float(cell["width"]) / 2 - left) / shown
    assert abs(centre - (16 + 2.5 * 16) / 96) < 0.005


def test_png_holds_the_picture() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (7, 5)).astype(np.uint8)
    data = grey_png(picture)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == (5, 7)
    at = data.index(b"IDAT")
    (length,) = struct.unpack(">I", data[at - 4 : at])
    rows = np.frombuffer(zlib.decompress(data[at + 4 : at + 4 + length]), np.uint8).reshape(7, 6)
    np.testing.assert_array_equal(rows[:, 1:], picture)
    assert (rows[:, 0] == 0).all()
