"""One interface for whatever can say how well sound fits picture: our models and baselines.

A scorer opens a track of a clip and then scores windows of it at any offsets. The protocols know
nothing else of it, so that every row of a comparison comes from the same windows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from avsync_cli.errors import ModelError
from avsync_cli.evaluation.windows import (
    TrackFeatures,
    encode_clip_sound,
    pair_scores,
    slid_sound,
)
from avsync_cli.model.config import CROP_PX
from avsync_cli.model.engine import Engine, load_engine

MOTION = "motion"
"""Name of the baseline that learns nothing."""

SYNCNET_KIND = "syncnet"
"""`kind` in the model.json of a re-trained SyncNet shape."""


@dataclass(frozen=True)
class Track:
    """A region track of a clip and the clip's sound, opened.

    Attributes:
        crops: (T, 96, 96) uint8.
        first_frame: of the track on the clip's timeline.
        sound: (S,) float32 in -1..1 of the whole clip, S a multiple of 640.
    """

    crops: np.ndarray
    first_frame: int
    sound: np.ndarray


class Scores(NamedTuple):
    """Scores of one window.

    Attributes:
        score: (O,) higher means a better fit.
        by: what it is: "decision", "similarity", "distance" or "correlation".
        threshold: score above which a pair counts as in sync; None where there is none.
        confidence: (O,) of the attention; empty where there is none.
    """

    score: np.ndarray
    by: str
    threshold: float | None
    confidence: np.ndarray


NO_CONFIDENCE = np.zeros(0, np.float32)


class OpenTrack(Protocol):
    """A track that a scorer has looked at."""

    def scores(self, first: int, frames: int, offsets: np.ndarray, alone: bool = True) -> Scores:
        """Score the window of `frames` frames from the track's frame `first` on.

        Args:
            first, frames: the window.
            offsets: (O,) frames by which the sound is taken later than the picture; beyond the
                clip there is silence.
            alone: whether nothing of the picture outside the window may be seen. False lets a few
                neighbouring frames in, which is cheaper.
        """
        ...


class Scorer(Protocol):
    """What can be evaluated.

    Attributes:
        name: with version, for tables.
        note: what tables must say beside the name, or "".
        attention: variant of our models, "" for others.
        family: the same for models that differ by nothing but their seed; "" where unknown.
        engine: the model behind it, for the protocols that need verdicts; None for baselines.
    """

    @property
    def name(self) -> str: ...

    @property
    def note(self) -> str: ...

    @property
    def attention(self) -> str: ...

    @property
    def family(self) -> str: ...

    @property
    def engine(self) -> Engine | None: ...

    def open(self, track: Track, reach: int, others: Sequence[OpenTrack] = ()) -> OpenTrack:
        """Encode a track; offsets up to `reach` frames beyond the clip's ends will be asked for.

        Of `others`, which are the same track opened by other scorers, features may be taken over
        where the encoders are the same.
        """
        ...


class ModelScorer:
    """One of our models: the decision for windows of a block and more, else the similarity."""

    note = ""

    def __init__(self, engine: Engine, family: str = "") -> None:
        self.engine: Engine | None = engine
        self.family = family
        self._engine = engine
        self.name = f"{engine.name} {engine.version}"
        self.attention: str = engine.config.attention
        self.encoders = _fingerprint(engine)

    def open(self, track: Track, reach: int, others: Sequence[OpenTrack] = ()) -> OpenTrack:
        for other in others:
            if isinstance(other, _ModelTrack) and other.encoders == self.encoders:
                return other.judged_by(self._engine)
        opened = _ModelTrack(self._engine, self.encoders, reach, track.first_frame)
        opened.picture = TrackFeatures(self._engine, track.crops)
        opened.sound = encode_clip_sound(self._engine, track.sound, reach)
        return opened


class _ModelTrack:
    picture: TrackFeatures
    sound: np.ndarray

    def __init__(self, engine: Engine, encoders: str, reach: int, first_frame: int) -> None:
        self._engine, self._reach, self._first = engine, reach, first_frame
        self.encoders = encoders

    def judged_by(self, engine: Engine) -> _ModelTrack:
        """The same features before another head."""
        same = _ModelTrack(engine, self.encoders, self._reach, self._first)
        same.picture, same.sound = self.picture, self.sound
        return same

    def scores(self, first: int, frames: int, offsets: np.ndarray, alone: bool = True) -> Scores:
        if alone:
            v = self.picture.window(first, frames)
        else:
            v = self.picture.stream[first : first + frames]
        a = slid_sound(self.sound, self._first + first, frames, offsets, self._reach)
        found = pair_scores(self._engine, v, a)
        if np.isnan(found.margin).any():
            return Scores(found.similarity, "similarity", None, NO_CONFIDENCE)
        return Scores(found.margin, "decision", 0.0, found.confidence)


def _fingerprint(engine: Engine) -> str:
    """The same for two models whose encoders answer alike, to the last digit."""
    rng, around = np.random.default_rng(0), engine.config.visual_context
    crops = rng.integers(0, 256, (2 * around + 2, CROP_PX, CROP_PX)).astype(np.uint8)
    hops = engine.config.sound_hops(2)
    mel = rng.standard_normal((hops, engine.config.mel_bands)).astype(np.float32)
    found = hashlib.sha256(np.ascontiguousarray(engine.encode_visual(crops)).tobytes())
    found.update(np.ascontiguousarray(engine.encode_sound(mel)).tobytes())
    return found.hexdigest()


def load_scorer(name: str) -> Scorer:
    """A scorer by name.

    Args:
        name: "motion" (mouth motion and loudness, no learning), the folder of a re-trained SyncNet
            shape or of a checkpoint of our own training (both need torch), or what `--model`
            takes: a bundled model's name or a model folder.

    Raises:
        ModelError: no such model, or one that cannot be used.
        ModuleNotFoundError: it needs torch, and torch is not installed.
    """
    if name == MOTION:
        from avsync_cli.evaluation.motion import MotionScorer

        return MotionScorer()
    folder = Path(name)
    about = _described(folder)
    if about.get("kind") == SYNCNET_KIND:
        from avsync_cli.evaluation.syncnet import SyncNetScorer

        return SyncNetScorer(folder)
    if about and "files" not in about and (folder / "weights.safetensors").is_file():
        return ModelScorer(_checkpoint(folder), _family(about))
    return ModelScorer(load_engine(name))


def _described(folder: Path) -> dict[str, object]:
    """model.json of a folder, or {} where there is none that can be read."""
    try:
        if not folder.is_dir() or (folder / "model.json").stat().st_size > 1 << 20:
            return {}
        about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}  # `load_engine` says what is wrong with it
    return about if isinstance(about, dict) else {}


def _family(about: dict[str, object]) -> str:
    """What a checkpoint shares with those of other seeds, in words."""
    training = about.get("training")
    if not isinstance(training, dict):
        return ""
    plain = not (training.get("product") or training.get("similarity_skip"))
    words = [f"{training.get('attention')}", f"{training.get('step')} steps"]
    words += [str(training["size"])] if training.get("size", "base") != "base" else []
    words += ["as in the paper"] if plain else []
    words += [f"encoders {training['encoders'][:6]}"] if training.get("encoders") else []
    return ", ".join(words)


def _checkpoint(folder: Path) -> Engine:
    """A checkpoint that has not been exported yet, on torch."""
    from avsync_cli.model.checkpoint import load_model
    from avsync_cli.model.torch_engine import TorchEngine

    model, about = load_model(folder)
    engine = TorchEngine(model)
    training = about.get("training")
    step = training.get("step") if isinstance(training, dict) else None
    engine.name = folder.resolve().parent.name if folder.name == "best" else folder.resolve().name
    engine.version = f"step {step}" if isinstance(step, int) else "0"
    if not engine.name:
        raise ModelError(f"{folder} has no name to show", "give a folder below the root")
    return engine
