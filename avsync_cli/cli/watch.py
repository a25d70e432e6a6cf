"""A folder into which files land: which of them are whole, and new."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from avsync_cli.cli.inputs import media_in
from avsync_cli.media.source import Source, Stamp

STABLE_S = 5.0
"""For so long a file's size and time must stand still: a copy over a network pauses for less."""

POLL_S = 1.0


def landings(
    folder: str,
    recursive: bool,
    *,
    wait: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Sequence[Source]]:
    """Without end, the media files of a folder that have landed since the last time: those that are
    there at the beginning, too, and those that were changed. Never an empty list.

    Args:
        folder: what is watched; hidden files and folders are not.
        recursive: whether folders in it are.
        wait, clock: of seconds.
    """
    told: dict[str, Stamp] = {}
    growing: dict[str, tuple[Stamp, float]] = {}
    while True:
        before, growing, landed = growing, {}, []
        for source in map(Source.of, media_in(folder, recursive)):
            stamp = source.stamp()
            if stamp is None or not stamp.size_bytes or told.get(source.path) == stamp:
                continue
            known, since_s = before.get(source.path, (None, 0.0))
            if stamp == known and clock() - since_s >= STABLE_S:
                told[source.path] = stamp
                landed.append(source)
            else:
                growing[source.path] = (stamp, since_s if stamp == known else clock())
        if landed:
            yield landed
        else:
            wait(POLL_S)
