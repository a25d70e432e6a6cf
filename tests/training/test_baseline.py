"""The SyncNet-shaped baseline: its pairs, its clock, and that it learns."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from avsync_cli.corpus.cache import CachedClip  # noqa: E402
from avsync_cli.corpus.manifest import Clip  # noqa: E402
from avsync_cli.errors import ModelError, UsageError  # noqa: E402
from avsync_cli.evaluation.scorers import load_scorer  # noqa: E402
from avsync_cli.evaluation.scoring import Track  # noqa: E402
from avsync_cli.evaluation.syncnet import SyncNetScorer  # noqa: E402
from avsync_cli.model.syncnet import SyncNetShape  # noqa: E402
from avsync_cli.training import baseline, loop  # noqa: E402
from avsync_cli.training.baseline import draw_places, matching_loss  # noqa: E402
from avsync_cli.training.options import TrainOptions  # noqa: E402
from avsync_cli.training.run import Run  # noqa: E402
from tests.toy_model import cached_flashes, flash_clip  # noqa: E402

NEAR = np.arange(-15, 16)


class Levels(SyncNetShape):
    """Towers that know the mean brightness and loudness of the middle frame as an angle."""

    def see(self, crops: torch.Tensor) -> torch.Tensor:
        return self._angle((crops[:, 2].mean(dim=(1, 2)) - 30.0) / 190.0)

    def hear(self, mel: torch.Tensor) -> torch.Tensor:
        assert mel.shape[1:] == (20, 80)
        return self._angle((mel[:, 8:12].mean(dim=(1, 2)) + 0.8).clamp(0, 1.2) / 1.2)

    @staticmethod
    def _angle(share: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.cos(share), torch.sin(share)], dim=1)


@pytest.fixture
def clip(tmp_path: Path) -> CachedClip:
    folder = tmp_path / "entry"
    return cached_flashes(folder, Clip(folder, source="made", kind="talking"), 120, seed=3)


@pytest.mark.parametrize("late", [-6, 0, 11])
@pytest.mark.parametrize("first_frame", [0, 4])
def test_picture_and_sound_are_cut_by_the_same_clock(late: int, first_frame: int) -> None:
    crops, sound = flash_clip(140, offset_ms=40 * late, seed=8)
    track = Track(crops[first_frame:], first_frame, sound)
    opened = SyncNetScorer(Levels()).open(track, 15)
    found = opened.scores(30, 50, NEAR)
    assert int(np.argmax(found.score)) - 15 == late
    assert found.by == "distance"
    assert found.score.max() <= 0.0


def test_a_window_of_five_frames_sees_five_frames() -> None:
    crops, sound = flash_clip(60, seed=8)
    other = crops.copy()
    other[:20], other[25:] = 0, 255
    scorer = SyncNetScorer(SyncNetShape())
    here, there = (
        scorer.open(Track(c, 0, sound), 15).scores(20, 5, NEAR).score for c in (crops, other)
    )
    np.testing.assert_allclose(here, there, rtol=1e-4, atol=1e-5)


def test_places_are_two_frames_apart_and_in_the_window() -> None:
    places = draw_places(200, 50, torch.Generator().manual_seed(0))
    assert places.shape == (200, 8)
    assert places.min() == 0
    assert places.max() == 49
    apart = places.sort(dim=1).values.diff(dim=1)
    assert apart.min() == 2
    assert len({tuple(row) for row in places.tolist()}) > 190


def test_the_loss_asks_for_the_clips_own_sound() -> None:
    every = torch.ones(1, 3, dtype=torch.bool)
    alike = torch.ones(1, 3, 3)
    assert float(matching_loss(alike, every)) == pytest.approx(np.log(3))
    right = 1.5 - 1.5 * torch.eye(3).unsqueeze(0)
    assert float(matching_loss(right, every)) < 1e-4
    wrong = 1.5 * torch.eye(3).unsqueeze(0)
    assert float(matching_loss(wrong, every)) > 10
    # A place without sound neither asks nor is an answer.
    missing = right.clone()
    missing[0, 2] = missing[0, :, 2] = 0.0
    two = torch.tensor([[True, True, False]])
    assert float(matching_loss(missing, two)) < 1e-4


def chosen(tmp_path: Path, **changes: object) -> TrainOptions:
    values = {"data": tmp_path, "cache": tmp_path, "out": tmp_path / "run", "device": "cpu"}
    return TrainOptions(**values, baseline="syncnet", **changes)  # type: ignore[arg-type]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Towers small enough to be trained within seconds."""

    class Small(SyncNetShape):
        def __init__(self) -> None:
            super().__init__()
            self.visual = nn.Sequential(
                nn.AvgPool2d(16), nn.Flatten(), nn.Linear(80, 64), nn.ReLU(), nn.Linear(64, 8)
            )
            self.sound = nn.Sequential(
                nn.AvgPool2d((8, 2)), nn.Flatten(), nn.Linear(100, 64), nn.ReLU(), nn.Linear(64, 8)
            )

        def see(self, crops: torch.Tensor) -> torch.Tensor:
            return nn.functional.normalize(self.visual(crops / 128.0 - 1.0), dim=1)

    monkeypatch.setattr(baseline, "SyncNetShape", Small)


def test_it_learns_goes_on_and_is_scored(
    clip: CachedClip, tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "prepare", lambda *_: ([clip], [clip], []))
    options = chosen(
        tmp_path, steps=24, batch=4, workers=0, warmup=1, learning_rate=6e-3, val_every=1000,
        ema=0.8, precision="fp32",
    )  # fmt: skip
    best = loop.train(options)
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert rows[-2]["found"] > 0.375  # chance is one in eight
    (measured,) = [r for r in rows if r.get("event") == "validation"]
    assert measured["acc25"] == 1.0
    about = json.loads((best / "model.json").read_text())
    assert (about["kind"], about["training"]["step"]) == ("syncnet", 24)
    assert "data" not in about["training"]

    again = Run(options)
    assert again.resume()
    assert again.step == 24
    with pytest.raises(UsageError, match="seed = 0, not 9"):
        Run(replace(options, seed=9)).resume()
    with pytest.raises(UsageError, match="baseline = syncnet, not "):
        Run(replace(options, baseline="")).resume()
    with pytest.raises(ModelError, match="do not fit"):  # the real towers are larger
        load_scorer(str(best))


def test_a_trained_one_is_found_by_its_folder(tmp_path: Path) -> None:
    run = Run(chosen(tmp_path))
    folder = tmp_path / "kept"
    folder.mkdir()
    run.fill(folder)
    scorer = load_scorer(str(folder))
    assert scorer.note == "re-trained on the same data"
    assert scorer.engine is None
