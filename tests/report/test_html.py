"""The page: complete in itself, safe whatever a file is called, usable without eyes or mouse."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from avsync_cli.drawing.lanes import Extras, heat_rows
from avsync_cli.inference.evidence import WindowResult
from avsync_cli.report.html import HtmlReport
from avsync_cli.report.html_section import Illustrations, Still
from avsync_cli.report.html_tables import tables_over_time
from avsync_cli.report.machine import Failure, Tool
from avsync_cli.verdict.answer import Judgement, Segment
from tests.conftest import make_blocks, make_track

Make = Callable[..., Judgement]

TOOL = Tool("1.2.3", "default", "onnxruntime")
NASTY = "a<script>alert(1)</script>&quot;\"'\u202e\x1b[31m</svg>.mp4"
VOID = {"meta", "br", "hr", "img", "input", "link", "rect", "line", "polyline", "polygon", "image"}
NO_JPEG = b"\xff\xd8 not a real one \xff\xd9"


class Page(HTMLParser):
    """Checks nesting while it reads, and keeps every element with its attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: dict[str, list[str]] = {}
        self.parents: list[tuple[str, ...]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.parents.append(tuple(self.open))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.parents.append(tuple(self.open))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.words.setdefault(self.open[-1], []).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]


def _with_cells(report: Judgement) -> Judgement:
    blocks = [
        dataclasses.replace(b, cells=np.array([[0.1, 0.2], [0.3, 0.4]])) for b in make_blocks(5)
    ]
    blocks[1] = dataclasses.replace(blocks[1], used=False, weight=0.0, reason="silence <b>")
    return dataclasses.replace(report, evidence=dataclasses.replace(report.evidence, blocks=blocks))


def _shown(report: Judgement) -> Illustrations:
    evidence = report.evidence
    votes = np.full((len(evidence.windows), len(evidence.offsets_ms)), 1e-4)
    votes[:, int(np.argmax(report.verdict.curve))] = 0.9
    levels = np.linspace(-70.0, 0.0, 125)
    stills = tuple(Still(block, NO_JPEG) for block in evidence.blocks[:2])
    return Illustrations(Extras(votes, levels), stills)


def _page(tmp_path: Path, *reports: Judgement, failures: tuple[Failure, ...] = ()) -> str:
    path = tmp_path / "report.html"
    page = HtmlReport(path, TOOL, "offset-scan")
    for report in reports:
        page.add(report, _shown(report))
    for failure in failures:
        page.fail(failure)
    page.finish()
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    return path.read_text(encoding="utf-8")


@pytest.fixture
def whole(tmp_path: Path, make_report: Make) -> str:
    """A page with every kind of answer, all with the worst of names."""
    two = [
        Segment(
            start_s=0.0,
            end_s=2.0,
            offset_ms=120.0,
            offset_ci_ms=(110.0, 130.0),
            confidence=0.9,
            status="out_of_sync",
        ),
        Segment(
            start_s=2.0,
            end_s=4.0,
            offset_ms=None,
            offset_ci_ms=None,
            confidence=0.2,
            status="undecided",
        ),
    ]
    return _page(
        tmp_path,
        _with_cells(make_report(NASTY)),
        make_report(os.fsdecode(b"caf\xe9.mp4"), status="in_sync", offset_ms=0.0),
        make_report("spliced.mp4", segments=two, drift=-7.5),
        make_report(NASTY, status="undecided", offset_ms=None, ci_ms=None, reasons=["<i>why"]),
        failures=(Failure(NASTY, f"{NASTY}: no such file", "check <the> name"),),
    )


def test_elements_are_closed_and_ids_are_unique(whole: str) -> None:
    page = Page(whole)
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [attrs["href"] or "" for attrs in page.all("a")]
    assert links
    assert all(link.startswith("#") and link[1:] in ids for link in links)


