"""From what was typed, or stands in a configuration file, to values; each refuses what is none.

Configuration files hold numbers of any size and kind, and a variable may hold anything at all: what
comes out of here is within its bounds, and a message shows no more than the start of what was
wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from avsync_cli.config import brief, parse_duration_ms, tolerance_profile
from avsync_cli.errors import UsageError
from avsync_cli.timebase import FPS

_SHARE = r"(\d{1,3}(?:\.\d{1,9})?|\.\d{1,9})\s*(%?)"


def duration_ms(unit: str, check: Callable[[float], int]) -> Callable[[object], int]:
    """Parses a duration, whose plain numbers are in `unit`, to the ms that `check` makes of it."""

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise UsageError(f"{brief(value)} is no duration", "write 2s, 500ms, 0:30 or a number")
        return check(parse_duration_ms(str(value), unit))

    return parse


def seconds(value: object) -> float:
    """A time in s."""
    return parse_duration_ms(str(value)) / 1000.0


def whole(check: Callable[[int], int]) -> Callable[[object], int]:
    """Parses a whole number to what `check` makes of it."""

    def parse(value: object) -> int:
        if isinstance(value, bool) or not re.fullmatch(r"-?\d{1,9}", str(value)):
            raise UsageError(f"{brief(value)} is no whole number", "write its digits")
        return check(int(str(value)))

    return parse


def switch(value: object) -> bool:
    """A switch that is on or off, also as a variable says it."""
    words = {"1": True, "true": True, "0": False, "false": False}
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value.lower() not in words:
        raise UsageError(f"{brief(value)} is neither on nor off", "write true or false")
    return words[value.lower()]


def share(check: Callable[[float], float]) -> Callable[[object], float]:
    """Parses a probability, 0.9 or 90%, to what `check` makes of it."""

    def parse(value: object) -> float:
        match = None if isinstance(value, bool) else re.fullmatch(_SHARE, str(value).strip())
        if match is None:
            raise UsageError(f"{brief(value)} is no probability", "write 0.9 or 90%")
        return check(float(match[1]) / (100.0 if match[2] else 1.0))

    return parse


def text(value: object) -> str:
    """A text that is not empty."""
    if value == "":
        raise UsageError("'' is no value", "write one, or leave it out")
    if not isinstance(value, str):
        raise UsageError(f"{brief(value)} is no text", "write it in quotes")
    return value


def file_place(word: str) -> Path:
    """Where a file is to be written; a path would lose the stroke that ends a folder's name, and a
    file of that name be written where there is no such folder."""
    if word.endswith("/") and not Path(word).is_dir():
        raise UsageError(f"there is no folder {word}", "make it first, and name a file in it")
    return Path(word)


def tolerance_text(value: object) -> str:
    """The text that describes a tolerance."""
    tolerance_profile(text(value))
    return str(value)


def window_frames(words: str) -> tuple[int, ...]:
    """Frames of every window length in `words`: "15f", or a time that is whole frames."""
    frames = []
    for word in map(str.strip, words.split(",")):
        number = word.removesuffix("f")
        if number != word and number.isdecimal():
            count = float(number)
        else:
            count = parse_duration_ms(word) * FPS / 1000.0
        if count < 5 or not count.is_integer():
            hint = "a window is whole frames, five or more: 5f,15f,1s,2s,5s"
            raise UsageError(f"no window can be {word} long", hint)
        frames.append(int(count))
    return tuple(sorted(set(frames)))


def shifts_ms(words: str) -> tuple[int, ...]:
    """The whole ms of a list: "-400,-120,80ms"."""
    try:
        return tuple(int(word.strip().removesuffix("ms")) for word in words.split(",") if word)
    except ValueError:
        raise UsageError(f"{words!r} is no list of ms", "write -400,-120,80,240") from None
