"""The answer as one HTML file that needs nothing else: no network, no other file, no script even.

Sections are written as files are judged and kept on disk, so that memory does not grow with the
batch; the page is put together at the end, its overview first.
"""

from __future__ import annotations

import functools
import tempfile
from collections import Counter
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import IO

from avsync_cli.drawing.canvas import DARK, LIGHT, palette_css, role_css
from avsync_cli.files import open_whole
from avsync_cli.report.html_parts import Pictures, badge, file_section, headline
from avsync_cli.report.html_tables import text
from avsync_cli.report.machine import Failure, Tool
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
        self._rows: list[str] = []
        self._counts: Counter[str] = Counter()
        self._title = ""

    def add(self, report: Judgement, pictures: Pictures) -> None:
        """Take one file's answer."""
        number = len(self._rows) + 1
        self._sections.write(file_section(report, pictures, number))
        verdict = report.verdict
        sure = "" if verdict.offset_ms is None else percent(verdict.confidence)
        link = f'<a href="#file-{number}">{text(report.path)}</a>'
        self._row(link, verdict.status, headline(report), sure, report.path)

    def fail(self, failure: Failure) -> None:
        """Take a file that could not be judged."""
        number = len(self._rows) + 1
        hint = f"<p>{text(failure.hint)}</p>" if failure.hint else ""
        self._sections.write(
            f'<section class="file" id="file-{number}" aria-labelledby="name-{number}">'
            f'<h2 id="name-{number}">{text(failure.path)}</h2>'
            f'<p class="verdict"><strong>Could not be judged</strong> {badge("error")}</p>'
            f'<p class="says">{text(failure.message)}</p>{hint}</section>'
        )
        link = f'<a href="#file-{number}">{text(failure.path)}</a>'
        self._row(link, "error", "Could not be judged", "", failure.path)

    def _row(self, link: str, status: str, words: str, sure: str, path: str) -> None:
        self._counts[status] += 1
        self._title = path
        self._rows.append(
            f'<tr><td class="name">{link}</td><td>{badge(status)}</td><td>{text(words)}</td>'
            f'<td class="n">{text(sure)}</td></tr>'
        )

    def finish(self) -> None:
        """Write the page.

        Raises:
            WriteError: it cannot be written.
        """
        with self._sections, open_whole(self._path) as page:
            page.write(self._head().encode("utf-8"))
            self._sections.seek(0)
            while piece := self._sections.read(1 << 20):
                page.write(piece.encode("utf-8"))
            page.write(_FOOT.replace("SCRIPT", _asset("report.js")).encode("utf-8"))

    def _head(self) -> str:
        count = len(self._rows)
        title = safe_text(Path(self._title).name) if count == 1 else f"{count} files"
        now = datetime.now().astimezone()
        made = (
            f"avsync {self._tool.version} {self._command}, model {self._tool.model} "
            f"({self._tool.backend}), {now:%Y-%m-%d %H:%M %Z}"
        )
        overview = ""
        if count != 1:
            overview = (
                f'<p class="says">{text(summary(self._counts))}</p>'
                '<div class="overview" tabindex="0" role="region" aria-label="All files"><table>'
                '<thead><tr><th scope="col">File</th><th scope="col">Verdict</th>'
                '<th scope="col">Offset</th><th scope="col" class="n">Sure</th></tr></thead>'
                f"<tbody>{''.join(self._rows)}</tbody></table></div>"
            )
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta name="color-scheme" content="light dark">'
            '<meta name="referrer" content="no-referrer">'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
            f"<title>Audio sync: {text(title)}</title><style>{page_css()}</style></head><body>"
            '<a class="skip" href="#answers">Skip to the answers</a>'
            f'<header class="page"><h1>Audio sync report</h1><p class="meta">{text(made)}</p>'
            f'{overview}</header><main id="answers">'
        )


def page_css() -> str:
    """All styles of the page: the colours of both modes, those of figures, and the layout."""
    light, dark = palette_css(LIGHT), palette_css(DARK)
    return (
        f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"
        + role_css()
        + _asset("report.css").replace("PRINT", light + "color-scheme:light")
    )


@functools.cache
def _asset(name: str) -> str:
    return (resources.files("avsync_cli.report") / "assets" / name).read_text(encoding="utf-8")


_FOOT = """</main><footer><h2>How to read this</h2><dl>
<dt>Offset</dt><dd>Above 0 the sound is late: it comes after the picture. Below 0 it is early.</dd>
<dt>95 % interval</dt><dd>How exact the offset is, given that it is the right one.</dd>
<dt>Sure of it</dt><dd>The probability that the offset is within one frame (40 ms) of the truth, as
found on films where the truth is known. Where it is too low, the answer is “undecided”.</dd>
<dt>Attention</dt><dd>How much each second of each region counts. The weights of a film add up
to 100 %. Cells in colour show where in the region attention lay more than evenly.</dd>
<dt>Heat map</dt><dd>For every few seconds by themselves, how likely each offset is. A level line is
a constant offset, a slanting one drift, a step a splice.</dd>
</dl></footer><script>SCRIPT</script></body></html>
"""
