"""The answer for a person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from avsync_cli.report import terminal
from avsync_cli.report.terminal import Layout
from avsync_cli.verdict.answer import Candidate, Judgement, Segment
from tests.conftest import make_blocks

Make = Callable[..., Judgement]


def _plain(lines: list[terminal.Text]) -> str:
    return "\n".join(line.plain for line in lines)


def test_sentence_out_of_sync(make_report: Make) -> None:
    assert terminal.sentence(make_report()).plain == (
        "holiday.mp4: audio is 120 ms late (±10 ms, 98 % sure), from 0:00 to 4:10; "
        "outside EBU R37 (40 ms early to 60 ms late)"
    )


def test_sentence_in_sync(make_report: Make) -> None:
    text = terminal.sentence(make_report(status="in_sync", offset_ms=-10.0, ci_ms=(-20.0, 0.0)))
    assert "in sync, audio is 10 ms early (±10 ms, 98 % sure)" in text.plain
    assert "within EBU R37" in text.plain


def test_sentence_undecided_says_why(make_report: Make) -> None:
    report = make_report(
        status="undecided", offset_ms=None, ci_ms=None, reasons=["no face found", "music only"]
    )
    text = terminal.sentence(report).plain
    assert "undecided: no face found, music only" in text
    so_far = {"best": Candidate(-120.0, 0.31), "second": Candidate(360.0, 0.12)}
    verdict = replace(report.verdict, **so_far, would_decide="a wider scan (--range 2s)")
    assert terminal.sentence(replace(report, verdict=verdict)).plain.endswith(
        "music only (best so far: audio is 120 ms early, 31 %; next: +360 ms, 12 %); "
        "it takes a wider scan (--range 2s)"
    )
    shy = make_report(status="undecided", offset_ms=None, ci_ms=None)
    assert terminal.sentence(shy).plain == "holiday.mp4: undecided: too little evidence"


def test_a_file_name_is_neither_markup_nor_escape(make_report: Make) -> None:
    text = terminal.sentence(make_report("[bold]x[/bold]\x1b[31m.mp4")).plain
    assert text.startswith("[bold]x[/bold]\\x1b[31m.mp4: ")


def test_fix_is_printed_only_when_out_of_sync(make_report: Make) -> None:
    text = _plain(terminal.details(make_report()))
    assert "move the sound 120 ms earlier" in text
    assert "avsync fix holiday.mp4 -o holiday.synced.mp4" in text
    fine = make_report(status="in_sync", offset_ms=10.0)
    assert "avsync fix" not in _plain(terminal.details(fine))


def test_fix_judges_as_was_judged(make_report: Make) -> None:
    report = replace(make_report(), fix_words=("avsync", "fix", "--range", "2s"))
    assert "avsync fix --range 2s holiday.mp4" in _plain(terminal.details(report))


def _pieces(*lags: float | None, length_s: float = 60.0) -> list[Segment]:
    return [
        Segment(
            start_s=k * length_s,
            end_s=(k + 1) * length_s,
            offset_ms=lag,
            offset_ci_ms=None if lag is None else (lag - 10.0, lag + 10.0),
            confidence=0.9 + k / 1000,
            status="undecided" if lag is None else "in_sync" if abs(lag) <= 40 else "out_of_sync",
        )
        for k, lag in enumerate(lags)
    ]


def test_an_offset_that_changes_is_told_and_moved_piece_by_piece(make_report: Make) -> None:
    report = make_report(segments=_pieces(0.0, 200.0))
    assert terminal.sentence(report).plain == (
        "holiday.mp4: the lag changes (90 % sure): 0:00–1:00 in sync, from 1:00 on "
        "200 ms late; outside EBU R37 (40 ms early to 60 ms late)"
    )
    text = _plain(terminal.details(report))
    assert "piece by piece" in text
    assert "avsync fix" in text
    lines = [line.plain for line in terminal.render(report, Layout(), table=True, curve=False)]
    assert lines[0].split() == ["piece", "verdict", "offset", "95", "%"]
    assert lines[2] == "1:00–2:00  out of sync    +200 ms  ±10 ms, 90 % sure"
    assert lines[3] == ""
    assert lines[4].startswith("time")


def test_many_pieces_are_counted_in_the_sentence_and_cut_in_the_table(make_report: Make) -> None:
    lags = [0.0, 200.0, None, *([0.0, 200.0] * 9)]
    report = make_report(segments=_pieces(*lags))
    words = terminal.sentence(report).plain
    assert "2:00–3:00 undecided, 3:00–4:00 in sync, and 17 more pieces; outside" in words
    table = [line.plain for line in terminal.piece_table(report.verdict.segments, Layout())]
    assert len(table) == terminal.MAX_ROWS + 2
    assert table[-1].startswith("and 9 more pieces")
    whole = terminal.piece_table(report.verdict.segments, Layout(all_rows=True))
    assert len(whole) == len(lags) + 1
    words = terminal.sentence(make_report(segments=_pieces(*lags[:5]))).plain
    assert "and 1 more piece; outside" in words
    table = terminal.piece_table(
        make_report(segments=_pieces(*lags[:13])).verdict.segments, Layout()
    )
    assert table[-1].plain.startswith("and 1 more piece: ")


def test_one_lag_with_a_hole_is_no_change_of_the_lag(make_report: Make) -> None:
    words = terminal.sentence(make_report(segments=_pieces(10.0, None, 10.0))).plain
    assert "the lag changes" not in words
    assert "from 0:00 to 3:00 but for 1:00–2:00; " in words
    words = terminal.sentence(
        make_report(segments=_pieces(None, 10.0, None, 10.0, None, 10.0))
    ).plain
    assert "from 1:00 to 6:00 but for 2 stretches; " in words


def test_a_drift_is_one_course_and_no_pieces(make_report: Make) -> None:
    words = terminal.sentence(make_report(segments=_pieces(0.0, 200.0), drift=60.0)).plain
    assert "the lag changes" not in words
    assert "half-way, and comes 60.0 ms later every minute" in words


def test_table_has_every_block_with_bar_and_numbers() -> None:
    lines = [line.plain for line in terminal.block_table(make_blocks(4, (1,)), Layout())]
    assert len(lines) == 5
    assert lines[0].split() == ["time", "region", "confidence", "weight", "p(sync)"]
    assert lines[1].startswith("0:00.0–0:01.0  face 0")
    assert "-2.00" in lines[1]
    assert "33.3 %" in lines[1]
    assert lines[1].rstrip().endswith("0.25")
    assert "silence" in lines[2]
    assert "█" not in lines[2]
    assert lines[4].count("█") == 10
    assert 0 < lines[3].count("█") < 10


def test_of_a_long_film_the_deciding_blocks_are_shown() -> None:
    blocks = make_blocks(5400, unused=tuple(range(0, 5400, 9)))
    blocks[4000] = replace(blocks[4000], weight=0.5)
    blocks[77] = replace(blocks[77], weight=0.45)
    lines = [line.plain for line in terminal.block_table(blocks, Layout())]
    assert [line.split()[-3] for line in lines[1:3]] == ["45.0", "50.0"]
    assert lines[3] == "5398 more: --blocks shows all"
    everything = terminal.block_table(blocks, Layout(all_rows=True))
    assert len(everything) == 5401
    even = terminal.block_table(make_blocks(5400), Layout())
    assert len(even) == terminal.MAX_ROWS + 2


def test_where_no_block_decided_none_is_shown() -> None:
    lines = terminal.block_table(make_blocks(50, unused=tuple(range(50))), Layout())
    assert [line.plain for line in lines] == ["50 left out: --blocks shows all"]


@pytest.mark.parametrize("count", [1, 40, 41, 5400])
@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_table_line_is_wider_than_the_terminal(count: int, width: int) -> None:
    for line in terminal.block_table(make_blocks(count, unused=(0,)), Layout(width)):
        assert line.cell_len <= width


def test_ascii_terminals_get_ascii(make_report: Make) -> None:
    report = make_report(blocks=make_blocks(60, (3,)))
    layout = Layout(unicode=False)
    for line in terminal.render(report, layout, table=True, curve=True):
        assert line.plain.isascii(), line.plain


def test_render_puts_the_sentence_after_table_and_curve(make_report: Make) -> None:
    lines = terminal.render(make_report(), Layout(), table=True, curve=True)
    plain = [line.plain for line in lines]
    sentence = next(i for i, line in enumerate(plain) if line.startswith("holiday.mp4: "))
    assert plain.index(next(line for line in plain if "▲ +120 ms" in line)) < sentence
    assert plain[0].startswith("time")


def test_summary_counts() -> None:
    counts = {"in_sync": 9, "out_of_sync": 2, "error": 1}
    assert terminal.summary(counts) == ("12 files: 9 in sync, 2 out of sync, 1 could not be judged")
    assert terminal.summary({}) == "0 files"
