"""The picture on avsync's clock: the source frame nearest to each k/25 s.

ffmpeg decodes, turns, deinterlaces and scales; which source frame stands for which timeline frame
is decided here from exact time stamps. ffmpeg's own fps filter takes the last frame that rounds to
a step, which for a 60 fps source is late by 12 ms on average; the nearest frame has no bias.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from statistics import median

import ffmpeg as ffmpeg_python
import numpy as np

from avsync_cli.cores import FEW, usable_cores
from avsync_cli.media.clock import STEADY, Epochs, Stretch
from avsync_cli.media.facts import MediaInfo, VideoTrack
from avsync_cli.media.ffmpeg import INPUT, command, input_args, passthrough_args
from avsync_cli.media.process import FfmpegStream
from avsync_cli.media.reader import TrackReader
from avsync_cli.media.stamps import PICTURE_KEY
from avsync_cli.timebase import FPS

MIN_REACH_S = 0.060
"""How far a timeline frame may lie from its source frame and still count as seen: 1.5 steps."""

MAX_REACH_S = 0.3
"""The same for slow captures: of 5 frames a second. A picture held for longer shows nothing."""

DRIFT_PICTURES = 25
"""Pictures whose stamps are compared with the count, where that gives the times."""

MOST_BACKWARD = 0.05
"""Share of the pictures whose stamps may lie before their forerunners'."""

SMALL_PX = 720 * 576
"""Pixels of a picture that one thread decodes faster than two cores can judge."""

MAX_ASPECT = 4
"""Pictures wider than this many times the height limit are scaled to fit that width."""

THINNING_FPS = 40
"""Above this rate frames that are nearest to no step are dropped before they are scaled."""

SCALING = "bilinear"
"""How ffmpeg shrinks pictures: a triangle as wide as a step, so that nothing aliases, and costs
half of what the sharper "bicubic" does, which for 1080 lines is a sixth of all decoding."""

_TICKS = 1_000_000


