"""Lists of clips to learn from or to be measured on: folders, CSV, JSON Lines and tar shards.

A manifest row names a file (`path` or `file`, relative to the manifest) and may give `start_s`,
`end_s`, `speaker`, `source`, `split`, `kind`, `offset_ms`; other columns are ignored.
"""

from __future__ import annotations

import csv
import json
import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from avsync_cli.config import brief
from avsync_cli.corpus.shards import expand, is_shards, samples
from avsync_cli.errors import DataError
from avsync_cli.names import MEDIA_SUFFIXES

MANIFEST = "manifest.csv"
"""A list of clips by this name, or as clips.csv, is found when its folder is named."""


@dataclass(frozen=True)
class Clip:
    """One row of a manifest.

    Attributes:
        path: the media file.
        start_s, end_s: stretch of the file to use; None for all of it.
        speaker: who is seen, "" if unknown.
        source: where the clip comes from; clips of one source may share an offset of their own.
        split: "train", "val", "test" or "".
        kind: "talking", "impact", ... or "".
        offset_ms: lag the file is known to carry (> 0: its sound is late), undone when its sound
            is read from the cache, in steps of 10 ms.
        member, at, size: file within the shard `path`, and where its bytes are; "" for none.
    """

    path: Path
    _: KW_ONLY
    start_s: float | None = None
    end_s: float | None = None
    speaker: str = ""
    source: str = ""
    split: str = ""
    kind: str = ""
    offset_ms: float = 0.0
    member: str = ""
    at: int = 0
    size: int = 0

    @property
    def key(self) -> str:
        """The clip's one identity: its file, in a folder or in a shard, and which part of it."""
        file = f"{self.path}/{self.member}" if self.member else str(self.path)
        if self.start_s is None and self.end_s is None:
            return file
        end = "" if self.end_s is None else self.end_s
        return f"{file}#t={self.start_s or 0.0},{end}"

    @property
    def group(self) -> str:
        """Source and speaker in one word: what a split must not cut through."""
        return f"{self.source}|{self.speaker}"


def load_manifest(path: Path) -> list[Clip]:
    """Clips of a folder (all media files below it), a .csv or .jsonl manifest, or tar shards.

    Raises:
        DataError: nothing there, no such column, a row that cannot be read, or no clip at all.
    """
    if path.is_dir():
        listed = sorted(path.glob("*.csv")) + sorted(path.glob("*.jsonl"))
        manifest = next((p for p in listed if p.stem in ("clips", "manifest")), None)
        clips = load_manifest(manifest) if manifest else list(_walk(path))
    elif path.suffix.lower() == ".csv":
        with _open(path) as text:
            clips = list(_rows(path, _csv_rows(path, text)))
    elif path.suffix.lower() in (".jsonl", ".ndjson"):
        with _open(path) as text:
            clips = list(_rows(path, _json_rows(path, text)))
    elif is_shards(path):
        clips = [clip for shard in expand(path) for clip in _shard_clips(shard)]
    else:
        raise DataError(
            f"{path} is neither a folder nor a .csv or .jsonl manifest nor a .tar",
            "give a folder of videos, a manifest with a column `path`, or clips-{000..099}.tar",
            path,
        )
    if not clips:
        raise DataError(f"no clips in {path}", "give a folder or manifest with videos", path)
    return clips


def to_learn_from(data: Path) -> list[Clip]:
    """`load_manifest`, without the clips of the split "test".

    Raises:
        DataError: as there; nothing is left; or a `split` of another name, which might be meant to
            be kept apart.
    """
    clips = load_manifest(data)
    odd = next((c for c in clips if c.split not in ("", "train", "val", "test")), None)
    if odd is not None:
        what = f"{odd.key}: nobody knows whether split {brief(odd.split)} may be learnt from"
        raise DataError(what, "write train, val, test or nothing", odd.path)
    left = [c for c in clips if c.split != "test"]
    if not left:
        what = f"no clip of {data} may be learnt from: all are of the split test"
        raise DataError(what, "write train, val or nothing", data)
    return left


