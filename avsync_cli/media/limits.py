"""What a file may ask of this machine: limits that no real film meets, and a bomb does.

A few kilobytes can claim a picture of a billion pixels, a thousand channels, or a gap of years.
Whatever lies beyond these limits is refused with a reason, before or while it is decoded.
"""

from __future__ import annotations

import contextlib
import sys

from avsync_cli.errors import TooLargeError

MAX_PIXELS = 8192 * 8192
"""Pixels of a picture: the largest that cameras record (8K is half of it). A frame of it takes
100 to 800 MB while it is decoded."""

MAX_FPS = 1000
"""Frames a second: beyond are high-speed cameras, which record no sound."""

MAX_RATE_HZ = 768_000
"""Samples a second: the highest that converters offer. The filter that resamples to 16 kHz grows
with the ratio."""

MAX_CHANNELS = 64
"""Channels of sound: ambisonics of the seventh order."""

MAX_FILLER_S = 600.0
"""Time without picture and sound in all, what lies ahead included: time stamps alone may otherwise
claim any length, and every frame of it costs."""

MEMORY_BYTES = 8 << 30
"""Memory of one ffmpeg: ten times what decoding an ordinary film takes, room for 8K on many cores.
A header may otherwise make it ask for all there is."""


def bound_memory(pid: int) -> None:
    """Let the process have no more than MEMORY_BYTES of memory of its own (Linux only)."""
    if sys.platform == "linux":
        import resource

        # The process may have ended, or run under a limit that is lower still.
        with contextlib.suppress(OSError, ValueError):
            _, hard = resource.prlimit(pid, resource.RLIMIT_DATA)
            if hard == resource.RLIM_INFINITY or hard > MEMORY_BYTES:
                resource.prlimit(pid, resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))


def check_picture(width: int, height: int, fps: float, name: str) -> None:
    """Raise TooLargeError for a picture beyond the limits; `name` is the file's, fit to show."""
    if width * height > MAX_PIXELS:
        raise _too_large(
            f"the picture is {width}x{height} pixels", f"{MAX_PIXELS} pixels (8192x8192)", name
        )
    if fps > MAX_FPS:
        raise _too_large(f"the picture has {fps:g} frames a second", f"{MAX_FPS}", name)


def check_sound(rate_hz: int, channels: int, name: str) -> None:
    """The same for sound."""
    if rate_hz > MAX_RATE_HZ:
        raise _too_large(f"the sound has {rate_hz} samples a second", f"{MAX_RATE_HZ}", name)
    if channels > MAX_CHANNELS:
        raise _too_large(f"the sound has {channels} channels", f"{MAX_CHANNELS}", name)


def check_filler(filler_s: float, name: str) -> None:
    """Raise TooLargeError when most of a timeline turns out to be nothing."""
    if filler_s > MAX_FILLER_S:
        raise _too_large(
            f"the time stamps leave {filler_s / 60:.0f} min and more without picture and sound",
            f"{MAX_FILLER_S / 60:g} min; use --start and --duration to choose a part",
            name,
        )


def _too_large(what: str, limit: str, name: str) -> TooLargeError:
    message = f"{what}, more than avsync takes on: {name}"
    return TooLargeError(message, f"the limit is {limit}", name)
