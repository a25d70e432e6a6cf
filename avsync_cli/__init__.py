"""avsync: is a video's sound in sync with its picture, by how much not, where, and how sure.

    >>> import avsync_cli
    >>> report = avsync_cli.score("holiday.mp4", tolerance="ebu")  # doctest: +SKIP
    >>> report.verdict.status, report.verdict.offset_ms             # doctest: +SKIP
    ('out_of_sync', 120.0)

An offset > 0 means that the sound is late. Importing this package imports nothing else; numpy and
ONNX Runtime come with the first call, torch never.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from avsync_cli._version import __version__

if TYPE_CHECKING:
    from avsync_cli.api import Options, fix, scan, score
    from avsync_cli.errors import AvsyncError
    from avsync_cli.loading import load_model
    from avsync_cli.verdict.answer import Judgement, Tolerance

__all__ = [
    "AvsyncError",
    "Judgement",
    "Options",
    "Tolerance",
    "__version__",
    "fix",
    "load_model",
    "scan",
    "score",
]

_LAZY = {
    "AvsyncError": "avsync_cli.errors",
    "Judgement": "avsync_cli.verdict.answer",
    "Options": "avsync_cli.api",
    "Tolerance": "avsync_cli.verdict.answer",
    "load_model": "avsync_cli.loading",
    "fix": "avsync_cli.api",
    "scan": "avsync_cli.api",
    "score": "avsync_cli.api",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
