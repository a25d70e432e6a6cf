"""Small extras for reports, fetched after a file was judged: single pictures, and loudness."""

from __future__ import annotations

import ffmpeg as ffmpeg_python
import numpy as np

from avsync_cli.errors import MediaError
from avsync_cli.media.clock import Epochs, Stretch
from avsync_cli.media.facts import AudioTrack, MediaInfo, VideoTrack
from avsync_cli.media.ffmpeg import INPUT, command, input_args
from avsync_cli.media.picture import frame_size
from avsync_cli.media.process import FfmpegStream
from avsync_cli.media.sound import SoundReader
from avsync_cli.timebase import HOPS_PER_FRAME, SAMPLES_PER_FRAME

QUIET_DB = -90.0
"""Loudness given for digital silence and for sound that is not there."""

MAX_HEIGHT = 180
"""To which pictures are scaled down."""

_MOST_BYTES = 4 << 20


def still(info: MediaInfo, track: VideoTrack, at_s: float) -> bytes | None:
    """One picture of a film as a small JPEG, or None where none can be had.

    Args:
        info, track: from `probe`.
        at_s: on avsync's timeline; the picture shown then or right after.
    """
    height, width = frame_size(track.width, track.height, MAX_HEIGHT)
    stream = ffmpeg_python.input(INPUT, **input_args(), ss=f"{max(0.0, at_s):.3f}", threads=1)
    stream = (
        stream[track.spec]
        .filter("bwdif", mode="send_frame", deint="interlaced")
        .filter("scale", width, height, flags="area", out_range="full")
        .filter("setsar", 1)
    )
    options = {"vframes": 1, "format": "image2pipe", "vcodec": "mjpeg", "pix_fmt": "yuvj420p"}
    args = ffmpeg_python.output(
        stream, "pipe:1", **options, **{"q:v": 4}, map_metadata=-1
    ).get_args()
    data = b""
    try:
        with FfmpegStream(command(args, info.file), path=info.file, block_bytes=65_536) as jpeg:
            while (block := jpeg.read_block()) is not None and len(data) < _MOST_BYTES:
                data += block
    except MediaError:
        return None
    whole = data.startswith(b"\xff\xd8") and data.rstrip(b"\0").endswith(b"\xff\xd9")
    return data if whole else None


def key_picture(info: MediaInfo, track: VideoTrack, at_s: float) -> np.ndarray | None:
    """The last key frame before a time, which is the cheapest picture near it that can be had.

    Args:
        info, track: from `probe`.
        at_s: on avsync's timeline.

    Returns:
        (3 H / 2, W) uint8, brightness above colours as in `TimelineChunk`, or None where none can
        be had.
    """
    height, width = frame_size(track.width, track.height, MAX_HEIGHT)
    options = {**input_args(), "noaccurate_seek": None, "ss": f"{max(0.0, at_s):.3f}"}
    stream = ffmpeg_python.input(INPUT, **options, skip_frame="nokey", threads=1)[track.spec]
    stream = stream.filter("scale", width, height, flags="fast_bilinear", out_range="tv")
    args = ffmpeg_python.output(
        stream, "pipe:1", vframes=1, format="rawvideo", pix_fmt="yuv420p"
    ).get_args()
    size = height * 3 // 2 * width
    try:
        with FfmpegStream(command(args, info.file), path=info.file, block_bytes=size) as raw:
            block = raw.read_block()
    except MediaError:
        return None
    if block is None or len(block) < size:
        return None
    return np.frombuffer(block, np.uint8).reshape(height * 3 // 2, width)


def loudness(
    info: MediaInfo,
    video: VideoTrack,
    audio: AudioTrack,
    start_s: float = 0.0,
    end_s: float | None = None,
) -> np.ndarray:
    """How loud the sound of a film is, frame after frame.

    Args:
        info, video, audio: from `probe`; the picture only lends its clock.
        start_s, end_s: the part of the timeline, rounded to frames; None is the end of the track.

    Returns:
        (n,) float32, RMS of every 40 ms in dB below full scale, QUIET_DB at the least.

    Raises:
        DecodeError: nothing could be decoded.
    """
    duration_s = None if end_s is None else end_s - start_s
    stretch = Stretch.of(info, video, start_s, duration_s)
    first, last = stretch.first_frame, stretch.end_frame
    parts: list[np.ndarray] = []
    sound = np.empty(100 * SAMPLES_PER_FRAME, np.float32)
    valid = np.empty(100 * HOPS_PER_FRAME, bool)
    count = 100
    with SoundReader(info, audio, stretch, Epochs(info)) as reader:
        while count == 100:
            count = reader.fill(sound, valid)
            reader.check()
            power = np.square(sound).reshape(-1, SAMPLES_PER_FRAME).mean(axis=1)[:count]
            parts.append(10.0 * np.log10(np.maximum(power, 10.0 ** (QUIET_DB / 10.0))))
            if last is not None and first + 100 * len(parts) >= last:
                break
    levels: np.ndarray = np.concatenate(parts).astype(np.float32)
    return levels if last is None else levels[: last - first]
