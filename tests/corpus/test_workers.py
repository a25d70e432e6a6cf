"""Processes that decode for `eval`, `train` and `export` end when these do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import REPO

SCRIPT = """
import os, sys, time
from avsync_cli.corpus.workers import worker_pool
from avsync_cli.interrupt import guarded

def work(folder):
    open(os.path.join(folder, str(os.getpid())), "w").close()
    time.sleep(60)

if __name__ == "__main__":
    with guarded(), worker_pool(2) as pool:
        [job.result() for job in [pool.submit(work, sys.argv[1]) for _ in range(4)]]
"""


def _lives(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks /proc who is there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_its_starter(tmp_path: Path, number: signal.Signals) -> None:
    script, folder = tmp_path / "script.py", tmp_path / "pids"
    script.write_text(SCRIPT)
    folder.mkdir()
    args = [sys.executable, str(script), str(folder)]
    env = {**os.environ, "PYTHONPATH": str(REPO)}
    # To files: a worker that is left would keep a pipe open, and us waiting for its end.
    with (tmp_path / "said").open("wb") as said:
        starter = subprocess.Popen(args, env=env, stderr=said)
        late = time.monotonic() + 60
        while len(list(folder.iterdir())) < 2 and time.monotonic() < late:
            time.sleep(0.05)
        pids = [int(path.name) for path in folder.iterdir()]
        assert len(pids) == 2
        starter.send_signal(number)
        started = time.monotonic()
        starter.wait(timeout=30)
        assert time.monotonic() - started < 2.0
        late = time.monotonic() + 10
        while any(map(_lives, pids)) and time.monotonic() < late:
            time.sleep(0.05)
    left = [pid for pid in pids if _lives(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []
    if number != signal.SIGKILL:
        assert "semaphore" not in (tmp_path / "said").read_text()
