"""A model that can be worked out by hand: brightness for the picture, loudness for the sound.

`build_toy_model(folder)` writes a whole model folder (four ONNX graphs and `model.json`) that
really finds the offset of a clip whose picture is bright while its sound is loud:

* picture feature: channel 0 is the mean brightness of a cell, -1 (black) .. 1 (white);
* sound feature: channel 0 is the mean log-mel of the frame's own four steps, clipped to -1 .. 1,
  channel 1 what is missing to unit length;
* a toy that hears phones is fed the log power of 10 ms of samples, 144 times;
* similarity: the correlation of both over the block's 25 frames; confidence: 4 x the standard
  deviation of the picture's; z repeats the similarity;
* decision: logits (-s, s) with s = 8 x (attention-weighted similarity - 0.5).

`flash_clip` makes matching crops and sound; `region_pieces` cuts crops into region pieces.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from avsync_cli.corpus.cache import CachedClip, CachedTrack, as_stored, open_entry, write_entry
from avsync_cli.corpus.manifest import Clip
from avsync_cli.model.config import Attention, ModelConfig, Sound
from avsync_cli.model.graphs import PHONES
from avsync_cli.regions.stream import RegionPiece
from avsync_cli.timebase import SAMPLES_PER_FRAME

CHANNELS = 8
WIDTH = 8


def toy_config(
    attention: Attention = "spatio-temporal", grid: int = 2, sound: Sound = "log-mel"
) -> ModelConfig:
    """The sizes of the toy model."""
    sizes = {"channels": CHANNELS, "grid": grid, "joint_width": WIDTH, "hidden": 8}
    return replace(ModelConfig.of("base", sound, attention=attention), **sizes)


def build_toy_model(
    folder: Path,
    attention: Attention = "spatio-temporal",
    grid: int = 2,
    name: str = "toy",
    calibration: dict[str, float] | None = None,
    sound: Sound = "log-mel",
) -> Path:
    """Write the toy model into `folder` (made if need be) and return the folder."""
    config = toy_config(attention, grid, sound)
    folder.mkdir(parents=True, exist_ok=True)
    graphs = {
        "visual.onnx": _visual(config),
        "sound.onnx": _sound(config),
        "joint.onnx": _joint(config),
        "decide.onnx": _decide(),
    }
    if sound == "phones":
        graphs[PHONES] = _phones(config)
    files = {}
    for file, model in graphs.items():
        onnx.checker.check_model(model)
        data = model.SerializeToString()
        (folder / file).write_bytes(data)
        files[file] = {"sha256": hashlib.sha256(data).hexdigest()}
    described = {
        "format": 1,
        "name": name,
        "version": "1.0",
        "config": config.to_json(),
        "files": files,
        "calibration": calibration or {},
    }
    (folder / "model.json").write_text(json.dumps(described))
    return folder


def flash_pattern(frames: int, seed: int = 0) -> np.ndarray:
    """(frames,) bool, on and off in stretches of 2..6 frames that never repeat."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(2, 7, size=frames)
    states = np.arange(frames) % 2 == 0
    return np.repeat(states, lengths)[:frames]


def flash_clip(
    frames: int, offset_ms: int = 0, seed: int = 0, level: float = 0.3
) -> tuple[np.ndarray, np.ndarray]:
    """Crops (frames, 96, 96) uint8 that flash and sound (frames x 640,) that hums with them.

    Args:
        frames: length.
        offset_ms: by how much the sound is late (> 0) or early.
        seed: which pattern.
        level: amplitude of the hum's noise.
    """
    pattern = flash_pattern(frames + 200, seed)
    generator = np.random.default_rng(seed + 1)
    crops = np.where(pattern[100 : 100 + frames], 220, 30).astype(np.uint8)
    crops = np.broadcast_to(crops[:, None, None], (frames, 96, 96)).copy()
    loud = np.repeat(pattern, SAMPLES_PER_FRAME)
    first = 100 * SAMPLES_PER_FRAME - offset_ms * 16
    loud = loud[first : first + frames * SAMPLES_PER_FRAME]
    noise = generator.normal(0, level, len(loud)) * np.where(loud, 1.0, 0.003)
    return crops, np.clip(noise, -1, 1).astype(np.float32)


