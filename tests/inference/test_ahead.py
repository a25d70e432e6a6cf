"""A generator run in a thread: order, bounds, errors, and that nothing is left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from avsync_cli.inference.ahead import ahead


def running() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "avsync-ahead"]


def nothing() -> None:
    """No need to stop a source that waits for nothing."""


def test_items_come_in_order_and_all_of_them() -> None:
    with ahead(iter(range(100)), 3, nothing) as items:
        assert list(items) == list(range(100))
    assert running() == []


def test_what_waits_is_bounded() -> None:
    made: list[int] = []

    def source() -> Iterator[int]:
        for n in range(1000):
            made.append(n)
            yield n

    with ahead(source(), 2, nothing) as items:
        assert next(items) == 0
        deadline = time.monotonic() + 10
        while len(made) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)
        # One taken, two waiting, one in the hands of the thread.
        assert made == [0, 1, 2, 3]
    assert running() == []


def test_an_error_comes_after_the_items_before_it() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    taken = []
    with pytest.raises(OSError, match="gone"), ahead(source(), 2, nothing) as items:
        for item in items:
            taken.append(item)
    assert taken == [1]
    assert running() == []


def test_leaving_early_stops_a_source_that_waits() -> None:
    stopped = threading.Event()

    def source() -> Iterator[int]:
        yield 1
        stopped.wait(60)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), ahead(source(), 2, stopped.set) as items:
        next(items)
        raise KeyboardInterrupt
    assert running() == []
    assert time.monotonic() - began < 30
