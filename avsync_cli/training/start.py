"""Beginning with what another model has learnt."""

from __future__ import annotations

from pathlib import Path

import torch

from avsync_cli.model.checkpoint import load_model
from avsync_cli.model.core import SyncModel
from avsync_cli.model.phones import PhoneEncoder
from avsync_cli.model.recogniser import load_recogniser


def load_front(sound: PhoneEncoder) -> None:
    """Give a sound encoder the published recogniser's weights.

    Raises:
        ModelError: the recogniser is not installed.
    """
    found = {name: torch.from_numpy(a) for name, a in load_recogniser().items()}
    sound.front.load_state_dict(found)


def begin_with(model: SyncModel, folder: Path) -> None:
    """Take over a trained model's weights wherever they have the same name and shape.

    Raises:
        ModelError: the folder cannot be read, or the recogniser is needed and not installed.
    """
    trained, _ = load_model(folder)
    if trained.config.sound == model.config.sound:
        model.load_state_dict(trained.state_dict())
        return
    theirs = {n: t for n, t in trained.state_dict().items() if not n.startswith("sound.")}
    model.load_state_dict(theirs, strict=False)
    if isinstance(model.sound, PhoneEncoder):
        load_front(model.sound)
