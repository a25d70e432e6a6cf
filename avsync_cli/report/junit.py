"""The answers of a run as JUnit XML, which build servers show as tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from xml.etree import ElementTree

from avsync_cli.names import STATUS_WORDS
from avsync_cli.report.machine import Failure, status_of
from avsync_cli.report.sentences import capital, verdict_words
from avsync_cli.verdict.answer import Judgement
from avsync_cli.wording import safe_text

_ELEMENTS = {"out_of_sync": "failure", "error": "error", "undecided": "skipped"}
"""What a test case holds; that of a file in sync holds nothing."""


def junit_text(outcomes: Iterable[Judgement | Failure]) -> str:
    """One suite with a test case a file: out of sync is a failure, what could not be judged an
    error, and what is undecided was skipped."""
    suite = ElementTree.Element("testsuite", name="avsync")
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        said = outcome.message if isinstance(outcome, Failure) else verdict_words(outcome)
        status = status_of(outcome)
        counts[status] += 1
        name = safe_text(outcome.path)
        case = ElementTree.SubElement(suite, "testcase", classname="avsync", name=name)
        if status in _ELEMENTS:
            ElementTree.SubElement(
                case, _ELEMENTS[status], type=STATUS_WORDS[status], message=capital(safe_text(said))
            )
    suite.set("tests", str(counts.total()))
    for status, attribute in zip(_ELEMENTS, ("failures", "errors", "skipped"), strict=True):
        suite.set(attribute, str(counts[status]))
    ElementTree.indent(suite)
    text = ElementTree.tostring(suite, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'
