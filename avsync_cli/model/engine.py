"""What runs the model: one small protocol, and ONNX Runtime behind it.

The encoders never see the other modality, so a stream is encoded once and the sound is slid past
the picture in feature space. Sound features come at 100 Hz, one a step of sound: the sound encoder
makes one every four steps, and is run on the four starting steps in turn. Sliding by 10 ms is then
exact, no interpolation.

Shapes: T frames, F steps of sound, r = `config.visual_context`, C = `config.channels`, (h, w) the
grid of cells, N blocks, O offsets, M = `config.cells`, D = `config.joint_width`, G groups of units
that compete in one softmax.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from avsync_cli.cores import usable_cores
from avsync_cli.errors import ModelError
from avsync_cli.model.config import ModelConfig
from avsync_cli.model.features import centre_crop, log_mel
from avsync_cli.model.folder import About, is_name, read_bundle, read_graph
from avsync_cli.model.graphs import PHONES, Ports, agrees, ports
from avsync_cli.timebase import HOP_SAMPLES, HOPS_PER_FRAME

Asked = TypeVar("Asked")
Said = TypeVar("Said")

ABSENT = -1e9
"""Confidence of a unit that takes no part: large, negative and finite, since ONNX Runtime's
softmax over nothing but -inf is not a number."""

FIRST_CALL_S = 60.0
"""Longest that a graph's first run may take; a slow machine needs some seconds."""

