"""Rendered clips, and processes that work together, which the tests of this room share."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from avsync_cli.corpus.cache import CachedClip
from avsync_cli.corpus.rendered import rendered_clips
from avsync_cli.model.config import WIDTHS
from tests.conftest import REPO
from tests.training.narrow import NARROW


def surroundings(rank: int, count: int, port: str) -> dict[str, str]:
    """What `torchrun` tells one of so many processes."""
    return {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
    }  # fmt: skip


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


@contextmanager
def together(count: int, script: str, *args: str) -> Iterator[list[subprocess.Popen[str]]]:
    """So many processes that run a script together; what is left of them is killed."""
    port = free_port()
    plain = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO)}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, *args],
            env=plain | surroundings(rank, count, port),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def copied(clips: Sequence[CachedClip], folder: Path) -> list[CachedClip]:
    """Clips of one's own, beside which phones can be kept that other tests do not find."""
    return [
        replace(clip, folder=Path(shutil.copytree(clip.folder, folder / clip.folder.name)))
        for clip in clips
    ]


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """New models are narrow ones."""
    monkeypatch.setitem(WIDTHS, "base", NARROW)


@pytest.fixture(scope="module")
def all_narrow() -> Iterator[None]:
    """New models of the whole module are narrow ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(WIDTHS, "base", NARROW)
        yield


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[CachedClip]:
    return rendered_clips(5, seed=7, cache_dir=tmp_path_factory.mktemp("crops"))
