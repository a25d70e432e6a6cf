"""Small pieces of text that everything a person reads shares: times, shares, offsets, names."""

from __future__ import annotations

import os
import shlex


def safe_text(text: str) -> str:
    """`text` with everything that a terminal could act on, or not show, written as an escape.

    Control and format characters (ESC, newline, right-to-left overrides) become `\\x1b`, `\\u202e`;
    bytes of a file name that are not UTF-8, which Python carries as lone surrogates, become the
    `\\xff` they were.

    >>> safe_text("a\\x1b[31mb")
    'a\\\\x1b[31mb'
    """
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # PEP 383: byte 0x80..0xff of an undecodable name
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()


def clock(seconds: float, tenths: bool = False) -> str:
    """A time as m:ss, or h:mm:ss from an hour on; with `tenths`, one decimal.

    >>> clock(65), clock(3661), clock(0.25, tenths=True)
    ('1:05', '1:01:01', '0:00.2')
    """
    scale = 10 if tenths else 1
    units = round(max(seconds, 0.0) * scale)
    whole, rest = divmod(units, scale)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
    return f"{text}.{rest}" if tenths else text


def moment(seconds: float) -> str:
    """A time to the hundredth, as finely as a frame is told.

    >>> moment(3.478), moment(63.0)
    ('0:03.48', '1:03.00')
    """
    minutes, rest = divmod(round(max(seconds, 0.0) * 100), 6_000)
    return f"{minutes}:{rest / 100:05.2f}"


def span(start_s: float, end_s: float, tenths: bool = False) -> str:
    """A stretch of time, from and to.

    >>> span(0, 61.26, tenths=True)
    '0:00.0–1:01.3'
    """
    return f"{clock(start_s, tenths)}–{clock(end_s, tenths)}"


def percent(share: float) -> str:
    """A probability in whole per cent; never 100 or 0 for one that is not.

    >>> percent(0.976), percent(0.9999), percent(1.0)
    ('98 %', '>99 %', '100 %')
    """
    value = 100.0 * share
    if 99.5 <= value < 100.0:
        return ">99 %"
    if 0.0 < value < 0.5:
        return "<1 %"
    return f"{value:.0f} %"


def weight_words(weight: float) -> str:
    """A softmax weight in per cent, with a digit that matters.

    >>> weight_words(0.1234), weight_words(0.0001), weight_words(0.0)
    ('12.3 %', '<0.1 %', '0.0 %')
    """
    value = 100.0 * weight
    return f"{value:.1f} %" if value >= 0.05 or value == 0.0 else "<0.1 %"


def offset_words(offset_ms: float) -> str:
    """An offset in words: who comes after whom, and by how much.

    >>> offset_words(120), offset_words(-40), offset_words(0)
    ('audio is 120 ms late', 'audio is 40 ms early', 'audio is neither late nor early')
    """
    return f"audio is {lag_words(offset_ms) or 'neither late nor early'}"


def lag_words(offset_ms: float) -> str:
    """An offset as a lag: "120 ms late", "40 ms early"; "" for what rounds to none."""
    amount = round(abs(offset_ms))
    return f"{amount} ms {'late' if offset_ms > 0 else 'early'}" if amount else ""


def drift_words(drift_ms_per_min: float) -> str:
    """A drift in words.

    >>> drift_words(40.02), drift_words(-7.5)
    ('40.0 ms later every minute', '7.5 ms earlier every minute')
    """
    way = "later" if drift_ms_per_min > 0 else "earlier"
    return f"{abs(drift_ms_per_min):.1f} ms {way} every minute"


def interval_words(offset_ms: float, interval_ms: tuple[float, float] | None) -> str:
    """The 95 % interval: "±10 ms" when the offset is in its middle, else its two ends."""
    if interval_ms is None:
        return ""
    low, high = interval_ms
    below, above = offset_ms - low, high - offset_ms
    if abs(below - above) <= 10.0 and min(below, above) >= 0.0:
        return f"±{round(max(below, above))} ms"
    return f"{round(low):+d} to {round(high):+d} ms"


def shell_quote(text: str) -> str:
    """`text` as one word of a POSIX shell; unprintable characters in bash's `$'...'` form.

    The plain form of `shlex.quote` would carry an escape sequence in a file name to the terminal
    that the command is printed on.
    """
    if text.isprintable():
        return shlex.quote(text)
    quoted = []
    for byte in os.fsencode(text):
        char = chr(byte)
        if char in "'\\":
            quoted.append("\\" + char)
        else:
            quoted.append(char if 0x20 <= byte < 0x7F else f"\\x{byte:02x}")
    # "\x41b" would read on into the "b", so a hexadecimal digit after an escape is escaped too.
    for index in range(1, len(quoted)):
        if quoted[index - 1].startswith("\\x") and quoted[index] in "0123456789abcdefABCDEF":
            quoted[index] = f"\\x{ord(quoted[index]):02x}"
    return "$'" + "".join(quoted) + "'"
