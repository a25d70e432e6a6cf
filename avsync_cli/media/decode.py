"""A file as avsync looks at it: 25 frames and 16,000 samples a second on one clock.

Frame k is the picture at k/25 s and sample j the sound at j/16000 s, both counted from the zero a
player uses (the container's start time). What the file does not have at some time is filled in,
and marked so that nothing is judged by it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType

import numpy as np

from avsync_cli.errors import NoPictureError, NoSoundError, TooShortError, UsageError
from avsync_cli.media.clock import Epochs
from avsync_cli.media.ffmpeg import display_name
from avsync_cli.media.limits import check_audio, check_filler, check_video
from avsync_cli.media.picture import PictureReader, frame_size
from avsync_cli.media.probe import AudioTrack, MediaInfo, VideoTrack, probe
from avsync_cli.media.sound import SoundReader
from avsync_cli.timebase import FPS, HOPS_PER_FRAME, SAMPLES_PER_FRAME

PREROLL_S = 2.0
"""How far before the wanted start a jump aims: decoders and resamplers need a run-up."""

LOOSE_PREROLL_S = 12.0
"""The same for containers without an index, where a jump lands between key frames."""

INDEXED = ("mp4", "mov", "matroska", "webm", "avi")


@dataclass(frozen=True)
class TimelineChunk:
    """A stretch of the timeline.

    Attributes:
        first_frame: number of `frames[0]`; it shows the picture at first_frame / 25 s.
        frames: (n, H, W, 3) uint8, RGB.
        frame_valid: (n,) bool; False where no source frame is near: before the first, after the
            last, in gaps, and while a slow capture holds a picture.
        sound: (n * 640,) float32, -1..1, mono, 16 kHz.
        sound_valid: (n * 4,) bool, one for each 10 ms; False where silence was filled in.
    """

    first_frame: int
    frames: np.ndarray
    frame_valid: np.ndarray
    sound: np.ndarray
    sound_valid: np.ndarray


class Timeline:
    """Iterator over a file's timeline; a context manager that ends ffmpeg on leaving.

    Memory does not grow with the file: a chunk, and a few frames read ahead.

    Args:
        path: the file.
        info: what `probe` said, if it was asked already.
        video_track, audio_track: which of the tracks, counted from 0 as in `info`; covers do not
            count as video tracks.
        start_s: where to begin, seconds from the file's zero, rounded to a frame.
        duration_s: how much of it, or None for all.
        max_height: frames are scaled down to this height, never up.
        chunk_frames: frames a chunk; only the last may have fewer.
        threads: decoder threads; 0 leaves it to ffmpeg.

    Attributes:
        info: the file's facts.
        video, audio: the tracks used.
        frame_size: (height, width) of the frames.
        zero_s: where the timeline begins, on the file's own clock; see `timeline_zero`.

    Raises:
        FileMissingError, NotMediaError: as `probe`.
        NoPictureError, NoSoundError: the track is not there.
        UsageError: an argument out of range.
        TooShortError: the file ends before `start_s`.
        TooLargeError: it is beyond what `limits` allows, here or while iterating.
        DecodeError: while iterating, when nothing can be decoded or ffmpeg hangs.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        info: MediaInfo | None = None,
        video_track: int = 0,
        audio_track: int = 0,
        start_s: float = 0.0,
        duration_s: float | None = None,
        max_height: int = 360,
        chunk_frames: int = 250,
        threads: int = 0,
    ) -> None:
        self._picture: PictureReader | None = None
        self._sound: SoundReader | None = None
        self._done = False
        self._filler_frames = 0
        if not (math.isfinite(start_s) and start_s >= 0):
            raise UsageError(f"start must be 0 s or later, not {start_s}")
        if duration_s is not None and not (math.isfinite(duration_s) and duration_s > 0):
            raise UsageError(f"duration must be more than 0 s, not {duration_s}")
        if max_height < 2 or chunk_frames < 1:
            raise UsageError("max_height must be at least 2, chunk_frames at least 1")
        self.info = probe(path) if info is None else info
        self.video = pick_video(self.info, video_track)
        self.audio = pick_audio(self.info, audio_track)
        self.frame_size = frame_size(self.video.width, self.video.height, max_height)
        self._chunk_frames = chunk_frames
        self._next_frame = round(start_s * FPS)
        self._end_frame = None
        if duration_s is not None:
            self._end_frame = self._next_frame + max(1, round(duration_s * FPS))
        seek_s = _seek_target(self.info, self.video, self._next_frame / FPS)
        if 0 < self.info.duration_s <= start_s:
            raise TooShortError(
                f"the file ends at {self.info.duration_s:g} s, before the wanted start at "
                f"{start_s:g} s: {display_name(self.info.path)}",
                "choose an earlier start",
                self.info.path,
            )
        self.zero_s = timeline_zero(self.info, self.video)
        epochs = Epochs(self.info.container)
        try:
            self._picture = PictureReader(
                self.info,
                self.video,
                self.frame_size,
                epochs,
                zero_s=self.zero_s,
                first_frame=self._next_frame,
                end_frame=self._end_frame,
                seek_s=seek_s,
                threads=threads,
            )
            self._sound = SoundReader(
                self.info,
                self.audio,
                epochs,
                zero_s=self.zero_s,
                first_frame=self._next_frame,
                end_frame=self._end_frame,
                seek_s=seek_s,
            )
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[TimelineChunk]:
        return self

    def __next__(self) -> TimelineChunk:
        if self._done or self._picture is None or self._sound is None:
            raise StopIteration
        try:
            chunk = self._read(self._picture, self._sound)
        except BaseException:
            self.close()
            raise
        if chunk is None:
            self.close()
            raise StopIteration
        return chunk

    def _read(self, picture: PictureReader, sound: SoundReader) -> TimelineChunk | None:
        count = self._chunk_frames
        if self._end_frame is not None:
            count = min(count, self._end_frame - self._next_frame)
        if count <= 0:
            return None
        chunk = TimelineChunk(
            first_frame=self._next_frame,
            frames=np.empty((count, *self.frame_size, 3), np.uint8),
            frame_valid=np.zeros(count, bool),
            sound=np.zeros(count * SAMPLES_PER_FRAME, np.float32),
            sound_valid=np.zeros(count * HOPS_PER_FRAME, bool),
        )
        with_picture = picture.fill(chunk.frames, chunk.frame_valid)
        with_sound = sound.fill(chunk.sound, chunk.sound_valid)
        picture.check()
        sound.check()
        self._next_frame += count
        used = max(with_picture, with_sound)
        heard = chunk.sound_valid.reshape(count, HOPS_PER_FRAME).any(axis=1)
        self._filler_frames += int((~chunk.frame_valid & ~heard)[:used].sum())
        check_filler(self._filler_frames / FPS, display_name(self.info.path))
        if used == count:
            return chunk
        self._done = True
        self.close()
        if used == 0:
            return None
        return TimelineChunk(
            first_frame=chunk.first_frame,
            frames=chunk.frames[:used],
            frame_valid=chunk.frame_valid[:used],
            sound=chunk.sound[: used * SAMPLES_PER_FRAME],
            sound_valid=chunk.sound_valid[: used * HOPS_PER_FRAME],
        )

    def close(self) -> None:
        """End both ffmpeg processes; nothing more can be read. May be called at any time."""
        self._done = True
        for reader in (self._picture, self._sound):
            if reader is not None:
                reader.close()

    def __enter__(self) -> Timeline:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_all(
    path: str | os.PathLike[str],
    *,
    info: MediaInfo | None = None,
    video_track: int = 0,
    audio_track: int = 0,
    start_s: float = 0.0,
    duration_s: float | None = None,
    max_height: int = 360,
    threads: int = 0,
) -> TimelineChunk:
    """A whole short file, or a short stretch of a long one, as one chunk (arguments as Timeline).

    A minute of 640×360 takes about a gigabyte.
    """
    with Timeline(
        path,
        info=info,
        video_track=video_track,
        audio_track=audio_track,
        start_s=start_s,
        duration_s=duration_s,
        max_height=max_height,
        chunk_frames=100,
        threads=threads,
    ) as timeline:
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


