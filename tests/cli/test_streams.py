"""Standard streams that are closed, full or gone: an exit code means the same with any of them."""

from __future__ import annotations

import fcntl
import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import REPO

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")

SYNC, LATE, GONE, USAGE = "sync.mp4", "late.mp4", "gone.mp4", "--tolerance=soon"
CODES = {SYNC: 0, LATE: 1, GONE: 3, USAGE: 2}


def _run(redirect: str, folder: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    script = f'exec "$@" {redirect}'
    command = ["sh", "-c", script, "sh", sys.executable, "-m", "avsync_cli", *words]
    around = {**os.environ, "PYTHONPATH": str(REPO)}
    return subprocess.run(command, cwd=folder, env=around, capture_output=True, timeout=120)


@pytest.fixture(scope="module")
def judge(clips: Path, toy: Path) -> list[str]:
    return ["score", "-q", "--model", str(toy), "--range", "400ms", "--step", "20"]


@pytest.mark.parametrize(
    ("broken", "what"), list(itertools.product(["2>/dev/full", "<&- 2>&-"], CODES))
)
def test_what_cannot_be_said_changes_no_exit_code(
    broken: str, what: str, judge: list[str], clips: Path
) -> None:
    done = _run(broken, clips, *judge, what)
    assert done.returncode == CODES[what], done
    assert bool(done.stdout) == (what in (SYNC, LATE))


@pytest.mark.parametrize(
    ("broken", "what"), list(itertools.product([">&-", ">/dev/full", ">&- 2>&- <&-"], CODES))
)
def test_an_answer_that_cannot_be_written_is_no_verdict(
    broken: str, what: str, judge: list[str], clips: Path
) -> None:
    done = _run(broken, clips, *judge, what)
    unanswered = what in (SYNC, LATE)
    assert done.returncode == (2 if unanswered else CODES[what]), done
    if "2>" not in broken:
        said = b"cannot write the standard output: " in done.stderr
        assert said == unanswered
        assert done.stderr.count(b"error: ") == 1
        assert b"Exception ignored" not in done.stderr and b"Traceback" not in done.stderr


def test_an_answer_that_goes_to_a_file_needs_no_streams(
    judge: list[str], clips: Path, tmp_path: Path
) -> None:
    target = tmp_path / "answer.json"
    done = _run(">&- 2>&- <&-", clips, *judge, "--json", "-o", str(target), LATE)
    assert done.returncode == 1
    assert target.read_bytes().startswith(b'{\n  "schema_version"')


@pytest.mark.parametrize("words", [["--help"], ["score", "--help"], ["--version"], ["explain"]])
@pytest.mark.parametrize(("broken", "code"), [(">/dev/full", 2), (">&-", 2), ("2>&-", 0)])
def test_pages_that_cannot_be_written(
    words: list[str], broken: str, code: int, tmp_path: Path
) -> None:
    done = _run(broken, tmp_path, *words)
    assert done.returncode == code, done
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["--help"], ["explain"]])
def test_a_page_whose_reader_goes_away_is_no_verdict(words: list[str], tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "avsync_cli", *words]
    around = {**os.environ, "PYTHONPATH": str(REPO)}
    done = subprocess.run(
        command, stdout=write, stderr=subprocess.PIPE, cwd=tmp_path, env=around, timeout=60
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("number", [1, 2])
def test_a_slow_reader_of_a_pipe_that_does_not_block(number: int, tmp_path: Path) -> None:
    """As where another program shares the terminal's or pipe's flags."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(write, False)
    names = ["explain"] if number == 1 else ["score", *(f"{'x' * 200}{n}.mp4" for n in range(40))]
    command = [sys.executable, "-m", "avsync_cli", *names]
    around = {**os.environ, "PYTHONPATH": str(REPO)}
    streams = {1: {"stdout": write}, 2: {"stderr": write}}[number]
    process = subprocess.Popen(command, cwd=tmp_path, env=around, **streams)  # type: ignore[call-overload]
    os.close(write)
    time.sleep(2.0)
    with os.fdopen(read, "rb") as stream:
        said = stream.read()
    assert process.wait(timeout=60) == (0 if number == 1 else 3)
    assert len(said) > 8192 if number == 1 else said


@pytest.mark.parametrize("broken", ["<&-", "</dev/null", "<&- 2>&-"])
def test_names_that_cannot_be_read_are_a_usage_error(broken: str, tmp_path: Path) -> None:
    assert _run(broken, tmp_path, "score", "--files-from", "-").returncode == 2


def test_processes_side_by_side_need_no_stderr(judge: list[str], clips: Path) -> None:
    done = _run("2>&- <&-", clips, *judge, "-v", "--jobs", "2", SYNC, LATE, GONE)
    assert done.returncode == 1
    assert done.stdout.count(b"\n") == 2
