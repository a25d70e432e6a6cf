"""A process is started as a whole, whatever signal comes meanwhile."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing import context

import pytest

from avsync_cli.batch.processes import _Worker
from avsync_cli.interrupt import Terminated, guarded


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_signal_by_way_of_another_thread_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the child's orders are cut off, and it says so with a trace of its own."""
    ended: list[bool] = []

    def start(_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)  # blocked in this thread, not in the last resort's
        time.sleep(0.3)
        ended.append(True)

    monkeypatch.setattr(context.SpawnProcess, "start", start)
    with pytest.raises(Terminated), guarded():
        _Worker(None)  # type: ignore[arg-type]
    assert ended == [True]