@contextmanager
def _open(path: Path) -> Iterator[TextIO]:
    try:
        # Spreadsheets begin a text with the mark of its encoding.
        with path.open(encoding="utf-8-sig", newline="") as text:
            yield text
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", "check the path", path) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8", "save it as CSV in UTF-8", path) from error


def _walk(folder: Path) -> Iterator[Clip]:
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in MEDIA_SUFFIXES and file.is_file():
            parent = file.parent.relative_to(folder)
            yield Clip(file, source=str(parent) if parent.parts else "")


def _shard_clips(shard: Path) -> Iterator[Clip]:
    for row, at, size in samples(shard, MEDIA_SUFFIXES):
        for clip in _rows(shard, [row | {"path": shard.name}]):
            yield replace(clip, member=str(row["member"]), at=at, size=size)


def _csv_rows(path: Path, text: TextIO) -> Iterator[dict[str, Any]]:
    reader = csv.DictReader(text)
    try:
        columns = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = columns
        if columns and not {"path", "file"}.intersection(columns):
            what = f"{path} has no column `path` or `file`: {brief(columns)}"
            raise DataError(what, "name the columns in the first row, with commas between", path)
        yield from reader
    except csv.Error as error:
        what = f"{path}, line {reader.line_num + 1}, is no CSV: {error}"
        raise DataError(what, "look for a quote that is not closed", path) from error


def _json_rows(path: Path, lines: Iterable[str]) -> Iterator[dict[str, object]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            what = f"{path}, line {number}, is no JSON"
            raise DataError(what, "one object a line", path) from error
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {number}, is no JSON object", "one object a line", path)
        yield row


def _rows(path: Path, rows: Iterable[dict[str, Any]]) -> Iterator[Clip]:
    for number, row in enumerate(rows, 1):
        name = row.get("path") or row.get("file")
        if not name:
            hint = "fill its column `path`, or take the row out"
            raise DataError(f"{path}, row {number}, names no file", hint, path)
        try:
            start, end = (_seconds(row, key) for key in ("start", "end"))
            offset_ms = float(row.get("offset_ms") or 0.0)
        except (TypeError, ValueError) as error:
            what = f"{path}, row {number}: start, end or offset_ms is no number"
            raise DataError(what, "start and end are in seconds", path) from error
        if not math.isfinite(offset_ms):
            raise DataError(f"{path}, row {number}: offset_ms is not finite", "", path)
        if not 0.0 <= (start or 0.0) < (math.inf if end is None else end):
            until = "s on" if end is None else f"to {end:g} s"
            what = f"{path}, row {number}: from {start or 0.0:g} {until} there is nothing"
            raise DataError(what, "start and end are in seconds of the file", path)
        about: dict[str, Any] = {"start_s": start, "end_s": end, "offset_ms": offset_ms}
        about |= {k: str(row.get(k) or "") for k in ("speaker", "source", "split", "kind")}
        yield Clip(path.parent / str(name), **about)


def _seconds(row: dict[str, Any], key: str) -> float | None:
    value = row.get(f"{key}_s", row.get(key))
    return None if value in (None, "") else float(value)


def hold_out(clips: list[Clip], share: float, seed: int) -> tuple[list[Clip], list[Clip]]:
    """Split clips into training and validation by source and speaker, never through one.

    Rows whose `split` is "val" are held out and nothing else; without such rows, groups are drawn
    at random until about `share` of the clips are held out. A group with more than a third of
    that share's clips stays in training, so that one large speaker does not make up the whole
    validation set.

    Returns:
        training clips and validation clips.
    """
    marked = [c for c in clips if c.split == "val"]
    if marked:
        return [c for c in clips if c.split != "val"], marked
    sizes = Counter(clip.group for clip in clips)
    names = sorted(sizes)
    random.Random(seed).shuffle(names)
    held: set[str] = set()
    count, wanted = 0, share * len(clips)
    for name in names:
        if count >= wanted:
            break
        if sizes[name] <= max(1.0, wanted / 3) and len(held) + 1 < len(names):
            held.add(name)
            count += sizes[name]
    val = [c for c in clips if c.group in held]
    return [c for c in clips if c.group not in held], val
