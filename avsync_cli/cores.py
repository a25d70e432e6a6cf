"""How many processor cores there are for us."""

from __future__ import annotations

import os

FEW = 2
"""So few are kept busy by decoder, face detector and model side by side."""


def usable_cores() -> int:
    """Cores that this process may use, 1 or more."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
