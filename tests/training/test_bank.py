"""Heads trained on encoders that stay as they are."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from avsync_cli.corpus.cache import CachedClip
from avsync_cli.errors import UsageError
from avsync_cli.model.checkpoint import load_model, save_tensors
from avsync_cli.model.config import ModelConfig
from avsync_cli.model.core import SyncModel
from avsync_cli.model.folder import write_about
from avsync_cli.training import loop
from avsync_cli.training.bank import ENCODERS, FeatureBank, digest, fill_bank
from avsync_cli.training.dataset import WindowDataset, WindowSpec
from avsync_cli.training.losses import Encoded
from avsync_cli.training.options import TrainOptions
from avsync_cli.training.run import Run
from avsync_cli.training.sync_lesson import SyncLesson
from tests.training.narrow import NARROW

pytestmark = pytest.mark.usefixtures("all_narrow")


@pytest.fixture(scope="module")
def encoders(all_narrow: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model whose weights nobody trained."""
    folder = tmp_path_factory.mktemp("encoders")
    torch.manual_seed(3)
    model = SyncModel(ModelConfig.of("base", attention="temporal"))
    save_tensors(folder / "weights.safetensors", model.state_dict())
    write_about(folder, config=model.config.to_json())
    return folder


def windows(clips: list[CachedClip], length: int = 6) -> WindowDataset:
    return WindowDataset(clips, ModelConfig.of("base"), WindowSpec(), 0, length)