def test_nothing_is_fetched_from_anywhere(whole: str) -> None:
    page = Page(whole)
    for tag, attrs in page.elements:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            value = attrs.get(name)
            assert value is None or value.startswith(("#", "data:image/")), (tag, name, value)
        assert not any(name.startswith("on") for name in attrs)
    assert not {"link", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.elements}
    outside = re.sub(r'xmlns="http://www\.w3\.org/2000/svg"', "", whole)
    assert not re.search(r"https?://|url\(|@import", outside)
    (policy,) = (a for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in (policy["content"] or "")


def test_a_name_is_only_ever_text(whole: str) -> None:
    page = Page(whole)
    # One for every timeline, and the page's own.
    scripts = page.all("script")
    assert len(scripts) == 4 + 1
    assert sum("type" not in attrs for attrs in scripts) == 1
    assert "<script>alert" not in whole
    assert "<i>why" not in whole
    assert "<the>" not in whole
    assert "\x1b" not in whole
    assert "\u202e" not in whole
    shown = "a<script>alert(1)</script>&quot;\"'\\u202e\\x1b[31m</svg>.mp4"
    assert page.words["h2"].count(shown) == 3
    assert "caf\\xe9.mp4" in page.words["h2"]
    for attrs, words in zip(
        [a for a in scripts if "type" in a], page.words["script"], strict=False
    ):
        assert attrs["type"] == "application/json"
        assert json.loads(words)["segments"] is not None


def test_every_figure_has_a_title_and_a_description(whole: str) -> None:
    page = Page(whole)
    figures = [a for a in page.all("svg") if a.get("role") == "img"]
    assert len(figures) >= 4 * 4 + 2
    ids = {attrs.get("id") for tag, attrs in page.elements if tag in ("title", "desc")}
    for attrs in figures:
        named = (attrs["aria-labelledby"] or "").split()
        assert len(named) == 2
        assert set(named) <= ids
    titles = sum("svg" in parents for (tag, _), parents in _elements(page) if tag == "title")
    assert titles == len(page.all("svg"))
    assert all(text.strip() for text in page.words["title"] + page.words["desc"])


def _elements(page: Page) -> list[tuple[tuple[str, dict[str, str | None]], tuple[str, ...]]]:
    return list(zip(page.elements, page.parents, strict=True))


def test_figures_have_tables_that_say_the_same(tmp_path: Path, make_report: Make) -> None:
    page = Page(_page(tmp_path, _with_cells(make_report())))
    summaries = " ".join(page.words["summary"])
    for name in ("Stretches (1)", "Blocks (5)", "Windows (1)", "Curve"):
        assert name in summaries
    assert "left out: silence <b>" in page.words["td"]
    assert "+120" in page.words["td"]
    assert all(attrs.get("scope") == "col" for attrs in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))


def test_it_can_be_used_with_the_keyboard(whole: str) -> None:
    page = Page(whole)
    for attrs in page.all("input"):
        assert attrs["type"] in ("range", "checkbox", "search")
    assert all(a.get("aria-label") for a in page.all("input") if a["type"] == "range")
    scrolled = [a for a in page.all("div") if a.get("class") in ("scroll", "overview")]
    assert scrolled
    assert all(a.get("tabindex") == "0" and a.get("aria-label") for a in scrolled)
    assert page.all("html")[0]["lang"] == "en"
    (viewport,) = (a["content"] or "" for a in page.all("meta") if a.get("name") == "viewport")
    assert "width=device-width" in viewport


def test_it_has_both_modes_and_prints(whole: str) -> None:
    css = whole[whole.index("<style>") : whole.index("</style>")]
    assert "@media (prefers-color-scheme:dark)" in css
    assert "@media print" in css
    assert "PRINT" not in css
    used = set(re.findall(r"var\(--([a-z]+)\)", css))
    assert used <= set(re.findall(r"--([a-z]+):#", css))
    roles = set(re.findall(r'class="[fs]-([a-z]+)"', whole))
    assert roles <= set(re.findall(r"\.f-([a-z]+)\{", css))