def cached_flashes(
    folder: Path, clip: Clip, frames: int, offset_ms: int = 0, seed: int = 0
) -> CachedClip:
    """A `flash_clip` as the cache keeps it, in a folder that is made."""
    crops, sound = flash_clip(frames, offset_ms=offset_ms, seed=seed)
    track = CachedTrack("face", 0, 0, frames, 0.5)
    write_entry(folder, [track], crops, np.ones(frames, bool), as_stored(sound))
    return open_entry(clip, folder)


def region_pieces(
    crops: np.ndarray,
    first_frame: int = 0,
    track: int = 0,
    kind: str = "face",
    piece_frames: int = 250,
    valid: np.ndarray | None = None,
) -> Iterator[RegionPiece]:
    """The crops of one region, cut into pieces."""
    valid = np.ones(len(crops), bool) if valid is None else valid
    box = np.array([0.25, 0.25, 0.5, 0.5], np.float32)
    for low in range(0, len(crops), piece_frames):
        part = crops[low : low + piece_frames]
        yield RegionPiece(
            "face" if kind == "face" else "frame",
            track,
            first_frame + low,
            part,
            valid[low : low + piece_frames],
            np.tile(box, (len(part), 1)),
            low + piece_frames >= len(crops),
        )


class _Graph:
    """Collects nodes; every operation returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def __call__(self, op: str, *inputs: str, out: str | None = None, **attributes: object) -> str:
        name = out or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def constant(self, value: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def number(self, value: float) -> str:
        return self.constant(np.float32(value))

    def axes(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def model(
        self, inputs: dict[str, list[str | int]], outputs: dict[str, list[str | int]]
    ) -> onnx.ModelProto:
        def info(values: dict[str, list[str | int]]) -> list[onnx.ValueInfoProto]:
            return [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                for name, shape in values.items()
            ]

        graph = helper.make_graph(
            self.nodes, "toy", info(inputs), info(outputs), initializer=self.constants
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
        model.ir_version = 9
        return model


def _visual(config: ModelConfig) -> onnx.ModelProto:
    g = _Graph()
    r, cell = config.visual_context, config.input_px // config.grid
    own = g("Slice", "crops", g.axes(r), g.axes(-r), g.axes(1))
    pooled = g("AveragePool", own, kernel_shape=[cell, cell], strides=[cell, cell])
    signed = g("Sub", g("Mul", pooled, g.number(2 / 255)), g.number(1.0))
    level = g("Unsqueeze", signed, g.axes(2))
    pads = np.zeros(10, np.int64)
    pads[7] = config.channels - 1
    g("Pad", level, g.constant(pads), out="v")
    side = config.input_px
    return g.model(
        {"crops": ["n", "frames_in", side, side]},
        {"v": ["n", "frames", config.channels, config.grid, config.grid]},
    )


def _sound(config: ModelConfig) -> onnx.ModelProto:
    g = _Graph()
    before, after = config.sound_context
    kernel = np.zeros((1, 1, before + 4 + after), np.float32)
    kernel[0, 0, before : before + 4] = 0.25
    mean = g("ReduceMean", "mel", g.axes(2), keepdims=0)
    line = g("Unsqueeze", mean, g.axes(1))
    level = g("Conv", line, g.constant(kernel), strides=[4])
    level = g("Clip", level, g.number(-1.0), g.number(1.0))
    rest = g("Sqrt", g("Sub", g.number(1.0), g("Mul", level, level)))
    both = g("Concat", level, rest, axis=1)
    pads = np.zeros(6, np.int64)
    pads[4] = config.channels - 2
    g("Transpose", g("Pad", both, g.constant(pads)), out="a", perm=[0, 2, 1])
    return g.model(
        {"mel": ["n", "steps", config.mel_bands]}, {"a": ["n", "frames", config.channels]}
    )


def _phones(config: ModelConfig) -> onnx.ModelProto:
    g = _Graph()
    line = g("Unsqueeze", "sound", g.axes(1))
    power = g("AveragePool", g("Mul", line, line), kernel_shape=[160], strides=[160])
    inner = g("Slice", power, g.axes(config.edge_steps), g.axes(-config.edge_steps), g.axes(2))
    level = g("Add", g("Log", g("Add", inner, g.number(1e-6))), g.number(4.0))
    one = g("Transpose", g("Mul", level, g.number(0.25)), perm=[0, 2, 1])
    g("Mul", one, g.constant(np.ones((1, 1, config.mel_bands), np.float32)), out="steps")
    return g.model({"sound": ["n", "samples"]}, {"steps": ["n", "steps", config.mel_bands]})


def _joint(config: ModelConfig) -> onnx.ModelProto:
    g = _Graph()

    def first_channel(name: str, axis: int) -> str:
        return g("Gather", name, g.constant(np.int64(0)), axis=axis)

    def centred(name: str, axis: int) -> tuple[str, str]:
        difference = g("Sub", name, g("ReduceMean", name, g.axes(axis), keepdims=1))
        square = g("ReduceMean", g("Mul", difference, difference), g.axes(axis), keepdims=1)
        return difference, g("Sqrt", g("Add", square, g.number(1e-6)))

    light = first_channel("v", 2)  # (N, 25, h, w)
    light = g("Reshape", light, g.axes(0, 0, -1))  # (N, 25, M)
    if config.attention != "spatio-temporal":
        light = g("ReduceMean", light, g.axes(2), keepdims=1)
    light = g("Unsqueeze", light, g.axes(1))  # (N, 1, 25, M)
    loud = g("Unsqueeze", first_channel("a", 3), g.axes(3))  # (N, O, 25, 1)
    light_centred, light_size = centred(light, 2)
    loud_centred, loud_size = centred(loud, 2)
    product = g("ReduceMean", g("Mul", light_centred, loud_centred), g.axes(2), keepdims=0)
    size = g("Squeeze", g("Mul", light_size, loud_size), g.axes(2))
    similarity = g("Div", product, size, out="similarity")  # (N, O, M)
    nothing = g("Mul", similarity, g.number(0.0))
    if config.attention == "none":
        g("Identity", nothing, out="confidence")
    else:
        moving = g("Mul", g("Squeeze", light_size, g.axes(2)), g.number(4.0))
        g("Add", nothing, moving, out="confidence")
    ones = g.constant(np.ones((1, 1, 1, config.joint_width), np.float32))
    g("Mul", g("Unsqueeze", similarity, g.axes(3)), ones, out="z")
    cells = config.cells
    return g.model(
        {
            "v": ["n", 25, config.channels, config.grid, config.grid],
            "a": ["n", "o", 25, config.channels],
        },
        {
            "z": ["n", "o", cells, config.joint_width],
            "confidence": ["n", "o", cells],
            "similarity": ["n", "o", cells],
        },
    )


def _decide() -> onnx.ModelProto:
    g = _Graph()
    weights = g("Softmax", "confidence", out="weights", axis=1)
    level = g("ReduceMean", "z", g.axes(2), keepdims=0)
    both = g("Mul", g("Add", level, "similarity"), g.number(0.5))
    pooled = g("ReduceSum", g("Mul", weights, both), g.axes(1), keepdims=1)
    s = g("Mul", g("Sub", pooled, g.number(0.5)), g.number(8.0))
    g("Concat", g("Neg", s), s, out="logits", axis=1)
    return g.model(
        {"z": ["g", "m", WIDTH], "confidence": ["g", "m"], "similarity": ["g", "m"]},
        {"logits": ["g", 2], "weights": ["g", "m"]},
    )
