"""Beginning with what another model has learnt."""

from __future__ import annotations

from pathlib import Path

import torch

from avsync_cli.errors import UsageError
from avsync_cli.model.checkpoint import load_model
from avsync_cli.model.core import SyncModel
from avsync_cli.model.encoders import SoundEncoder
from avsync_cli.model.phones import PhoneEncoder
from avsync_cli.model.recogniser import load_recogniser


def load_front(sound: PhoneEncoder) -> None:
    """Give a sound encoder the published recogniser's weights.

    Raises:
        ModelError: the recogniser is not installed.
    """
    found = {name: torch.from_numpy(a) for name, a in load_recogniser().items()}
    sound.front.load_state_dict(found)


def begin_with(model: SyncModel, folder: Path) -> SoundEncoder | None:
    """Take over a trained model's weights, but for a sound side that hears otherwise; layers over
    time that it lacks are left as they begin.

    Returns:
        the sound encoder that was exchanged for a new one, which then can be taught; or None.

    Raises:
        ModelError: the folder cannot be read, or the recogniser is needed and not installed.
        UsageError: it holds a model of another shape.
    """
    trained, _ = load_model(folder)
    exchanged = trained.config.sound != model.config.sound
    left = ("visual.over_time.", "sound." if exchanged else "sound.over_time.")
    theirs = trained.state_dict()
    taken = {n: t for n, t in theirs.items() if not (exchanged and n.startswith("sound."))}
    try:
        missing, unknown = model.load_state_dict(taken, strict=False)
    except RuntimeError as error:
        raise UsageError(f"{folder} holds a model of another shape", "give its --size") from error
    if unknown or not all(name.startswith(left) for name in missing):
        raise UsageError(f"{folder} holds a model of another shape", "give the options it has")
    if not exchanged:
        return None
    if isinstance(model.sound, PhoneEncoder):
        load_front(model.sound)
    return trained.sound if isinstance(trained.sound, SoundEncoder) else None