def test_the_verdict_is_in_words(tmp_path: Path, make_report: Make) -> None:
    text = _page(tmp_path, make_report("holiday.mp4"))
    page = Page(text)
    assert "Sound 120 ms late" in page.words["strong"]
    said = " ".join(page.words["p"])
    assert "Audio is 120 ms late" in said
    assert "out of sync" in page.words["span"]
    assert "holiday.mp4" in page.words["title"][0]
    assert not any(a.get("class") == "overview" for a in page.all("div"))


def test_a_batch_begins_with_an_overview(whole: str) -> None:
    page = Page(whole)
    assert "5 files" in " ".join(page.words["p"])
    rows = [
        parents for (tag, _), parents in _elements(page) if tag == "td" and "details" not in parents
    ]
    assert len(rows) == 5 * 4


def test_cells_lie_over_the_mouth_and_stills_are_inside(tmp_path: Path, make_report: Make) -> None:
    text = _page(tmp_path, _with_cells(make_report()))
    assert text.count(base64.b64encode(NO_JPEG).decode()) == 2
    assert text.count('<g class="cells"') == 2
    page = Page(text)
    assert any("row 2 of 2, column 2 of 2" in words for words in page.words["desc"])


def test_a_film_without_anything_still_has_a_page(tmp_path: Path, make_report: Make) -> None:
    report = make_report(status="undecided", offset_ms=None, ci_ms=None, blocks=[])
    evidence = dataclasses.replace(report.evidence, windows=[], blocks=[])
    report = dataclasses.replace(report, evidence=evidence)
    path = tmp_path / "report.html"
    page = HtmlReport(path, TOOL, "score")
    page.add(report, Illustrations())
    page.finish()
    assert Page(path.read_text(encoding="utf-8")).words["strong"] == ["No answer"]


def test_a_long_film_has_a_page_of_bounded_size(tmp_path: Path, make_report: Make) -> None:
    report = make_report(blocks=make_blocks(7200, unused=tuple(range(3000, 3600))))
    windows = [
        WindowResult(
            start_s=8.0 * k,
            end_s=8.0 * k + 8.0,
            logits=report.evidence.windows[0].logits,
            blocks=8.0,
        )
        for k in range(900)
    ]
    evidence = dataclasses.replace(report.evidence, windows=windows)
    text = _page(tmp_path, dataclasses.replace(report, evidence=evidence))
    assert len(text) < 1_500_000
    page = Page(text)
    assert "Blocks (500)" in page.words["summary"]


def test_the_heat_map_shows_where_something_is(make_report: Make) -> None:
    report = make_report(range_ms=10_000)
    offsets = report.evidence.offsets_ms
    votes = np.full((3, len(offsets)), 1.0 / len(offsets))
    rows = heat_rows(report, votes)
    assert offsets[rows][0] <= -40 - 150 < 120 + 150 <= offsets[rows][-1]
    assert offsets[rows][-1] < 1000
    votes[1, :] = 0.0
    votes[1, np.searchsorted(offsets, -5000)] = 1.0
    assert offsets[heat_rows(report, votes)][0] < -5000
    nobody = make_report(range_ms=2_000, status="undecided", offset_ms=None, ci_ms=None)
    flat = np.full((1, len(nobody.evidence.offsets_ms)), 1e-3)
    assert heat_rows(nobody, flat) == slice(0, len(nobody.evidence.offsets_ms))


def test_faces_are_a_table_of_what_each_says_by_itself(make_report: Make) -> None:
    silent = make_track(1, offset_ms=None, offset_ci_ms=None, kept=False, reason="silence")
    report = dataclasses.replace(make_report(), tracks=(silent, make_track(judged_s=9.0)))
    (faces,) = [t for t in tables_over_time(report, None) if t.title == "Faces (2)"]
    assert list(faces.rows) == [
        ("0:01.0–0:03.0", "face 0", "75 %", "+200", "5.2", "97 %", ""),
        ("0:01.0–0:03.0", "face 1", "75 %", "", "", "97 %", "silence"),
    ]
    assert not [t for t in tables_over_time(make_report(), None) if "Faces" in t.title]
