"""The sound on avsync's clock: mono samples at j/16000 s, from exact time stamps.

ffmpeg decodes and resamples; where each piece belongs is decided here from its time stamp, so that
gaps become silence that is known to be filler, and nothing slides.
"""

from __future__ import annotations

import math

import ffmpeg as ffmpeg_python
import numpy as np

from avsync_cli.media.clock import STEADY, Epochs, Stretch
from avsync_cli.media.facts import AudioTrack, MediaInfo
from avsync_cli.media.ffmpeg import INPUT, command, input_args
from avsync_cli.media.process import FfmpegStream
from avsync_cli.media.reader import TrackReader
from avsync_cli.timebase import HOP_SAMPLES, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

JUMP_SAMPLES = 480
"""30 ms: a time stamp further than this from where the sound stands is a gap, taken at once."""

PATIENCE_SAMPLES = 4800
"""0.3 s: for so long time stamps must go on lying before where the sound stands to be believed.
What comes twice cannot be played twice; single stamps out of order are a damaged file's."""

SLIP_SAMPLES = 64
"""4 ms: a lasting difference beyond this is corrected; less is the rounding of time stamps."""

SLIP_WEIGHT = 1 / 8
"""Weight of the newest piece in the running mean of that difference."""

CANCEL_RATIO = 0.1
"""Share of the channels' mean power below which their sum counts as cancelled out."""

MAX_MIX_CHANNELS = 8
"""Up to here layouts are known and ffmpeg mixes to stereo; beyond, channels are averaged."""


def to_mono(channels: np.ndarray) -> np.ndarray:
    """Mix (n, C) float32 down to (n,) without losing sound that is in opposite phase.

    The mean of the channels, unless they cancel (a phase-inverted stereo pair): then the loudest
    channel alone.
    """
    if channels.shape[1] == 1:
        return channels[:, 0]
    mixed: np.ndarray = channels.mean(axis=1, dtype=np.float32)
    powers = np.mean(np.square(channels, dtype=np.float32), axis=0)
    if float(np.mean(np.square(mixed))) < CANCEL_RATIO * float(powers.mean()):
        return np.asarray(channels[:, int(powers.argmax())])
    return mixed


