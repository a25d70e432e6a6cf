"""The same batch on a Ray cluster of this machine, with a worker killed in the middle."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from avsync_cli.__main__ import main
from tests.cli.conftest import Run
from tests.conftest import REPO

HAVE_RAY = importlib.util.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(
    not HAVE_RAY, reason="RAY IS NOT INSTALLED: --engine ray was not tested (pip install ray)"
)


def test_without_ray_it_says_what_to_install(
    toy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["score", "--engine", "ray", "--model", str(toy), "x.mp4"]) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert error == "error: --engine ray needs Ray, which is not installed"
    assert 'pip install "avsync-cli[ray]"' in hint


def test_an_unknown_engine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "--engine", "rai", "x.mp4"]) == 2
    assert "did you mean 'ray'?" in capsys.readouterr().err


def _ray_workers() -> list[int]:
    """Processes of Ray that are on one of our files right now (Ray writes it in their title)."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                title = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if title.startswith(b"ray::avsync"):
                found.append(int(folder.name))
    return found


@needs_ray
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
def test_a_killed_worker_changes_nothing(
    avsync: Run, toy: Path, clips: Path, tmp_path: Path
) -> None:
    names = [f"{n}.mp4" for n in range(5)]
    for n, name in enumerate(names):
        (tmp_path / name).symlink_to(clips / ("late.mp4" if n % 2 else "sync.mp4"))
    args = ["score", "--jsonl", "--threads", "1", "--model", toy, *names, "gone.mp4"]
    local = avsync(*args)
    cluster = {
        **os.environ,
        "PYTHONPATH": str(REPO),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "240",  # on a machine that has other things to do
    }
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            # Two workers, whatever the machine has.
            "import ray, sys; ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)\n"
            "from avsync_cli.__main__ import main; sys.exit(main(sys.argv[1:]))",
            *map(str, [*args, "--engine", "ray"]),
        ],
        cwd=tmp_path,
        env=cluster,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    killed = False
    deadline = time.monotonic() + 300
    while process.poll() is None and not killed and time.monotonic() < deadline:
        for pid in _ray_workers()[:1]:
            os.kill(pid, signal.SIGKILL)
            killed = True
        time.sleep(0.02)
    out, err = process.communicate(timeout=300)
    assert killed, err
    assert process.returncode == local.returncode == 1, err
    assert sorted(out.splitlines()) == sorted(local.stdout.splitlines())
    assert len(out.splitlines()) == 6
    assert {json.loads(line)["status"] for line in out.splitlines()} == {
        "in_sync", "out_of_sync", "error",
    }  # fmt: skip
