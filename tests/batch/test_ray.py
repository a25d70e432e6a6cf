"""The same batch on a Ray cluster of this machine, with a worker killed in the middle."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from avsync_cli.__main__ import main
from avsync_cli.batch import on_ray
from tests.cli.conftest import Run
from tests.conftest import REPO

HAVE_RAY = importlib.util.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(
    not HAVE_RAY, reason="RAY IS NOT INSTALLED: --engine ray was not tested (pip install ray)"
)

PATIENCE_S = 600.0
"""For a cluster to come up, and for the batch: a minute on a machine that is idle."""


def test_without_ray_it_says_what_to_install(
    toy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["score", "--engine", "ray", "--model", str(toy), "x.mp4"]) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert error == "error: --engine ray needs Ray, which is not installed"
    assert "pip install '.[ray]'" in hint


def test_an_unknown_engine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "--engine", "rai", "x.mp4"]) == 2
    assert "did you mean 'ray'?" in capsys.readouterr().err


def test_what_ray_prints_stays_out_of_the_answer(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    answer = sys.stdout
    with contextlib.redirect_stdout(on_ray._Aside(answer)):
        print("\x1b[33m(raylet)\x1b[0m A worker died.\n\n  See its log.", flush=True)
        print("the answer", file=answer)
    assert capsys.readouterr() == ("the answer\n", "")
    assert caplog.messages == ["(raylet) A worker died. See its log."]


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


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A cluster of two workers; the environment in which a program finds it."""
    ports = _free_ports(5)
    # A token of its own: with one that lies in the home folder, `ray start` asks for it, but who
    # comes with an address does not show it.
    secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    around = {**os.environ, **secret, "PYTHONPATH": str(REPO), "RAY_USAGE_STATS_ENABLED": "0"}
    # Every wait is long: the machine may have other things to do, to which Ray's workers would give
    # way. With its ports given, Ray does not wait for its agents at all, for which it has a limit
    # of its own.
    around["RAY_raylet_start_wait_time_s"] = f"{int(PATIENCE_S)}"
    around["RAY_worker_niceness"] = "0"
    around["RAY_agent_register_timeout_ms"] = f"{int(1000 * PATIENCE_S)}"
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"]
    command += ["--num-cpus=2", "--include-dashboard=false", f"--port={ports[0]}"]
    command += [f"--dashboard-agent-grpc-port={ports[1]}"]
    command += [f"--dashboard-agent-listen-port={ports[2]}"]
    command += [f"--runtime-env-agent-port={ports[3]}", f"--metrics-export-port={ports[4]}"]
    log = tmp_path / "ray.log"
    with log.open("wb") as out:
        head = subprocess.Popen(command, env=around, stdout=out, stderr=out, process_group=0)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while b"Ray runtime started" not in log.read_bytes():
            assert head.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield {"RAY_ADDRESS": f"127.0.0.1:{ports[0]}", **secret}
    finally:
        head.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            head.wait(timeout=30)
        with contextlib.suppress(OSError):
            os.killpg(head.pid, signal.SIGKILL)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


@needs_ray
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
def test_a_killed_worker_changes_nothing(
    avsync: Run, cluster: dict[str, str], toy: Path, clips: Path, tmp_path: Path
) -> None:
    names = [f"{n}.mp4" for n in range(5)]
    for n, name in enumerate(names):
        (tmp_path / name).symlink_to(clips / ("late.mp4" if n % 2 else "sync.mp4"))
    args = ["score", "--jsonl", "--threads", "1", "--model", str(toy), *names, "gone.mp4"]
    local = avsync(*args)
    process = subprocess.Popen(
        [sys.executable, "-m", "avsync_cli", *args, "--engine", "ray"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPO), **cluster},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    killed = False
    deadline = time.monotonic() + PATIENCE_S
    try:
        while process.poll() is None and not killed and time.monotonic() < deadline:
            for pid in _ray_workers()[:1]:
                os.kill(pid, signal.SIGKILL)
                killed = True
            time.sleep(0.02)
        out, err = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert killed, err
    assert b"Traceback" not in err and b"(raylet)" not in err
    assert process.returncode == local.returncode == 1, err
    assert sorted(out.splitlines()) == sorted(local.stdout.splitlines())
    assert len(out.splitlines()) == 6
    assert {json.loads(line)["status"] for line in out.splitlines()} == {
        "in_sync", "out_of_sync", "error",
    }  # fmt: skip
