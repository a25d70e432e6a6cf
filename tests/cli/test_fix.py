"""`avsync fix` in this process on tiny real files, with the judging replaced; and once for real."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from avsync_cli.__main__ import main
from avsync_cli.cli import mend
from avsync_cli.errors import DecodeError, UsageError
from avsync_cli.media.ffmpeg import find_ffmpeg
from avsync_cli.repair import run
from avsync_cli.verdict.answer import Segment
from tests.cli.conftest import FINE, LATE, OPEN, Run, names
from tests.conftest import REPO


def test_a_late_file_gets_a_checked_copy(
    here: Path, verdicts: list[Any], capsys: pytest.CaptureFixture[str], movie: bytes
) -> None:
    verdicts += [LATE, FINE]
    assert main(["fix", "movie.mp4", "-o", "fixed.mp4"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "fixed.mp4: audio is in sync now (+4 ms ±20 ms), was 120 ms late"
    assert "copied" in out[1]
    assert names(here) == ["fixed.mp4", "movie.mp4"]
    assert (here / "movie.mp4").read_bytes() == movie
    assert (here / "fixed.mp4").stat().st_mode & 0o600 == 0o600


def test_the_copy_is_judged_before_it_has_its_name(here: Path, verdicts: list[Any]) -> None:
    seen = []

    def look(path: Path) -> dict[str, Any]:
        seen.append((Path(path).name, names(here)))
        return FINE

    verdicts += [LATE, look]
    assert main(["fix", "movie.mp4", "-o", "fixed.mp4"]) == 0
    ((name, there),) = seen
    assert name.startswith(".avsync-") and "fixed.mp4" not in there


@pytest.mark.parametrize("after", [LATE, OPEN, {**FINE, "offset_ms": 60.0}])
def test_an_unconfirmed_copy_is_removed(
    here: Path, verdicts: list[Any], capsys: pytest.CaptureFixture[str], after: dict[str, Any]
) -> None:
    verdicts += [LATE, after]
    assert main(["fix", "movie.mp4", "-o", "fixed.mp4"]) == 1
    assert "not confirmed, so removed" in capsys.readouterr().err
    assert names(here) == ["movie.mp4"]
    verdicts += [LATE, after]
    assert main(["fix", "movie.mp4", "-o", "fixed.mp4", "--keep-unverified"]) == 1
    assert "not confirmed" in capsys.readouterr().out
    assert names(here) == ["fixed.mp4", "movie.mp4"]


def test_what_is_undecided_is_refused(
    here: Path, verdicts: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    verdicts += [OPEN]
    assert main(["fix", "movie.mp4", "-o", "fixed.mp4"]) == 3
    error = capsys.readouterr().err.splitlines()
    assert error[0] == "error: undecided (no face found), so nothing was changed: movie.mp4"
    assert "--offset" in error[1]
    assert names(here) == ["movie.mp4"]


def test_what_is_in_sync_is_left_alone(
    here: Path, verdicts: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    verdicts += [FINE]
    assert main(["fix", "movie.mp4", "-o", "fixed.mp4"]) == 0
    assert "in sync (+4 ms, ±20 ms, 98 % sure); nothing to fix" in capsys.readouterr().out
    inside = {"status": "in_sync", "offset_ms": 50.0, "ci_ms": (40.0, 60.0)}
    verdicts += [inside]
    assert main(["fix", "movie.mp4", "-o", "fixed.mp4"]) == 0
    assert (
        "inside EBU R37 (40 ms early to 60 ms late); nothing to fix (--force"
        in capsys.readouterr().out
    )
    assert names(here) == ["movie.mp4"]
    verdicts += [inside, FINE]
    assert main(["fix", "movie.mp4", "-o", "fixed.mp4", "--force"]) == 0
    assert names(here) == ["fixed.mp4", "movie.mp4"]


def test_tolerated_stretches_and_drifts_are_all_told(
    here: Path, verdicts: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    pieces = [
        Segment(
            start_s=30.0 * k,
            end_s=30.0 * k + 30.0,
            offset_ms=lag_ms,
            offset_ci_ms=(lag_ms - 10.0, lag_ms + 10.0),
            confidence=0.98,
            status="in_sync",
        )
        for k, lag_ms in enumerate((4.0, 50.0))
    ]
    verdicts += [FINE | {"segments": pieces}, FINE | {"drift": 20.0}]
    for said in ("off by +4 to +50 ms in 2 stretches (98 % sure)", "comes 20.0 ms later every"):
        assert main(["fix", "movie.mp4", "-o", "fixed.mp4"]) == 0
        told = capsys.readouterr().out
        assert said in told and "nothing to fix (--force" in told


def test_in_place_replaces_only_what_was_confirmed(
    here: Path, verdicts: list[Any], movie: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    file = here / "movie.mp4"
    file.chmod(0o640)
    verdicts += [LATE, LATE]
    assert main(["fix", "movie.mp4", "--in-place"]) == 1
    assert "left as it was" in capsys.readouterr().err
    assert file.read_bytes() == movie
    verdicts += [LATE, FINE]
    assert main(["fix", "movie.mp4", "--in-place"]) == 0
    assert capsys.readouterr().out.startswith("movie.mp4: audio is in sync now")
    assert file.read_bytes() != movie
    assert file.stat().st_mode & 0o777 == 0o640
    assert names(here) == ["movie.mp4"]


def test_in_place_follows_links_and_keeps_them(here: Path, verdicts: list[Any]) -> None:
    link = here / "link.mp4"
    link.symlink_to("movie.mp4")
    before = (here / "movie.mp4").read_bytes()
    verdicts += [LATE, FINE]
    assert main(["fix", "link.mp4", "--in-place"]) == 0
    assert link.is_symlink()
    assert (here / "movie.mp4").read_bytes() != before


def test_in_place_leaves_a_file_that_changed_meanwhile(
    here: Path, verdicts: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    def change(_: object) -> dict[str, Any]:
        (here / "movie.mp4").write_bytes(b"new")
        return FINE

    verdicts += [LATE, change]
    assert main(["fix", "movie.mp4", "--in-place"]) == 3
    assert "in the meantime" in capsys.readouterr().err
    assert (here / "movie.mp4").read_bytes() == b"new"
    assert names(here) == ["movie.mp4"]


def test_nothing_is_ever_overwritten(
    here: Path, verdicts: list[Any], capsys: pytest.CaptureFixture[str], movie: bytes
) -> None:
    (here / "old.mp4").write_bytes(b"old")
    os.link(here / "movie.mp4", here / "same.mp4")
    for name in ("old.mp4", "movie.mp4", "same.mp4"):
        assert main(["fix", "movie.mp4", "-o", name]) == 2
        assert "exists already" in capsys.readouterr().err

    def take(_: object) -> dict[str, Any]:
        (here / "fixed.mp4").write_bytes(b"theirs")
        return FINE

    verdicts += [LATE, take]
    assert main(["fix", "movie.mp4", "-o", "fixed.mp4"]) == 2
    assert (here / "fixed.mp4").read_bytes() == b"theirs"
    assert (here / "movie.mp4").read_bytes() == movie
    assert (here / "old.mp4").read_bytes() == b"old"
    assert names(here) == ["fixed.mp4", "movie.mp4", "old.mp4", "same.mp4"]


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["movie.mp4"], "no output named"),
        (["movie.mp4", "-o", "x.mp4", "--in-place"], "exclude each other"),
        (["movie.mp4", "--in-place", "--keep-unverified"], "exclude each other"),
        (["movie.mp4", "-o", "x.txt"], "kind of file"),
        (["movie.mp4", "-o", "none/x.mp4"], "no folder"),
        (["movie.mp4", "-o", "."], "is a folder"),
        (["movie.mp4", "-o", "x.mp4", "--offset", "soon"], "is no lag"),
        (["movie.mp4", "-o", "x.mp4", "--offset", "0"], "moves nothing"),
        (["movie.mp4", "-o", "x.mp4", "--offset", "-5s"], "longer than the file"),
        (["movie.mp4", "-o", "x.mp4", "--pitch", "high"], "unknown --pitch"),
    ],
)
def test_what_cannot_be_meant(
    here: Path,
    verdicts: list[Any],
    capsys: pytest.CaptureFixture[str],
    args: list[str],
    word: str,
) -> None:
    assert main(["fix", *args]) == 2
    assert word in capsys.readouterr().err
    assert names(here) == ["movie.mp4"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(
    here: Path, verdicts: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    here.chmod(0o555)
    try:
        verdicts += [LATE]
        assert main(["fix", "movie.mp4", "-o", "fixed.mp4"]) == 2
        assert "cannot write in" in capsys.readouterr().err
    finally:
        here.chmod(0o755)


def test_a_folder_where_no_file_can_be_made(
    here: Path,
    verdicts: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    opened = os.open

    def refuse(path: Any, *args: Any) -> int:
        if Path(path).name.startswith(".avsync-"):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args)

    monkeypatch.setattr(os, "open", refuse)
    verdicts += [LATE]
    assert main(["fix", "movie.mp4", "-o", "fixed.mp4"]) == 2
    assert "Permission denied" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path, **_: Any) -> None:
        raise FileNotFoundError(2, "No such file or directory", str(path))  # so says /proc

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert main(["fix", "movie.mp4", "--out-dir", "new"]) == 2
    assert "error: --out-dir: cannot make new: No such file" in capsys.readouterr().err


def test_a_copy_of_another_kind_that_cannot_be_read_is_not_confirmed(
    here: Path,
    verdicts: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def lost(move: object, recipe: object, copy: Path) -> None:
        raise DecodeError("cannot be read (no such stream)", "", copy)

    monkeypatch.setattr(run, "check_copy", lost)
    verdicts += [LATE]
    assert main(["fix", "movie.mp4", "-o", "fixed.mkv"]) == 1
    said = capsys.readouterr().err
    assert "fixed.mkv: not confirmed, so removed: the copy cannot be read (DecodeError)" in said
    assert "hint: a track may not fit this kind of file" in said
    assert names(here) == ["movie.mp4"]


def test_by_hand_nothing_is_judged_before_and_undecided_is_no_failure(
    here: Path, verdicts: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    verdicts += [OPEN]
    assert main(["fix", "movie.mp4", "-o", "fixed.mp4", "--offset", "-80ms"]) == 0
    assert verdicts == []
    out = capsys.readouterr().out
    assert "not confirmed: the copy cannot be judged; by hand: 80 ms early" in out
    # The original gives way only to what was confirmed.
    before = (here / "movie.mp4").read_bytes()
    verdicts += [OPEN]
    assert main(["fix", "movie.mp4", "--in-place", "--offset", "-80ms"]) == 1
    assert (here / "movie.mp4").read_bytes() == before
    # A measurement that says otherwise counts.
    verdicts += [LATE]
    assert main(["fix", "movie.mp4", "-o", "wrong.mp4", "--offset", "500ms"]) == 1
    assert names(here) == ["fixed.mp4", "movie.mp4"]


def test_dry_run_prints_a_command_that_does_it(
    here: Path, verdicts: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fix", "movie.mp4", "-o", "it's.mp4", "--offset", "120ms", "--dry-run"]) == 0
    comment, command = capsys.readouterr().out.splitlines()
    assert comment == "# movie.mp4: by hand: 120 ms late"
    assert names(here) == ["movie.mp4"]
    words = shlex.split(command)
    assert words[0] == "ffmpeg"
    subprocess.run([str(find_ffmpeg()), *words[1:]], check=True, timeout=60)
    assert names(here) == ["it's.mp4", "movie.mp4"]


@pytest.mark.parametrize("where", ["judging", "checking"])
def test_ctrl_c_leaves_nothing(here: Path, verdicts: list[Any], where: str, movie: bytes) -> None:
    verdicts += [KeyboardInterrupt()] if where == "judging" else [LATE, KeyboardInterrupt()]
    assert main(["fix", "movie.mp4", "-o", "fixed.mp4"]) == 130
    assert names(here) == ["movie.mp4"]
    verdicts += [LATE, KeyboardInterrupt()]
    assert main(["fix", "movie.mp4", "--in-place"]) == 130
    assert (here / "movie.mp4").read_bytes() == movie
    assert names(here) == ["movie.mp4"]


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_ffmpeg_writes_leaves_nothing(
    here: Path, toy: Path, tmp_path: Path, number: int
) -> None:
    # An ffmpeg that begins to write its output and then never ends.
    slow = tmp_path / "slow-ffmpeg"
    slow.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *-progress*) for last; do :; done; echo half > "${{last#file:}}";'
        f" echo started > {shlex.quote(str(tmp_path / 'started'))}; exec sleep 600;; esac\n"
        f'exec {shlex.quote(str(find_ffmpeg()))} "$@"\n'
    )
    slow.chmod(0o755)
    command = [sys.executable, "-m", "avsync_cli", "fix", "movie.mp4", "-o", "fixed.mp4"]
    command += ["--offset", "80ms", "--model", str(toy)]
    around = {**os.environ, "PYTHONPATH": str(REPO), "AVSYNC_FFMPEG": str(slow)}
    process = subprocess.Popen(command, cwd=here, env=around, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 90
        while not (tmp_path / "started").exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        assert len(names(here)) == 2
        process.send_signal(number)
        process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    assert names(here) == ["movie.mp4"]


@pytest.mark.parametrize(
    ("text", "offset_ms"), [("120ms", 120), ("-80", -80), ("+0.5s", 500), (" -1.5s", -1500)]
)
def test_lags_by_hand(text: str, offset_ms: float) -> None:
    assert mend.parse_offset_ms(text) == offset_ms


@pytest.mark.parametrize("text", ["", "-", "--5", "5 minutes ago", "nan"])
def test_no_lags(text: str) -> None:
    with pytest.raises(UsageError):
        mend.parse_offset_ms(text)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["late.mp4", "early.mkv"])
def test_the_whole_road(avsync: Run, clips: Path, toy: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / f"fixed{Path(name).suffix}"
    done = avsync("fix", "--model", toy, clips / name, "-o", copy)
    assert done.returncode == 0, done.stderr
    assert b"audio is in sync now" in done.stdout
    again = avsync("fix", "--model", toy, copy, "-o", tmp_path / f"again{copy.suffix}")
    assert b"nothing to fix" in again.stdout
