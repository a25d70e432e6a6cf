"""One file under the three names it needs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from avsync_cli.errors import AvsyncError
from avsync_cli.wording import safe_text

E = TypeVar("E", bound=AvsyncError)


class Stamp(NamedTuple):
    """What tells whether a file is still the one that it was: its size in bytes, and when it was
    last changed, in µs since 1970."""

    size_bytes: int
    modified_us: int


@dataclass(frozen=True)
class Source:
    """A file as it was named, as a person may read it, and as ffmpeg is given it.

    Made once, where a name comes in; a later change of the working directory does not move it for
    ffmpeg.

    Attributes:
        path: the name as given, for the operating system. Bytes that are not UTF-8 are lone
            surrogates in it (PEP 383), and it may hold any control character.
        shown: one printable line: control characters and undecodable bytes are written as escapes.
        url: the absolute name behind `file:`, which ffmpeg can only take for a local file, whatever
            characters it has.
    """

    path: str
    shown: str
    url: str

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> Source:
        """The file that `path` names; nothing is opened, it need not exist. A Source is itself.

        >>> Source.of("/films/a\\x1b[31m.mp4").shown
        '/films/a\\\\x1b[31m.mp4'
        >>> Source.of("/films/-i").url
        'file:/films/-i'
        """
        if isinstance(path, Source):
            return path
        name = os.fsdecode(path)
        return cls(name, safe_text(name), f"file:{Path(name).absolute()}")

    def stamp(self) -> Stamp | None:
        """The file's stamp now, or None where it cannot be seen."""
        try:
            found = Path(self.path).stat()
        except (OSError, ValueError):  # a NUL in its name
            return None
        return Stamp(found.st_size, found.st_mtime_ns // 1000)

    def error(self, kind: type[E], what: str, hint: str = "") -> E:
        """An error about the file, whose message names it last."""
        return kind(f"{what}: {self.shown}", hint, self.path)

    def __fspath__(self) -> str:
        return self.path
