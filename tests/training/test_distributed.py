"""Several processes: whose GPU is whose, and what becomes of a run that loses one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from torch import nn

from avsync_cli.corpus.cache import CachedClip
from avsync_cli.errors import UsageError
from avsync_cli.model.checkpoint import load_tensors
from avsync_cli.training import distributed
from avsync_cli.training.distributed import SharedBatchNorm, device_name
from tests.conftest import REPO
from tests.training.conftest import free_port, surroundings, together

SOON_S = 90.0
"""Seconds, on a machine with a lot to do; below `EXCHANGE` and `SILENCE_S`, which would be waited
for in vain."""


@pytest.mark.parametrize(
    ("asked", "gpus", "place", "got"),
    [
        ("auto", 0, 0, "cpu"),
        ("auto", 0, 3, "cpu"),
        ("auto", 1, 0, "cuda:0"),
        ("auto", 4, 3, "cuda:3"),
        ("cuda", 2, 1, "cuda:1"),
        ("cuda:2", 4, 0, "cuda:2"),
        ("cuda:2", 4, 1, "cuda:3"),
        ("cpu", 4, 1, "cpu"),
    ],
)
def test_every_process_has_a_gpu_of_its_own(asked: str, gpus: int, place: int, got: str) -> None:
    assert device_name(asked, gpus, place) == got


@pytest.mark.parametrize(
    ("asked", "gpus", "place"),
    [("cuda", 0, 0), ("cuda", 2, 2), ("auto", 1, 1), ("cuda:1", 1, 0), ("cuda:x", 2, 0)],
)
def test_a_gpu_that_is_not_there(asked: str, gpus: int, place: int) -> None:
    with pytest.raises(UsageError, match="--device"):
        device_name(asked, gpus, place)


def test_the_place_comes_from_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    assert distributed.local_rank() == 0
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert distributed.local_rank() == 3


def test_the_timeout_is_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the group knows its processes; nobody else needs to be there for that."""
    given: dict[str, object] = {}

    def start(backend: str, **settings: object) -> None:
        given.update(settings, backend=backend)

    monkeypatch.setattr(distributed.dist, "init_process_group", start)
    monkeypatch.setattr(distributed.dist, "destroy_process_group", lambda: None)
    for name, value in surroundings(0, 2, free_port()).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "False")
    monkeypatch.setattr(
        distributed,
        "rendezvous",
        lambda _: iter([(torch.distributed.HashStore(), 0, 2)]),
    )
    with distributed.together("cpu") as device:
        assert (device.type, distributed.rank(), distributed.world()) == ("cpu", 0, 2)
    assert given["timeout"] == distributed.EXCHANGE
    assert timedelta(minutes=1) <= distributed.EXCHANGE <= timedelta(hours=1)
    assert (distributed.rank(), distributed.world()) == (0, 1)


