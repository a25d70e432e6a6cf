"""A narrow model, for runs that are about anything but how well a model places."""

from __future__ import annotations

from avsync_cli.model.config import WIDTHS, Widths

NARROW = Widths((8, 12, 16, 24), (8, 16, 24, 32, 48), 32)
"""A tenth of the arithmetic of "base"."""


def narrow_models() -> None:
    """From now on new models of this process are narrow ones."""
    WIDTHS["base"] = NARROW
