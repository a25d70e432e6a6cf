"""Our models as scorers, and whatever else can be evaluated, by name."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from avsync_cli.evaluation.motion import MotionScorer
from avsync_cli.evaluation.scoring import OpenTrack, Scorer, Scores, Track
from avsync_cli.evaluation.strikes import StrikeScorer
from avsync_cli.evaluation.windows import TrackFeatures, encode_clip_sound, pair_scores, slid_sound
from avsync_cli.model.config import CROP_PX
from avsync_cli.model.engine import Engine, load_engine
from avsync_cli.model.folder import SYNCNET, WEIGHTS, About, read_about
from avsync_cli.timebase import HOP_SAMPLES

UNLEARNT: dict[str, type[Scorer]] = {"motion": MotionScorer, "strikes": StrikeScorer}
"""The baselines that learn nothing, by their names."""


class ModelScorer(Scorer):
    """One of our models: the decision for windows of a block and more, else the similarity."""

    def __init__(self, engine: Engine, family: str = "") -> None:
        self.engine: Engine = engine
        self.family = family
        self.name = f"{engine.name} {engine.version}"
        self.attention = engine.config.attention
        self.encoders = _fingerprint(engine)

    def open(self, track: Track, reach: int, others: Sequence[OpenTrack] = ()) -> OpenTrack:
        for other in others:
            if isinstance(other, _ModelTrack) and other.encoders == self.encoders:
                return replace(other, engine=self.engine)
        return _ModelTrack(
            engine=self.engine,
            encoders=self.encoders,
            track=track,
            reach=reach,
            pictures=[TrackFeatures(self.engine, crops) for crops in track.pictures],
            sound=encode_clip_sound(self.engine, track.sound, reach),
        )


@dataclass(frozen=True, kw_only=True)
class _ModelTrack:
    """Features of a track, before the head of an engine."""

    engine: Engine
    encoders: str
    track: Track
    reach: int
    pictures: list[TrackFeatures]
    sound: np.ndarray

    def scores(self, first: int, frames: int, offsets: np.ndarray, alone: bool = True) -> Scores:
        faces = []
        for number, start in self.track.seen(first, frames):
            picture = self.pictures[number]
            faces.append(
                picture.window(start, frames) if alone else picture.stream[start:][:frames]
            )
        at = self.track.first_frame + first
        a = slid_sound(self.sound, at, frames, offsets, self.reach)
        found = pair_scores(self.engine, faces, a)
        if np.isnan(found.margin).any():
            return Scores(found.similarity, "similarity")
        return Scores(found.margin, "decision", 0.0, found.confidence)


def _fingerprint(engine: Engine) -> str:
    """The same for two models whose encoders answer alike, to the last digit."""
    rng, around = np.random.default_rng(0), engine.config.visual_context
    crops = rng.integers(0, 256, (2 * around + 2, CROP_PX, CROP_PX)).astype(np.uint8)
    hops = engine.config.sound_hops(2)
    mel = rng.standard_normal((hops, engine.config.mel_bands)).astype(np.float32)
    sound = rng.uniform(-1, 1, (2 * engine.config.edge_steps + 2) * HOP_SAMPLES)
    found = hashlib.sha256(np.ascontiguousarray(engine.encode_visual(crops)).tobytes())
    found.update(np.ascontiguousarray(engine.encode_sound(mel)).tobytes())
    found.update(engine.sound_steps(sound.astype(np.float32)).tobytes())
    return found.hexdigest()


def load_scorer(name: str) -> Scorer:
    """A scorer by name.

    Args:
        name: "motion" (mouth motion and loudness, no learning), "strikes" (sudden changes of the
            picture and onsets, no learning), the folder of a re-trained SyncNet shape or of a
            checkpoint of our own training (both need torch), or what `--model` takes: a bundled
            model's name or a model folder.

    Raises:
        ModelError: no such model, or one that cannot be used.
        ModuleNotFoundError: it needs torch, and torch is not installed.
    """
    if name in UNLEARNT:
        return UNLEARNT[name]()
    folder = Path(name)
    if (folder / WEIGHTS).is_file():
        about = read_about(folder)
        if about.kind == SYNCNET:
            from avsync_cli.evaluation.syncnet import SyncNetScorer

            return SyncNetScorer.load(folder, about.step)
        if not about.files:
            return ModelScorer(_checkpoint(folder), _family(about))
    return ModelScorer(load_engine(name))


def _family(about: About) -> str:
    """What a checkpoint shares with those of other seeds, in words."""
    training = about.training
    plain = not (training.get("product") or training.get("similarity_skip"))
    words = [f"{training.get('attention')}", f"{training.get('step')} steps"]
    words += [str(training["size"])] if training.get("size", "base") != "base" else []
    words += ["as in the paper"] if plain else []
    words += [f"encoders {str(training['encoders'])[:6]}"] if training.get("encoders") else []
    return ", ".join(words) if training else ""


def _checkpoint(folder: Path) -> Engine:
    """A checkpoint that has not been exported yet, on torch."""
    from avsync_cli.model.checkpoint import load_model
    from avsync_cli.model.torch_engine import TorchEngine

    model, about = load_model(folder)
    engine = TorchEngine(model)
    engine.name = folder.resolve().parent.name if folder.name == "best" else folder.resolve().name
    engine.version = "0" if about.step is None else f"step {about.step}"
    return engine