@pytest.mark.parametrize("shape", [(8, 3), (8, 3, 4, 5)])
def test_normalisation_alone_is_torchs_own(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = torch.randn(shape)
    plain = nn.BatchNorm1d(3) if len(shape) == 2 else nn.BatchNorm2d(3)
    torch.testing.assert_close(SharedBatchNorm(3)(x), plain(x))


HEAD = """
import sys, time, torch
from avsync_cli.errors import DataError
from avsync_cli.training import distributed

def work():
    for step in range(10_000):
        if step == 3 and distributed.rank() == int(sys.argv[1]):
            {deed}
        {exchange}
        time.sleep(0.01)

with distributed.together("cpu"):
    print("here", flush=True)
    {body}
"""

FAILS = 'raise DataError("the disk of this one is full")'
DIES = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
ADDS = "distributed.mean_count(torch.tensor(1.0))"
MEETS = "distributed.barrier()"


def started(processes: list[subprocess.Popen[str]]) -> None:
    """Wait until all have joined, which on a busy machine takes as long as it takes."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"


@pytest.mark.parametrize("loser", [0, 1])
@pytest.mark.parametrize("exchange", [ADDS, MEETS], ids=["exchange", "meeting"])
def test_a_process_that_fails_ends_the_other_with_its_reason(exchange: str, loser: int) -> None:
    script = HEAD.format(deed=FAILS, exchange=exchange, body="work()")
    with together(2, script, str(loser)) as processes:
        started(processes)
        failed, other = processes[loser], processes[1 - loser]
        _, own = failed.communicate(timeout=SOON_S)
        began = time.monotonic()
        _, said = other.communicate(timeout=SOON_S)
        assert time.monotonic() - began < SOON_S
        assert "the disk of this one is full" in own
        assert failed.returncode == 1
        assert other.returncode == 1
        (last,) = [line for line in said.splitlines() if "WorkerError: another process" in line]
        # Who keeps the notes for all takes them along.
        assert loser == 0 or f"process {loser}: the disk of this one is full" in last


@pytest.mark.parametrize("loser", [0, 1])
def test_a_process_that_is_killed_ends_the_other(loser: int) -> None:
    with together(2, HEAD.format(deed=DIES, exchange=ADDS, body="work()"), str(loser)) as processes:
        started(processes)
        _, said = processes[1 - loser].communicate(timeout=SOON_S)
        assert processes[1 - loser].returncode == 1
        assert "WorkerError: another process of this run has stopped" in said
        assert processes[loser].wait() == -signal.SIGKILL


def test_who_waits_for_a_dead_one_hears_of_it() -> None:
    body = "distributed.SILENCE_S = 2.0; distributed.BEAT_S = 0.2; work()"
    with together(2, HEAD.format(deed=DIES, exchange=MEETS, body=body), "1") as processes:
        started(processes)
        _, said = processes[0].communicate(timeout=SOON_S)
        assert "nothing was heard of process 1 for 2 s" in said


RUN = """
import sys
from pathlib import Path
from avsync_cli.corpus.cache import open_entry
from avsync_cli.corpus.manifest import Clip
from avsync_cli.model.checkpoint import save_tensors
from avsync_cli.training import distributed, loop
from avsync_cli.training.options import TrainOptions
from avsync_cli.training.run import Run
from tests.training.narrow import narrow_models

narrow_models()
out, *folders = sys.argv[1:]
out = Path(out)
clips = [open_entry(Clip(Path(f), source=f, kind="talking"), Path(f)) for f in folders]
loop.prepare = lambda *_: (clips, clips[:1], [])
learn = Run.learn

def kept(run, batch):
    figures = learn(run, batch)
    if run.step == run.options.steps:
        save_tensors(out / f"rank{distributed.rank()}.safetensors", run.model.state_dict())
        save_tensors(
            out / f"mean{distributed.rank()}.safetensors", run.averaged.module.state_dict()
        )
    return figures

Run.learn = kept
loop.train(TrainOptions(data=out, cache=out, out=out, steps=4, batch=4, warmup=2, val_every=2,
    synthetic=0, workers=0, realign_at=2, checkpoint_minutes=0.0, precision="fp32", device="cpu"))
"""


@pytest.mark.slow
def test_torchrun_with_two_processes_keeps_their_weights_the_same(
    tmp_path: Path, clips: list[CachedClip]
) -> None:
    script = tmp_path / "run.py"
    script.write_text(RUN)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    folders = [str(clip.folder) for clip in clips]
    subprocess.run(
        [*command, "2", str(script), str(tmp_path), *folders],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO)},
        timeout=400,
        check=True,
    )
    for kind in ("rank", "mean"):
        one, two = (load_tensors(tmp_path / f"{kind}{k}.safetensors") for k in range(2))
        assert one.keys() == two.keys()
        for name, value in one.items():
            assert torch.equal(value, two[name]), name
    assert (tmp_path / "best" / "model.json").is_file()
