"""`--output` with fields: a file of its own for every film, as in `-o '{stem}_{status}.json'`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from avsync_cli.cli.checks import check_folder
from avsync_cli.config import suggestion
from avsync_cli.errors import UsageError
from avsync_cli.names import MEDIA_SUFFIXES
from avsync_cli.report.places import Names, plain_stem, spare

FIELDS = ("stem", "status")

_FIELD = re.compile(r"\{([^{}]*)\}")

_NAME_BYTES = 80
"""Of the name with its fields: filled in, any file system takes it."""


def is_template(output: Path | None) -> bool:
    """Whether a name has fields."""
    return output is not None and _FIELD.search(str(output)) is not None


class Template:
    """Names of answers, each of one film; all lie in one folder.

    Args:
        output: as it was typed.
        files: the films, none of which is overwritten.

    Raises:
        UsageError: an unknown field, one in the folder's name, or no folder that can be written.
    """

    def __init__(self, output: Path, files: Sequence[str]) -> None:
        self._folder, self._name = output.parent, output.name
        for field in _FIELD.findall(str(output)):
            if field not in FIELDS:
                hint = suggestion(field, FIELDS) or f"known are {{{'}, {'.join(FIELDS)}}}"
                raise UsageError(f"--output: unknown field {{{field}}}", hint)
        if _FIELD.search(str(self._folder)) or "{stem}" not in Path(self._name).stem:
            what = f"--output {output} cannot name a file for each film"
            raise UsageError(what, "write {stem} into the name of the file, not of its folder")
        if Path(self._name).suffix.lower() in MEDIA_SUFFIXES or _FIELD.search(output.suffix):
            raise UsageError(f"--output {output} names no text", "end it with .json, .csv or .txt")
        if len(os.fsencode(self._name)) > _NAME_BYTES:
            raise UsageError(f"--output: {self._name} is too long", f"{_NAME_BYTES} bytes at most")
        check_folder("--output", self._folder)
        self._films = {os.path.realpath(file) for file in files}
        self._names = Names()

    def place(self, film: str, status: str) -> Path:
        """Where the answer for a film goes.

        Raises:
            UsageError: there lies one of the films.
        """
        wanted = Path(self._name)
        stem = wanted.stem.replace("{status}", status).replace("{stem}", plain_stem(film))
        return spare(
            self._folder / self._names.unique(stem, wanted.suffix), self._films, "--output"
        )
