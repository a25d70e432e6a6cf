"""Clips that lie in tar shards, in the layout of WebDataset: `key.mp4` beside `key.json`.

A shard is read where it lies. Its table of contents is made by walking the headers once, and each
clip is copied out to a temporary file only while it is decoded into the cache.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from avsync_cli.errors import DataError
from avsync_cli.files import scratch_folder

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")

_MOST_SHARDS = 1_000_000
"""A range of more is a slip of the pen."""

_JSON_LIMIT = 1 << 20


def is_shards(path: Path) -> bool:
    """Whether a path names tar shards: one `.tar`, or a range such as `clips-{000..099}.tar`."""
    return path.suffix == ".tar"


def expand(path: Path) -> list[Path]:
    """The shards of a range, in order; digits keep their width.

    >>> [str(p) for p in expand(Path("a-{08..10}.tar"))]
    ['a-08.tar', 'a-09.tar', 'a-10.tar']

    Raises:
        DataError: a range that runs backwards, or of absurd size.
    """
    found = _RANGE.search(str(path))
    if found is None:
        return [path]
    first, last = found.groups()
    count = int(last) - int(first) + 1
    if not 0 < count <= _MOST_SHARDS:
        raise DataError(f"{path} is no range of shards", "write it as clips-{000..099}.tar", path)
    before, after = str(path)[: found.start()], str(path)[found.end() :]
    each = (Path(f"{before}{n:0{len(first)}d}{after}") for n in range(int(first), int(last) + 1))
    return [shard for one in each for shard in expand(one)]


def samples(shard: Path, suffixes: frozenset[str]) -> Iterator[tuple[dict[str, Any], int, int]]:
    """Media files of one shard: the row of each, and where its bytes are.

    Args:
        shard: a tar file, not compressed.
        suffixes: of media files.

    Yields:
        a row (what the `.json` of the same key says, and `member`, the file's name), the offset of
        the file's first byte in the shard, and its size.

    Raises:
        DataError: no such file, or no tar file.
    """
    media: dict[str, tuple[str, int, int]] = {}
    about: dict[str, dict[str, Any]] = {}
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                if not member.isfile() or member.issparse():
                    continue
                name = PurePosixPath(member.name)
                # WebDataset: everything before the first dot of the file's name is the key.
                key = str(name.with_name(name.name.partition(".")[0]))
                if name.suffix.lower() in suffixes:
                    media[key] = (member.name, member.offset_data, member.size)
                elif name.suffix == ".json" and member.size <= _JSON_LIMIT:
                    file = tar.extractfile(member)
                    about[key] = _row(file.read()) if file is not None else {}
    except (OSError, tarfile.TarError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        what = f"cannot read the shard {shard}: {why}"
        raise DataError(what, "give tar files, not compressed", shard) from error
    for key, (inside, at, size) in media.items():
        yield about.get(key, {}) | {"member": inside}, at, size


def _row(text: bytes) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


@contextmanager
def media_file(path: Path, member: str, at: int, size: int) -> Iterator[Path]:
    """A media file as a path: itself, or a temporary copy of a member of a shard.

    Args:
        path: the file, or the shard.
        member: name within the shard, "" for a file of its own.
        at, size: where its bytes are.

    Raises:
        OSError: it cannot be read, or not be copied.
    """
    if not member:
        yield path
        return
    with scratch_folder() as folder:
        member_file = folder / f"member{PurePosixPath(member).suffix}"
        with path.open("rb") as shard, member_file.open("wb") as copy:
            shard.seek(at)
            left = size
            while left > 0 and (piece := shard.read(min(left, 1 << 20))):
                copy.write(piece)
                left -= len(piece)
        yield member_file
