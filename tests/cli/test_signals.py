"""Ctrl-C and SIGTERM at moments nobody chose: the code, no process left, no half file."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPO

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")

MARK = "TEST_RUN"
"""A variable all our processes inherit, orphans too: none of them can hide."""

LIMIT_S = 60.0
"""For things that take two seconds at most, on a machine that is busy with other things."""


def _marked(mark: str) -> dict[int, str]:
    """Command lines of the living processes with this mark."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
    return found


@pytest.fixture
def mark() -> Iterator[str]:
    """A mark of this test's processes, which end with it whatever happens."""
    name = uuid.uuid4().hex
    yield name
    for pid in _marked(name):
        os.kill(pid, signal.SIGKILL)


def _start(args: list[str], folder: Path, mark: str) -> subprocess.Popen[bytes]:
    """The program, once it is ready for signals."""
    env = {**os.environ, "PYTHONPATH": str(REPO), MARK: mark}
    process = subprocess.Popen(
        [sys.executable, "-m", "avsync_cli", *args],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,
    )
    status = Path(f"/proc/{process.pid}/status")
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        (line,) = [x for x in status.read_text().splitlines() if x.startswith("SigCgt:")]
        if int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1:
            return process
        time.sleep(0.02)
    raise AssertionError("the program never came up")


def _wait_for(what: str, mark: str, process: subprocess.Popen[bytes]) -> None:
    """Until a process of the run has this in its command line, or the run is over."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        if any(what in line for line in _marked(mark).values()):
            return
        time.sleep(0.02)


def _assert_clean(folder: Path, mark: str, before: set[str]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while _marked(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _marked(mark)
    left = {path.name for path in folder.iterdir()} - before
    assert left <= {"lines.jsonl"}


FORMS = {
    "to a file": ["--json", "-o", "answer.json"],
    "resumed": ["--resume", "lines.jsonl"],
    "side by side": ["--jobs", "2", "--resume", "lines.jsonl"],
    "side by side to a file": ["--jobs", "2", "--csv", "-o", "answer.csv"],
}


@pytest.mark.parametrize(
    ("form", "number", "code"),
    [
        ("to a file", signal.SIGINT, 130),
        ("resumed", signal.SIGTERM, 143),
        ("side by side", signal.SIGINT, 130),
        ("side by side to a file", signal.SIGTERM, 143),
    ],
)
def test_a_signal_at_any_time(
    toy: Path, clips: Path, tmp_path: Path, mark: str, form: str, number: int, code: int
) -> None:
    for n in range(12):
        (tmp_path / f"{n}.mp4").symlink_to(clips / "late.mp4")
    before = {path.name for path in tmp_path.iterdir()}
    chance = random.Random(f"{form} {number}")
    moments = ["", "ffmpeg"] if "side" not in form else ["", "spawn_main", "ffmpeg"]
    for moment in moments:  # right at the start, and around what happens later
        args = ["score", "-q", "--model", str(toy), *FORMS[form], "."]
        process = _start(args, tmp_path, mark)
        if moment:
            _wait_for(moment, mark, process)
        time.sleep(chance.uniform(0.0, 0.5))
        # To the whole group, as a terminal does for Ctrl-C.
        os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
        out, err = process.communicate(timeout=LIMIT_S)
        assert process.returncode == code, err
        assert b"Traceback" not in err and b"Exception ignored" not in err
        assert out == b""
        _assert_clean(tmp_path, mark, before)
        lines = tmp_path / "lines.jsonl"
        if lines.exists():
            text = lines.read_text()
            assert text == "" or text.endswith("\n")
            paths = [json.loads(line)["path"] for line in text.splitlines()]
            assert len(paths) == len(set(paths))


def test_what_was_interrupted_is_taken_up(
    toy: Path, clips: Path, tmp_path: Path, mark: str
) -> None:
    names = [f"{n}.mp4" for n in range(4)]
    for name in names:
        (tmp_path / name).symlink_to(clips / "late.mp4")
    args = ["score", "--model", str(toy), "--step", "50", "--resume", "lines.jsonl", *names]
    lines = tmp_path / "lines.jsonl"
    process = _start(args, tmp_path, mark)
    while process.poll() is None and not (lines.exists() and lines.stat().st_size):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=LIMIT_S)
    with lines.open("a") as stream:
        stream.write('{"schema_version":1,"tool":{"vers')
    held = lines.read_text().count("\n")
    again = _start([*args, "gone.mp4"], tmp_path, mark)
    out, err = again.communicate(timeout=LIMIT_S)
    assert again.returncode == 1, err
    assert out == b""
    warning, *said = err.decode().splitlines()
    assert warning == "warning: lines.jsonl ended in the middle of a line, which was cut off"
    assert said[0] == f"{held} files already in lines.jsonl"
    assert said[1] == "5 files: 4 out of sync, 1 could not be judged"
    assert said[2].startswith("error: ") and "gone.mp4" in said[2]
    entries = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [entry["path"] for entry in entries] == [*names, "gone.mp4"]
    # A third run has nothing to do, and says the same.
    third = _start([*args, "gone.mp4"], tmp_path, mark)
    _, err = third.communicate(timeout=LIMIT_S)
    assert third.returncode == 1
    assert err.decode().splitlines()[1:] == said[1:]
    assert len(lines.read_text().splitlines()) == 5


def test_a_killed_parent_takes_its_processes_along(
    toy: Path, clips: Path, tmp_path: Path, mark: str
) -> None:
    for n in range(6):
        (tmp_path / f"{n}.mp4").symlink_to(clips / "late.mp4")
    before = {path.name for path in tmp_path.iterdir()}
    args = ["score", "--jobs", "2", "--resume", "lines.jsonl", "--model", str(toy), "."]
    process = _start(args, tmp_path, mark)
    _wait_for("ffmpeg", mark, process)
    process.kill()
    process.communicate(timeout=LIMIT_S)
    _assert_clean(tmp_path, mark, before)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_work_that_does_not_listen_is_ended(tmp_path: Path, number: int, code: int) -> None:
    # Inside a long call into C, or where Python drops exceptions: the signal still ends it.
    script = (
        "import pathlib, sys, time\n"
        "from avsync_cli.interrupt import guarded, on_exit\n"
        "part = pathlib.Path('part'); part.touch()\n"
        "on_exit(part.unlink)\n"
        "class Deaf:\n"
        "    def __del__(self):\n"
        "        print('ready', flush=True)\n"
        "        for _ in range(2000): time.sleep(0.05)\n"
        "with guarded():\n"
        "    Deaf()\n"
        "    while True: time.sleep(1)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        process.communicate(timeout=LIMIT_S)
        assert process.returncode == code
    finally:
        process.kill()
    assert not (tmp_path / "part").exists()


def test_finalisers_on_the_way_out_say_nothing() -> None:
    script = (
        "import os, signal, sys\n"
        "from avsync_cli.interrupt import guarded\n"
        "class Cross:\n"
        "    def __init__(self, words): self.words = words\n"
        "    def __del__(self): raise OSError(self.words)\n"
        "try:\n"
        "    with guarded():\n"
        "        Cross('before')\n"
        "        late = Cross('after')\n"
        "        try: os.kill(os.getpid(), signal.SIGINT)\n"
        "        finally: del late\n"
        "except KeyboardInterrupt: print('interrupted', file=sys.stderr)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(REPO)}
    done = subprocess.run([sys.executable, "-c", script], env=env, stderr=subprocess.PIPE)
    said = done.stderr.decode()
    assert "OSError: before" in said
    assert "after" not in said
    assert said.endswith("interrupted\n")
