"""The first seconds of a film with every one of its pictures, small and grey, and its sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avsync_cli.media.clock import Epochs, Stretch
from avsync_cli.media.facts import MediaInfo, pick_audio, pick_video
from avsync_cli.media.picture import PictureReader, frame_size
from avsync_cli.media.sound import SoundReader
from avsync_cli.timebase import FPS, HOPS_PER_FRAME, SAMPLES_PER_FRAME

MOST_PICTURES = 2_000
"""Half a minute at 60 pictures a second, 75 MB of 144 lines; of what has more less is read."""


@dataclass(frozen=True)
class Head:
    """The beginning of a film.

    Attributes:
        pictures: (N, H, W) uint8 green of every picture, which is most of its brightness.
        times_s: (N,) when each is shown on the timeline, rising.
        sound: (S,) float32, -1..1, mono, 16 kHz, from the timeline's zero.
    """

    pictures: np.ndarray
    times_s: np.ndarray
    sound: np.ndarray


def read_head(
    info: MediaInfo,
    video_track: int | None,
    audio_track: int | None,
    *,
    seconds: float,
    max_height: int,
) -> Head:
    """Read the beginning of a film.

    Args:
        info: from `probe`.
        video_track, audio_track: numbers of the tracks; None for those of a player.
        seconds: how much of it.
        max_height: pictures are scaled down to this height, never up.

    Raises:
        NoPictureError, NoSoundError: the track is not there.
        DecodeError: nothing could be decoded.
    """
    video, audio = pick_video(info, video_track), pick_audio(info, audio_track)
    stretch, epochs = Stretch.of(info, video, 0.0, seconds), Epochs(info)
    frames = round(seconds * FPS)
    size = frame_size(video.width, video.height, max_height)
    pictures: list[np.ndarray] = []
    times_s: list[float] = []
    sound = np.zeros(frames * SAMPLES_PER_FRAME, np.float32)
    with PictureReader(info, video, size, stretch, epochs, threads=1, thinned=False) as reader:
        for time_s, picture in reader.each():
            if time_s >= seconds or len(pictures) == MOST_PICTURES:
                break
            pictures.append(picture[..., 1].copy())
            times_s.append(time_s)
        else:
            reader.check()
    with SoundReader(info, audio, stretch, epochs) as heard:
        count = heard.fill(sound, np.zeros(frames * HOPS_PER_FRAME, bool))
        heard.check()
    shown = np.stack(pictures) if pictures else np.zeros((0, *size), np.uint8)
    return Head(shown, np.array(times_s), sound[: count * SAMPLES_PER_FRAME])
