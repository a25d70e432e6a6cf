"""Windows, losses and the loop, on a handful of rendered clips."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from avsync_cli.corpus.cache import CachedClip  # noqa: E402
from avsync_cli.corpus.rendered import CLIP_FRAMES  # noqa: E402
from avsync_cli.errors import DataError, UsageError  # noqa: E402
from avsync_cli.evaluation.windows import TrackFeatures  # noqa: E402
from avsync_cli.model.checkpoint import load_model  # noqa: E402
from avsync_cli.model.config import ModelConfig  # noqa: E402
from avsync_cli.model.core import SyncModel  # noqa: E402
from avsync_cli.model.features import log_mel  # noqa: E402
from avsync_cli.model.torch_engine import TorchEngine  # noqa: E402
from avsync_cli.timebase import HOP_SAMPLES, SAMPLES_PER_FRAME  # noqa: E402
from avsync_cli.training import loop  # noqa: E402
from avsync_cli.training.augment import augment_crops  # noqa: E402
from avsync_cli.training.dataset import WindowDataset, WindowSpec  # noqa: E402
from avsync_cli.training.losses import (  # noqa: E402
    Encoded,
    contrastive,
    diagonals,
    draw_offsets,
    head,
    in_pieces,
    pooled,
)
from avsync_cli.training.options import TrainOptions  # noqa: E402

WINDOW = WindowSpec()


def dataset(clips: list[CachedClip], **changes: object) -> WindowDataset:
    settings = {"seed": 3, "length": 100, "augment": True} | changes
    return WindowDataset(clips, ModelConfig(), WINDOW, **settings)  # type: ignore[arg-type]


def test_a_sample_depends_on_seed_and_index_alone(clips: list[CachedClip]) -> None:
    first, again = dataset(clips), dataset(clips)
    again[4]  # what was drawn before must not matter
    for key, value in first[11].items():
        torch.testing.assert_close(value, again[11][key])
    other = dataset(clips, seed=4)[11]
    assert not torch.equal(first[11]["mel"], other["mel"])


def test_a_plain_sample_is_the_clip_itself(clips: list[CachedClip]) -> None:
    data = dataset(clips[:1], augment=False)
    sample = data[0]
    crops, sound = clips[0].crops(), np.asarray(clips[0].sound(), np.float32) / 32768
    r = ModelConfig().visual_context
    picture = sample["crops"].numpy()
    start = next(
        k
        for k in range(CLIP_FRAMES)
        if np.array_equal(crops[k], picture[r]) and k + 50 <= CLIP_FRAMES
    )
    np.testing.assert_array_equal(picture[r : r + 50], crops[start : start + 50])
    before, _ = ModelConfig().sound_context
    hops = (start - WINDOW.reach) * 4 - before
    low = max(0, hops)
    whole = log_mel(sound)
    mine = sample["mel"].numpy()
    inside = slice(low - hops + 2, min(len(mine), len(whole) - hops) - 2)
    np.testing.assert_allclose(
        mine[inside], whole[hops + inside.start : hops + inside.stop], atol=1e-4
    )
    valid = sample["sound_valid"].numpy()
    frames = start - WINDOW.reach + np.arange(len(valid))
    np.testing.assert_array_equal(valid, (frames >= 0) & (frames < CLIP_FRAMES))
    assert len(sound) == CLIP_FRAMES * SAMPLES_PER_FRAME
    assert HOP_SAMPLES * 4 == SAMPLES_PER_FRAME


def test_a_clips_own_offset_is_undone(clips: list[CachedClip]) -> None:
    path = clips[0].clip.key
    plain = dataset(clips[:1], augment=False)[5]["mel"].numpy()
    moved = dataset(clips[:1], augment=False, offsets_hops={path: 3})[5]["mel"].numpy()
    np.testing.assert_allclose(moved[20:200], plain[23:203], atol=1e-4)


def test_augmented_crops_have_the_size_that_the_model_takes() -> None:
    generator = torch.Generator().manual_seed(0)
    crops = torch.randint(0, 256, (1, 5, 96, 96), generator=generator, dtype=torch.uint8)
    changed = augment_crops(crops.repeat(2, 1, 1, 1), 64, generator)
    assert changed.shape == (2, 5, 64, 64)
    assert torch.isfinite(changed).all()
    # Each clip is another one then, and none is what it was.
    one, other = changed
    for a, b in (
        (one, other),
        (one, crops[0, :, 16:80, 16:80]),
        (other, crops[0, :, 16:80, 16:80]),
    ):
        assert float((a - b).abs().mean()) > 5.0


def perfect(frames: int, reach: int) -> torch.Tensor:
    """Similarities of a model that is always right and knows that neighbours are near."""
    sims = torch.zeros(1, frames, frames + 2 * reach)
    index = torch.arange(frames)
    for beside in (-1, 1):
        sims[0, index, index + reach + beside] = 0.9
    sims[0, index, index + reach] = 1.0
    return sims


@pytest.mark.parametrize("loss", [contrastive, pooled])
def test_losses_prefer_the_truth_to_chance_and_chance_to_error(loss: object) -> None:
    frames, reach = 50, 15
    ones, all_sound = torch.ones(1, frames, dtype=torch.bool), torch.ones(1, 80, dtype=torch.bool)
    right = perfect(frames, reach)
    wrong = right.roll(6, dims=2)
    values = [float(loss(s, reach, ones, all_sound)) for s in (right, right * 0, wrong)]  # type: ignore[operator]
    assert values[0] < values[1] < values[2]


def test_filler_takes_no_part_in_the_losses() -> None:
    frames, reach = 50, 15
    torch.manual_seed(0)
    sims = torch.randn(1, frames, frames + 2 * reach)
    frame_valid = torch.ones(1, frames, dtype=torch.bool)
    sound_valid = torch.ones(1, frames + 2 * reach, dtype=torch.bool)
    frame_valid[0, 40:], sound_valid[0, :10] = False, False
    changed = sims.clone()
    changed[:, 40:] = 9.0
    changed[:, :, :10] = 9.0
    before = contrastive(sims, reach, frame_valid, sound_valid)
    after = contrastive(changed, reach, frame_valid, sound_valid)
    torch.testing.assert_close(before, after)


def test_diagonals_are_offsets() -> None:
    lanes = diagonals(perfect(50, 15), 15)
    assert lanes.shape == (1, 50, 31)
    assert (lanes.argmax(dim=2) == 15).all()


def test_drawn_offsets_are_never_nearly_in_sync() -> None:
    offsets = draw_offsets(200, 7, 15, torch.Generator().manual_seed(0))
    assert offsets.shape == (200, 8)
    assert (offsets[:, 0] == 0).all()
    wrong = offsets[:, 1:].abs()
    assert int(wrong.min()) == 2
    assert int(wrong.max()) == 15
    assert int(wrong[:, 0].max()) <= 4


def test_the_head_cannot_know_better_than_chance_when_the_sound_is_anothers() -> None:
    torch.manual_seed(0)
    model = SyncModel(ModelConfig()).eval()
    clips, frames, reach = 24, 50, 15
    v = torch.randn(clips, frames, 128, 4, 4)
    a = torch.nn.functional.normalize(torch.randn(clips, frames + 2 * reach, 128), dim=-1)
    offsets = draw_offsets(clips, 7, reach, torch.Generator().manual_seed(1))
    ones = torch.ones(clips, frames, dtype=torch.bool)
    every = torch.ones(clips, frames + 2 * reach, dtype=torch.bool)
    with torch.inference_mode():
        _, _, ranked, _ = head(model, Encoded(v, a, ones, every), offsets)
    assert 0.0 <= ranked < 0.35  # chance is 1 in 8 of 72 decisions


@pytest.mark.parametrize("frames", [5, 10, 25])
def test_a_piece_is_what_evaluation_shows_of_a_short_window(frames: int) -> None:
    torch.manual_seed(1)
    model = SyncModel(ModelConfig(attention="none")).eval()
    crops = torch.rand(2, 58, 64, 64) * 255
    with torch.inference_mode():
        v = in_pieces(model.visual, crops[:, 4:-4], frames, 4)
    assert v.shape == (2, 50, 128, 4, 4)
    inner = np.pad(crops[1, 4:54].numpy(), ((0, 0), (16, 16), (16, 16)))
    seen = TrackFeatures(TorchEngine(model), inner)
    for first in range(0, 50, frames):
        alone = seen.window(first, frames)
        np.testing.assert_allclose(v[1, first : first + frames], alone, atol=1e-4)


def options(tmp_path: Path, **changes: object) -> TrainOptions:
    base = TrainOptions(
        data=tmp_path / "data",
        cache=tmp_path / "cache",
        out=tmp_path / "run",
        steps=4,
        batch=4,
        warmup=2,
        val_every=100,
        synthetic=0,
        workers=0,
        checkpoint_minutes=1e9,
        seed=5,
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_model(folder)[0].state_dict()


@pytest.mark.usefixtures("narrow")
def test_a_resumed_run_ends_where_an_unbroken_one_does(
    tmp_path: Path, clips: list[CachedClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "prepare", lambda *_: (clips, [], []))
    whole = loop.train(options(tmp_path, out=tmp_path / "whole"))

    class Killed(Exception):
        pass

    def kill(stage: str, done: int, total: int, figures: dict[str, float]) -> None:
        if stage == "train" and done == 3:
            raise Killed

    broken = options(tmp_path, out=tmp_path / "broken", checkpoint_minutes=0.0)
    with pytest.raises(Killed):
        loop.train(broken, kill)
    steps = [json.loads(x)["step"] for x in (broken.out / "log.jsonl").read_text().splitlines()]
    assert max(steps) < 4
    resumed = loop.train(broken)
    events = [
        json.loads(x).get("event") for x in (broken.out / "log.jsonl").read_text().splitlines()
    ]
    assert "resume" in events
    ours, theirs = weights(resumed), weights(whole)
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, msg=name)


@pytest.mark.usefixtures("narrow")
def test_a_run_with_other_options_is_not_resumed(
    tmp_path: Path, clips: list[CachedClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "prepare", lambda *_: (clips, [], []))
    loop.train(options(tmp_path, steps=1))
    with pytest.raises(UsageError, match="attention"):
        loop.train(options(tmp_path, steps=2, attention="none"))
    with pytest.raises(UsageError, match="size"):
        loop.train(options(tmp_path, steps=2, size="large"))


@pytest.mark.usefixtures("narrow")
def test_training_learns_what_it_is_shown(
    tmp_path: Path, clips: list[CachedClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "prepare", lambda *_: (clips, [], []))
    chosen = options(tmp_path, steps=20, batch=6, frames=30, warmup=5, cooldown=0.0)
    losses: list[float] = []
    loop.train(chosen, lambda s, d, n, f: losses.append(f["loss"]) if s == "train" else None)
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 1.0


def test_no_usable_data_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(DataError, match="no clips"):
        loop.train(options(tmp_path))


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 0}, {"batch": 1}, {"cooldown": 2.0}, {"device": "tpu"}, {"size": "huge"}],
)
def test_options_that_cannot_be_meant(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        options(tmp_path, **wrong).checked()
