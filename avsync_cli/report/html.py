"""The answer as HTML that needs nothing else: no network, no other file, no script even. One page
for all films, or in a folder a page for each and an overview, index.html.

Sections are written as files are judged and kept on disk, so that memory does not grow with the
batch; the page is put together at the end, its overview first. Whatever comes from outside, file
names above all, is made safe to show and to stand in HTML by the environment of the templates.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from avsync_cli.drawing.palette import LIGHT, palette_css, paper_css
from avsync_cli.files import open_whole
from avsync_cli.names import STATUS_WORDS
from avsync_cli.report.html_section import Illustrations, section_values
from avsync_cli.report.machine import Failure, Tool
from avsync_cli.report.places import Names
from avsync_cli.report.sentences import capital, headline, is_at_border
from avsync_cli.report.terminal import summary
from avsync_cli.verdict.answer import Judgement
from avsync_cli.wording import percent, safe_text

_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)
"""The page forbids itself the network, should a name ever get past the escaping."""

_SPOOL_BYTES = 16 << 20

INDEX = "index.html"
"""The overview in a folder of pages."""


class HtmlReport:
    """Gathers a run's answers and writes them as a page, or into a folder.

    Args:
        path: the page, which appears whole or not at all; or a folder that exists.
        tool: who judged.
        command: "score" or "offset-scan".
    """

    def __init__(self, path: Path, tool: Tool, command: str) -> None:
        self._path, self._tool, self._command = path, tool, command
        self._names = Names(frozenset({INDEX})) if path.is_dir() else None
        self._sections: IO[str] = tempfile.SpooledTemporaryFile(  # noqa: SIM115, closed in finish
            max_size=_SPOOL_BYTES, mode="w+", encoding="utf-8", newline=""
        )
        self._rows: list[dict[str, Any]] = []

    def add(self, judgement: Judgement, shown: Illustrations) -> None:
        """Take one file's answer.

        Raises:
            WriteError: its page cannot be written.
        """
        verdict = judgement.verdict
        row = {
            "status": verdict.status,
            "at_border": is_at_border(judgement),
            "words": headline(judgement),
            "sure": "" if verdict.offset_ms is None else percent(verdict.confidence),
            "offset_ms": verdict.offset_ms,
            "confidence": verdict.confidence,
        }
        values = section_values(judgement, shown, len(self._rows) + 1)
        self._take(judgement.path, row, "section.html", values)

    def fail(self, failure: Failure) -> None:
        """Take a file that could not be judged.

        Raises:
            WriteError: its page cannot be written.
        """
        row = {"status": "error", "words": "Could not be judged", "sure": "", "at_border": False}
        row |= {"offset_ms": None, "confidence": 0.0}
        values = {"failure": failure, "number": len(self._rows) + 1}
        self._take(failure.path, row, "failure.html", values)

    def _take(self, path: str, row: dict[str, Any], template: str, values: dict[str, Any]) -> None:
        section = _templates().get_template(template).render(values)
        row |= {"path": path, "href": f"#file-{values['number']}"}
        self._rows.append(row)
        if self._names is None:
            self._sections.write(section)
            return
        name = self._names.take(path, ".html")
        row["href"] = quote(os.fsencode(name))
        self._write(self._path / name, [row], iter([Markup(section)]), up=True)

    def finish(self) -> None:
        """Write the page, or the overview of a folder, which may grow and be finished again.

        Raises:
            WriteError: it cannot be written.
        """
        if self._names is not None:
            self._write(self._path / INDEX, self._rows, iter(()))
            return
        with self._sections:
            self._write(self._path, self._rows, self._written())

    def _write(
        self, place: Path, rows: list[dict[str, Any]], sections: Iterator[Markup], up: bool = False
    ) -> None:
        """Write a page about the files of `rows`, in pieces of bounded size; `up` leads to the
        overview."""
        tool, count = self._tool, len(rows)
        alone = count == 1 and place.name != INDEX
        counts = Counter(row["status"] for row in rows)
        pieces = (
            _templates()
            .get_template("page.html")
            .generate(
                title=Path(rows[0]["path"]).name if alone else f"{count} files",
                made=(
                    f"avsync {tool.version} {self._command}, model {tool.model} ({tool.backend}), "
                    f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}"
                ),
                summary=summary(counts) if counts else "0 files",
                overview=None if alone else rows,
                counts=[(s, counts[s]) for s in STATUS_WORDS if counts[s]],
                up=INDEX if up else None,
                sections=sections,
                policy=_POLICY,
                light_css=Markup(palette_css(LIGHT)),
                paper_css=Markup(paper_css()),
            )
        )
        with open_whole(place) as page:
            page.writelines(piece.encode("utf-8") for piece in pieces)

    def _written(self) -> Iterator[Markup]:
        self._sections.seek(0)
        while piece := self._sections.read(1 << 20):
            yield Markup(piece)


def is_ours(page: Path) -> bool:
    """Whether a page may be overwritten: it is a report, or not there."""
    try:
        with page.open("rb") as stream:
            return b"<title>Audio sync: " in stream.read(4096)
    except FileNotFoundError:
        return True
    except OSError:
        return False


@functools.cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("avsync_cli.report"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    templates.globals["status_words"] = STATUS_WORDS
    templates.filters["capital"] = capital
    return templates


def _shown(value: Any) -> Any:
    """Text without what a terminal or a reader's eyes could be tricked by; HTML as it is."""
    return safe_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value
