"""Tables as values, and their writers: CSV is safe to open, to print and to read back."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avsync_cli.report.table import Table, csv_line, csv_text, markdown, terminal_lines

TEXTS = st.one_of(
    st.text(),
    st.text(alphabet="=+-@'\"\\,;\n\r\t\x00\x1b\x85\x9b\u202e\u2028\ufeffa1 ＝"),
    st.binary().map(os.fsdecode),
)


@pytest.fixture(scope="module")
def recipe() -> Callable[[str], str]:
    """The function that the docs give for reading a cell."""
    page = Path(__file__).resolve().parents[2] / "docs" / "reports.md"
    (code,) = re.findall(r"```python\n(def cell_text.*?)```", page.read_text("utf-8"), re.S)
    names: dict[str, Callable[[str], str]] = {}
    exec(code, names)
    return names["cell_text"]


@settings(deadline=None)
@given(TEXTS)
def test_every_text_comes_back_by_the_documented_recipe(
    recipe: Callable[[str], str], text: str
) -> None:
    ((cell, last),) = csv.reader(io.StringIO(csv_line([text, "end"]), newline=""))
    assert recipe(cell) == text
    assert last == "end"


@settings(deadline=None)
@given(TEXTS)
def test_no_text_is_a_formula_or_obeyed_by_a_terminal(text: str) -> None:
    cell = csv_text(text)
    assert cell.isprintable()
    assert cell[:1] not in tuple("=+-@＝＋－＠")


@pytest.mark.parametrize("text", ["", "plain.mp4", "C:\\films\\a.mp4", "caf\xe9 \u4e2d.mp4", "a=b"])
def test_what_is_harmless_is_written_as_it_is(text: str) -> None:
    assert csv_text(text) == text


def test_figures_are_no_text() -> None:
    assert csv_line([-40.5, -3, None, True, "x"]) == "-40.5,-3,,true,x\n"


def test_a_wide_table_is_broken_for_the_terminal() -> None:
    table = Table(
        title="t",
        head=("source", "windows", *map(str, range(7))),
        rows=[("a\x1b" + "b" * 40, "3", *["1"] * 7), ("all", "9", *["2"] * 5, "–", "–")],
        kept=2,
    )
    lines = [line.plain for line in terminal_lines(table, columns=5)]
    assert max(map(len, lines)) <= 80
    name = lines[2].split()[0]
    firsts = [line.split()[0] for line in lines]
    assert firsts == ["t", "source", name, "all", "source", name]
    assert "\x1b" not in "".join(lines)


def test_markdown_keeps_its_columns() -> None:
    text = markdown(Table(title="t", head=("a|b",), rows=[("<i>|\n",)]))
    assert text == "## t\n\n| a\\|b |\n|---|\n| &lt;i>\\|\\n |\n"
