"""What of a file that is not sound got lost in a copy, in words: what a container cannot carry is
said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from avsync_cli.repair.contents import Contents
from avsync_cli.repair.description import Described

_WRITERS = frozenset(
    {
        "encoder", "major_brand", "minor_version", "compatible_brands", "duration", "vendor_id",
        "bps", "number_of_frames", "number_of_bytes", "handler_name", "modification_date",
        "material_package_umid", "file_package_umid", "filename", "mimetype", "uid",
        "operational_pattern_ul", "generation_uid",
        "product_name", "product_version", "product_uid", "company_name", "toolkit_version",
        "application_platform",
    }
)  # fmt: skip
"""Metadata by which a writer speaks of itself or of its own work."""

_COLOURS = ("color_range", "color_space", "color_transfer", "color_primaries")

MOST = 12
"""Losses that are told one by one."""


def losses(before: Described, after: Described, contents: Contents) -> list[str]:
    """What ffprobe says of the source and does not say of the copy.

    Args:
        before, after: of the two.
        contents: what the copy was to have; what it leaves out on purpose is not named again.
    """
    found = [f"the file's {name}" for name in _lost_tags(before["format"], after["format"])]
    there = _by_name(after)
    for track, spec in contents.counterparts():
        one = next(s for s in before["streams"] if s["index"] == track.index)
        other = there.get(spec)
        if other is None:
            found.append(f"the {track.words}")
        else:
            found += [f"{what} of the {track.words}" for what in _lost_of_stream(one, other)]
    if len(before.get("chapters", ())) != len(after.get("chapters", ())):
        found.append("chapters")
    for one, other in zip(before.get("chapters", ()), after.get("chapters", ()), strict=False):
        found += [f"a chapter's {name}" for name in _lost_tags(one, other)]
    numbers = {program["program_num"]: program for program in after.get("programs", ())}
    for program in before.get("programs", ()):
        number = program["program_num"]
        other = numbers.get(number)
        if other is None:
            found.append(f"programme {number}")
        else:
            found += [f"programme {number}'s {name}" for name in _lost_tags(program, other)]
    return found[:MOST]


def _by_name(said: Described) -> dict[str, Mapping[str, Any]]:
    """Streams by ffmpeg's names for them: "v:0"."""
    count: dict[str, int] = {}
    named = {}
    for stream in said["streams"]:
        kind = str(stream.get("codec_type", "data"))
        letter = "t" if kind == "attachment" else kind[:1]
        named[f"{letter}:{count.setdefault(letter, 0)}"] = stream
        count[letter] += 1
    return named


def _lost_tags(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    has = {key.lower(): value for key, value in other.get("tags", {}).items()}
    for key, value in one.get("tags", {}).items():
        name = key.lower()
        if name.startswith("_statistics") or name.partition("-")[0] in _WRITERS:
            continue
        # mp4 writes that a language is not known, Matroska writes nothing.
        if has.get(name) != value and (name, value) != ("language", "und"):
            yield f"metadata {key!r}"


def _lost_of_stream(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    yield from _lost_tags(one, other)
    flags = other.get("disposition", {})
    for flag, is_set in one.get("disposition", {}).items():
        if bool(is_set) and not flags.get(flag):
            yield f"the mark {flag!r}"
    kinds = {str(data.get("side_data_type")) for data in other.get("side_data_list", ())}
    for data in one.get("side_data_list", ()):
        kind = str(data.get("side_data_type"))
        if kind not in kinds and kind != "CPB properties":
            yield kind.lower()
    for colour in _COLOURS:
        if one.get(colour) not in (None, "unknown", other.get(colour)):
            yield colour
