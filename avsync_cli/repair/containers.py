"""Containers that `avsync fix` writes: which sound each takes, and how sound is encoded for it.

Sound that is encoded again keeps its codec where ffmpeg can write that codec and the container
takes it, else gets the container's usual one; rate and channels stay.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avsync_cli.errors import UsageError
from avsync_cli.media.source import Source

_CUTTABLE = frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "dts"})
"""Lossy codecs whose packets decode from any of them on. Vorbis is none: the first packet after a
cut gives no sound, which moves all that follows. Nor is Opus outside of mp4: what decoders skip at
the beginning of the track is written down as time in one place and not in the other."""

_LOSSLESS = frozenset({"flac", "alac", "truehd", "mlp", "tta", "wavpack", "als", "dst"})

_FREE = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"})
_PCM = frozenset({"pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_u8"})
_PCM_MOV = _PCM | {"pcm_s16be", "pcm_s24be", "pcm_s32be", "pcm_f32be", "pcm_alaw", "pcm_mulaw"}


@dataclass(frozen=True, kw_only=True)
class Carrier:
    """One kind of container.

    Attributes:
        family: "mov", "matroska", "ts", "mxf" or "" for a container of its own: how what is not
            sound is kept.
        codecs: sound codecs it takes, as ffmpeg names them.
        lossy: codec for sound that was lossy and cannot keep its codec.
        lossless: the same for sound without loss.
        drops: codecs whose packets may be dropped at the beginning, with what is left of the
            move, less than half a packet, in the time stamps: measured to be moved for readers of
            time stamps and for those that ignore them (docs/fix.md).
        attaches: whether it takes attachments.
        fills: whether sound must last as long as the picture, or pictures are lost.
        rates_hz: rates that it takes; any if empty.
        renumbers: whether the writer numbers streams in a way of its own.
    """

    family: str = ""
    codecs: frozenset[str]
    lossy: str
    lossless: str
    drops: frozenset[str] = frozenset()
    attaches: bool = False
    fills: bool = False
    rates_hz: tuple[int, ...] = ()
    renumbers: bool = False


def _carrier(
    codecs: Iterable[str], lossy: str, lossless: str, family: str = "", **more: Any
) -> Carrier:
    return Carrier(family=family, codecs=frozenset(codecs), lossy=lossy, lossless=lossless, **more)


_MP4 = _carrier(_FREE, "aac", "alac", "mov", drops=_CUTTABLE | {"opus"})
_3GP = _carrier({"aac"}, "aac", "aac", "mov", drops=_CUTTABLE)
_MOV = _carrier(
    {"aac", "mp3", "ac3", "eac3", "alac"} | _PCM_MOV, "aac", "alac", "mov", drops=_CUTTABLE
)
_MKV = _carrier(
    _FREE | _PCM | {"mp2", "vorbis"}, "flac", "flac", "matroska", drops=_CUTTABLE, attaches=True
)
_WEBM = _carrier({"opus", "vorbis"}, "opus", "opus", "matroska")
_TS = _carrier({"aac", "mp2", "mp3", "ac3", "eac3"}, "aac", "aac", "ts", drops=_CUTTABLE)
_BLURAY = _carrier({"aac", "ac3", "eac3"}, "ac3", "ac3", "ts", drops=_CUTTABLE, renumbers=True)
_AVI = _carrier({"pcm_s16le", "pcm_u8", "ac3"}, "ac3", "pcm_s16le")
_MXF = _carrier(
    {"pcm_s16le", "pcm_s24le"}, "pcm_s16le", "pcm_s16le", "mxf", fills=True, rates_hz=(48_000,)
)
_MPEG = _carrier({"mp2", "ac3"}, "mp2", "mp2")

CARRIERS = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": _MOV,
    ".qt": _MOV,
    ".3gp": _3GP,
    ".3g2": _3GP,
    ".mkv": _MKV,
    ".webm": _WEBM,
    ".ts": _TS,
    ".m2ts": _BLURAY,
    ".mts": _BLURAY,
    ".avi": _AVI,
    ".flv": _carrier({"aac", "mp3"}, "aac", "aac"),
    ".mxf": _MXF,
    ".mpg": _MPEG,
    ".mpeg": _MPEG,
    ".vob": _carrier({"mp2", "ac3"}, "ac3", "ac3"),
}
"""By extension. What is not here is not written: a lag moved into a container nobody measured
could be seen by one player and missed by the next: the first of WMA's sound is lost on naive
readers."""

_ENCODERS = {"mp3": "libmp3lame", "opus": "libopus", "vorbis": "libvorbis"}

_STEPS_KBPS = {
    "mp2": (64, 96, 128, 160, 192, 224, 256, 320, 384),
    "mp3": (64, 96, 128, 160, 192, 224, 256, 320),
    "ac3": (96, 128, 192, 224, 256, 320, 384, 448, 640),
}
"""Bit rates that these codecs have; others take any."""

_VORBIS_QUALITY = "8"
"""256 kb/s for stereo at 44.1 kHz; its encoder refuses bit rates that it has no setting for."""

_OPUS_RATES_HZ = (8000, 12_000, 16_000, 24_000, 48_000)


def carrier(path: str | os.PathLike[str]) -> Carrier:
    """What is known of the container that `path`'s extension names.

    Raises:
        UsageError: for an extension that avsync does not write.
    """
    found = CARRIERS.get(Path(os.fsdecode(path)).suffix.lower())
    if found is None:
        hint = f"name the output with one of {', '.join(CARRIERS)}"
        raise Source.of(path).error(UsageError, "cannot write this kind of file", hint)
    return found


def carried_suffix(path: str | os.PathLike[str]) -> str:
    """The ending of a copy: the file's own where avsync writes it, else .mkv, which holds all.

    >>> carried_suffix("a.MP4"), carried_suffix("a.wmv")
    ('.MP4', '.mkv')
    """
    suffix = Path(os.fsdecode(path)).suffix
    return suffix if suffix.lower() in CARRIERS else ".mkv"


def is_lossless(codec: str) -> bool:
    """Whether sound in `codec` comes back as it went in, so that coding it again costs nothing."""
    return codec in _LOSSLESS or codec.startswith("pcm_")


def sound_codec(into: Carrier, codec: str) -> str:
    """The codec in which sound that was in `codec` is encoded for a container.

    >>> sound_codec(CARRIERS[".mp4"], "opus"), sound_codec(CARRIERS[".webm"], "aac")
    ('opus', 'opus')
    """
    if codec in into.codecs:
        return codec
    return into.lossless if is_lossless(codec) else into.lossy


def encoder_options(
    codec: str, position: int, channels: int, rate_hz: int, source_kbps: int
) -> dict[str, str]:
    """ffmpeg's output options that encode one track.

    Args:
        codec: from `sound_codec`.
        position: number of the track among the output's sound tracks.
        channels, rate_hz: of the source.
        source_kbps: the source's bit rate, 0 if unknown; the new one is never lower, as far as
            the codec goes.
    """
    options = {f"c:a:{position}": _ENCODERS.get(codec, codec)}
    if codec == "vorbis":
        options[f"q:a:{position}"] = _VORBIS_QUALITY
    elif not is_lossless(codec):
        options[f"b:a:{position}"] = f"{_kbps(codec, channels, source_kbps)}k"
    if codec == "opus" and rate_hz not in _OPUS_RATES_HZ:
        options[f"ar:a:{position}"] = "48000"
    return options


def _kbps(codec: str, channels: int, source_kbps: int) -> int:
    """Enough that a second coding is not heard: 192 kb/s for stereo, 128 for mono, 80 a channel."""
    usual = {1: 128, 2: 192}.get(channels, 80 * channels)
    wanted = max(usual, source_kbps)
    steps = _STEPS_KBPS.get(codec)
    if steps is None:
        return min(wanted, 256 * channels)
    return next((step for step in steps if step >= wanted), steps[-1])
