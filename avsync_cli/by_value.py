"""Values that hold arrays, compared by what they hold."""

from __future__ import annotations

from dataclasses import fields

import numpy as np


class ByValue:
    """Base of dataclasses with `eq=False` that may hold arrays, whose own `==` compares them as if
    an array had one truth.

    >>> from dataclasses import dataclass
    >>> @dataclass(eq=False)
    ... class Curve(ByValue):
    ...     points: np.ndarray
    >>> Curve(np.arange(3)) == Curve(np.arange(3)), Curve(np.arange(3)) == Curve(np.arange(4))
    (True, False)
    """

    __hash__ = None  # type: ignore[assignment]  # as of all that may hold lists

    def __eq__(self, other: object) -> bool:
        """Whether `other` is of the same class and holds the same; NAN in arrays is like NAN."""
        if type(other) is not type(self):
            return NotImplemented
        names = [each.name for each in fields(self) if each.compare]  # type: ignore[arg-type]
        return all(_is_same(getattr(self, name), getattr(other, name)) for name in names)


def _is_same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        is_float = one.dtype.kind == "f" and other.dtype.kind == "f"
        return np.array_equal(one, other, equal_nan=is_float)
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return False
    return one is other or bool(one == other)
