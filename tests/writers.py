"""The ways in which a file is written, and what is in a folder afterwards."""

from __future__ import annotations

from pathlib import Path

from avsync_cli.files import file_beside, open_whole, write_whole

MUCH = b"x" * 300_000


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def by_stream(path: Path, data: bytes) -> None:
    with open_whole(path) as stream:
        for start in range(0, len(data), 1000):
            stream.write(data[start : start + 1000])


def by_program(path: Path, data: bytes) -> None:
    with file_beside(path) as part:
        part.write_bytes(data)


WRITERS = (write_whole, by_stream, by_program)
