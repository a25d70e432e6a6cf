"""Times, offsets and names in words."""

from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avsync_cli import wording


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (250, "4:10"), (3599.9, "1:00:00")],
)
def test_clock(seconds: float, text: str) -> None:
    assert wording.clock(seconds) == text


def test_clock_tenths_carry_into_minutes() -> None:
    assert wording.clock(59.96, tenths=True) == "1:00.0"
    assert wording.clock(1.24, tenths=True) == "0:01.2"


def test_offset_words_say_who_is_late() -> None:
    assert wording.offset_words(120.0) == "audio is 120 ms late"
    assert wording.offset_words(-39.6) == "audio is 40 ms early"
    assert "neither" in wording.offset_words(0.3)


def test_percent_is_never_certain_by_rounding() -> None:
    assert wording.percent(0.999) == ">99 %"
    assert wording.percent(0.001) == "<1 %"
    assert wording.percent(0.98) == "98 %"


def test_interval_in_the_middle_or_by_its_ends() -> None:
    assert wording.interval_words(120.0, (110.0, 130.0)) == "±10 ms"
    assert wording.interval_words(120.0, (90.0, 200.0)) == "+90 to +200 ms"
    assert wording.interval_words(120.0, None) == ""


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain ä.mp4", "plain ä.mp4"),
        ("\x1b[2Jx.mp4", "\\x1b[2Jx.mp4"),
        ("two\nlines", "two\\nlines"),
        ("\u202egpm.exe", "\\u202egpm.exe"),
        (os.fsdecode(b"caf\xe9.mp4"), "caf\\xe9.mp4"),
        ("\x9b31m", "\\x9b31m"),
    ],
)
def test_safe_text_escapes_what_a_terminal_obeys(name: str, shown: str) -> None:
    assert wording.safe_text(name) == shown


@settings(deadline=None)
@given(st.text())
def test_safe_text_is_always_printable(text: str) -> None:
    assert wording.safe_text(text).isprintable()


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=30).filter(lambda b: b"\0" not in b))
def test_shell_quote_is_printable_and_bash_reads_the_name_back(name: bytes) -> None:
    quoted = wording.shell_quote(os.fsdecode(name))
    assert quoted.isprintable()
    done = subprocess.run(
        ["bash", "-c", f"printf %s {quoted}"], capture_output=True, check=True, timeout=30
    )
    assert done.stdout == name
