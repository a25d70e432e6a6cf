"""What ffmpeg prints about its input, read line by line: there may be no ffprobe to ask."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from avsync_cli.errors import NotMediaError
from avsync_cli.media.ffmpeg import clean_line, display_name

_NOT_MEDIA_HINT = "give a video file such as mp4, mov, mkv, webm or ts (not a playlist)"

_CHANNELS = {
    "mono": 1,
    "stereo": 2,
    "downmix": 2,
    "binaural": 2,
    "quad": 4,
    "hexagonal": 6,
    "octagonal": 8,
    "cube": 8,
    "hexadecagonal": 16,
}


@dataclass
class Listed:
    """A track as the listing has it, before its packets were looked at."""

    kind: str
    index: int
    codec: str
    width: int = 0
    height: int = 0
    aspect: Fraction = Fraction(1)
    rotation: float = 0.0
    fps: str = ""
    is_cover: bool = False
    rate_hz: int = 0
    channels: int = 0
    language: str = ""


@dataclass
class Listing:
    container: str = ""
    start_s: Fraction = Fraction(0)
    duration_s: float = 0.0
    tracks: list[Listed] = field(default_factory=list)


def displayed_size(track: Listed) -> tuple[int, int]:
    width = max(1, round(track.width * track.aspect)) if track.width else 0
    height = track.height
    # A player turns the picture by quarter turns; other angles keep the frame's size.
    if abs(abs(track.rotation) % 180 - 90) < 1:
        width, height = height, width
    return width, height


def _ratio(text: str) -> Fraction:
    """ "4:3" as a fraction; 1 for what is absent, zero or beyond any real pixel shape."""
    match = re.fullmatch(r"(\d+):(\d+)", text)
    if not match or int(match.group(1)) == 0 or int(match.group(2)) == 0:
        return Fraction(1)
    ratio = Fraction(int(match.group(1)), int(match.group(2)))
    return ratio if Fraction(1, 10) <= ratio <= 10 else Fraction(1)


def _language(text: str) -> str:
    return "" if text == "und" else text


def _not_media(path: str | os.PathLike[str], lines: Sequence[str]) -> NotMediaError:
    cleaned = [clean_line(line, path) for line in lines if line.strip()]
    said = f" ({cleaned[-1]})" if cleaned else ""
    return NotMediaError(
        f"not a media file avsync can open{said}: {display_name(path)}",
        _NOT_MEDIA_HINT,
        os.fsdecode(path),
    )


_DURATION = re.compile(
    r"  Duration: (?:(\d+):(\d\d):(\d\d\.\d+)|[^,]*)(?:, start: (-?\d+(?:\.\d+)?))?"
)
"""Damaged files have durations that are below zero; then there is none."""

_STREAM = re.compile(
    r" {2,4}Stream #0:(?P<index>\d+)(?:\[0x[0-9a-f]+\])?(?:\((?P<language>[^)]*)\))?: "
    r"(?P<kind>Video|Audio): (?P<rest>.*)"
)


def parse_listing(lines: Sequence[str], path: str | os.PathLike[str]) -> Listing:
    """Read what ffmpeg prints about its input."""
    listing: Listing | None = None
    for line in lines:
        if match := re.match(r"Input #0, (.*?), from '", line):
            listing = Listing(container=match.group(1))
        elif listing is None:
            continue
        elif match := _DURATION.match(line):
            if match.group(1):
                hours, minutes, seconds = match.group(1, 2, 3)
                listing.duration_s = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
            listing.start_s = Fraction(match.group(4) or "0")
        elif match := _STREAM.match(line):
            listing.tracks.append(_parse_stream(match))
        elif listing.tracks and (match := re.match(r"\s+.*rotation of (-?[\d.]+) degrees", line)):
            listing.tracks[-1].rotation = float(match.group(1))
    if listing is None:
        raise _not_media(path, lines)
    return listing


def _parse_stream(match: re.Match[str]) -> Listed:
    rest = match.group("rest")
    codec = re.match(r"[^\s,]+", rest)
    track = Listed(
        match.group("kind").lower(),
        int(match.group("index")),
        codec.group(0) if codec else "none",
        language=_language(match.group("language") or ""),
    )
    if track.kind == "audio":
        rate = re.search(r", (\d+) Hz(?:, ([^,]+))?", rest)
        if rate:
            track.rate_hz = int(rate.group(1))
            track.channels = _channel_count(rate.group(2) or "")
        return track
    if size := re.search(r", (\d+)x(\d+)", rest):
        track.width, track.height = int(size.group(1)), int(size.group(2))
    # Printed twice when the container overrules the codec; the container's comes last and wins.
    if aspects := re.findall(r"SAR (\d+:\d+)", rest):
        track.aspect = _ratio(aspects[-1])
    if rate := re.search(r", ([\d.]+)(k?) fps", rest):
        track.fps = str(float(rate.group(1)) * (1000 if rate.group(2) else 1))
    track.is_cover = "(attached pic)" in rest
    return track


def _channel_count(layout: str) -> int:
    """How many channels a layout has as ffmpeg prints it: "mono", "5.1(side)", "12 channels"."""
    layout = layout.strip()
    if match := re.match(r"(\d+) channels", layout):
        return int(match.group(1))
    if match := re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", layout):
        return sum(int(group) for group in match.groups() if group)
    if match := re.match(r"ambisonic (\d+)", layout):
        return (int(match.group(1)) + 1) ** 2
    return _CHANNELS.get(re.split(r"[\s(]", layout)[0], 2)
