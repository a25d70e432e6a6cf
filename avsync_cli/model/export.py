"""From a trained folder to the bundle that users run: its ONNX graphs and a model.json."""

from __future__ import annotations

import contextlib
import io
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avsync_cli.config import models_dir
from avsync_cli.errors import ModelError, UsageError
from avsync_cli.files import folder_beside, scratch_folder
from avsync_cli.model.checkpoint import load_model, save_tensors
from avsync_cli.model.core import SyncModel
from avsync_cli.model.features import centre_crop
from avsync_cli.model.folder import ABOUT, WEIGHTS, move_in, sums, write_about
from avsync_cli.model.graphs import PHONES, ports
from avsync_cli.model.recogniser import NOTICE
from avsync_cli.model.torch_engine import TorchEngine
from avsync_cli.timebase import FPS, HOP_SAMPLES

OPSET = 17
"""Oldest ONNX operator set that has all we use; older runtimes can read it."""

SAMPLE_FRAMES = 40
"""Frames of a clip that tell how large the layers' values get; more move nothing."""

Sample = tuple[np.ndarray, np.ndarray]
"""Crops of one region, (T, 96, 96) uint8, and their sound, (S,) float32 in -1..1 at 16 kHz."""


class _Relate(nn.Module):
    def __init__(self, model: SyncModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, v: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        joint = self.model.relate(v, a)
        return joint.z, joint.confidence, joint.similarity


class _Decide(nn.Module):
    def __init__(self, model: SyncModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, z: Tensor, confidence: Tensor, similarity: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.decide(z, confidence, similarity)


def export_graphs(model: SyncModel, folder: Path) -> None:
    """Write the graphs of a model into a folder."""
    model = deepcopy(model).eval()
    model.joint = model.joint.settled()
    config = model.config
    sizes = {"N": 2, "O": 3, "T": 7, "G": 4, "M": 2 * config.cells}
    sizes |= {"F": 7 + 2 * config.visual_context, "H": config.sound_hops(7)}
    sizes |= {"S": (2 * config.edge_steps + 4) * HOP_SAMPLES}
    modules: list[nn.Module] = [model.visual, model.sound, _Relate(model), _Decide(model)]
    if config.sound == "phones":
        modules.append(model.front)
    for module, (name, (inputs, outputs)) in zip(modules, ports(config).items(), strict=True):
        examples = tuple(
            torch.rand([sizes[n] if isinstance(n, str) else n for n in shape])
            for shape in inputs.values()
        )
        with warnings.catch_warnings():
            # The tracing exporter announces its successor, which needs packages we do without.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module.eval(),
                examples,
                str(folder / name),
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_axes={
                    port: {at: n for at, n in enumerate(shape) if isinstance(n, str)}
                    for port, shape in (inputs | outputs).items()
                },
                opset_version=OPSET,
                do_constant_folding=True,
                dynamo=False,
            )
    if config.sound == "phones":
        _store_halves(folder / PHONES)


def _check_out(out_dir: Path, checkpoint_dir: Path) -> None:
    """Raise UsageError where more would be lost than an older model."""
    if not out_dir.is_dir():
        return
    if out_dir.samefile(checkpoint_dir):
        raise UsageError(
            f"the model would replace its checkpoint, {out_dir}", "name another folder"
        )
    if not (out_dir / ABOUT).exists() and any(out_dir.iterdir()):
        what = f"{out_dir} holds something else than a model, which would be lost"
        raise UsageError(what, "name a folder of its own")


def halve(model: nn.Module) -> dict[str, Tensor]:
    """Round a model's matrices to half precision, whose steps are far finer than what training
    leaves to chance, so that graphs and kept weights are the same; returns what to keep."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.copy_(parameter.half())
    return {
        name: tensor.half() if tensor.dtype == torch.float32 and _fits(tensor.numpy()) else tensor
        for name, tensor in model.state_dict().items()
    }


def _fits(values: np.ndarray) -> bool:
    """Whether half precision holds values exactly."""
    with np.errstate(over="ignore"):
        return bool((values.astype(np.float16).astype(np.float32) == values).all())


def _store_halves(graph: Path) -> None:
    """Keep the weights of a graph in half precision where that holds them exactly; they are made
    whole again when the graph is loaded."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(str(graph))
    whole = list(model.graph.initializer)
    del model.graph.initializer[:]
    for tensor in whole:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size > 1 and _fits(values):
            kept = f"{tensor.name}_half"
            cast = helper.make_node("Cast", [kept], [tensor.name], to=onnx.TensorProto.FLOAT)
            model.graph.node.insert(0, cast)
            tensor = numpy_helper.from_array(values.astype(np.float16), kept)
        model.graph.initializer.append(tensor)
    onnx.checker.check_model(model)
    graph.write_bytes(model.SerializeToString())


class _Feeds:
    """Inputs for the calibration of ONNX Runtime's quantiser, one after the other."""

    def __init__(self, name: str, arrays: Sequence[np.ndarray]) -> None:
        self._left: Iterator[dict[str, np.ndarray]] = iter([{name: array} for array in arrays])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._left, None)


