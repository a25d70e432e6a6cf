"""A copy of a file whose sound is moved by a known amount: the truth that estimates are held to."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import ffmpeg as ffmpeg_python

from avsync_cli.errors import UsageError
from avsync_cli.files import file_beside
from avsync_cli.media.facts import MediaInfo, pick_audio, pick_video
from avsync_cli.media.ffmpeg import INPUT, command, input_args
from avsync_cli.media.packets import end_s
from avsync_cli.media.probe import probe
from avsync_cli.media.process import FfmpegStream, not_written
from avsync_cli.media.source import Source

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
        hint = f"name it with one of {', '.join(SOUND_CODECS)}"
        raise Source.of(dst).error(UsageError, "cannot write this kind of file", hint)
    info = probe(src)
    video, audio = pick_video(info, 0), pick_audio(info, 0)
    if target.exists() and target.samefile(os.fsdecode(src)):
        raise Source.of(dst).error(UsageError, "source and target are the same file")
    ends_s = end_s(info, video)
    if abs(offset_ms) / 1000 >= ends_s:
        what = f"an offset of {offset_ms:g} ms is longer than the file"
        raise info.file.error(UsageError, what, f"stay below {ends_s * 1000:.0f} ms")
    source = ffmpeg_python.input(INPUT, **input_args())
    # Both streams come from one process, so ffmpeg puts both on the file's own zero; the filter
    # fills whatever lies between that zero and the first sample, and any gap.
    sound = source[audio.spec].filter("aresample", **{"async": 1, "first_pts": 0})
    rate_hz = audio.rate_hz
    moved = round(abs(offset_ms) * rate_hz / 1000)
    if offset_ms > 0 and moved:
        sound = sound.filter("adelay", f"{moved}S", all=1)
    elif moved:
        sound = sound.filter("atrim", start_sample=moved).filter("asetpts", "N/SR/TB")
    sound = sound.filter("apad").filter("atrim", end=f"{ends_s:.6f}")
    _write(info, source[video.spec], sound, target, codec)


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
            hint = "the picture's codec may not fit this container: try .mkv"
            raise not_written(target, stream.last_error(), hint)
