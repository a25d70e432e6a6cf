"""A file of JSON lines that a batch is written to and taken up again from.

Every line is one write to the end of the file, so that whatever ends a run leaves whole lines and
at most one torn one, the last. That one is cut off when the file is opened again; everything else
must be lines of this program, or the file is left alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from avsync_cli.errors import UsageError
from avsync_cli.files import append_whole
from avsync_cli.report.machine import SCHEMA_VERSION, Failure, Tool
from avsync_cli.wording import safe_text

_START = b'{"schema_version":'
"""How every line begins: what is torn must at least be a piece of this."""


@dataclass(frozen=True)
class Held:
    """What one line says of its file: the status, and the failure if it is one."""

    status: str
    failure: Failure | None = None


class Journal:
    """The lines held, and the end to write more to; a context manager.

    Args:
        path: the file; made where it is missing.
        tool: who judges now.
        tolerance: `tolerance_entry` of this run.
        curve: whether lines hold an offset curve.

    Raises:
        UsageError: it cannot be written, is no file of such lines, was written with another
            model, tolerance or command, or is being written by somebody else.
    """

    def __init__(
        self, path: Path, tool: Tool, tolerance: Mapping[str, Any], *, curve: bool
    ) -> None:
        self.path = path
        self._name = safe_text(os.fspath(path))
        self._wanted = {
            "model": tool.model,
            "tolerance": str(tolerance["name"]),
            "command": _command(curve),
        }
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            reason = error.strerror or str(error)
            raise UsageError(f"cannot write {self._name}: {reason}", "check --resume") from None
        try:
            self._lock()
            self.held = self._read()
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def append(self, line: str) -> None:
        """Write one line, with its newline, at once.

        Raises:
            WriteError: the disk is full or gone; the lines before stay whole.
        """
        append_whole(self._fd, line.encode("utf-8", "surrogateescape"), self.path)

    def _lock(self) -> None:
        """Keep a second run from judging the same files into the same lines."""
        try:
            import fcntl
        except ImportError:
            return
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            hint = "wait for it, or give each run a file of its own"
            raise UsageError(f"another run is writing to {self._name}", hint) from None
        except OSError:  # a file system without locks
            pass

    def _read(self) -> dict[str, Held]:
        held: dict[str, Held] = {}
        end = 0
        with open(self._fd, "rb", closefd=False) as stream:
            for number, raw in enumerate(stream, 1):
                if not raw.endswith(b"\n"):
                    if self._torn(raw, number, held):
                        os.truncate(self._fd, end)
                    else:
                        self.append("\n")
                    break
                end += len(raw)
                if raw.strip():
                    path, line = self._line(raw, number)
                    held[path] = line
        return held

    def _torn(self, raw: bytes, number: int, held: dict[str, Held]) -> bool:
        """Whether the last line is a piece; if it only lacks its newline, it is held."""
        try:
            json.loads(raw)
        except ValueError:
            # A machine that lost its power leaves NUL bytes.
            start = raw.rstrip(b"\0")[: len(_START)]
            if not _START.startswith(start):
                raise self._foreign(number) from None
            return True
        path, line = self._line(raw, number)
        held[path] = line
        return False

    def _line(self, raw: bytes, number: int) -> tuple[str, Held]:
        try:
            entry = json.loads(raw)
            path, status = entry["path"], entry["status"]
            have = {
                "model": entry["tool"]["model"],
                "tolerance": entry["tolerance"]["name"],
                "command": _command("curve" in entry),
            }
            error = entry.get("error")
            failure = None if error is None else Failure(path, error["message"], error["hint"])
            if entry["schema_version"] != SCHEMA_VERSION or not isinstance(path, str):
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise self._foreign(number) from None
        if failure is not None:  # which has no curve in either command
            del have["command"]
        for what, value in have.items():
            if value != self._wanted[what]:
                raise UsageError(
                    f"{self._name} was written with {what} {safe_text(str(value))}, "
                    f"this run has {self._wanted[what]}",
                    "give this run a file of its own",
                )
        return path, Held(str(status), failure)

    def _foreign(self, number: int) -> UsageError:
        return UsageError(
            f"{self._name}: line {number} is none that --jsonl wrote",
            "name a file that --resume or --jsonl wrote, or a new one",
        )


def _command(curve: bool) -> str:
    return "offset-scan" if curve else "score"
