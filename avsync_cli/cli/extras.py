"""Commands that need torch say so in one line where it is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from avsync_cli.errors import UsageError

_EXTRA = frozenset({"torch", "safetensors", "onnx"})


@contextmanager
def train_extra(command: str) -> Iterator[None]:
    """Run the body, and turn a missing package of the extra `train` into a usage error."""
    try:
        yield
    except ModuleNotFoundError as error:
        root = (error.name or "").partition(".")[0]
        if root not in _EXTRA:
            raise
        hint = "pip install '.[train]' in a clone of avsync"
        raise UsageError(f"avsync {command} needs {root}, which is not installed", hint) from None
