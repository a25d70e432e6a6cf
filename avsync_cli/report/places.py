"""Names of files in a folder, made of films' names."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from avsync_cli.errors import UsageError

STEM_BYTES = 150
"""Of a film's name: with what is added to it, any file system takes it."""


class Names:
    """Hands out names that differ from one another, also where case is not told apart."""

    def __init__(self, taken: frozenset[str] = frozenset()) -> None:
        self._used = set(taken)

    def take(self, film: str, suffix: str, between: str = "") -> str:
        """A name for what belongs to a film: its stem, `between`, a number if need be, `suffix`.

        Path separators, control characters and a leading dot become underscores, and a long stem is
        cut: whatever a film is called, the name lies in the folder it is put into.

        >>> names = Names()
        >>> names.take("a/film.mp4", ".html"), names.take("b/Film.mkv", ".html")
        ('film.html', 'Film-2.html')
        """
        return self.unique(plain_stem(film) + between, suffix)

    def unique(self, stem: str, suffix: str) -> str:
        """The name, with a number if it was handed out before."""
        name, number = f"{stem}{suffix}", 2
        while name.casefold() in self._used:
            name, number = f"{stem}-{number}{suffix}", number + 1
        self._used.add(name.casefold())
        return name


def spare(place: Path, films: Collection[str], flag: str) -> Path:
    """`place`, unless one of the films lies there.

    Args:
        place: where something is about to be written.
        films: real paths of what is judged.
        flag: by which it was asked for.

    Raises:
        UsageError: there lies one of them.
    """
    if os.path.realpath(place) in films:
        raise UsageError(f"{flag}: {place} would overwrite an input", "name another place")
    return place


def plain_stem(film: str) -> str:
    """A film's name without folder and ending, as part of a file's name.

    >>> plain_stem("films/a\\\\b:c\\n.mp4"), plain_stem("..mp4"), len(plain_stem("é" * 200))
    ('a_b_c_', '_', 75)
    """
    stem = "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else "_" for c in Path(film).stem)
    cut = os.fsencode(stem)[:STEM_BYTES].decode("utf-8", "ignore")
    return "_" + cut[1:] if cut.startswith(".") else cut or "_"
