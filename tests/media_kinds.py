"""Kinds of picture and sound, and the encoders that make them."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Sequence

from avsync_cli.media.ffmpeg import find_ffmpeg

_X264 = ["-preset", "ultrafast", "-bf", "2", "-g", "25", "-pix_fmt", "yuv420p"]
_X265 = ["-preset", "ultrafast", "-x265-params", "log-level=none:pools=none:frame-threads=1"]
_VPX = ["-deadline", "realtime", "-cpu-used", "8", "-b:v", "200k", "-g", "25"]
_AOM = ["-usage", "realtime", "-cpu-used", "8", "-b:v", "200k", "-g", "25"]
_FIELDS = ["-flags", "+ildct+ilme", "-q:v", "3", "-g", "12", "-bf", "2"]

VIDEO: dict[str, list[list[str]]] = {
    "h264": [["libx264", *_X264]],
    "h264 4:4:4": [["libx264", *_X264[:-1], "yuv444p"]],
    "hevc 10 bit": [["libx265", *_X265, "-pix_fmt", "yuv420p10le"]],
    "vp8": [["libvpx", *_VPX]],
    "vp9": [["libvpx-vp9", *_VPX]],
    "av1": [["libaom-av1", *_AOM], ["libsvtav1", "-preset", "12"]],
    "mpeg1": [["mpeg1video", "-q:v", "3", "-bf", "2"]],
    "mpeg2": [["mpeg2video", "-q:v", "3", "-bf", "2"]],
    "mpeg2 interlaced": [["mpeg2video", *_FIELDS]],
    "mpeg4": [["mpeg4", "-q:v", "3"]],
    "mpeg4 B frames": [["mpeg4", "-q:v", "3", "-bf", "2"]],
    "mjpeg": [["mjpeg", "-q:v", "5", "-pix_fmt", "yuvj420p"]],
    "prores": [["prores_ks", "-profile:v", "0", "-pix_fmt", "yuv422p10le"]],
    "theora": [["libtheora", "-q:v", "5"]],
    "h263": [["h263", "-q:v", "3"]],
    "flv1": [["flv", "-q:v", "3"]],
    "wmv2": [["wmv2", "-q:v", "3"]],
    "ffv1": [["ffv1"]],
    "copy": [["copy"]],
}
"""Encoders with their settings for each kind of picture, the preferred one first."""

AUDIO: dict[str, list[list[str]]] = {
    "aac": [["aac"]],
    "mp3": [["libmp3lame"], ["libshine"]],
    "mp2": [["mp2"]],
    "ac3": [["ac3"]],
    "eac3": [["eac3"]],
    "opus": [["libopus"]],
    "vorbis": [["libvorbis"]],
    "flac": [["flac"]],
    "alac": [["alac"]],
    "pcm 16 bit": [["pcm_s16le"]],
    "pcm 24 bit": [["pcm_s24le"]],
    "pcm 8 bit": [["pcm_u8"]],
    "pcm dvd": [["pcm_dvd"]],
    "wma2": [["wmav2"]],
    "adpcm": [["adpcm_ima_wav"]],
}

LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


@functools.cache
def encoders() -> frozenset[str]:
    """Names of the encoders of the ffmpeg in use."""
    command = [str(find_ffmpeg()), "-hide_banner", "-encoders"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    rows = [line.split() for line in lines.splitlines()]
    return frozenset(row[1] for row in rows if len(row) > 1)


def encoder(choices: Sequence[Sequence[str]]) -> Sequence[str] | None:
    """The first of `choices` that this ffmpeg has, with its settings; None if it has none."""
    there = (c for c in choices if c[0] in encoders() or c[0] == "copy")
    return next(iter(there), None)
