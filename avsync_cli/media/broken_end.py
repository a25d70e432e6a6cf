"""Whether a file that says nothing of its length ends within a part whose length it says."""

from __future__ import annotations

from typing import BinaryIO

from avsync_cli.media.facts import MediaInfo
from avsync_cli.media.wholeness import box, element, looked_at

_MOST_PARTS = 200_000
"""Two days of fragments of a second."""

_SEGMENT, _CLUSTER = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"

_PAGE_HEAD, _LONGEST_PAGE = 27, 27 + 255 + 255 * 255
"""Bytes of a page of Ogg: of its head, and of all of it at the most (RFC 3533, section 6)."""


def broken_end(info: MediaInfo) -> str | None:
    """What it is that the file ends, or is broken, within: "a fragment" of mp4, "a cluster" of a
    Matroska that was written while it was sent, "a page" of Ogg; None if it is whole, or does not
    say."""
    return looked_at(info, {"mp4": _in_fragment, "matroska": _in_cluster, "ogg": _in_page})


def _in_fragment(file: BinaryIO, size: int) -> str | None:
    at, is_fragmented, is_broken = 0, False, False
    for _ in range(_MOST_PARTS):
        file.seek(at)
        kind, length = box(file)
        is_fragmented |= kind == b"moof"
        if length <= 0:
            is_broken = at < size and not kind.isalnum()
        elif at + length >= size:
            is_broken = at + length > size and kind in (b"moof", b"mdat")
        else:
            at += length
            continue
        return "a fragment" if is_fragmented and is_broken else None
    return None


def _in_cluster(file: BinaryIO, size: int) -> str | None:
    at, is_live = 0, False
    for _ in range(_MOST_PARTS):
        file.seek(at)
        kind, head, length = element(file)
        if length is None and kind in (_SEGMENT, _CLUSTER):
            is_live = True
            at += head
        elif not head or length is None or at + head + length > size:
            return "a cluster" if is_live and at < size else None
        else:
            at += head + length
    return None


def _in_page(file: BinaryIO, size: int) -> str | None:
    file.seek(max(0, size - 2 * _LONGEST_PAGE))
    tail = file.read()
    at = len(tail)
    while (at := tail.rfind(b"OggS\0", 0, at)) >= 0:
        head = tail[at : at + _PAGE_HEAD]
        if len(head) < _PAGE_HEAD:
            return "a page"
        if head[5] < 8:
            lengths = tail[at + _PAGE_HEAD : at + _PAGE_HEAD + head[26]]
            ends = at + _PAGE_HEAD + head[26] + sum(lengths)
            return "a page" if len(lengths) < head[26] or ends > len(tail) else None
    return None
