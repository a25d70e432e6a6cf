"""The words of the project: what an answer is called, and what is taken for a film."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Status = Literal["in_sync", "out_of_sync", "undecided"]
Direction = Literal["audio_late", "audio_early", "none"]
RegionKind = Literal["face", "frame"]

STATUS_WORDS: Mapping[str, str] = {
    "in_sync": "in sync",
    "out_of_sync": "out of sync",
    "undecided": "undecided",
    "error": "not judged",
}
"""Every status a person reads, in the order in which they are counted; "error" is a file that has
no answer."""

MEDIA_SUFFIXES = frozenset(
    ".3g2 .3gp .asf .avi .divx .dv .f4v .flv .gxf .m2t .m2ts .m4v .mj2 .mkv .mov .mp4 .mpeg .mpg "
    ".mts .mxf .nut .ogm .ogv .qt .rm .ts .vob .webm .wmv .wtv".split()
)
"""What counts as a film in a folder or a shard. A file that is named itself may have any suffix."""
