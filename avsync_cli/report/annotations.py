"""Answers as annotations of GitHub Actions: lines that its runner shows beside a change."""

from __future__ import annotations

from avsync_cli.report.machine import Failure, status_of
from avsync_cli.report.sentences import capital, verdict_words
from avsync_cli.verdict.answer import Judgement
from avsync_cli.wording import safe_text

_LEVELS = {"out_of_sync": "error", "error": "error", "undecided": "warning"}


def annotation(outcome: Judgement | Failure) -> str:
    """The workflow command for one file, "" for a file in sync.

    >>> annotation(Failure("a,b.mp4", "no such file: a,b.mp4 (100%)"))
    '::error title=Audio sync,file=a%2Cb.mp4::No such file: a,b.mp4 (100%25)'
    """
    status = status_of(outcome)
    if status not in _LEVELS:
        return ""
    said = outcome.message if isinstance(outcome, Failure) else verdict_words(outcome)
    path = _escaped(outcome.path).replace(":", "%3A").replace(",", "%2C")
    return f"::{_LEVELS[status]} title=Audio sync,file={path}::{capital(_escaped(said))}"


def _escaped(text: str) -> str:
    """One line, as the runner reads it back."""
    return safe_text(text).replace("%", "%25")
