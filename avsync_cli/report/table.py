"""A table as a value; each format has one writer for all of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.text import Text

from avsync_cli.wording import safe_text

NOTHING = "–"
"""A cell without a figure."""

_FORMULAS = frozenset("=+-@＝＋－＠")
"""What a spreadsheet takes a cell for a formula by."""

NAME_WIDTH = 28
"""Columns of the terminal for a name; what is longer is cut."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table for reading.

    Attributes:
        title: what it is called.
        note: what its columns mean, "" where they need no words.
        head: names of the columns.
        rows: cells as text, in order of the columns.
        words: columns that hold words, which begin on the left; numbers end on the right.
        kept: columns that stay where a wide table is broken into several.
    """

    title: str
    note: str = ""
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: frozenset[int] = frozenset()
    kept: int = 1


def markdown(table: Table) -> str:
    """A table as GitHub's Markdown."""
    lines = [f"## {table.title}", ""]
    lines += [table.note, ""] if table.note else []
    lines.append(_markdown_row(table.head))
    lines.append("|" + "---|" * len(table.head))
    lines += map(_markdown_row, table.rows)
    return "\n".join(lines) + "\n"


def _markdown_row(cells: Sequence[str]) -> str:
    shown = (safe_text(cell).replace("|", "\\|").replace("<", "&lt;") or " " for cell in cells)
    return f"| {' | '.join(shown)} |"


def terminal_lines(table: Table, columns: int = 9) -> list[Text]:
    """A table for the terminal: its first column as names on the left, figures on the right.

    Args:
        table: what is written; the note is left to the caller.
        columns: figures side by side; more of them go below, under the same names, so that lines
            stay readable. A line without any figure there is left out.
    """
    lines = [Text(table.title, style="bold")]
    for first in range(table.kept, len(table.head), columns):
        part = [*range(1, table.kept), *range(first, min(first + columns, len(table.head)))]
        widths = [max(8, *(len(row[k]) + 1 for row in (table.head, *table.rows))) for k in part]
        for row in (table.head, *table.rows):
            if row is not table.head and all(row[k] == NOTHING for k in part[table.kept - 1 :]):
                continue
            name = safe_text(row[0])
            name = name if len(name) < NAME_WIDTH else name[: NAME_WIDTH - 2] + "~"
            cells = "".join(f"{row[k]:>{width}}" for k, width in zip(part, widths, strict=True))
            cells = cells.replace(NOTHING, "-")  # the plain one, for any terminal
            style = "dim" if row is table.head else "bold" if row[0] == "all" else ""
            lines.append(Text(f"{name:<{NAME_WIDTH}}{cells}", style=style))
    return lines


def csv_line(cells: Iterable[object]) -> str:
    """Cells as one line of CSV (RFC 4180): text made safe, numbers as they are, None empty."""
    shown = (
        csv_text(cell)
        if isinstance(cell, str)
        else str(cell).lower()
        if isinstance(cell, bool)
        else cell
        for cell in cells
    )
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(shown)
    return out.getvalue()


def csv_text(text: str) -> str:
    """Text that a spreadsheet takes for text, and that a terminal can show.

    Most is written as it is. What begins like a formula or with an apostrophe, or holds a character
    that cannot be printed, begins with an apostrophe, and then backslashes and such characters are
    Python's escapes. `text[1:].encode("ascii", "backslashreplace").decode("unicode_escape")` reads
    it back.

    >>> csv_text("=1+1"), csv_text("tab\\tstop"), csv_text("plain.mp4")
    ("'=1+1", "'tab\\\\tstop", 'plain.mp4')
    """
    if text.isprintable() and text[:1] not in (*_FORMULAS, "'"):
        return text
    return "'" + "".join(
        char if char.isprintable() and char != "\\" else char.encode("unicode_escape").decode()
        for char in text
    )
