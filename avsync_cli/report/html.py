"""The answer as one HTML file that needs nothing else: no network, no other file, no script even.

Sections are written as files are judged and kept on disk, so that memory does not grow with the
batch; the page is put together at the end, its overview first. Whatever comes from outside, file
names above all, is made safe to show and to stand in HTML by the environment of the templates.
"""

from __future__ import annotations

import functools
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from avsync_cli.drawing.palette import LIGHT, palette_css, paper_css
from avsync_cli.files import open_whole
from avsync_cli.names import STATUS_WORDS
from avsync_cli.report.html_section import Illustrations, section_values
from avsync_cli.report.machine import Failure, Tool
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


class HtmlReport:
    """Gathers a run's answers and writes them as a page.

    Args:
        path: the page; it appears whole or not at all.
        tool: who judged.
        command: "score" or "offset-scan".
    """

    def __init__(self, path: Path, tool: Tool, command: str) -> None:
        self._path, self._tool, self._command = path, tool, command
        self._sections: IO[str] = tempfile.SpooledTemporaryFile(  # noqa: SIM115, closed in finish
            max_size=_SPOOL_BYTES, mode="w+", encoding="utf-8", newline=""
        )
        self._rows: list[dict[str, Any]] = []
        self._counts: Counter[str] = Counter()

    def add(self, judgement: Judgement, shown: Illustrations) -> None:
        """Take one file's answer."""
        verdict = judgement.verdict
        sure = "" if verdict.offset_ms is None else percent(verdict.confidence)
        row = {"status": verdict.status, "at_border": is_at_border(judgement)}
        self._count(judgement.path, {**row, "words": headline(judgement), "sure": sure})
        self._write("section.html", section_values(judgement, shown, len(self._rows)))

    def fail(self, failure: Failure) -> None:
        """Take a file that could not be judged."""
        row = {"status": "error", "words": "Could not be judged", "sure": "", "at_border": False}
        self._count(failure.path, row)
        self._write("failure.html", {"failure": failure, "number": len(self._rows)})

    def _count(self, path: str, row: dict[str, Any]) -> None:
        self._counts[row["status"]] += 1
        self._rows.append({"path": path, **row})

    def _write(self, template: str, values: dict[str, Any]) -> None:
        self._sections.write(_templates().get_template(template).render(values))

    def finish(self) -> None:
        """Write the page.

        Raises:
            WriteError: it cannot be written.
        """
        with self._sections, open_whole(self._path) as page:
            page.writelines(piece.encode("utf-8") for piece in self._page())

    def _page(self) -> Iterator[str]:
        """The page in pieces of bounded size."""
        tool, count = self._tool, len(self._rows)
        alone = count == 1
        yield from (
            _templates()
            .get_template("page.html")
            .generate(
                title=Path(self._rows[0]["path"]).name if alone else f"{count} files",
                made=(
                    f"avsync {tool.version} {self._command}, model {tool.model} ({tool.backend}), "
                    f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}"
                ),
                summary=summary(self._counts),
                overview=None if alone else self._rows,
                sections=self._written(),
                policy=_POLICY,
                light_css=Markup(palette_css(LIGHT)),
                paper_css=Markup(paper_css()),
            )
        )

    def _written(self) -> Iterator[Markup]:
        self._sections.seek(0)
        while piece := self._sections.read(1 << 20):
            yield Markup(piece)


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