def frame_size(width: int, height: int, max_height: int) -> tuple[int, int]:
    """(height, width) of the decoded frames: even, at least 2, never larger than the source.

    Args:
        width, height: as displayed.
        max_height: upper limit of the height.
    """
    scale = min(Fraction(1), Fraction(max_height, height), Fraction(max_height * MAX_ASPECT, width))

    def even(size: int) -> int:
        return max(2, 2 * int(size * scale / 2 + Fraction(1, 2)))

    return min(even(height), max(2, height // 2 * 2)), min(even(width), max(2, width // 2 * 2))


class _Drift:
    """Whether stamps move away for good from times that were counted."""

    def __init__(self, period_s: float) -> None:
        self._most_s = 0.6 * period_s
        self._first: list[float] = []
        self._latest: deque[float] = deque(maxlen=DRIFT_PICTURES)
        self.is_lasting = False

    def note(self, off_s: float) -> None:
        """One picture's stamp less its counted time."""
        if len(self._first) < DRIFT_PICTURES:
            self._first.append(off_s)
            return
        self._latest.append(off_s)
        if len(self._latest) == DRIFT_PICTURES and not self.is_lasting:
            moved_s = median(self._latest) - median(self._first)
            self.is_lasting = abs(moved_s) > self._most_s


class PictureReader(TrackReader):
    """Timeline frames in order, from one ffmpeg process.

    Args:
        info: the file.
        track: which of its video tracks.
        size: (height, width) to scale to.
        stretch: what of it.
        epochs: corrections shared with the sound.
        threads: decoder threads; 0 leaves it to ffmpeg, or is one for a small picture where cores
            are few: others keep these busy.
        thinned: drop pictures that stand for no timeline frame before they are scaled.
        planes: hand over brightness and colours as `TimelineChunk` has them, instead of RGB.
    """

    def __init__(
        self,
        info: MediaInfo,
        track: VideoTrack,
        size: tuple[int, int],
        stretch: Stretch,
        epochs: Epochs,
        *,
        threads: int = 0,
        thinned: bool = True,
        planes: bool = False,
    ) -> None:
        super().__init__("picture", info, stretch, epochs)
        self._track = track
        self._shape = (size[0] * 3 // 2, size[1]) if planes else (*size, 3)
        self._frame_bytes = math.prod(self._shape)
        self._correction_s = 0.0
        # Where one cannot jump by stamps, all is read from the beginning and counted from there.
        self._expected_s = stretch.first_frame / FPS if track.has_pts else 0.0
        self._next_k = stretch.first_frame
        self._start_ticks = round(stretch.zero_s * _TICKS)
        self._first_ticks: int | None = None
        if track.stamps == "order" and track.start_s is not None:
            self._first_ticks = round(track.start_s * _TICKS)
        self._first_s: float | None = None
        if track.stamps == "rebuilt" and track.start_s is not None:
            self._first_s = float(track.start_s - stretch.zero_s)
        self._period_s = float(1 / track.fps)
        self._reach_s = min(MAX_REACH_S, max(MIN_REACH_S, 1.5 * self._period_s))
        self._steady = STEADY
        self._backward = 0
        self._drift = _Drift(self._period_s)
        # `_held` is the source frame at or before the step in question, `_coming` the one after.
        self._held: tuple[float, np.ndarray] | None = None
        self._coming: tuple[float, np.ndarray] | None = None
        self._last_s: float | None = None
        self._stream = FfmpegStream(
            self._compose(track, size, threads, thinned),
            path=info.file,
            block_bytes=self._frame_bytes,
            max_blocks=16,
            on_line=self._stamps.take_line,
        )

    def _compose(
        self, track: VideoTrack, size: tuple[int, int], threads: int, thinned: bool
    ) -> list[str]:
        height, width = size
        planes = len(self._shape) == 2
        if not threads and usable_cores() <= FEW and track.width * track.height <= SMALL_PX:
            threads = 1
        options = dict(input_args(), copyts=None, threads=threads, **self._stretch.input_options())
        stream = ffmpeg_python.input(INPUT, **options)[track.spec]
        bounds = self._stretch.bounds(0.5 + 2 * self._period_s)
        if bounds and track.has_pts:
            stream = stream.filter("trim", **bounds)
        stream = stream.filter("bwdif", mode="send_frame", deint="interlaced")
        if thinned and track.fps > THINNING_FPS and track.has_pts and not track.vfr:
            step = f"(t-({float(self._stretch.zero_s):.6f}))*{FPS}"
            near = f"lte(abs({step}-round({step})),{0.55 * FPS * self._period_s:.6f})"
            stream = stream.filter("select", f"isnan(prev_t)+{near}")
        # What most films are already, so that nothing is converted.
        as_video = {"out_range": "tv"} if planes else {}
        pixels = "yuv420p" if planes else "rgb24"
        stream = (
            stream.filter("scale", width, height, flags=SCALING, **as_video)
            .filter("settb", f"1/{_TICKS}")
            .filter("metadata", mode="add", key=PICTURE_KEY, value="1")
            .filter("metadata", mode="print", key=PICTURE_KEY)
        )
        args = ffmpeg_python.output(
            stream, "pipe:1", format="rawvideo", pix_fmt=pixels, **passthrough_args()
        ).get_args()
        return command(args, self._file, "repeat+level+info")

    def _advance(self) -> None:
        """Read the next source frame into `_coming`, or find the end of the track."""
        while True:
            block = self._stream.read_block()
            if block is None or len(block) < self._frame_bytes:
                self.has_ended = True
                return
            pts, _ = self._stamps.pop(self._file)
            self._count += 1
            time_s = self._time_of(pts)
            if self._last_s is not None and time_s <= self._last_s:
                self._backward += 1
                continue  # a player has shown a later frame by then
            self._last_s = time_s
            self._expected_s = time_s + self._period_s
            self._held = self._coming
            frame = np.frombuffer(block, np.uint8).reshape(self._shape)
            self._coming = (time_s, frame)
            return

    def _time_of(self, pts: int | None) -> float:
        """Seconds on the timeline for a time stamp; a frame without one follows the last."""
        if self._first_s is not None:
            counted_s = self._first_s + (self._count - 1) * self._period_s
            if pts is not None:
                self._drift.note((pts - self._start_ticks) / _TICKS - counted_s)
            return counted_s
        if pts is None:
            return self._expected_s
        if self._first_ticks is not None:
            # Decoding order only: frames come out late by what the decoder held back at first.
            self._start_ticks += pts - self._first_ticks
            self._first_ticks = None
        raw_s = (pts - self._start_ticks) / _TICKS
        self._steady += 1
        if self._epochs.is_jump(raw_s + self._correction_s - self._expected_s):
            if self._steady > STEADY:
                self._correction_s = self._epochs.correction(self._expected_s - raw_s)
            self._steady = 0
        return raw_s + self._correction_s

    def each(self) -> Iterator[tuple[float, np.ndarray]]:
        """Every source frame with its time on the timeline, in place of `fill`."""
        while True:
            self._advance()
            if self.has_ended or self._coming is None:
                return
            yield self._coming

    def fill(self, frames: np.ndarray, valid: np.ndarray) -> int:
        """Fill the next n timeline frames.

        Args:
            frames: (n, H, W, 3) or (n, 3 H / 2, W) uint8, written.
            valid: (n,) bool, written; False where no source frame is near.

        Returns:
            How many of the n lie before the end of the track (n until it ends, then fewer, then 0).
        """
        within = 0
        for n in range(len(frames)):
            at = (self._next_k + n) / FPS
            while not self.has_ended and (self._coming is None or self._coming[0] < at):
                self._advance()
            best = self._coming
            earlier = self._held
            if earlier is not None and best is not None and at - earlier[0] <= best[0] - at:
                best = earlier
            if best is None:
                frames[n:] = 0
                valid[n:] = False
                break
            frames[n] = best[1]
            valid[n] = abs(best[0] - at) <= self._reach_s
            if not self.has_ended or at < self.end_s - 1e-6:
                within = n + 1
        self._next_k += len(frames)
        return within

    def next_s(self) -> float:
        """When the next source frame is shown that has not been; infinite if there is none."""
        at = self._next_k / FPS
        while not self.has_ended and (self._coming is None or self._coming[0] < at):
            self._advance()
        later = self._coming is not None and self._coming[0] >= at
        return self._coming[0] if later and self._coming is not None else math.inf

    @property
    def doubt(self) -> str:
        """Why the pictures' times cannot be believed, by what was read so far; "" if they can."""
        if self._drift.is_lasting:
            return "pictures are missing among those without a time stamp"
        if self._backward > max(STEADY, MOST_BACKWARD * self._count):
            return "the pictures' time stamps run backwards again and again"
        return self._track.stamps_reason

    @property
    def end_s(self) -> float:
        """End of the last source frame read, seconds from the file's zero."""
        return 0.0 if self._last_s is None else self._last_s + self._period_s
