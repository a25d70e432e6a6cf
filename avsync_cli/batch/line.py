"""One line of a journal: what is read of it, and what it must hold for a run to go on from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

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
    path, status = _text(entry, "path"), _text(entry, "status")
    if status not in STATUS_WORDS:
        raise UsageError(f"status {brief(status)} is none", f"known are {', '.join(STATUS_WORDS)}")
    older = "offset-scan" if "curve" in entry else "score"  # lines that do not say it
    error = None
    if status == "error":
        said = _table(entry, "error")
        error = Failure(path, _text(said, "message"), _text(said, "hint"))
    return Line(
        path=path,
        status=status,
        complete=None if error else _complete(_table(entry, "media")),
        failure=error,
        model=_text(_table(entry, "tool"), "model"),
        tolerance=_text(_table(entry, "tolerance"), "name"),
        command=None if error else _text({"command": older, **entry}, "command"),
        ticket=_ticket(_table(entry, "resume")) if "resume" in entry else None,
    )


def _complete(media: Mapping[str, Any]) -> bool | None:
    value = media.get("complete")  # older lines have none
    return value if isinstance(value, bool) else None


def _ticket(entry: Mapping[str, Any]) -> Ticket:
    stamp = None
    if entry.get("size_bytes") is not None:
        stamp = Stamp(_whole(entry, "size_bytes"), _whole(entry, "modified_us"))
    lines = _whole(entry, "lines")
    if lines < 1:
        raise UsageError(f"lines {lines} is less than one", _HINT)
    return Ticket(_text(entry, "options"), stamp, lines)


def _table(entry: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = entry.get(key)
    if not isinstance(value, dict):
        raise UsageError(f"{key} {brief(value)} is no table", _HINT)
    return value


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str):
        raise UsageError(f"{key} {brief(value)} is no text", _HINT)
    return value


def _whole(entry: Mapping[str, Any], key: str) -> int:
    value = entry.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not -(2**63) <= value < 2**63:
        raise UsageError(f"{key} {brief(value)} is no whole number", _HINT)
    return value
