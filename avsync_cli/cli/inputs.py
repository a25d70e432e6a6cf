"""From what was typed to the list of files to judge.

Names keep every byte they have: they are `str` with lone surrogates for bytes that are not UTF-8
(PEP 383), as Python gives and takes them everywhere.
"""

from __future__ import annotations

import codecs
import glob
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from avsync_cli.errors import UsageError
from avsync_cli.media.source import Source
from avsync_cli.names import MEDIA_SUFFIXES

_GLOB_MARKS = frozenset("*?[")
_LIST_LIMIT = 64 << 20
"""Bytes of a list of names: far beyond any real one, so that a film given as a list is refused."""


def expand_inputs(
    names: Sequence[str], files_from: str | None = None, recursive: bool = False
) -> list[str]:
    """All files to judge, in the order given; within a folder by name; nothing twice.

    A name that does not exist is kept, so that it becomes one error among the others' answers.

    Args:
        names: files, folders and globs.
        files_from: a file with names, or "-" for stdin.
        recursive: whether folders are searched to their depth.

    Raises:
        UsageError: nothing was named, or a folder or glob holds nothing to judge.
    """
    listed = _read_list(files_from) if files_from is not None else []
    if not names and not listed:
        if files_from is not None:
            raise UsageError(f"no names in {_shown(files_from)}", "write one name a line")
        raise UsageError("no file named", "name files, folders or globs, or use --files-from")
    found = [file for name in names for file in _expand(name, recursive)]
    # A list is taken at its word: its names are not globs. A folder without any media (one may well
    # be called film.mp4) stays a name, and becomes one error among the others' answers.
    found += [file for name in listed for file in media_in(name, recursive) or [name]]
    return list(dict.fromkeys(found))


def media_in(folder: str, recursive: bool) -> list[str]:
    """The media files of a folder, by name; hidden ones left out."""
    found = []
    for parent, folders, files in os.walk(folder):
        # Hidden folders hold thumbnails and trash; links could lead in circles and are not
        # followed by os.walk.
        folders[:] = sorted(f for f in folders if not f.startswith(".")) if recursive else []
        for file in sorted(files):
            if not file.startswith(".") and Path(file).suffix.lower() in MEDIA_SUFFIXES:
                found.append(os.path.join(parent, file))
    return found


def _expand(name: str, recursive: bool) -> list[str]:
    if os.path.isdir(name):
        inside = media_in(name, recursive)
        if not inside:
            where = "in or below" if recursive else "directly in"
            hint = "name the files, or check the folder" if recursive else "try --recursive"
            raise UsageError(f"no media files {where} {_shown(name)}", hint)
        return inside
    if os.path.lexists(name) or not _GLOB_MARKS.intersection(name):
        return [name]
    matches = sorted(glob.glob(name, recursive=True))
    files = [path for path in matches if not os.path.isdir(path)]
    if not files:
        raise UsageError(f"nothing matches {_shown(name)}", "check the pattern, or quote the name")
    return files


def _read_list(source: str) -> list[str]:
    try:
        if source == "-":
            data = sys.stdin.buffer.read(_LIST_LIMIT + 1)
        else:
            with open(source, "rb") as stream:
                data = stream.read(_LIST_LIMIT + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"cannot read {_shown(source)}: {reason}", "check --files-from") from None
    if len(data) > _LIST_LIMIT:
        what = f"{_shown(source)} is too large for a list of names"
        raise UsageError(what, "name the file itself")
    data = _without_mark(data)
    lines = data.split(b"\0") if b"\0" in data else data.splitlines()
    return [os.fsdecode(line) for line in lines if line.strip()]


def _without_mark(data: bytes) -> bytes:
    """A list without the mark of its encoding, with which programs on Windows begin a text; what
    they write as UTF-16 as UTF-8: every other byte of it would end a name."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        # Halves of characters, which file systems of Windows allow, stay what they are.
        return data.decode("utf-16", "surrogatepass").encode("utf-8", "surrogatepass")
    return data.removeprefix(codecs.BOM_UTF8)


def _shown(name: str) -> str:
    return "stdin" if name == "-" else Source.of(name).shown


def take_shard(files: Sequence[str], shard: str) -> list[str]:
    """The part "i/n" of the files: of all, sorted by the bytes of their names, every n-th.

    The same list in any order gives the same parts on every machine, no file is in two, and their
    sizes differ by at most one; a part may be empty.

    Raises:
        UsageError: `shard` is not 1/n to n/n.

    >>> take_shard(["b", "c", "a"], "1/2"), take_shard(["a", "b", "c"], "2/2")
    (['a', 'c'], ['b'])
    """
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", shard.strip())
    number, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= count:
        raise UsageError(f"{shard!r} is no shard", "write 1/8 for the first of eight, up to 8/8")
    return sorted(files, key=os.fsencode)[number - 1 :: count]
