"""Times, offsets, names and commands in words."""

from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsync_cli.report import words
from avsync_cli.verdict.answer import Tolerance


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (250, "4:10"), (3599.9, "1:00:00")],
)
def test_clock(seconds: float, text: str) -> None:
    assert words.clock(seconds) == text


def test_clock_tenths_carry_into_minutes() -> None:
    assert words.clock(59.96, tenths=True) == "1:00.0"
    assert words.clock(1.24, tenths=True) == "0:01.2"


def test_offset_words_say_who_is_late() -> None:
    assert words.offset_words(120.0) == "audio is 120 ms late"
    assert words.offset_words(-39.6) == "audio is 40 ms early"
    assert "neither" in words.offset_words(0.3)


def test_percent_is_never_certain_by_rounding() -> None:
    assert words.percent(0.999) == ">99 %"
    assert words.percent(0.001) == "<1 %"
    assert words.percent(0.98) == "98 %"


def test_interval_in_the_middle_or_by_its_ends() -> None:
    assert words.interval_words(120.0, (110.0, 130.0)) == "±10 ms"
    assert words.interval_words(120.0, (90.0, 200.0)) == "+90 to +200 ms"
    assert words.interval_words(120.0, None) == ""


def test_tolerance_names_its_standard() -> None:
    assert words.tolerance_words(Tolerance("ebu", 40, 60)) == "EBU R37: 40 ms early to 60 ms late"
    assert "BT.1359" in words.tolerance_name(Tolerance("itu", 45, 125))
    assert words.tolerance_name(Tolerance("7:9", 7, 9)) == "7 ms early to 9 ms late"


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
    assert words.safe_text(name) == shown


@given(st.text())
def test_safe_text_is_always_printable(text: str) -> None:
    assert words.safe_text(text).isprintable()


@given(st.binary(min_size=1, max_size=30).filter(lambda b: b"\0" not in b))
def test_shell_quote_is_printable_and_bash_reads_the_name_back(name: bytes) -> None:
    quoted = words.shell_quote(os.fsdecode(name))
    assert quoted.isprintable()
    done = subprocess.run(
        ["bash", "-c", f"printf %s {quoted}"], capture_output=True, check=True, timeout=30
    )
    assert done.stdout == name


def test_fix_names_a_copy_beside_the_file() -> None:
    command = words.fix_command("my holiday.mp4", "--range", "2s")
    assert command == "avsync fix --range 2s 'my holiday.mp4' -o 'my holiday.synced.mp4'"


def test_fix_protects_names_that_look_like_options() -> None:
    assert words.fix_command("-rf.mp4") == "avsync fix ./-rf.mp4 -o ./-rf.synced.mp4"


def test_fix_leaves_a_container_that_it_does_not_write() -> None:
    assert words.fix_command("old.rm").endswith("old.synced.mkv")
    assert words.fix_command("old.avi").endswith("old.synced.avi")
