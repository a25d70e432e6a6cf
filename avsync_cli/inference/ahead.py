"""Run a generator in a thread of its own, a few items ahead of whoever takes them.

Looking at the picture and judging it both spend their time in code that lets other threads run; one
after the other they would leave a core idle.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")

_LOOK_S = 0.1
_JOIN_S = 10.0


class _Failed:
    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Worker(Generic[T]):
    def __init__(self, source: Iterable[T], waiting: int) -> None:
        self._source = source
        self._queue: queue.Queue[tuple[T] | _Failed | None] = queue.Queue(waiting)
        self._left = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True, name="avsync-ahead")

    def _run(self) -> None:
        last: _Failed | None = None
        try:
            for item in self._source:
                if not self._put((item,)):
                    return
        except BaseException as error:  # whatever it is, it belongs to whoever takes the items
            last = _Failed(error)
        self._put(last)

    def _put(self, item: tuple[T] | _Failed | None) -> bool:
        while not self._left.is_set():
            try:
                self._queue.put(item, timeout=_LOOK_S)
                return True
            except queue.Full:
                continue
        return False

    def items(self) -> Iterator[T]:
        while True:
            item = self._queue.get()
            if item is None:
                return
            if isinstance(item, _Failed):
                raise item.error
            yield item[0]

    def leave(self) -> None:
        self._left.set()


@contextmanager
def ahead(source: Iterable[T], waiting: int, stop: Callable[[], None]) -> Iterator[Iterator[T]]:
    """Items of `source`, made in a thread while the caller works on earlier ones.

    Args:
        source: taken from in the thread only.
        waiting: items that may wait, besides the one that is being made.
        stop: called on leaving, from the caller's thread: must make `source` end soon, whatever
            it waits for.

    The thread has ended when the block is left. What `source` raises is raised by the iterator.
    """
    worker = _Worker(source, waiting)
    worker.thread.start()
    try:
        yield worker.items()
    finally:
        worker.leave()
        stop()
        worker.thread.join(_JOIN_S)
