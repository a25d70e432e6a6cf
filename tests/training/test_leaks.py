"""Nothing but picture and sound may tell a true pair from a false one.

A model could also be right because it knows where in its window a frame lies: then it would place
any sound at 0, and measure nothing. So the towers must not know the time, and a pair with another
clip's sound must be placed by chance.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from avsync_cli.corpus.cache import CachedClip, CachedTrack, as_stored, write_entry  # noqa: E402
from avsync_cli.corpus.manifest import Clip  # noqa: E402
from avsync_cli.model.checkpoint import load_model  # noqa: E402
from avsync_cli.model.config import ModelConfig  # noqa: E402
from avsync_cli.model.core import SyncModel  # noqa: E402
from avsync_cli.model.torch_engine import TorchEngine  # noqa: E402
from avsync_cli.training import loop  # noqa: E402
from avsync_cli.training.dataset import WindowDataset, WindowSpec  # noqa: E402
from avsync_cli.training.heard import hear_clips  # noqa: E402
from avsync_cli.training.losses import contrastive, diagonals, pooled, similarities  # noqa: E402
from avsync_cli.training.options import TrainOptions  # noqa: E402
from tests.conftest import REPO  # noqa: E402
from tests.training.conftest import copied  # noqa: E402

WINDOW = WindowSpec()
STILL = 12
"""A picture or sound that does not change, of so many frames, has no moment of its own."""


def models() -> list[SyncModel]:
    torch.manual_seed(0)
    layers = {"visual_layers": 2, "sound_layers": 2}
    made = [SyncModel(ModelConfig()), SyncModel(ModelConfig.of("base", "phones", **layers))]
    for fresh in made:
        for module in fresh.eval().modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 1.5)
    for layer in [*made[1].visual.over_time, *made[1].sound.over_time]:
        nn.init.normal_(layer.out.weight)
    return [*made, load_model(REPO / "models" / "default")[0]]


@pytest.mark.parametrize("model", models(), ids=["fresh", "phones", "shipped"])
def test_towers_cannot_tell_the_time(model: SyncModel) -> None:
    """What does not change looks and sounds the same at every frame, to the last: a padded
    convolution would give its ends away."""
    config = model.config
    rng = np.random.default_rng(0)
    face = torch.from_numpy(rng.uniform(0, 255, (64, 64)).astype(np.float32))
    hum = torch.from_numpy(rng.normal(size=config.mel_bands).astype(np.float32))
    with torch.inference_mode():
        v = model.visual(face.expand(1, STILL + 2 * config.visual_context, 64, 64))[0]
        a = model.sound(hum.expand(1, config.sound_hops(STILL), config.mel_bands))[0]
    torch.testing.assert_close(v, v[:1].expand_as(v), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(a, a[:1].expand_as(a), atol=1e-4, rtol=1e-4)


def test_a_clock_in_a_tower_would_be_noticed() -> None:
    class Padded(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.conv1d(x, torch.ones(1, 1, 3), padding=1)

    out = Padded()(torch.ones(1, 1, STILL))[0, 0]
    with pytest.raises(AssertionError):
        torch.testing.assert_close(out, out[:1].expand_as(out))


def exchanged(clips: list[CachedClip], folder: Path) -> list[CachedClip]:
    """Each clip's picture with the next one's sound."""
    made = []
    for number, clip in enumerate(clips):
        place = folder / str(number)
        sound = clips[(number + 1) % len(clips)].sound()
        write_entry(place, clip.tracks, clip.crops(), clip.valid(), np.asarray(sound))
        made.append(replace(clip, folder=place))
    return made


def placed(model: SyncModel, clips: list[CachedClip], count: int) -> np.ndarray:
    """(count * windows,) offsets in frames at which plain windows fit best."""
    if model.config.sound == "phones":
        hear_clips(TorchEngine(model), clips, seed=0)
    data = WindowDataset(clips, model.config, WINDOW, seed=1, length=count, augment=False)
    best = []
    with torch.inference_mode():
        for index in range(count):
            sample = {k: v[None] for k, v in data[index].items()}
            edge = (96 - model.config.input_px) // 2
            crops = sample["crops"][:, :, edge:-edge, edge:-edge].float()
            lanes = diagonals(
                similarities(model.visual(crops), model.sound(sample["mel"])), WINDOW.reach
            )
            there = sample["sound_valid"][0].all()
            if there:
                best.append(int(lanes[0].mean(dim=0).argmax()) - WINDOW.reach)
    return np.array(best)


def test_the_sound_of_another_clip_is_placed_by_chance(
    clips: list[CachedClip], tmp_path: Path
) -> None:
    """The shipped model places rendered talkers, and not when their sounds are exchanged."""
    model, _ = load_model(REPO / "models" / "default")
    talkers = copied([c for c in clips if c.clip.kind == "talking"], tmp_path)
    own = placed(model, talkers, 24)
    others = placed(model, exchanged(talkers, tmp_path), 24)
    assert len(own) >= 8
    assert len(others) >= 8
    assert np.mean(np.abs(own) <= 1) > 0.8
    # Chance is 3 in 31; with three of ten right by luck now and then.
    assert np.mean(np.abs(others) <= 1) < 0.4


def noise_clips(folder: Path, count: int) -> list[CachedClip]:
    """Clips whose pictures and sounds have nothing to do with each other."""
    rng = np.random.default_rng(5)
    made = []
    for number in range(count):
        crops = np.repeat(rng.integers(0, 256, (30, 96, 96)), 4, axis=0).astype(np.uint8)
        sound = as_stored(0.2 * rng.normal(size=120 * 640))
        place = folder / str(number)
        track = CachedTrack("face", 0, 0, 120, 0.5)
        write_entry(place, [track], crops, np.ones(120, bool), sound)
        row = Clip(place, source=str(number), kind="talking")
        made.append(CachedClip(row, place, 120, (track,)))
    return made


@pytest.mark.slow
@pytest.mark.usefixtures("narrow")
def test_where_there_is_nothing_to_learn_nothing_is_learnt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run on unrelated pictures and sounds places new ones no better than chance: neither the
    windows nor the losses let the position of the truth through."""
    learn = noise_clips(tmp_path / "learn", 6)
    monkeypatch.setattr(loop, "prepare", lambda *_: (learn, [], []))
    options = TrainOptions(
        data=tmp_path, cache=tmp_path, out=tmp_path / "run", steps=30, batch=6, frames=30,
        warmup=3, learning_rate=3e-3, cooldown=0.0, ema=0.5, synthetic=0, workers=0, realign_at=0,
        seed=2, device="cpu",
    )  # fmt: skip
    model, _ = load_model(loop.train(options))
    data = WindowDataset(
        noise_clips(tmp_path / "new", 12), model.config, WINDOW, seed=3, length=24, augment=False
    )
    rows = [data[i] for i in range(24)]
    batch = {k: torch.stack([row[k] for row in rows]) for k in rows[0]}
    with torch.inference_mode():
        crops = batch["crops"][:, :, 16:80, 16:80].float()
        sims = similarities(model.visual(crops), model.sound(batch["mel"]))
    there = batch["frame_valid"], torch.ones_like(batch["sound_valid"])
    blind = [loss(sims * 0, WINDOW.reach, *there) for loss in (contrastive, pooled)]
    found = [loss(sims, WINDOW.reach, *there) for loss in (contrastive, pooled)]
    for mine, chance in zip(found, blind, strict=True):
        assert float(mine) > float(chance) - 0.1
    best = diagonals(sims, WINDOW.reach).mean(dim=1).argmax(dim=1) - WINDOW.reach
    assert float((best.abs() <= 1).float().mean()) < 0.34  # chance is 3 in 31
