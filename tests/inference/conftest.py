"""The toy model, built once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from avsync_cli.inference.engine import OnnxEngine
from tests.inference.toy_model import build_toy_model


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_model(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture(scope="session")
def toy_engine(toy_folder: Path) -> OnnxEngine:
    return OnnxEngine(toy_folder, threads=1)
