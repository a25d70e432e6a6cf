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

import numpy as np

from avsync_cli.errors import TooShortError, UsageError
from avsync_cli.media.clock import Epochs, Stretch
from avsync_cli.media.completeness import Ends
from avsync_cli.media.facts import MediaInfo, pick_audio, pick_video
from avsync_cli.media.limits import check_filler
from avsync_cli.media.picture import PictureReader, frame_size
from avsync_cli.media.probe import probe
from avsync_cli.media.sound import SoundReader
from avsync_cli.timebase import FPS, HOPS_PER_FRAME, SAMPLES_PER_FRAME

HOLE_S = 1.0
"""Less than this without picture and sound is a gap as streams have them."""

MOST_HOLES = 100


@dataclass(frozen=True)
class TimelineChunk:
    """A stretch of the timeline.

    Attributes:
        first_frame: number of `frames[0]`; it shows the picture at first_frame / 25 s.
        frames: (n, 3 H / 2, W) uint8: H rows of brightness, 16..235, and below them two planes of
            (H / 2, W / 2) of colour, as ffmpeg's yuv420p, which is what most films hold.
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
        path: the file: a name, a `Source`, or what `probe` said of it.
        video_track, audio_track: which of the tracks, counted from 0 as in `info`; covers do not
            count as video tracks. None is a player's choice: the first that the file flags as
            default, else the first.
        start_s: where to begin, seconds from the file's zero, rounded to a frame.
        duration_s: how much of it, or None for all.
        max_height: frames are scaled down to this height, never up.
        chunk_frames: frames a chunk; only the last may have fewer.
        threads: decoder threads; 0 leaves it to ffmpeg.

    Attributes:
        info: the file's facts.
        video, audio: the tracks used.
        frame_size: (height, width) of the frames.
        holes_s: (begin, end) of the stretches of `HOLE_S` and more, within what was read so far, in
            which there is neither picture nor sound; the first `MOST_HOLES`.
        zero_s: where the timeline begins, on the file's own clock; see `clock.timeline_zero`.

    Raises:
        FileMissingError, NotMediaError: as `probe`.
        NoPictureError, NoSoundError: the track is not there.
        UsageError: an argument out of range.
        TooShortError: the file ends before `start_s`.
        TooLargeError: it is beyond what `limits` allows, here or while iterating.
        DecodeError: while iterating, when nothing can be decoded or ffmpeg hangs.
    """

    _planes = True
    """Tests, which look at colours, take frames of (H, W, 3) RGB instead."""

    def __init__(
        self,
        path: str | os.PathLike[str] | MediaInfo,
        *,
        video_track: int | None = None,
        audio_track: int | None = None,
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
        self._empty_frames = 0
        self.holes_s: list[tuple[float, float]] = []
        _check_arguments(start_s, duration_s, max_height, chunk_frames)
        info = self.info = path if isinstance(path, MediaInfo) else probe(path)
        self.video = pick_video(info, video_track)
        self.audio = pick_audio(info, audio_track)
        height, width = self.frame_size = frame_size(
            self.video.width, self.video.height, max_height
        )
        self._shape = (height * 3 // 2, width) if self._planes else (height, width, 3)
        if 0 < info.duration_s <= start_s:
            raise TooShortError(
                f"the file ends at {info.duration_s:g} s, before the wanted start at "
                f"{start_s:g} s: {info.file.shown}",
                "choose an earlier start",
                info.path,
            )
        stretch = Stretch.of(info, self.video, start_s, duration_s)
        if stretch.end_frame is None:
            check_filler(info.filler_s - start_s, info.file.shown)
        self.zero_s = stretch.zero_s
        self._chunk_frames = chunk_frames
        self._next_frame, self._end_frame = stretch.first_frame, stretch.end_frame
        epochs = self._epochs = Epochs(info)
        try:
            self._picture = PictureReader(
                info,
                self.video,
                self.frame_size,
                stretch,
                epochs,
                threads=threads,
                planes=self._planes,
            )
            self._sound = SoundReader(info, self.audio, stretch, epochs)
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
        self._check_gap(min(picture.next_s(), sound.next_s()))
        chunk = TimelineChunk(
            first_frame=self._next_frame,
            frames=np.empty((count, *self._shape), np.uint8),
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
        self._note_empty(chunk.first_frame, (~chunk.frame_valid & ~heard)[:used])
        check_filler(self._filler_frames / FPS, self.info.file.shown)
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

    def _note_empty(self, first_frame: int, empty: np.ndarray) -> None:
        """Count the filler among the frames from `first_frame` on, and find the holes in it."""
        self._filler_frames += int(empty.sum())
        if not self._empty_frames and not empty.any():
            return
        for number, is_empty in enumerate(empty.tolist(), first_frame):
            if is_empty:
                self._empty_frames += 1
                continue
            begin = number - self._empty_frames
            if self._empty_frames >= HOLE_S * FPS and len(self.holes_s) < MOST_HOLES:
                self.holes_s.append((begin / FPS, number / FPS))
            self._empty_frames = 0

    def _check_gap(self, next_s: float) -> None:
        """Count the filler that comes before the next picture or sound, before it is made."""
        if math.isfinite(next_s):
            frames = round(next_s * FPS) - self._next_frame
            if self._end_frame is not None:
                frames = min(frames, self._end_frame - self._next_frame)
            if frames > 0:
                check_filler((self._filler_frames + frames) / FPS, self.info.file.shown)

    @property
    def stamps_doubt(self) -> str:
        """Why the pictures' times cannot be believed, by what was read so far; "" if they can."""
        return "" if self._picture is None else self._picture.doubt

    @property
    def has_jumped(self) -> bool:
        """Whether time stamps did not follow on, by what was read so far: a stretch that was read
        by seeking then lies somewhere else in the file."""
        return self._epochs.has_jumped

    @property
    def ends(self) -> Ends | None:
        """Where picture and sound end; None unless they were read to the end."""
        if self._picture is None or self._sound is None:
            return None
        if not (self._picture.has_ended and self._sound.has_ended):
            return None
        return Ends(self._picture.end_s, self._sound.end_s)

    def close(self) -> None:
        """End both ffmpeg processes; nothing more can be read. May be called at any time."""
        self._done = True
        for reader in (self._picture, self._sound):
            if reader is not None:
                reader.close()

    def __enter__(self) -> Timeline:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _check_arguments(
    start_s: float, duration_s: float | None, max_height: int, chunk_frames: int
) -> None:
    if not (math.isfinite(start_s) and start_s >= 0):
        raise UsageError(f"start must be 0 s or later, not {start_s}")
    if duration_s is not None and not (math.isfinite(duration_s) and duration_s > 0):
        raise UsageError(f"duration must be more than 0 s, not {duration_s}")
    if max_height < 2 or chunk_frames < 1:
        raise UsageError("max_height must be at least 2, chunk_frames at least 1")
