"""ffprobe's whole answer about a file before and after a repair, less what must differ."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from avsync_cli.media.ffmpeg import find_ffprobe

FILE = {"filename", "size", "bit_rate", "duration", "start_time"}
"""Of the file: its name and size; and its length and first stamp, where the sound that was moved
comes first or ends last."""

MOVED = {
    "codec_name", "codec_long_name", "codec_tag", "codec_tag_string", "profile", "sample_fmt",
    "bits_per_sample", "bits_per_raw_sample", "bit_rate", "extradata_size", "initial_padding",
    "start_time", "duration", "duration_ts", "nb_frames", "tags.encoder",
}  # fmt: skip
"""Of the track that was moved: where it begins and ends, and how it is coded."""

ANY_STREAM = {"start_pts", "index"}
"""Counted in units that a writer chooses; the times in seconds are compared."""

WRITERS_OWN = {
    "tags.duration",  # Matroska: lengths as the writer found them
    "tags.file_package_umid",  # MXF: every file has numbers of its own
    "tags.material_package_umid",
    "tags.modification_date",  # MXF: when the file was last written
}

LASTING = {"duration", "duration_ts"}
"""Of covers, attachments and Matroska's subtitles: said to last as long as the file."""

NEAR_S = 0.002


def ask(path: Path) -> dict[str, Any]:
    """Everything that ffprobe says."""
    shown = ["-show_format", "-show_streams", "-show_chapters", "-show_programs"]
    command = [str(find_ffprobe()), "-v", "error", *shown, "-of", "json", str(path)]
    done = subprocess.run(command, check=True, timeout=60, capture_output=True)
    return json.loads(done.stdout)


def differences(before: Path, after: Path, moved: int) -> list[str]:
    """What must not differ and does.

    Args:
        before, after: the two files.
        moved: index of the stream whose sound was moved.
    """
    one, other = ask(before), ask(after)
    later_s = _first_picture_s(other) - _first_picture_s(one)
    found = list(_unlike(_flat(one["format"]), _flat(other["format"]), FILE, "file"))
    if len(one["streams"]) != len(other["streams"]):
        return [f"{len(one['streams'])} streams, then {len(other['streams'])}"]
    for stream, again in zip(one["streams"], other["streams"], strict=True):
        found += _unlike_stream(stream, again, moved, later_s)
    for kind in ("chapters", "programs"):
        if len(one[kind]) != len(other[kind]):
            found.append(f"{len(one[kind])} {kind}, then {len(other[kind])}")
    for part, again in zip(one["chapters"], other["chapters"], strict=False):
        for key in ("start_time", "end_time"):
            if abs(float(again[key]) - float(part[key]) - later_s) > NEAR_S:
                found.append(f"chapter {key}: {part[key]}, then {again[key]}")
        found += _unlike(_flat(part["tags"]), _flat(again["tags"]), set(), "chapter")
    for part, again in zip(one["programs"], other["programs"], strict=False):
        pair = [{k: v for k, v in p.items() if k != "streams"} for p in (part, again)]
        found += _unlike(_flat(pair[0]), _flat(pair[1]), set(), "program")
    return found


def _unlike_stream(
    one: dict[str, Any], other: dict[str, Any], moved: int, later_s: float
) -> Iterator[str]:
    name = f"stream {one['index']}"
    but = set(ANY_STREAM)
    if one["index"] == moved:
        but |= MOVED
    lasting = one["disposition"]["attached_pic"] or one["codec_type"] in ("attachment", "subtitle")
    if lasting:
        but |= LASTING
    if one.get("codec_tag_string") == "tmcd":
        but |= {"tags.handler_name"}  # the writer makes this track anew
    if one["codec_name" if "codec_name" in one else "index"] == "mov_text":
        but |= {"extradata_size"}  # a box of 20 bytes more, with the bit rate
    if "start_time" in one and not lasting and one["index"] != moved:
        late_s = float(other["start_time"]) - float(one["start_time"]) - later_s
        if abs(late_s) > NEAR_S:
            yield f"{name} start_time: {one['start_time']}, then {other['start_time']}"
    yield from _unlike(_flat(one), _flat(other), but | {"start_time"}, name)


def _unlike(one: dict[str, Any], other: dict[str, Any], but: set[str], name: str) -> Iterator[str]:
    for key in sorted({*one, *other}):
        if key not in but | WRITERS_OWN and one.get(key) != other.get(key):
            yield f"{name} {key}: {one.get(key)!r}, then {other.get(key)!r}"


def _flat(value: Any, before: str = "") -> dict[str, Any]:
    """Nested values by dotted names; keys of tags in small letters, as Matroska has capitals."""
    if not isinstance(value, dict | list):
        return {before: value}
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    flat: dict[str, Any] = {}
    for key, part in pairs:
        flat |= _flat(part, f"{before}.{str(key).lower()}" if before else str(key).lower())
    return flat


def _first_picture_s(said: dict[str, Any]) -> float:
    return next(
        float(stream.get("start_time", 0))
        for stream in said["streams"]
        if stream["codec_type"] == "video" and not stream["disposition"]["attached_pic"]
    )
