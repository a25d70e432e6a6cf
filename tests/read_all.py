"""A file, or a stretch of one, as a single chunk in colours, for tests that look at all of it."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from avsync_cli.media.decode import Timeline, TimelineChunk
from avsync_cli.media.facts import MediaInfo
from avsync_cli.timebase import FPS


class _InColour(Timeline):
    """A timeline whose frames are (n, H, W, 3) uint8 RGB."""

    _planes = False


def read_all(
    path: str | os.PathLike[str] | MediaInfo, *, start_s: float = 0.0, **how: Any
) -> TimelineChunk:
    """A whole short file, or a short stretch of a long one, as one chunk (arguments as Timeline),
    its frames (n, H, W, 3) uint8 RGB.

    A minute of 640×360 takes about a gigabyte.
    """
    with _InColour(path, start_s=start_s, chunk_frames=100, **how) as timeline:
        chunks = list(timeline)
        height, width = timeline.frame_size
    first = round(start_s * FPS)
    if not chunks:
        empty = np.zeros(0, bool)
        frames = np.zeros((0, height, width, 3), np.uint8)
        return TimelineChunk(first, frames, empty, np.zeros(0, np.float32), empty)
    return TimelineChunk(
        first_frame=first,
        frames=np.concatenate([chunk.frames for chunk in chunks]),
        frame_valid=np.concatenate([chunk.frame_valid for chunk in chunks]),
        sound=np.concatenate([chunk.sound for chunk in chunks]),
        sound_valid=np.concatenate([chunk.sound_valid for chunk in chunks]),
    )
