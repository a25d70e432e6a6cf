"""Timecode and the marker files of editing programs."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsync_cli.report.markers import CSV_COLUMNS, edl_text, marker_file, markers
from avsync_cli.report.timecode import exact_rate, frame_at, frame_of, is_drop_frame, timecode
from avsync_cli.verdict.answer import Judgement, Segment

Make = Callable[..., Judgement]

NTSC, NTSC60 = Fraction(30000, 1001), Fraction(60000, 1001)
RATES = [
    Fraction(24000, 1001),
    Fraction(24),
    Fraction(25),
    NTSC,
    Fraction(30),
    Fraction(50),
    NTSC60,
]


@pytest.mark.parametrize(
    ("frame", "rate", "code"),
    [
        (0, NTSC, "00:00:00:00"),
        (1799, NTSC, "00:00:59:29"),
        (1800, NTSC, "00:01:00:02"),
        (17981, NTSC, "00:09:59:29"),
        (17982, NTSC, "00:10:00:00"),
        (17983, NTSC, "00:10:00:01"),
        (107892, NTSC, "01:00:00:00"),
        (3599, NTSC60, "00:00:59:59"),
        (3600, NTSC60, "00:01:00:04"),
        (215784, NTSC60, "01:00:00:00"),
        (1800, Fraction(30), "00:01:00:00"),
        (1500, Fraction(25), "00:01:00:00"),
        (86400, Fraction(24000, 1001), "01:00:00:00"),
    ],
)
def test_known_codes(frame: int, rate: Fraction, code: str) -> None:
    assert timecode(frame, rate) == code
    assert frame_of(code, rate) == frame


@given(st.integers(0, 24 * 3600 * 23), st.sampled_from(RATES))
def test_every_frame_has_one_code(frame: int, rate: Fraction) -> None:
    code = timecode(frame, rate)
    assert frame_of(code, rate) == frame
    assert timecode(frame + 1, rate) > code


@given(st.integers(0, 20 * 3600))
def test_drop_frame_stays_with_the_clock(second: int) -> None:
    for rate in (NTSC, NTSC60):
        code = timecode(frame_at(second, rate), rate)
        hours, minutes, seconds, frames = map(int, code.split(":"))
        told = hours * 3600 + minutes * 60 + seconds + frames / round(rate)
        # Two (four) numbers are left out at once, and made up for over a minute.
        assert abs(told - second) < 0.15


def test_rates_are_recognised() -> None:
    assert exact_rate(29.97) == exact_rate(30000 / 1001) == NTSC
    assert exact_rate(59.94) == NTSC60
    assert exact_rate(23.976) == exact_rate(23.98) == Fraction(24000, 1001)
    assert [exact_rate(f) for f in (24.0, 25.0, 30.0, 50.0)] == [24, 25, 30, 50]
    assert [r for r in RATES if is_drop_frame(r)] == [NTSC, NTSC60]


def test_a_time_on_a_frame_is_that_frame() -> None:
    for rate in RATES:
        for frame in (0, 1, 7, 1799, 1800, 100_003):
            assert frame_at(float(frame / rate), rate) == frame


def _segments() -> list[Segment]:
    return [
        Segment(
            start_s=0.0,
            end_s=60.0,
            offset_ms=120.0,
            offset_ci_ms=(110.0, 130.0),
            confidence=0.98,
            status="out_of_sync",
        ),
        Segment(
            start_s=60.0,
            end_s=90.0,
            offset_ms=None,
            offset_ci_ms=None,
            confidence=0.3,
            status="undecided",
        ),
        Segment(
            start_s=90.0,
            end_s=120.0,
            offset_ms=4.0,
            offset_ci_ms=(-5.0, 10.0),
            confidence=0.99,
            status="in_sync",
        ),
        Segment(
            start_s=120.0,
            end_s=180.0,
            offset_ms=-80.0,
            offset_ci_ms=None,
            confidence=0.9,
            status="out_of_sync",
        ),
    ]


def test_only_what_is_out_of_sync_is_marked(make_report: Make) -> None:
    found = markers(make_report(segments=_segments()))
    assert [(m.first, m.end) for m in found] == [(0, 1500), (3000, 4500)]
    assert [m.name for m in found] == ["Audio is 120 ms late", "Audio is 80 ms early"]
    assert "98 % sure" in found[0].note
    assert "+110 to +130 ms" in found[0].note


def test_the_csv_is_what_premiere_exports(make_report: Make) -> None:
    report = make_report(segments=_segments(), fps=29.97)
    rows = list(csv.DictReader(io.StringIO(marker_file(report, ".csv"))))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [row["In"] for row in rows] == ["00;00;00;00", "00;01;59;28"]
    assert rows[0]["Out"] == rows[0]["Duration"] == "00;00;59;28"
    assert {row["Marker Type"] for row in rows} == {"Comment"}
    plain = make_report(segments=_segments(), fps=25.0)
    assert "00:02:00:00" in marker_file(plain, ".csv")


@pytest.mark.parametrize(
    ("fps", "mode", "second"),
    [(25.0, "NON-DROP FRAME", "01:02:00:00"), (29.97, "DROP FRAME", "01:01:59;28")],
)
def test_the_edl_is_what_resolve_imports(
    make_report: Make, fps: float, mode: str, second: str
) -> None:
    lines = marker_file(make_report(segments=_segments(), fps=fps), ".edl").splitlines()
    assert lines[0] == "TITLE: holiday"
    assert lines[1] == f"FCM: {mode}"
    events = [line for line in lines if re.match(r"\d{3}  001 ", line)]
    notes = [line for line in lines if "|C:" in line]
    assert len(events) == len(notes) == 2
    assert events[1].split()[4] == second
    # Text before the first bar is the note; the length is in frames.
    pattern = r"[^|]+ \|C:ResolveColorRed \|M:[^|]+ \|D:(\d+)"
    lengths = [match[1] for note in notes if (match := re.fullmatch(pattern, note))]
    found = markers(make_report(segments=_segments(), fps=fps))
    assert lengths == [str(marker.end - marker.first) for marker in found]


def test_a_film_in_sync_has_a_list_without_markers(make_report: Make) -> None:
    fine = [
        Segment(
            start_s=0.0,
            end_s=60.0,
            offset_ms=0.0,
            offset_ci_ms=None,
            confidence=0.98,
            status="in_sync",
        )
    ]
    report = make_report(status="in_sync", offset_ms=0.0, segments=fine)
    assert marker_file(report, ".csv") == ",".join(CSV_COLUMNS) + "\n"
    assert "001" not in marker_file(report, ".edl")


def test_a_name_cannot_add_lines_or_fields() -> None:
    text = edl_text([], Fraction(25), "a|b\nFCM: DROP FRAME\x1b")
    assert text.splitlines()[:2] == ["TITLE: a/b\\nFCM: DROP FRAME\\x1b", "FCM: NON-DROP FRAME"]
