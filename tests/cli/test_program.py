"""The program from outside: streams, exit codes, and what it says when it cannot."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from avsync_cli.__main__ import main
from tests.cli.conftest import Run
from tests.conftest import REPO


def _text(data: bytes) -> str:
    return data.decode("utf-8")


def test_score_says_late_in_words_and_by_exit_code(avsync: Run, clips: Path, toy: Path) -> None:
    done = avsync("score", "--model", toy, clips / "late.mp4")
    out = _text(done.stdout)
    assert done.returncode == 1, done.stderr
    assert "ms late" in out
    assert "outside ITU-R BT.1359" in out
    assert "avsync_cli fix " in out
    assert out.splitlines()[0].split() == ["time", "region", "confidence", "weight", "p(sync)"]
    assert done.stderr == b""
    assert b"\x1b" not in done.stdout


def test_score_in_sync_exits_zero(avsync: Run, clips: Path, toy: Path) -> None:
    done = avsync("score", "--model", toy, clips / "sync.mp4")
    assert done.returncode == 0
    assert "in sync" in _text(done.stdout)
    assert "fix" not in _text(done.stdout)


def test_the_printed_command_repairs_the_file(
    avsync: Run, clips: Path, toy: Path, tmp_path: Path
) -> None:
    source = tmp_path / "it's late.mp4"
    source.write_bytes((clips / "late.mp4").read_bytes())
    out = _text(avsync("score", "--model", toy, source).stdout)
    (line,) = [line for line in out.splitlines() if "avsync_cli fix" in line]
    words = shlex.split(line)
    environ = {**os.environ, "PYTHONPATH": str(REPO)}
    assert subprocess.run(words, cwd=tmp_path, env=environ, timeout=120).returncode == 0
    done = avsync("score", "--model", toy, "--json", "--tolerance", "40:40", words[-1])
    (file,) = json.loads(done.stdout)["files"]
    assert file["status"] == "in_sync", file["offset_ms"]
    assert abs(file["offset_ms"]) <= 20


def test_offset_scan_plots_and_measures(avsync: Run, clips: Path, toy: Path) -> None:
    done = avsync("offset-scan", "--range", "2s", "--model", toy, clips / "early.mkv")
    out = _text(done.stdout)
    assert done.returncode == 1
    assert "-2000 ms early" in out
    assert "▲ -2" in out
    assert "ms early (" in out


def test_offset_scan_json(avsync: Run, clips: Path, toy: Path) -> None:
    done = avsync("offset-scan", "--json", "--step", "20", "--model", toy, clips / "late.mp4")
    document = json.loads(done.stdout)
    (file,) = document["files"]
    assert abs(file["offset_ms"] - 200) <= 20
    assert file["direction"] == "audio_late"
    assert len(file["curve"]) == 201
    assert document["tool"]["model"] == "toy"
    assert document["tolerance"] == {"name": "itu", "early_ms": 45, "late_ms": 125}
    assert abs(sum(block["weight"] for block in file["blocks"]) - 1.0) < 1e-3


def test_one_bad_file_never_stops_a_batch(
    avsync: Run, clips: Path, toy: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.mp4").write_text("this is no film\n" * 100)
    files = ["gone.mp4", clips / "late.mp4", "notes.mp4", clips / "sync.mp4"]
    done = avsync("score", "--json", "--model", toy, *files)
    document = json.loads(done.stdout)
    assert done.returncode == 1
    assert [Path(file["path"]).name for file in document["files"]] == ["late.mp4", "sync.mp4"]
    assert [error["path"] for error in document["errors"]] == ["gone.mp4", "notes.mp4"]
    assert all(error["message"] and error["hint"] for error in document["errors"])
    last = _text(done.stderr).splitlines()
    assert last[0] == "4 files: 1 in sync, 1 out of sync, 2 could not be judged"
    assert sum(line.startswith("error: ") for line in last) == 2


def test_jsonl_and_csv(avsync: Run, clips: Path, toy: Path) -> None:
    done = avsync("score", "--jsonl", "--model", toy, clips / "sync.mp4", "gone.mp4")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["status"] for line in lines] == ["in_sync", "error"]
    assert done.returncode == 3
    done = avsync("score", "--csv", "--model", toy, clips / "sync.mp4", "gone.mp4")
    rows = list(csv.DictReader(io.StringIO(_text(done.stdout))))
    assert [row["status"] for row in rows] == ["in_sync", "error"]


def test_a_name_that_is_not_utf8(avsync: Run, clips: Path, toy: Path, tmp_path: Path) -> None:
    name = b"caf\xe9 \x1b[31m.mp4"
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(
            (clips / "sync.mp4").read_bytes()
        )
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    document = json.loads(avsync("score", "--json", "--model", toy, name).stdout)
    assert os.fsencode(document["files"][0]["path"]) == name
    (row,) = csv.DictReader(
        avsync("score", "--csv", "--model", toy, name).stdout.decode().split("\n")
    )
    assert row["path"] == "'caf\\udce9 \\x1b[31m.mp4"
    shown = avsync("score", "--model", toy, name).stdout
    assert b"caf\\xe9 \\x1b[31m.mp4: in sync" in shown


def test_a_name_that_looks_like_an_option(
    avsync: Run, clips: Path, toy: Path, tmp_path: Path
) -> None:
    (tmp_path / "-v.mp4").write_bytes((clips / "sync.mp4").read_bytes())
    done = avsync("score", "-q", "--model", toy, "--", "-v.mp4")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"-v.mp4: in sync")


def test_files_from_stdin(avsync: Run, clips: Path, toy: Path) -> None:
    names = os.fsencode(clips / "sync.mp4") + b"\n"
    done = avsync("score", "-q", "--model", toy, "--files-from", "-", input=names)
    assert done.returncode == 0, done.stderr


def test_part_of_a_file(avsync: Run, clips: Path, toy: Path) -> None:
    flags = ["--start", "2s", "--duration", "0:04", "--json", "--model", toy]
    done = avsync("score", *flags, clips / "sync.mp4")
    (file,) = json.loads(done.stdout)["files"]
    assert file["blocks"][0]["start_s"] == pytest.approx(2.0, abs=0.05)
    assert file["blocks"][-1]["end_s"] <= 6.05


def test_tolerance_of_one_frame_takes_the_files_own(avsync: Run, clips: Path, toy: Path) -> None:
    done = avsync("score", "--json", "--tolerance", "frame", "--model", toy, clips / "late.mp4")
    document = json.loads(done.stdout)
    assert document["tolerance"] == {"name": "frame", "early_ms": None, "late_ms": None}
    assert document["files"][0]["tolerance"]["late_ms"] == pytest.approx(40.0)


def test_output_is_written_whole_or_not_at_all(
    avsync: Run, clips: Path, toy: Path, tmp_path: Path
) -> None:
    target = tmp_path / "answer.json"
    done = avsync("score", "--json", "-o", target, "--model", toy, clips / "sync.mp4")
    assert done.returncode == 0
    assert done.stdout == b""
    assert json.loads(target.read_bytes())["files"][0]["status"] == "in_sync"
    before = target.read_bytes()
    broken = avsync("score", "--json", "-o", target, "--model", tmp_path, clips / "sync.mp4")
    assert broken.returncode == 2
    assert target.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["answer.json"]


def test_output_never_overwrites_an_input(avsync: Run, toy: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"precious")
    done = avsync("score", "-o", "./film.mp4", "--model", toy, film)
    assert done.returncode == 2
    assert b"overwrite an input" in done.stderr
    assert film.read_bytes() == b"precious"


def test_exit_zero(avsync: Run, clips: Path, toy: Path) -> None:
    assert avsync("score", "--exit-zero", "--model", toy, clips / "late.mp4").returncode == 0
    assert avsync("score", "--exit-zero", "--model", toy, "gone.mp4").returncode == 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["score"], "no file named"),
        (["score", "--json", "--csv", "x.mp4"], "exclude each other"),
        (["score", "--range", "soon", "x.mp4"], "no duration"),
        (["score", "--step", "15", "x.mp4"], "step of 15 ms"),
        (["score", "--tolerance", "ebuu", "x.mp4"], "unknown tolerance"),
        (["score", "--attention", "total", "x.mp4"], "unknown attention"),
        (["score", "--model", "no-such-model", "x.mp4"], "no-such-model"),
        (["score", "--jason", "x.mp4"], "--jason"),
        (["scoer", "x.mp4"], "scoer"),
        (["score", "--duration", "0", "x.mp4"], "duration of 0"),
        (["score", "--audio-track", "-1", "x.mp4"], "--audio-track"),
        (["score", "--output", "no/such/place.json", "x.mp4"], "no folder"),
        (["score", "--config", "gone.toml", "x.mp4"], "gone.toml"),
    ],
)
def test_usage_errors_are_a_line_a_hint_and_two(
    capsys: pytest.CaptureFixture[str], args: list[str], words: str
) -> None:
    assert main(args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    error, hint = err.splitlines()
    assert error.startswith("error: ")
    assert words in error
    assert hint.startswith("hint: ")


def test_no_command_shows_the_help(avsync: Run) -> None:
    done = avsync()
    assert done.returncode == 2
    assert b"offset-scan" in done.stdout
    assert done.stderr == b""


def test_a_missing_file_is_three_and_one_line(avsync: Run, toy: Path) -> None:
    done = avsync("score", "--model", toy, "gone.mp4")
    assert done.returncode == 3
    assert _text(done.stderr).startswith("error: ")
    assert "gone.mp4" in _text(done.stderr)
    assert b"Traceback" not in done.stderr


def test_ffmpeg_missing_is_two_even_in_a_batch(avsync: Run, clips: Path, toy: Path) -> None:
    env = {"AVSYNC_FFMPEG": "/no/such/ffmpeg"}
    done = avsync("score", "--model", toy, clips / "sync.mp4", clips / "late.mp4", env=env)
    assert done.returncode == 2
    assert b"AVSYNC_FFMPEG" in done.stderr


def test_configuration_file_and_flag(avsync: Run, clips: Path, toy: Path, tmp_path: Path) -> None:
    (tmp_path / "avsync.toml").write_text(f"model = {json.dumps(str(toy))}\ntolerance = 'atsc'\n")
    document = json.loads(avsync("score", "--json", clips / "sync.mp4").stdout)
    assert document["tolerance"]["name"] == "atsc"
    done = avsync("score", "--json", "--tolerance", "film", clips / "sync.mp4")
    assert json.loads(done.stdout)["tolerance"]["name"] == "film"
    (tmp_path / "avsync.toml").write_text("tolerence = 'atsc'\n")
    done = avsync("score", clips / "sync.mp4")
    assert done.returncode == 2
    assert b"did you mean 'tolerance'?" in done.stderr


def test_attention_picks_a_variant_or_says_that_there_is_none(
    avsync: Run, clips: Path, toy: Path
) -> None:
    good = ["score", "-q", "--model", toy, "--attention", "spatio-temporal"]
    assert avsync(*good, clips / "sync.mp4").returncode == 0
    done = avsync("score", "--model", toy, "--attention", "none", clips / "sync.mp4")
    assert done.returncode == 2
    assert b"no variant with none attention" in done.stderr


def test_version_names_every_part(avsync: Run) -> None:
    done = avsync("--version")
    lines = _text(done.stdout).splitlines()
    assert done.returncode == 0
    assert [line.split()[0] for line in lines] == ["avsync", "ffmpeg", "model", "backend"]
    assert "onnxruntime" in lines[3]


def test_ascii_terminals(avsync: Run, clips: Path, toy: Path) -> None:
    env = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    done = avsync("offset-scan", "--model", toy, clips / "late.mp4", env=env)
    assert done.returncode == 1, done.stderr
    assert done.stdout.isascii()
    assert b"+/-" in done.stdout
    assert b"#" in done.stdout


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals(toy: Path, tmp_path: Path, number: signal.Signals, code: int) -> None:
    listing = tmp_path / "list"
    os.mkfifo(listing)
    command = [sys.executable, "-m", "avsync_cli", "score", "--model", str(toy)]
    process = subprocess.Popen(
        [*command, "--files-from", str(listing)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPO)},
    )
    # The program waits for names on the listing until the signal ends it.
    with listing.open("wb"):
        time.sleep(0.2)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    assert b"Traceback" not in err
    assert out == b""


@pytest.mark.skipif(os.name != "posix", reason="POSIX pipes")
def test_a_reader_that_goes_away_is_no_verdict(clips: Path, toy: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "avsync_cli", "score", "--jsonl", "--model", str(toy)]
    process = subprocess.Popen(
        [*command, str(clips / "late.mp4")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPO)},
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 141, err
    assert err == b""
