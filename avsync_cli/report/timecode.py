"""SMPTE timecode (ST 12-1): frame counts as hours, minutes, seconds and frames.

At 29.97 and 59.94 frames a second a count of 30 or 60 runs slow by 3.6 s an hour; drop-frame
leaves out the first two (four) numbers of every minute but each tenth, so that the code stays with
the clock on the wall. No frame of the picture is dropped.
"""

from __future__ import annotations

from fractions import Fraction

_MINUTE = 60


def exact_rate(fps: float) -> Fraction:
    """The rate behind a decimal one: 29.97 is 30000/1001, 25.0 is 25."""
    nominal = Fraction(max(1, round(fps)))
    near = min(nominal, nominal * 1000 / 1001, key=lambda rate: abs(fps - rate))
    return near if abs(fps - near) < 0.005 * fps else Fraction(fps).limit_denominator(1001)


def is_drop_frame(rate: Fraction) -> bool:
    """Whether drop-frame is the custom at this rate: 29.97, 59.94 and their multiples of 30."""
    return rate.denominator == 1001 and round(rate) % 30 == 0


def frame_at(seconds: float, rate: Fraction) -> int:
    """The number of the frame shown at a time, from 0; times a hair before a frame count as it."""
    return int(Fraction(max(0.0, seconds)).limit_denominator(1_000_000) * rate + Fraction(1, 100))


def timecode(frame: int, rate: Fraction, *, separators: str = "::") -> str:
    """The code of a frame, drop-frame where that is the custom.

    Args:
        frame: counted from 0, which is 00:00:00:00.
        rate: frames a second.
        separators: between hours, minutes and seconds, and before the frames.

    >>> timecode(1800, Fraction(30000, 1001), separators=":;")
    '00:01:00;02'
    >>> timecode(1800, Fraction(30))
    '00:01:00:00'
    """
    nominal = max(1, round(rate))
    if is_drop_frame(rate):
        frame = _renumbered(frame, nominal)
    seconds, frames = divmod(frame, nominal)
    minutes, second = divmod(seconds, _MINUTE)
    hours, minute = divmod(minutes, _MINUTE)
    between, before = separators[0], separators[1]
    clock = between.join(f"{part:02d}" for part in (hours % 24, minute, second))
    return f"{clock}{before}{frames:02d}"


def frame_of(code: str, rate: Fraction) -> int:
    """The frame that a code names: the inverse of `timecode`."""
    nominal = max(1, round(rate))
    hours, minutes, seconds, frames = (int(part) for part in code.replace(";", ":").split(":"))
    minutes += _MINUTE * hours
    number = (_MINUTE * minutes + seconds) * nominal + frames
    if is_drop_frame(rate):
        number -= nominal // 15 * (minutes - minutes // 10)
    return number


def _renumbered(frame: int, nominal: int) -> int:
    """A frame's number with the left out ones counted."""
    dropped = nominal // 15
    minute = _MINUTE * nominal - dropped
    ten_minutes = 10 * minute + dropped
    tens, rest = divmod(frame, ten_minutes)
    # The first minute of ten leaves nothing out and is longer.
    passed = max(0, rest - dropped) // minute
    return frame + dropped * (9 * tens + passed)
