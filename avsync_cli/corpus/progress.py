"""How far long work is: what training and evaluation tell whoever waits for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

Progress = Callable[[str, int, int, dict[str, float]], None]
"""Called with the stage ("cache", "train", ...), how far it is, of how much, and figures."""

Stage = Callable[[int, int], None]
"""The same within one stage."""


def stage(progress: Progress | None, name: str) -> Stage:
    """What to call with (done, of how many) during one stage."""

    def tell(done: int, total: int) -> None:
        if progress is not None:
            progress(name, done, total, {})

    return tell


def counted(items: Iterable[T], total: int, tell: Stage | None) -> Iterator[T]:
    """The items one by one; when one is done, `tell` hears how many are, of how many."""
    for done, item in enumerate(items, 1):
        yield item
        if tell is not None:
            tell(done, total)
