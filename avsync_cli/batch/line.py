"""One line of a journal: what is read of it, and what it must hold for a run to go on from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from avsync_cli.config import Settings, brief
from avsync_cli.errors import UsageError
from avsync_cli.judging import Excerpt
from avsync_cli.media.source import Stamp
from avsync_cli.names import STATUS_WORDS
from avsync_cli.report.machine import SCHEMA_VERSION, Failure
from avsync_cli.wording import safe_text

LINE_LIMIT = 64 << 20
"""Bytes of a line, newline included: about twenty times that of a film of three hours."""

_HINT = "take the line out, or name another file"

_KINDS = {dict: "table", str: "text", int: "whole number"}

T = TypeVar("T", dict[str, Any], str, int)


class Unreadable(Exception):
    """A line that is no JSON, or none that this program writes."""


@dataclass(frozen=True)
class Ticket:
    """By what a line is known to be still true.

    Attributes:
        options: `fingerprint` of how the file was judged.
        stamp: the file's size and time when that began, or None where it could not be seen.
        lines: how many lines the file has, one a sound track that was judged.
    """

    options: str
    stamp: Stamp | None
    lines: int = 1

    def entry(self) -> dict[str, Any]:
        """As it stands in a line."""
        size, time = self.stamp or (None, None)
        return {
            "options": self.options,
            "size_bytes": size,
            "modified_us": time,
            "lines": self.lines,
        }


@dataclass(frozen=True, kw_only=True)
class Line:
    """What one line says of its file.

    Attributes:
        path: as it was named.
        status: the answer, "error" for none.
        complete: whether it reached its declared end, None if unknown.
        failure: why there is none.
        model, tolerance: names of what judged, and by what.
        command: "score" or "offset-scan"; None of a failure, which does not tell.
        ticket: None of a line that an older avsync wrote.
    """

    path: str
    status: str
    complete: bool | None
    failure: Failure | None
    model: str
    tolerance: str
    command: str | None
    ticket: Ticket | None

    @property
    def lines(self) -> int:
        """How many lines the file has."""
        return 1 if self.ticket is None else self.ticket.lines


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How the files of a run are judged; all lines of a journal agree in the first three.

    Attributes:
        model, tolerance, command: by their names.
        options: `fingerprint` of all that the answer depends on.
    """

    model: str
    tolerance: str
    command: str
    options: str

    def check(self, line: Line, name: str) -> None:
        """Refuse a line of another kind of run.

        Raises:
            UsageError: naming the journal, `name`, and in what the two differ.
        """
        for what in ("model", "tolerance", "command"):
            have, wanted = getattr(line, what), getattr(self, what)
            if have is not None and have != wanted:
                raise UsageError(
                    f"{name} was written with {what} {safe_text(have)}, this run has {wanted}",
                    "give this run a file of its own",
                )


def fingerprint(settings: Settings, excerpt: Excerpt, model: str, **more: object) -> str:
    """Sixteen hexadecimal digits that differ where an answer could.

    Args:
        settings, excerpt: how files are judged; threads change nothing.
        model: what tells a model from any other, also from one of its name.
        **more: what else the answer depends on.
    """
    known = {**asdict(settings), **asdict(excerpt), **more, "model": model}
    del known["threads"]
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]


def read_entry(raw: bytes) -> Mapping[str, Any]:
    """A line's JSON.

    Raises:
        Unreadable: it is no line of this program, or a piece of one.
    """
    try:
        entry = json.loads(raw)
    except (ValueError, RecursionError):
        raise Unreadable from None
    if not isinstance(entry, dict) or entry.get("schema_version") != SCHEMA_VERSION:
        raise Unreadable
    return entry


def read_line(raw: bytes) -> Line:
    """What a line says.

    Raises:
        Unreadable: it is no line of this program, or a piece of one.
        UsageError: it is one, with a value that cannot be; the message says which.
    """
    entry = read_entry(raw)
    path, status = _take(entry, "path", str), _take(entry, "status", str)
    if status not in STATUS_WORDS:
        raise UsageError(f"status {brief(status)} is none", f"known are {', '.join(STATUS_WORDS)}")
    older = "offset-scan" if "curve" in entry else "score"  # lines that do not say it
    error, complete = None, None
    if status == "error":
        said = _take(entry, "error", dict)
        error = Failure(path, _take(said, "message", str), _take(said, "hint", str))
    else:
        complete = _take(entry, "media", dict).get("complete")  # older lines have none
    return Line(
        path=path,
        status=status,
        complete=complete if isinstance(complete, bool) else None,
        failure=error,
        model=_take(_take(entry, "tool", dict), "model", str),
        tolerance=_take(_take(entry, "tolerance", dict), "name", str),
        command=None if error else _take({"command": older, **entry}, "command", str),
        ticket=_ticket(_take(entry, "resume", dict)) if "resume" in entry else None,
    )


def _ticket(entry: Mapping[str, Any]) -> Ticket:
    stamp = None
    if entry.get("size_bytes") is not None:
        stamp = Stamp(_take(entry, "size_bytes", int), _take(entry, "modified_us", int))
    lines = _take(entry, "lines", int)
    if lines < 1:
        raise UsageError(f"lines {lines} is less than one", _HINT)
    return Ticket(_take(entry, "options", str), stamp, lines)


def _take(entry: Mapping[str, Any], key: str, kind: type[T]) -> T:
    """What stands under a key, if it is of that kind; True and False are no numbers."""
    value = entry.get(key)
    if type(value) is not kind or (isinstance(value, int) and not -(2**63) <= value < 2**63):
        raise UsageError(f"{key} {brief(value)} is no {_KINDS[kind]}", _HINT)
    return value
