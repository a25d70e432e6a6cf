"""What runs the model: one small protocol, and ONNX Runtime behind it.

The encoders never see the other modality, so a stream is encoded once and the sound is slid past
the picture in feature space. Sound features come at 100 Hz, one a log-mel step: the sound encoder
makes one every four steps, and is run on the four starting steps in turn. Sliding by 10 ms is then
exact, no interpolation.

Shapes: T frames, F log-mel steps, r = `config.visual_context`, C = `config.channels`, (h, w) the
grid of cells, N blocks, O offsets, M = `config.cells`, D = `config.joint_width`, G groups of units
that compete in one softmax.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from avsync_cli.errors import ModelError
from avsync_cli.model.config import ModelConfig
from avsync_cli.model.features import centre_crop
from avsync_cli.timebase import HOPS_PER_FRAME

FORMAT = 1
"""Version of the model folder this code reads."""

GRAPHS = ("visual.onnx", "sound.onnx", "joint.onnx", "decide.onnx")

ABSENT = -1e9
"""Confidence of a unit that takes no part: large, negative and finite, since ONNX Runtime's
softmax over nothing but -inf is not a number."""

_INPUTS = {
    "visual.onnx": {"crops": 4},
    "sound.onnx": {"mel": 3},
    "joint.onnx": {"v": 5, "a": 4},
    "decide.onnx": {"z": 3, "confidence": 2, "similarity": 2},
}
_OUTPUTS = {
    "visual.onnx": ["v"],
    "sound.onnx": ["a"],
    "joint.onnx": ["z", "confidence", "similarity"],
    "decide.onnx": ["logits", "weights"],
}

_JSON_LIMIT = 1 << 20
_GRAPH_LIMIT = 256 << 20
_VISUAL_FRAMES = 200
_SOUND_FRAMES = 500
_REINSTALL = "reinstall avsync, or fetch the model again"


class Engine(Protocol):
    """The model as the scan sees it; all arrays float32 unless said otherwise."""

    @property
    def config(self) -> ModelConfig: ...

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def backend(self) -> str: ...

    @property
    def calibration(self) -> dict[str, float]: ...

    def encode_visual(self, crops: np.ndarray) -> np.ndarray:
        """(T + 2r, 96, 96) uint8 grey crops to (T, C, h, w): r frames are used up at each end."""
        ...

    def encode_sound(self, mel: np.ndarray) -> np.ndarray:
        """(F, bands) log-mel to (F - b - a - 3, C), where (b, a) = `config.sound_context`.

        Output step j uses mel steps j .. j + b + a + 3; with b steps of context in front it
        belongs to the four steps from the timeline step j on.
        """
        ...

    def joint(self, v: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """v (N, 25, C, h, w), a (N, O, 25, C) to z (N, O, M, D), confidence and similarity
        (N, O, M)."""
        ...

    def decide(
        self, z: np.ndarray, confidence: np.ndarray, similarity: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """z (G, M', D), confidence and similarity (G, M') to logits (G, 2) and weights (G, M').

        M' is any number of units; one whose confidence is `ABSENT` takes no part. Class 1 is
        "in sync".
        """
        ...


def encode_phases(
    mel: np.ndarray, config: ModelConfig, encode: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Sound features at every log-mel step, from an encoder that makes one every four.

    Args:
        mel: (F, bands) log-mel.
        config: of the model.
        encode: takes four stretches (4, 4 n + context, bands) float32, each a step later than the
            one before, and gives (4, n, C).

    Returns:
        (F - context - 3, C) float32, as of `Engine.encode_sound`.
    """
    context = sum(config.sound_context)
    steps = len(mel) - context - HOPS_PER_FRAME + 1
    if steps <= 0:
        return np.zeros((0, config.channels), np.float32)
    parts = []
    for first in range(0, steps, _SOUND_FRAMES * HOPS_PER_FRAME):
        count = min(steps - first, _SOUND_FRAMES * HOPS_PER_FRAME)
        length = -(-count // HOPS_PER_FRAME) * HOPS_PER_FRAME + context
        part = mel[first : first + length + HOPS_PER_FRAME - 1]
        # The last phases may want up to three steps more than there are; what those steps make
        # is cut off again.
        lacking = length + HOPS_PER_FRAME - 1 - len(part)
        part = np.pad(part, ((0, lacking), (0, 0)), mode="edge") if lacking else part
        phases = np.stack([part[p : p + length] for p in range(HOPS_PER_FRAME)])
        out = encode(phases.astype(np.float32, copy=False))
        parts.append(out.transpose(1, 0, 2).reshape(-1, config.channels)[:count])
    return np.ascontiguousarray(np.concatenate(parts))


class OnnxEngine:
    """A model folder on ONNX Runtime's CPU provider.

    Args:
        folder: holds `model.json` and the four graphs named in `GRAPHS`.
        threads: threads within an operator; 0 for one a core.

    Raises:
        ModelError: the folder is missing, incomplete, damaged (a sum differs), of another
            format, or not a model of this kind. Nothing is loaded before every sum agrees.
    """

    backend = "onnxruntime"

    def __init__(self, folder: str | Path, threads: int = 0) -> None:
        folder = Path(folder)
        self.folder = folder
        described = _read_description(folder)
        self.name: str = described["name"]
        self.version: str = described["version"]
        self.config: ModelConfig = ModelConfig.from_json(described.get("config"))
        self.calibration: dict[str, float] = _checked_calibration(described.get("calibration", {}))
        graphs = {name: _read_graph(folder, name, described["files"]) for name in GRAPHS}
        self._sessions = {n: _session(folder, n, graphs.pop(n), threads) for n in GRAPHS}

    def encode_visual(self, crops: np.ndarray) -> np.ndarray:
        config = self.config
        around = 2 * config.visual_context
        frames = len(crops) - around
        if frames <= 0:
            grid = config.grid
            return np.zeros((0, config.channels, grid, grid), np.float32)
        seen = centre_crop(crops, config.input_px)
        parts = []
        for first in range(0, frames, _VISUAL_FRAMES):
            part = seen[first : min(first + _VISUAL_FRAMES, frames) + around]
            parts.append(self._run("visual.onnx", part[None].astype(np.float32))[0][0])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def encode_sound(self, mel: np.ndarray) -> np.ndarray:
        return encode_phases(mel, self.config, lambda phases: self._run("sound.onnx", phases)[0])

    def joint(self, v: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        z, confidence, similarity = self._run("joint.onnx", v, a)
        return z, confidence, similarity

    def decide(
        self, z: np.ndarray, confidence: np.ndarray, similarity: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        logits, weights = self._run("decide.onnx", z, confidence, similarity)
        return logits, weights

    def _run(self, graph: str, *inputs: np.ndarray) -> list[np.ndarray]:
        feed = dict(zip(_INPUTS[graph], inputs, strict=True))
        try:
            outputs: list[np.ndarray] = self._sessions[graph].run(_OUTPUTS[graph], feed)
        except Exception as error:  # ONNX Runtime's own errors share no public base class
            raise ModelError(
                f"the model {self.name!r} failed in {graph}: {_first_line(error)}", _REINSTALL
            ) from error
        return outputs


def load_engine(model: str | Path = "default", threads: int = 0) -> OnnxEngine:
    """Load a model by name, or from a folder.

    Args:
        model: a name among the models that come with avsync ("default"), or a path. A word
            without a separator is a name first, and a folder only where no such name exists.
        threads: threads within an operator; 0 for one a core.

    Raises:
        ModelError: no such model, or one that cannot be used.
    """
    if isinstance(model, Path) or any(mark in model for mark in ("/", "\\")) or model == ".":
        return OnnxEngine(model, threads)
    from avsync_cli.config import models_dir

    shelf = models_dir()
    named = shelf / model
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", model) and named.is_dir():
        return OnnxEngine(named, threads)
    if Path(model).is_dir():
        return OnnxEngine(model, threads)
    known = sorted(p.parent.name for p in shelf.glob("*/model.json")) if shelf.is_dir() else []
    hint = f"known models: {', '.join(known)}" if known else "give a model folder with --model"
    raise ModelError(f"no model named {model!r}", hint)


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / "model.json"
    if not folder.is_dir():
        raise ModelError(f"no model folder at {folder}", "check the path", folder)
    try:
        text = _read_limited(path, _JSON_LIMIT)
    except OSError as error:
        raise ModelError(
            f"no readable model.json in {folder}", "give a folder made by export", folder
        ) from error
    try:
        described = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not JSON", _REINSTALL, path) from error
    if not isinstance(described, dict):
        raise ModelError(f"{path} does not describe a model", _REINSTALL, path)
    if described.get("format") != FORMAT:
        raise ModelError(
            f"{path} has format {described.get('format')!r}, this avsync reads {FORMAT}",
            "update avsync or the model",
            path,
        )
    for key in ("name", "version"):
        value = described.get(key)
        if not isinstance(value, str) or not 0 < len(value) <= 100 or not value.isprintable():
            raise ModelError(f"{path} has no usable {key!r}", _REINSTALL, path)
    files = described.get("files")
    if not isinstance(files, dict):
        raise ModelError(f"{path} lists no files", _REINSTALL, path)
    for name in files:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise ModelError(f"{path} names a file outside its folder: {name!r}", _REINSTALL, path)
    return described


def _read_graph(folder: Path, name: str, files: dict[str, Any]) -> bytes:
    """The bytes of one graph, once its sum has been found right; read once, so that what was
    checked is what is run."""
    entry = files.get(name)
    wanted = entry.get("sha256") if isinstance(entry, dict) else None
    if not isinstance(wanted, str) or not re.fullmatch(r"[0-9a-fA-F]{64}", wanted):
        raise ModelError(f"model.json in {folder} has no sum for {name}", _REINSTALL, folder)
    path = folder / name
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ModelError(f"{path} leads outside its folder", _REINSTALL, path)
        data = _read_limited(path, _GRAPH_LIMIT)
    except OSError as error:
        raise ModelError(f"the model lacks {path}", _REINSTALL, path) from error
    if hashlib.sha256(data).hexdigest() != wanted.lower():
        raise ModelError(f"{path} is damaged: its sum is not that in model.json", _REINSTALL, path)
    return data


def _read_limited(path: Path, limit: int) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(path)
    with path.open("rb") as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise ModelError(f"{path} is larger than a model's file may be", _REINSTALL, path)
    return data


def _checked_calibration(values: object) -> dict[str, float]:
    if not isinstance(values, dict):
        raise ModelError("the model's calibration is not a table", _REINSTALL)
    kept: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ModelError(f"the model's calibration {name!r} is not a number", _REINSTALL)
        if not math.isfinite(value):
            raise ModelError(f"the model's calibration {name!r} is not finite", _REINSTALL)
        kept[str(name)] = float(value)
    return kept


def _session(folder: Path, name: str, graph: bytes, threads: int) -> Any:
    from avsync_cli.onnx_runtime import load_onnxruntime, session_options

    ort = load_onnxruntime()
    options = session_options(threads)
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own errors share no public base class
        raise ModelError(
            f"{folder / name} cannot be loaded: {_first_line(error)}", _REINSTALL, folder / name
        ) from error
    ranks = {i.name: len(i.shape) for i in session.get_inputs()}
    outputs = {o.name for o in session.get_outputs()}
    if ranks != _INPUTS[name] or not outputs.issuperset(_OUTPUTS[name]):
        raise ModelError(
            f"{folder / name} is not a graph of this kind: inputs {sorted(ranks)}, "
            f"outputs {sorted(outputs)}",
            _REINSTALL,
            folder / name,
        )
    return session


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:300]
