"""Windows that hear phones, beginnings from another model, and steps that are left out."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from avsync_cli.corpus.cache import CachedClip  # noqa: E402
from avsync_cli.errors import DataError  # noqa: E402
from avsync_cli.model.checkpoint import load_model  # noqa: E402
from avsync_cli.model.config import ModelConfig  # noqa: E402
from avsync_cli.model.core import SyncModel  # noqa: E402
from avsync_cli.model.torch_engine import TorchEngine  # noqa: E402
from avsync_cli.timebase import HOP_SAMPLES  # noqa: E402
from avsync_cli.training.dataset import WindowDataset, WindowSpec  # noqa: E402
from avsync_cli.training.heard import hear_clips, heard_path  # noqa: E402
from avsync_cli.training.options import TrainOptions  # noqa: E402
from avsync_cli.training.run import MOST_LOST, Run  # noqa: E402
from tests.training.conftest import copied  # noqa: E402

PHONES = ModelConfig.of("base", sound="phones")
FIRST = 20
"""Frame at which the window begins, whatever the generator says."""


class _Placed:
    """A generator that places every window at `FIRST`."""

    def uniform(self, low: float, high: float, size: int) -> np.ndarray:
        return np.full(size, float(FIRST))


def _engine() -> TorchEngine:
    torch.manual_seed(0)
    model = SyncModel(PHONES)
    model.sound.front.mel_filters.uniform_(0.0, 0.01)
    return TorchEngine(model)


@pytest.mark.parametrize("late_ms", [0.0, 70.0, -50.0])
def test_a_plain_window_hears_its_own_moment(
    tmp_path: Path, clips: list[CachedClip], late_ms: float
) -> None:
    engine, clips = _engine(), copied(clips[:1], tmp_path)
    row = dataclasses.replace(clips[0].clip, offset_ms=late_ms)
    clip = dataclasses.replace(clips[0], clip=row)
    hear_clips(engine, [clip], seed=0)
    data = WindowDataset([clip], PHONES, WindowSpec(30), 0, 1, augment=False)
    heard = data.sample(0, _Placed())["mel"].numpy()  # type: ignore[arg-type]
    before, after = PHONES.sound_context
    steps = 4 * 60 + before + after
    assert heard.shape == (steps, 144)
    # The same stretch of the sound as the cache gives it, the clip's own lag undone.
    first = (FIRST - 15) * 4 - before - engine.config.edge_steps
    around = 400 * HOP_SAMPLES
    sound = np.load(clip.folder / "sound.npy").astype(np.float32) / 32768
    start = around + (first + round(late_ms / 10)) * HOP_SAMPLES
    length = (steps + 2 * engine.config.edge_steps) * HOP_SAMPLES
    wanted = engine.sound_steps(np.pad(sound, around)[start:][:length])
    np.testing.assert_allclose(heard, wanted, atol=5e-3)


def test_augmented_windows_hear_other_versions(tmp_path: Path, clips: list[CachedClip]) -> None:
    clips = copied(clips[:2], tmp_path)
    hear_clips(_engine(), clips, seed=0)
    plain, noisy = (np.load(heard_path(clips[0], v)) for v in (0, 1))
    assert plain.shape == noisy.shape and not np.array_equal(plain, noisy)
    data = WindowDataset(clips, PHONES, WindowSpec(30), 0, 50)
    first, again = data[7], data[7]
    torch.testing.assert_close(first["mel"], again["mel"])
    assert not torch.equal(first["mel"], data[8]["mel"])
    assert all(torch.isfinite(data[i]["mel"]).all() for i in range(20))


def _options(folder: Path, **changes: object) -> TrainOptions:
    base = TrainOptions(
        data=folder, cache=folder, out=folder / "run", precision="fp32", batch=2, frames=30
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def _batch(clips: list[CachedClip], config: ModelConfig) -> dict[str, torch.Tensor]:
    data = WindowDataset(clips, config, WindowSpec(30), 0, 2)
    return {k: torch.stack([data[i][k] for i in range(2)]) for k in data[0]}


def test_what_is_left_alone_stays_as_it_began(tmp_path: Path, clips: list[CachedClip]) -> None:
    bundled = Path(__file__).parents[2] / "models" / "default"
    run = Run(_options(tmp_path, start=bundled, frozen=3))
    theirs = load_model(bundled)[0].state_dict()
    config = run.lesson.about()["config"]
    run.learn(_batch(clips, ModelConfig.from_json(config)))
    ours = run.model.state_dict()
    for name, tensor in ours.items():
        stays = name.startswith(("visual.stem", "visual.stage1", "visual.stage2"))
        if stays:
            assert torch.equal(tensor, theirs[name]), name
    assert not torch.equal(ours["visual.stage3.0.0.weight"], theirs["visual.stage3.0.0.weight"])
    assert not torch.equal(ours["visual.mix2.mix.weight"], theirs["visual.mix2.mix.weight"])


@pytest.mark.usefixtures("narrow")
def test_a_step_without_a_finite_loss_is_left_out(tmp_path: Path, clips: list[CachedClip]) -> None:
    run = Run(_options(tmp_path))
    run.options.out.mkdir()
    whole = _batch(clips, ModelConfig.of("base"))
    run.learn(whole)
    before = {n: t.clone() for n, t in run.model.state_dict().items()}
    broken = whole | {"mel": torch.full_like(whole["mel"], float("nan"))}
    run.learn(broken)
    for name, tensor in run.model.state_dict().items():
        assert torch.isfinite(tensor).all(), name
        if name.endswith("weight"):
            assert torch.equal(tensor, before[name]), name
    lines = (run.options.out / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"step": 1, "event": "left out"}]
    run.learn(whole)
    assert not torch.equal(run.model.state_dict()["logits.weight"], before["logits.weight"])
    with pytest.raises(DataError, match="not finite"):
        for _ in range(MOST_LOST + 1):
            run.learn(broken)