def quantise_encoders(folder: Path, model: SyncModel, samples: Sequence[Sample]) -> None:
    """Replace visual.onnx and sound.onnx of a folder by ones that convolve in 8 bits.

    Weights get a scale for each channel, layers' values one that covers all but the rarest of what
    the samples make. Only convolutions are changed: they are where the time goes, and what lies
    between them is where the accuracy does. A processor without 8-bit dot products (VNNI and the
    like) gains nothing.

    Args:
        folder: of the graphs, changed in place.
        model: that the graphs are of.
        samples: a dozen clips of what the model is for.

    Raises:
        ModelError: no sample is long enough.
    """
    config = model.config
    context = 2 * config.visual_context
    crops = [
        centre_crop(crops[: SAMPLE_FRAMES + context], config.input_px)[None].astype(np.float32)
        for crops, _ in samples
        if len(crops) >= SAMPLE_FRAMES + context
    ]
    hops = config.sound_hops(SAMPLE_FRAMES)
    edges = config.edge_steps * HOP_SAMPLES
    hear = TorchEngine(model).sound_steps
    mels = [hear(np.pad(sound, edges))[:hops] for _, sound in samples]
    mels = [mel[None] for mel in mels if len(mel) == hops]
    if not crops or not mels:
        raise ModelError(
            "no clip is long enough to measure the layers by",
            f"give clips of {(SAMPLE_FRAMES + context) / FPS:g} s and more",
        )
    _quantise(folder / "visual.onnx", _Feeds("crops", crops))
    _quantise(folder / "sound.onnx", _Feeds("mel", mels))


def _quantise(graph: Path, feeds: _Feeds) -> None:
    from avsync_cli.onnx_runtime import load_onnxruntime

    load_onnxruntime()
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    # It tells of its progress on stdout, which is for answers.
    with scratch_folder() as scratch, contextlib.redirect_stdout(io.StringIO()):
        ready, made = scratch / "ready.onnx", scratch / "made.onnx"
        quant_pre_process(str(graph), str(ready), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(ready),
            str(made),
            feeds,
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.Percentile,
        )
        shutil.copyfile(made, graph)


def export(
    checkpoint_dir: Path,
    out_dir: Path,
    *,
    name: str | None = None,
    version: str = "1",
    calibrate: Callable[[Path], tuple[dict[str, float], dict[str, float]]] | None = None,
    samples: Sequence[Sample] | None = None,
) -> Path:
    """Make the bundle of a trained folder.

    Args:
        checkpoint_dir: folder with model.json and weights.safetensors.
        out_dir: where the bundle goes; a model that is there is replaced whole. Beside the bundled
            models it shares what it has in common with them, see `folder.move_in`.
        name: the model's name, the folder's own unless given.
        version: of the weights.
        calibrate: given the finished bundle, measures its calibration constants, and how well
            they do.
        samples: clips by which to bring the encoders to 8 bits (see `quantise_encoders`); None
            leaves them as they are.

    Returns:
        `out_dir`.

    Raises:
        ModelError: `checkpoint_dir` cannot be read, or the samples are too short.
        UsageError: `out_dir` is the checkpoint, or holds something else than a model.
    """
    model, about = load_model(checkpoint_dir)
    _check_out(out_dir, checkpoint_dir)
    bundled = out_dir.resolve().parent == models_dir().resolve()
    kept = halve(model)
    with folder_beside(out_dir) as folder:
        export_graphs(model, folder)
        if samples is not None:
            quantise_encoders(folder, model, samples)
        save_tensors(folder / WEIGHTS, kept)
        if model.config.sound == "phones":
            (folder / "NOTICE").write_text(NOTICE, encoding="utf-8")
        card = checkpoint_dir / "CARD.md"
        if card.is_file():
            shutil.copy(card, folder / "CARD.md")
        bundle: dict[str, Any] = {
            "name": name or out_dir.name,
            "version": version,
            "config": model.config.to_json(),
            "calibration": about.calibration,
            "training": about.training,
            "files": move_in(folder, out_dir.name) if bundled else sums(folder),
        }
        write_about(folder, **bundle)
        if calibrate is not None:
            bundle["calibration"], bundle["calibration_outcome"] = calibrate(folder)
            write_about(folder, **bundle)
    return out_dir