def timeline_zero(info: MediaInfo, video: VideoTrack) -> Fraction:
    """The timeline's zero on the file's clock: the player's zero, moved by at most 20 ms.

    At 25 fps every source frame misses the nearest step by the same amount, up to 20 ms, and so
    would the whole picture against the sound. Moving the zero of both by that amount makes the
    steps hit the frames. At other rates the misses spread evenly and cancel, and nothing is moved;
    at multiples and whole parts of 25 fps they do not.
    """
    ratio = video.fps / FPS
    if video.vfr or video.start_s is None or 1 not in (ratio.numerator, ratio.denominator):
        return info.start_s
    step = min(Fraction(1, FPS), 1 / video.fps)
    phase = (video.start_s - info.start_s) % step
    return info.start_s + (phase if phase <= step / 2 else phase - step)


def pick_video(info: MediaInfo, wanted: int) -> VideoTrack:
    name = display_name(info.path)
    tracks = [track for track in info.video if not track.is_cover and track.width and track.height]
    if not tracks:
        cover = " (only a cover picture)" if any(track.is_cover for track in info.video) else ""
        raise NoPictureError(
            f"no video track{cover}: {name}", "give a file with picture and sound", info.path
        )
    if not 0 <= wanted < len(tracks):
        raise NoPictureError(
            f"no video track {wanted}, the file has {len(tracks)}: {name}",
            f"choose a track from 0 to {len(tracks) - 1}",
            info.path,
        )
    check_video(tracks[wanted], name)
    return tracks[wanted]


def pick_audio(info: MediaInfo, wanted: int) -> AudioTrack:
    name = display_name(info.path)
    tracks = [track for track in info.audio if track.channels and track.rate_hz]
    if not tracks:
        raise NoSoundError(
            f"no audio track: {name}", "give a file with picture and sound", info.path
        )
    if not 0 <= wanted < len(tracks):
        raise NoSoundError(
            f"no audio track {wanted}, the file has {len(tracks)}: {name}",
            f"choose a track from 0 to {len(tracks) - 1}",
            info.path,
        )
    check_audio(tracks[wanted], name)
    return tracks[wanted]


def _seek_target(info: MediaInfo, video: VideoTrack, start_s: float) -> float | None:
    """Where to jump before reading from `start_s`, or None to read from the beginning."""
    if not video.has_pts:
        return None  # the decoder's delay shows only at the file's first frame
    indexed = any(name in info.container.split(",") for name in INDEXED)
    target = start_s - (PREROLL_S if indexed else LOOSE_PREROLL_S)
    return target if target > 0 else None
