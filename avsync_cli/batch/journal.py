"""A file of JSON lines that a batch is written to and taken up again from.

Every line is one write to the end of the file, so that whatever ends a run leaves whole lines and
at most one that is not, the last. That one is cut off when the file is opened again; everything
else must be lines of this program, or the file is left alone.

A line says of which file it is, how large and how old that was, and how it was judged (`Ticket`).
What no longer holds is taken out, and the file judged anew.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from avsync_cli.batch.line import LINE_LIMIT, Asked, Line, Unreadable, read_entry, read_line
from avsync_cli.errors import UsageError
from avsync_cli.files import append_whole, open_whole
from avsync_cli.media.source import Source
from avsync_cli.report.reread import Reread, reread
from avsync_cli.wording import safe_text

_START = b'{"schema_version":'
"""How every line begins: what is cut off must at least be a piece of this."""


@dataclass(frozen=True)
class Taken:
    """What is left of a batch once the journal was looked at.

    Attributes:
        held: for every file that need not be judged its lines, in order of the files.
        left: files to judge.
        anew: why files are judged anew that the journal had, and how many for each reason.
    """

    held: Sequence[Sequence[Line]]
    left: Sequence[Source]
    anew: Counter[str]


class Journal:
    """The lines held, and the end to write more to; a context manager.

    Args:
        path: the file; made where it is missing.
        asked: how files are judged now.

    Attributes:
        cut_off: whether a last line was that is none.

    Raises:
        UsageError: it cannot be written, is no file of such lines, was written with another
            model, tolerance or command, or is being written by somebody else.
    """

    def __init__(self, path: Path, asked: Asked) -> None:
        self.path, self._asked = path, asked
        self._name = safe_text(os.fspath(path))
        self._held: dict[str, list[Line]] = {}
        self.cut_off = False
        self._fd = self._opened()
        try:
            self._read()
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def take_up(self, files: Sequence[Source]) -> Taken:
        """What the journal still knows of the files; lines that no longer hold are taken out.

        Raises:
            WriteError: they cannot be.
        """
        held: list[Sequence[Line]] = []
        left: list[Source] = []
        anew: Counter[str] = Counter()
        for source in files:
            lines = self._held.get(source.path)
            why = "" if lines is None else _why_anew(lines, source, self._asked)
            if lines is not None and not why:
                # The last count, should the journal be one of several put together.
                held.append(lines[-lines[-1].lines :])
                continue
            left.append(source)
            anew.update([why] if why else [])
        if anew:
            self._drop({source.path for source in left})
        return Taken(held, left, anew)

    def append(self, lines: str) -> None:
        """Write the lines of one file, each with its newline, at once.

        Raises:
            WriteError: the disk is full or gone; the lines before stay whole.
        """
        append_whole(self._fd, lines.encode("utf-8", "surrogateescape"), self.path)

    def _opened(self) -> int:
        """The file, open and locked, so that no second run judges the same files into it."""
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            reason = error.strerror or str(error)
            raise UsageError(f"cannot write {self._name}: {reason}", "check --resume") from None
        try:
            _check_seekable(fd, self._name)
            _lock(fd, self._name)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _read(self) -> None:
        with open(self._fd, "rb", closefd=False) as stream:
            for start, raw, line in _lines(stream, self._name):
                if line is None:
                    os.truncate(self._fd, start)
                    self.cut_off = True
                    return
                self._asked.check(line, self._name)
                self._held.setdefault(line.path, []).append(line)
                if not raw.endswith(b"\n"):
                    self.append("\n")

    def _drop(self, paths: set[str]) -> None:
        """Take the lines of these files out: the rest is written beside, and takes the place."""
        with open_whole(self.path) as stream, open(self._fd, "rb", closefd=False) as before:
            for _, _, raw, _ in _raw_lines(before):
                if read_line(raw).path not in paths:
                    stream.write(raw)
        for path in paths:
            self._held.pop(path, None)
        old, self._fd = self._fd, self._opened()
        os.close(old)


def read_back(paths: Sequence[Path], warn: Callable[[str], None]) -> Iterator[Sequence[Reread]]:
    """What journals say of every file: its last answers, one a sound track that was judged. Files
    come in the order in which they were first met.

    Args:
        paths: the journals, the later ones right where they differ.
        warn: told of a line that was cut off, and of keys that older lines lack.

    Raises:
        UsageError: one cannot be read, or is no journal.
    """
    places: dict[str, list[tuple[int, int, int]]] = {}
    names = [safe_text(os.fspath(path)) for path in paths]
    lacking: set[str] = set()
    with ExitStack() as opened:
        streams = [opened.enter_context(_opened(path)) for path in paths]
        for number, stream in enumerate(streams):
            _check_seekable(stream.fileno(), names[number])
            for start, _, line in _lines(stream, names[number]):
                if line is None:
                    warn(f"warning: {names[number]} ends in the middle of a line, left out")
                else:
                    places.setdefault(line.path, []).append((number, start, line.lines))
        for found in places.values():
            told = []
            for number, start, _ in found[-found[-1][2] :]:
                streams[number].seek(start)
                told.append(_reread(streams[number].readline(LINE_LIMIT), names[number]))
                lacking |= told[-1].lacking
            yield told
    if lacking:
        keys = ", ".join(sorted(lacking))
        warn(f"note: lines without {keys}, as --jsonl or an older avsync wrote them, go without")


def _opened(path: Path) -> BinaryIO:
    name = safe_text(os.fspath(path))
    try:
        return path.open("rb")
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"cannot read {name}: {reason}", "name a journal of --resume") from None


def _check_seekable(fd: int, name: str) -> None:
    """Raise UsageError for a pipe or socket, whose lines are gone once they were read."""
    try:
        os.lseek(fd, 0, os.SEEK_CUR)
    except OSError:
        raise UsageError(f"{name} is a pipe, no file", "save it to a file first") from None


def _reread(raw: bytes, name: str) -> Reread:
    entry = read_entry(raw)
    try:
        return reread(entry)
    except UsageError as error:
        what = f"{name}: {safe_text(str(entry.get('path')))}: {error.message}"
        raise UsageError(what, error.hint) from None


def _lines(stream: BinaryIO, name: str) -> Iterator[tuple[int, bytes, Line | None]]:
    """(where it begins, bytes, what it says) of every line of a journal; None for a last one that
    was cut off.

    Raises:
        UsageError: it is no journal, or a value in it cannot be.
    """
    for number, start, raw, last in _raw_lines(stream):
        try:
            yield start, raw, read_line(raw)
        except Unreadable:
            # A machine that lost its power leaves NUL bytes.
            if not last or not _START.startswith(raw.rstrip(b"\0")[: len(_START)]):
                raise UsageError(
                    f"{name}: line {number} is none that --jsonl wrote",
                    "name a file that --resume or --jsonl wrote, or a new one",
                ) from None
            yield start, raw, None
        except UsageError as error:
            raise UsageError(f"{name}: line {number}: {error.message}", error.hint) from None


def _raw_lines(stream: BinaryIO) -> Iterator[tuple[int, int, bytes, bool]]:
    """(number from 1, where it begins, bytes, whether it is the last) of every line."""
    stream.seek(0)
    number, start, raw = 1, 0, stream.readline(LINE_LIMIT)
    while raw:
        following = stream.readline(LINE_LIMIT)
        if raw.strip():
            yield number, start, raw, not following
        number, start, raw = number + 1, start + len(raw), following


def _why_anew(lines: Sequence[Line], source: Source, asked: Asked) -> str:
    """Why what the lines say of a file no longer holds, or ""."""
    ticket = lines[-1].ticket
    if ticket is None:
        return "of which an older avsync did not note size and time"
    if ticket.options != asked.options:
        return "judged with other options or another model"
    if ticket.stamp != source.stamp():
        return "changed since"
    return "" if len(lines) >= ticket.lines else "of which a part is missing"


def _lock(fd: int, name: str) -> None:
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        hint = "wait for it, or give each run a file of its own"
        raise UsageError(f"another run is writing to {name}", hint) from None
    except OSError:  # a file system without locks
        pass
