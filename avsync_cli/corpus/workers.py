"""Processes that work for us on many clips, and end when we do.

A pool of `concurrent.futures` waits for what is running, and its processes wait for its next word:
after Ctrl-C or SIGTERM they would keep us beyond our time, and then outlive us.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from avsync_cli.interrupt import end_at_once, end_with_starter


@contextmanager
def worker_pool(workers: int) -> Iterator[concurrent.futures.Executor]:
    """A pool of processes, of which none is left after the block.

    When the block ends by an exception, what is running is broken off and what waits is dropped.

    Args:
        workers: how many, 1 or more.
    """
    context = multiprocessing.get_context("spawn")
    others = multiprocessing.active_children()
    pool = concurrent.futures.ProcessPoolExecutor(
        workers, mp_context=context, initializer=_end_with_starter
    )
    with pool:
        try:
            yield pool
        except BaseException:
            for child in multiprocessing.active_children():
                if child not in others:
                    child.terminate()
            pool.shutdown(cancel_futures=True)
            raise


def _end_with_starter() -> None:
    """In a new process: Ctrl-C is our starter's, and what it makes of us comes as SIGTERM."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: end_at_once())
    end_with_starter()
