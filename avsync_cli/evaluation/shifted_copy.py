"""A copy of a file whose sound is moved by a known amount: the truth that estimates are held to."""

from __future__ import annotations

import math
import os
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg as ffmpeg_python

from avsync_cli.errors import DecodeError, UsageError
from avsync_cli.files import file_beside
from avsync_cli.media.decode import pick_audio, pick_video
from avsync_cli.media.ffmpeg import (
    INPUT,
    command,
    display_name,
    input_args,
)
from avsync_cli.media.probe import MediaInfo, VideoTrack, probe
from avsync_cli.media.process import FfmpegStream

SOUND_CODECS = {
    ".mp4": {"acodec": "aac", "audio_bitrate": "192k"},
    ".m4v": {"acodec": "aac", "audio_bitrate": "192k"},
    ".mov": {"acodec": "pcm_s16le"},
    ".mkv": {"acodec": "flac"},
    ".webm": {"acodec": "libopus", "audio_bitrate": "128k"},
    ".ts": {"acodec": "aac", "audio_bitrate": "192k"},
    ".avi": {"acodec": "pcm_s16le"},
}
"""How the moved sound is coded: without loss and delay where the container takes it."""


def shift_sound(src: str | os.PathLike[str], dst: str | os.PathLike[str], offset_ms: float) -> None:
    """Write `dst`: the picture of `src` as it is, its sound later by `offset_ms`.

    The sound is moved in its samples: silence is put before it (offset > 0) or its beginning cut
    off (offset < 0), then it is cut or filled up to the end of the picture. Only the first video
    and the first audio track are kept. The file appears whole or not at all.

    Args:
        src: a file with picture and sound.
        dst: the new file; its extension names the container, one of SOUND_CODECS.
        offset_ms: > 0 makes the sound LATE, < 0 EARLY.

    Raises:
        UsageError: unknown extension, `dst` is `src`, or the offset is longer than the file.
        DecodeError: ffmpeg could not write it.
        FileMissingError, NotMediaError, NoPictureError, NoSoundError: as `probe` and `Timeline`.
    """
    target = Path(os.fsdecode(dst))
    codec = SOUND_CODECS.get(target.suffix.lower())
    if not math.isfinite(offset_ms):
        raise UsageError(f"the offset must be a number of ms, not {offset_ms}")
    if codec is None:
        raise UsageError(
            f"cannot write this kind of file: {display_name(dst)}",
            f"name it with one of {', '.join(SOUND_CODECS)}",
        )
    info = probe(src)
    video, audio = pick_video(info, 0), pick_audio(info, 0)
    if target.exists() and target.samefile(os.fsdecode(src)):
        raise UsageError(f"source and target are the same file: {display_name(dst)}")
    end_s = picture_end_s(info, video)
    if abs(offset_ms) / 1000 >= end_s:
        raise UsageError(
            f"an offset of {offset_ms:g} ms is longer than the file: {display_name(src)}",
            f"stay below {end_s * 1000:.0f} ms",
        )
    source = ffmpeg_python.input(INPUT, **input_args())
    # Both streams come from one process, so ffmpeg puts both on the file's own zero; the filter
    # fills whatever lies between that zero and the first sample, and any gap.
    sound = source[str(audio.index)].filter("aresample", **{"async": 1, "first_pts": 0})
    rate_hz = audio.rate_hz
    moved = round(abs(offset_ms) * rate_hz / 1000)
    if offset_ms > 0 and moved:
        sound = sound.filter("adelay", f"{moved}S", all=1)
    elif moved:
        sound = sound.filter("atrim", start_sample=moved).filter("asetpts", "N/SR/TB")
    sound = sound.filter("apad").filter("atrim", end=f"{end_s:.6f}")
    _write(info, source[str(video.index)], sound, target, codec)


def _write(
    info: MediaInfo,
    picture: Any,
    sound: Any,
    target: Path,
    codec: dict[str, str],
) -> None:
    with file_beside(target) as partial:
        output = ffmpeg_python.output(picture, sound, f"file:{partial}", vcodec="copy", **codec)
        # Its words on the pipe show that it is alive: what is silent for a minute counts as hung.
        args = [*output.overwrite_output().get_args(), "-progress", "pipe:1"]
        with FfmpegStream(command(args, info.path), path=info.path, block_bytes=4096) as stream:
            while stream.read_block() is not None:
                pass
            status = stream.finish()
        if status != 0 or partial.stat().st_size == 0:
            said = stream.last_error()
            raise DecodeError(
                f"cannot write {display_name(target)}{f' ({said})' if said else ''}",
                "the picture's codec may not fit this container: try .mkv",
                os.fspath(target),
            )


def picture_end_s(info: MediaInfo, video: VideoTrack) -> float:
    """When the last frame ends, seconds from the file's zero; reads the track, decodes nothing."""
    source = ffmpeg_python.input(INPUT, copyts=None, **input_args())
    args = ffmpeg_python.output(
        source[str(video.index)], "pipe:1", format="framecrc", c="copy", copyinkf=None
    ).get_args()
    tick_s = Fraction(1, 1000)
    end = Fraction(0)
    rest = b""
    with FfmpegStream(command(args, info.path), path=info.path, block_bytes=16_384) as stream:
        while (block := stream.read_block()) is not None:
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                if match := re.match(rb"#tb 0: (\d+)/(\d+)", line):
                    tick_s = Fraction(int(match.group(1)), int(match.group(2)))
                elif match := re.match(rb"0,\s*-?\d+,\s*(-?\d+),\s*(\d+),", line):
                    span = max(int(match.group(2)) * tick_s, 1 / video.fps)
                    end = max(end, int(match.group(1)) * tick_s + span)
    return float(end - info.start_s)