def options(tmp_path: Path, encoders: Path, **changes: object) -> TrainOptions:
    base = TrainOptions(
        data=tmp_path / "data",
        cache=tmp_path / "cache",
        out=tmp_path / "run",
        steps=3,
        batch=4,
        warmup=1,
        val_every=100,
        synthetic=0,
        workers=0,
        realign_at=0,
        encoders=encoders,
        windows=6,
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def test_a_bank_holds_what_the_encoders_say(
    tmp_path: Path, encoders: Path, clips: list[CachedClip]
) -> None:
    model, _ = load_model(encoders)
    drawn = windows(clips)
    bank = FeatureBank(fill_bank(tmp_path, model, drawn), seed=1, length=18)
    order = np.random.default_rng([1, 0]).permutation(6)
    for index in range(6):
        row, sample = drawn[int(order[index])], bank[index]
        with torch.inference_mode():
            a = model.sound(row["mel"][None])[0]
        torch.testing.assert_close(sample["a"], a, atol=1e-3, rtol=1e-3)
        assert torch.equal(sample["frame_valid"], row["frame_valid"])
        assert torch.equal(sample["sound_valid"], row["sound_valid"])
        assert sample["v"].shape == (50, model.config.channels, 4, 4)
        # Features of the pooled picture have length 1.
        length = sample["v"].mean(dim=(2, 3)).norm(dim=1)
        torch.testing.assert_close(length, torch.ones(50), atol=3e-3, rtol=0)
    seen = [{bank[turn * 6 + i]["a"].numpy().tobytes() for i in range(6)} for turn in range(3)]
    assert len(seen[0]) == 6
    assert seen[0] == seen[1] == seen[2]


def test_a_killed_bank_is_gone_on_with(
    tmp_path: Path, encoders: Path, clips: list[CachedClip]
) -> None:
    model, _ = load_model(encoders)

    class Killed(Exception):
        pass

    def kill(done: int, total: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        fill_bank(tmp_path / "cut", model, windows(clips), kill)
    encoded: list[int] = []
    cut = fill_bank(tmp_path / "cut", model, windows(clips), lambda done, _: encoded.append(done))
    assert encoded == [6]  # the first four were there
    whole = fill_bank(tmp_path / "whole", model, windows(clips))
    for name in ("v", "a"):
        np.testing.assert_array_equal(np.load(cut / f"{name}.npy"), np.load(whole / f"{name}.npy"))


def test_windows_of_a_bank_are_cut_before_they_are_seen(
    tmp_path: Path, encoders: Path, clips: list[CachedClip]
) -> None:
    model, _ = load_model(encoders)
    shown: list[tuple[int, ...]] = []
    model.visual.register_forward_hook(lambda _, given, __: shown.append(tuple(given[0].shape[:2])))
    cut = fill_bank(tmp_path, model, windows(clips, 16), pieces=1.0)
    lengths = np.load(cut / "piece.npy")
    bank = FeatureBank(cut, seed=1, length=16)
    assert {int(bank[i]["piece"]) for i in range(16)} == set(lengths.tolist())
    around = model.config.visual_context
    for (pieces, frames), length in zip(shown, lengths[::4], strict=True):
        assert length in (5, 10, 25)
        assert (pieces, frames) == (4 * 50 // length, length + 2 * around)
    assert cut != fill_bank(tmp_path, model, windows(clips, 16))


def test_layers_over_time_see_no_more_than_a_piece(tmp_path: Path, encoders: Path) -> None:
    lesson = SyncLesson(options(tmp_path, encoders, visual_layers=2, attention="temporal"))
    with torch.no_grad():
        for parameter in lesson.model.visual.over_time.parameters():
            parameter.normal_(0.0, 0.2)
    v, a = torch.randn(2, 50, NARROW.features, 4, 4), torch.randn(2, 80, NARROW.features)
    there = torch.ones(2, 50, dtype=torch.bool), torch.ones(2, 80, dtype=torch.bool)
    pieces = torch.tensor([10, 50])
    lesson.model.eval()
    before = lesson._in_time(Encoded(v, a, *there), pieces).v
    v[:, 10:] = torch.randn(2, 40, NARROW.features, 4, 4)
    after = lesson._in_time(Encoded(v, a, *there), pieces).v
    same = torch.isclose(before, after, atol=1e-5).flatten(2).all(dim=2)
    assert same[0].tolist() == [True] * 10 + [False] * 40
    assert not same[1, 8:].any()


def test_other_windows_or_encoders_are_another_bank(
    tmp_path: Path, encoders: Path, clips: list[CachedClip]
) -> None:
    model, _ = load_model(encoders)
    one = fill_bank(tmp_path, model, windows(clips))
    assert fill_bank(tmp_path, model, windows(clips)) == one
    assert fill_bank(tmp_path, model, windows(clips, 7)) != one
    with torch.no_grad():
        next(model.sound.parameters()).add_(0.1)
    assert fill_bank(tmp_path, model, windows(clips)) != one


def test_only_the_head_learns(
    tmp_path: Path, encoders: Path, clips: list[CachedClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "prepare", lambda *_: (clips, [], []))
    chosen = options(tmp_path, encoders, attention="spatio-temporal")
    trained, about = load_model(loop.train(chosen))
    given, _ = load_model(encoders)
    assert about.training["encoders"] == digest(given) == digest(trained)
    before = given.state_dict()
    changed = {n for n, t in trained.state_dict().items() if not torch.equal(t, before[n])}
    assert changed
    assert not any(n.startswith(ENCODERS) for n in changed)
    assert {"confidence.out.weight", "hidden.weight", "joint.from_visual.weight"} <= changed


def test_new_layers_learn_with_the_head(
    tmp_path: Path, encoders: Path, clips: list[CachedClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "prepare", lambda *_: (clips, [], []))
    layers = {"visual_layers": 2, "sound_layers": 1, "pieces": 0.5, "steps": 8}
    chosen = options(tmp_path, encoders, attention="temporal", learning_rate=1e-2, **layers)
    seen: list[dict[str, float]] = []
    best = loop.train(chosen, lambda s, d, n, f: seen.append(f) if s == "train" else None)
    trained, given = load_model(best)[0], load_model(encoders)[0].state_dict()
    assert trained.config.visual_context == 7 and trained.config.sound_context == (17, 18)
    changed = {n for n, t in trained.state_dict().items() if n in given and t.ne(given[n]).any()}
    assert changed and not any(n.startswith(ENCODERS) for n in changed)
    for layer in [*trained.visual.over_time, *trained.sound.over_time]:
        assert float(layer.out.weight.detach().abs().max()) > 0.0
    assert all(figures["contrastive"] > 0.0 for figures in seen)


def test_layers_that_finished_encoders_have_are_kept(
    tmp_path: Path, clips: list[CachedClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "prepare", lambda *_: (clips, [], []))
    config = ModelConfig.of("base", attention="temporal", visual_layers=1, sound_layers=1)
    folder = tmp_path / "with"
    folder.mkdir()
    torch.manual_seed(4)
    model = SyncModel(config)
    save_tensors(folder / "weights.safetensors", model.state_dict())
    write_about(folder, config=config.to_json())
    with pytest.raises(UsageError, match="sound_layers 1, not 0") as caught:
        Run(options(tmp_path, folder, visual_layers=1))
    assert "--sound-layers 1" in str(caught.value.hint)
    kept, _ = load_model(loop.train(options(tmp_path, folder, visual_layers=1, sound_layers=1)))
    assert digest(kept) == digest(model)


def test_a_head_learns_what_it_is_shown(
    tmp_path: Path, encoders: Path, clips: list[CachedClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "prepare", lambda *_: (clips, [], []))
    losses: list[float] = []
    chosen = options(tmp_path, encoders, steps=40, warmup=5, cooldown=0.0)
    loop.train(chosen, lambda s, d, n, f: losses.append(f["loss"]) if s == "train" else None)
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.1


def test_a_head_is_not_resumed_on_other_encoders(
    tmp_path: Path, encoders: Path, clips: list[CachedClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "prepare", lambda *_: (clips, [], []))
    loop.train(options(tmp_path, encoders, steps=1))
    with pytest.raises(UsageError, match="encoders"):
        loop.train(dataclasses.replace(options(tmp_path, encoders, steps=2), encoders=None))


@pytest.mark.parametrize(
    ("change", "says", "hint"),
    [
        ({"size": "large"}, "size base, not large", "--size base"),
        ({"sound": "phones"}, "sound log-mel, not phones", "--sound log-mel"),
    ],
)
def test_encoders_of_another_shape_are_named(
    tmp_path: Path, encoders: Path, change: dict[str, object], says: str, hint: str
) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        Run(options(tmp_path, encoders, **change))
    assert hint in str(caught.value.hint)
