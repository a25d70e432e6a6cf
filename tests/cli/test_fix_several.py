"""`avsync fix` of several files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from avsync_cli.__main__ import main
from tests.cli.conftest import FINE, LATE, OPEN, names


def test_several_files_go_into_a_folder_and_a_bad_one_stops_nobody(
    here: Path, verdicts: list[Any], capsys: pytest.CaptureFixture[str], movie: bytes
) -> None:
    for name in ("a.mp4", "b.mp4", "c.mp4", "d.wmv"):
        (here / name).write_bytes(movie)
    (here / "broken.mp4").write_bytes(b"no film")
    verdicts += [LATE, FINE, RuntimeError("ours"), FINE, OPEN, LATE, FINE]
    files = ["a.mp4", "b.mp4", "movie.mp4", "c.mp4", "gone.mp4", "d.wmv"]
    assert main(["fix", *files, "--out-dir", "fixed"]) == 70
    out, err = capsys.readouterr()
    assert names(here / "fixed") == ["a.mp4", "d.mkv"]
    assert [line for line in out.splitlines() if line[0] != " "] == [
        "fixed/a.mp4: audio is in sync now (+4 ms ±20 ms), was 120 ms late",
        "movie.mp4: in sync (+4 ms, ±20 ms, 98 % sure); nothing to fix",
        "fixed/d.mkv: audio is in sync now (+4 ms ±20 ms), was 120 ms late",
    ]
    assert "internal error: RuntimeError: ours" in err
    assert "6 files: 3 could not be fixed, 1 left as they are, 2 written" in err
    assert "error: no such file: gone.mp4" in err
    assert "error: undecided (no face found), so nothing was changed: c.mp4" in err


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([LATE, FINE, FINE], 0),
        ([LATE, FINE, OPEN], 3),
        ([LATE, LATE, OPEN], 1),
    ],
)
def test_the_exit_code_of_several(
    here: Path, verdicts: list[Any], movie: bytes, outcomes: list[Any], code: int
) -> None:
    (here / "a.mp4").write_bytes(movie)
    verdicts += outcomes
    assert main(["fix", "-q", "a.mp4", "movie.mp4", "--out-dir", "fixed"]) == code


def test_copies_that_exist_are_left_alone(
    here: Path, verdicts: list[Any], capsys: pytest.CaptureFixture[str], movie: bytes
) -> None:
    (here / "fixed").mkdir()
    (here / "fixed" / "a.mp4").write_bytes(b"precious")
    (here / "a.mp4").write_bytes(movie)
    verdicts += [LATE, FINE]
    assert main(["fix", "a.mp4", "movie.mp4", "--out-dir", "fixed"]) == 2
    assert "--out-dir: fixed/a.mp4 exists already" in capsys.readouterr().err
    assert (here / "fixed" / "a.mp4").read_bytes() == b"precious"
    assert names(here / "fixed") == ["a.mp4", "movie.mp4"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["movie.mp4", "x/movie.mp4", "--out-dir", "o"], "2 files would be called o/movie.mp4"),
        (["movie.mp4", "a.mp4", "-o", "o.mp4"], "--output names one copy, and there are 2 files"),
        (["movie.mp4", "--out-dir", "none/o"], "--out-dir: there is no folder"),
        (["movie.mp4", "--out-dir", "o", "-o", "p.mp4"], "--output and --out-dir exclude"),
        (["movie.mp4", "--out-dir", "o", "--in-place"], "--in-place and --out-dir exclude"),
    ],
)
def test_what_several_files_cannot_mean(
    here: Path, capsys: pytest.CaptureFixture[str], args: list[str], message: str
) -> None:
    assert main(["fix", *args]) == 2
    assert message in capsys.readouterr().err
    assert names(here) == ["movie.mp4"]
