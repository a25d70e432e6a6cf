"""The clips, model and program of the command line's tests."""

from __future__ import annotations

from tests.cli.conftest import avsync, clips, toy

__all__ = ["avsync", "clips", "toy"]