class SoundReader(TrackReader):
    """Timeline sound in order, from one ffmpeg process.

    Args:
        info: the file.
        track: which of its audio tracks.
        stretch: what of it.
        epochs: corrections shared with the picture.
    """

    def __init__(
        self, info: MediaInfo, track: AudioTrack, stretch: Stretch, epochs: Epochs
    ) -> None:
        super().__init__("sound", info, stretch, epochs)
        self._channels = min(track.channels, 2) if track.channel is None else 1
        if track.channels > MAX_MIX_CHANNELS and track.channel is None:
            self._channels = track.channels
        self._zero = round(stretch.zero_s * SAMPLE_RATE_HZ)
        self._next = stretch.first_frame * SAMPLES_PER_FRAME
        self._correction = 0
        self._bytes = bytearray()
        self._piece: tuple[int, np.ndarray] | None = None
        self._cursor = self._next
        self._placed = False
        self._slip = 0.0
        self._behind = 0
        self._steady = STEADY
        self._stream = FfmpegStream(
            self._compose(track),
            path=info.file,
            block_bytes=16_384 * self._channels,
            max_blocks=64,
            on_line=self._stamps.take_line,
        )

    def _compose(self, track: AudioTrack) -> list[str]:
        options = dict(input_args(), copyts=None, **self._stretch.input_options())
        stream = ffmpeg_python.input(INPUT, **options)[track.spec]
        bounds = self._stretch.bounds(0.1)
        if bounds:
            stream = stream.filter("atrim", **bounds)
        wanted = {"sample_rates": str(SAMPLE_RATE_HZ), "sample_fmts": "flt"}
        if track.channel is not None:
            stream = stream.filter("channelmap", map=str(track.channel), channel_layout="mono")
        elif track.channels <= MAX_MIX_CHANNELS:
            wanted["channel_layouts"] = "mono" if track.channels == 1 else "stereo"
        stream = stream.filter("aformat", **wanted).filter("asettb", f"1/{SAMPLE_RATE_HZ}")
        stream = stream.filter("ashowinfo")
        args = ffmpeg_python.output(stream, "pipe:1", format="f32le").get_args()
        return command(args, self._file, "repeat+level+info")

    def _read_piece(self) -> bool:
        """Read the next decoded piece and place it; False at the end of the track."""
        while self._bytes or self._read_block():
            pts, samples = self._stamps.pop(self._file)
            size = samples * self._channels * 4
            while len(self._bytes) < size:
                if not self._read_block():
                    return False
            if samples == 0:
                continue
            raw = np.frombuffer(bytes(self._bytes[:size]), "<f4").reshape(samples, self._channels)
            del self._bytes[:size]
            self._count += samples
            sound = to_mono(raw)
            if not np.isfinite(sound).all():
                sound = np.nan_to_num(sound, nan=0.0, posinf=1.0, neginf=-1.0)
            self._piece = (self._place(pts, samples), sound.clip(-1.0, 1.0))
            return True
        return False

    def _read_block(self) -> bool:
        """Read more of the raw sound; False at the end of the track."""
        block = self._stream.read_block()
        self.has_ended = block is None
        self._bytes += block or b""
        return not self.has_ended

    def _place(self, pts: int | None, samples: int) -> int:
        """Where on the timeline (in samples) a piece begins; moves the cursor past it."""
        at = self._cursor
        if pts is not None:
            off = pts - self._zero + self._correction - at
            self._steady += 1
            if self._epochs.is_jump(off / SAMPLE_RATE_HZ) and (self._placed or off > 0):
                if self._steady > STEADY:
                    needed_s = (at - (pts - self._zero)) / SAMPLE_RATE_HZ
                    self._correction = round(self._epochs.correction(needed_s) * SAMPLE_RATE_HZ)
                    off = pts - self._zero + self._correction - at
                self._steady = 0
            self._behind = self._behind + samples if off < -JUMP_SAMPLES else 0
            if not self._placed or off > JUMP_SAMPLES or self._behind > PATIENCE_SAMPLES:
                at, self._slip = at + off, 0.0
            elif not self._behind:
                self._slip += SLIP_WEIGHT * (off - self._slip)
                if abs(self._slip) > SLIP_SAMPLES:
                    at, self._slip = at + round(self._slip), 0.0
        self._placed = True
        self._cursor = at + samples
        return at

    def fill(self, sound: np.ndarray, valid: np.ndarray) -> int:
        """Fill the next n frames' worth of sound.

        Args:
            sound: (n * 640,) float32, written; -1..1, silence where there is none.
            valid: (n * 4,) bool, written, one per 10 ms; False where silence was filled in.

        Returns:
            How many of the n frames begin before the end of the track.
        """
        count = len(sound)
        begin = self._next
        sound[:] = 0.0
        covered = np.zeros(count, bool)
        while True:
            if self._piece is None and (self.has_ended or not self._read_piece()):
                break
            assert self._piece is not None
            at, piece = self._piece
            low, high = max(at, begin), min(at + len(piece), begin + count)
            if low < high:
                sound[low - begin : high - begin] = piece[low - at : high - at]
                covered[low - begin : high - begin] = True
            if at + len(piece) > begin + count:
                break  # the rest of it belongs to the next chunk
            self._piece = None
        valid[:] = covered.reshape(-1, HOP_SAMPLES).all(axis=1)
        self._next += count
        frames = count // SAMPLES_PER_FRAME
        if not self.has_ended or self._piece is not None:
            return frames
        left = max(0, self._cursor - begin)
        return min(frames, -(-left // SAMPLES_PER_FRAME))

    def next_s(self) -> float:
        """When sound comes next that was not read yet; infinite if there is none."""
        if self._piece is None and (self.has_ended or not self._read_piece()):
            return math.inf
        assert self._piece is not None
        return self._piece[0] / SAMPLE_RATE_HZ

    @property
    def end_s(self) -> float:
        """End of the sound read so far, seconds from the timeline's zero; 0 for none."""
        return self._cursor / SAMPLE_RATE_HZ if self._count else 0.0