_VISUAL_FRAMES = 200
_SOUND_FRAMES = 500
_PHONE_STEPS = 1000
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

    def sound_steps(self, sound: np.ndarray) -> np.ndarray:
        """(160 n,) samples in -1..1 to (n - 2 e, bands), where e = `config.edge_steps`: what the
        sound encoder takes. Output step j is around sample 160 (j + e)."""
        ...

    def encode_sound(self, mel: np.ndarray) -> np.ndarray:
        """(F, bands) steps to (F - b - a - 3, C), where (b, a) = `config.sound_context`.

        Output step j uses steps j .. j + b + a + 3; with b steps of context in front it
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


def steps_of(
    sound: np.ndarray, config: ModelConfig, hear: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """What a model's sound encoder takes of a stretch of sound: log-mel, or a recogniser's phones.

    Args:
        sound: (160 n,) samples in -1..1 at 16 kHz.
        config: of the model.
        hear: takes (1, 160 m) samples, m even, and gives (1, m - 2 e, bands) phones.

    Returns:
        (n - 2 e, bands) float32, as of `Engine.sound_steps`.

    Raises:
        ModelError: `hear` gives another number of steps.
    """
    edge = config.edge_steps
    count = len(sound) // HOP_SAMPLES - 2 * edge
    if config.sound == "log-mel" or count <= 0:
        return log_mel(sound, config.mel_bands)[edge : edge + max(count, 0)]
    parts = []
    for first in range(0, count, _PHONE_STEPS):
        wanted = min(count - first, _PHONE_STEPS)
        length = wanted + wanted % 2 + 2 * edge
        part = np.asarray(sound[first * HOP_SAMPLES : (first + length) * HOP_SAMPLES], np.float32)
        steps = hear(np.pad(part, (0, length * HOP_SAMPLES - len(part)))[None])
        if steps.shape[1] != length - 2 * edge:
            raise ModelError(f"the model gives {steps.shape[1]} steps, not {length - 2 * edge}")
        parts.append(steps[0, :wanted])
    return np.concatenate(parts)


def encode_phases(
    mel: np.ndarray, config: ModelConfig, encode: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Sound features at every step of sound, from an encoder that makes one every four.

    Args:
        mel: (F, bands) steps of sound.
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
        _as_many("sound.onnx", out.shape[1], (length - context) // HOPS_PER_FRAME)
        parts.append(out.transpose(1, 0, 2).reshape(-1, config.channels)[:count])
    return np.ascontiguousarray(np.concatenate(parts))


def _as_many(graph: str, given: int, wanted: int) -> None:
    """A graph that sees or hears further than its configuration says gives fewer frames."""
    if given != wanted:
        raise ModelError(f"the model's {graph} gives {given} frames, not {wanted}", _REINSTALL)


@runtime_checkable
class SideBySide(Protocol):
    """An engine that may be asked several things at the same time."""

    def each(self, ask: Callable[[Asked], Said], about: Sequence[Asked]) -> Iterable[Said]:
        """`map(ask, about)`, some of it side by side: `ask` uses the engine."""
        ...

    def later(self, ask: Callable[[], Said]) -> Callable[[], Said]:
        """Begin to ask, and return at once; what is returned waits for the answer."""
        ...


def later(engine: Engine, ask: Callable[[], Said]) -> Callable[[], Said]:
    """`SideBySide.later` of an engine that can, else the answer itself, asked for now."""
    if isinstance(engine, SideBySide):
        return engine.later(ask)
    said = ask()
    return lambda: said


class OnnxEngine:
    """A model folder on ONNX Runtime's CPU provider.

    Args:
        folder: of a model, see `model.folder`.
        threads: threads within an operator; 0 for half the cores.

    Raises:
        ModelError: the folder is missing, incomplete, damaged (a sum differs), of another
            format, or not a model of this kind. Nothing is loaded before every sum agrees.
    """

    backend = "onnxruntime"

    def __init__(self, folder: str | Path, threads: int = 0) -> None:
        about, config = read_bundle(Path(folder))
        self.folder, self.name, self.version = about.folder, about.name, about.version
        self.config: ModelConfig = config
        self.calibration: dict[str, float] = dict(about.calibration)
        self._ports = ports(config)
        graphs = {name: read_graph(about, name) for name in self._ports}
        self._sessions = {
            name: _session(about, name, graphs.pop(name), threads, self._ports[name])
            for name in self._ports
        }
        self._tried: set[str] = set()
        # The joint layers are many small runs: whole ones beside each other wait for nobody.
        self._pool = ThreadPoolExecutor(2) if threads != 1 and usable_cores() > 1 else None

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
            v = self._run("visual.onnx", part[None].astype(np.float32))[0][0]
            _as_many("visual.onnx", len(v), len(part) - around)
            parts.append(v)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def sound_steps(self, sound: np.ndarray) -> np.ndarray:
        return steps_of(sound, self.config, lambda part: self._run(PHONES, part)[0])

    def encode_sound(self, mel: np.ndarray) -> np.ndarray:
        return encode_phases(mel, self.config, lambda phases: self._run("sound.onnx", phases)[0])

    def joint(self, v: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        z, confidence, similarity = self._run("joint.onnx", v, a)
        return z, confidence, similarity

    def each(self, ask: Callable[[Asked], Said], about: Sequence[Asked]) -> Iterable[Said]:
        return (map if self._pool is None else self._pool.map)(ask, about)

    def later(self, ask: Callable[[], Said]) -> Callable[[], Said]:
        if self._pool is not None:
            return self._pool.submit(ask).result
        said = ask()
        return lambda: said

    def decide(
        self, z: np.ndarray, confidence: np.ndarray, similarity: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        logits, weights = self._run("decide.onnx", z, confidence, similarity)
        return logits, weights

    def _run(self, graph: str, *inputs: np.ndarray) -> list[np.ndarray]:
        takes, gives = self._ports[graph]
        feed = dict(zip(takes, inputs, strict=True))
        try:
            if graph in self._tried:
                outputs: list[np.ndarray] = self._sessions[graph].run(list(gives), feed)
            else:
                outputs = self._first_run(graph, list(gives), feed)
        except ModelError:
            raise
        except Exception as error:  # ONNX Runtime's own errors share no public base class
            raise ModelError(
                f"the model {self.name!r} failed in {graph}: {_first_line(error)}", _REINSTALL
            ) from error
        return outputs

    def _first_run(self, graph: str, gives: list[str], feed: dict[str, np.ndarray]) -> Any:
        """Run a graph that may never end, or give other sizes than it promised."""
        from avsync_cli.onnx_runtime import load_onnxruntime

        options = load_onnxruntime().RunOptions()
        late = threading.Event()

        def stop() -> None:
            late.set()
            options.terminate = True

        timer = threading.Timer(FIRST_CALL_S, stop)
        timer.daemon = True
        timer.start()
        try:
            outputs = self._sessions[graph].run(gives, feed, options)
        except Exception:
            if not late.is_set():
                raise
            raise ModelError(
                f"the model {self.name!r} did not end in {graph} within {FIRST_CALL_S:g} s",
                _REINSTALL,
            ) from None
        finally:
            timer.cancel()
        for (name, wanted), output in zip(self._ports[graph].outputs.items(), outputs, strict=True):
            if not agrees(output.shape, wanted):
                raise ModelError(
                    f"the model {self.name!r}: {graph} gives {name} of {output.shape}, "
                    f"model.json says {wanted}",
                    _REINSTALL,
                )
        self._tried.add(graph)
        return outputs


def load_engine(model: str | Path = "default", threads: int = 0) -> OnnxEngine:
    """Load a model by name, or from a folder.

    Args:
        model: a name among the models that come with avsync ("default"), or a path. A word
            without a separator is a name first, and a folder only where no such name exists.
        threads: threads within an operator; 0 for half the cores.

    Raises:
        ModelError: no such model, or one that cannot be used.
    """
    if isinstance(model, Path) or any(mark in model for mark in ("/", "\\")) or model == ".":
        return OnnxEngine(model, threads)
    from avsync_cli.config import models_dir

    shelf = models_dir()
    named = shelf / model
    if is_name(model) and named.is_dir():
        return OnnxEngine(named, threads)
    if Path(model).is_dir():
        return OnnxEngine(model, threads)
    known = sorted(p.parent.name for p in shelf.glob("*/model.json")) if shelf.is_dir() else []
    hint = f"known models: {', '.join(known)}" if known else "give a model folder with --model"
    raise ModelError(f"no model named {model!r}", hint)


def _session(about: About, name: str, graph: bytes, threads: int, wanted: Ports) -> Any:
    from avsync_cli.onnx_runtime import load_onnxruntime, session_options

    path = about.folder / name
    ort = load_onnxruntime()
    options = session_options(threads)
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own errors share no public base class
        raise ModelError(
            f"{path} cannot be loaded: {_first_line(error)}", _REINSTALL, path
        ) from error
    found = Ports(
        {i.name: i.shape for i in session.get_inputs()},
        {o.name: o.shape for o in session.get_outputs()},
    )
    if set(found.inputs) != set(wanted.inputs) or not set(wanted.outputs) <= set(found.outputs):
        raise ModelError(
            f"{path} is not a graph of this kind: inputs {sorted(found.inputs)}, "
            f"outputs {sorted(found.outputs)}",
            _REINSTALL,
            path,
        )
    for mine, theirs in zip(found, wanted, strict=True):
        for port, shape in theirs.items():
            if not agrees(mine[port], shape):
                raise ModelError(
                    f"{path}: {port} has the shape {mine[port]}, model.json says {list(shape)}",
                    _REINSTALL,
                    path,
                )
    return session


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:300]
