"""A face cut out of its film as a clip of its own, with the sound that belongs to it.

The square around the face keeps its size and follows the face; frames are cut and encoded one by
one, from the one writer of films.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from avsync_cli.drawing.overlay import MAX_HEIGHT, frames_between
from avsync_cli.inference.evidence import TrackPath
from avsync_cli.media.clock import Epochs, Stretch
from avsync_cli.media.facts import AudioTrack, MediaInfo, VideoTrack
from avsync_cli.media.film_writer import film_writer
from avsync_cli.media.picture import PictureReader, frame_size
from avsync_cli.timebase import FPS

CLIP_PX = 224
"""Side of the clip's picture."""

AROUND = 1.8
"""Side of the square in face heights or widths, whichever is more: chin, hair and some of the
surroundings, so that a face detector finds the face again."""


def write_face_clip(
    target: Path,
    info: MediaInfo,
    video: VideoTrack,
    audio: AudioTrack,
    path: TrackPath,
    lag_ms: float,
) -> None:
    """Write a face from its first frame to its last, CLIP_PX square, 25 frames a second.

    Args:
        target: the clip; appears whole or not at all.
        info, video, audio: the film, and which of its tracks.
        path: where the face is.
        lag_ms: by how much its sound is moved earlier.

    Raises:
        MediaError: the film cannot be read, or the clip not be written.
    """
    size = frame_size(video.width, video.height, MAX_HEIGHT)
    squares = face_squares(path, size)
    stretch = Stretch.of(info, video, path.first_frame / FPS, len(squares) / FPS)
    shape, lag_s = (CLIP_PX, CLIP_PX), lag_ms / 1000.0
    with (
        PictureReader(info, video, size, stretch, Epochs(info)) as reader,
        film_writer(target, shape, info, audio, stretch, lag_s=lag_s) as write,
    ):
        frames = frames_between(reader, size, stretch.first_frame, stretch.end_frame)
        for (_, frame), square in zip(frames, squares, strict=False):
            write(_cut(frame, square))
        reader.check()


def face_squares(path: TrackPath, size: tuple[int, int]) -> np.ndarray:
    """(n, 3) left, top and side in pixels of the square that is shown of each frame (H, W)."""
    height, width = size
    left, top, wide, high = (path.shares * (width, height, width, height)).T
    side = AROUND * float(np.median(np.maximum(wide, high)))
    sides = np.full(len(left), side)
    return np.stack([left + (wide - side) / 2, top + (high - side) / 2, sides], axis=1)


def _cut(frame: np.ndarray, square: np.ndarray) -> np.ndarray:
    """A square of a frame, whose edge is repeated beyond its border: (CLIP_PX, CLIP_PX, 3)."""
    left, top, side = map(float, square)
    height, width = frame.shape[:2]
    beyond = max(0.0, -left, -top, left + side - width, top + side - height)
    border = int(np.ceil(beyond))
    if border:
        frame = np.pad(frame, ((border, border), (border, border), (0, 0)), "edge")
    box = left + border, top + border, left + border + side, top + border + side
    picture = Image.fromarray(frame)
    return np.asarray(
        picture.resize((CLIP_PX, CLIP_PX), Image.Resampling.BILINEAR, box=box), np.uint8
    )
