"""A new tower learns to say what an older encoder says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from avsync_cli.corpus.cache import CachedClip  # noqa: E402
from avsync_cli.errors import UsageError  # noqa: E402
from avsync_cli.model.checkpoint import load_model, save_tensors  # noqa: E402
from avsync_cli.model.config import ModelConfig  # noqa: E402
from avsync_cli.model.core import SyncModel  # noqa: E402
from avsync_cli.model.encoders import SoundEncoder  # noqa: E402
from avsync_cli.model.features import log_mel  # noqa: E402
from avsync_cli.model.folder import write_about  # noqa: E402
from avsync_cli.model.phones import PhoneEncoder  # noqa: E402
from avsync_cli.model.torch_engine import TorchEngine  # noqa: E402
from avsync_cli.training import loop, sync_lesson  # noqa: E402
from avsync_cli.training import teach as teach_module  # noqa: E402
from avsync_cli.training.heard import hear, hear_clips  # noqa: E402
from avsync_cli.training.options import TrainOptions  # noqa: E402
from avsync_cli.training.run import Run  # noqa: E402
from avsync_cli.training.start import load_front  # noqa: E402
from avsync_cli.training.teach import _stretch, teach  # noqa: E402
from tests.training.conftest import copied  # noqa: E402

pytestmark = pytest.mark.usefixtures("all_narrow")


@pytest.fixture(scope="module")
def begun(all_narrow: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model that hears log-mel, whose features differ from step to step."""
    folder = tmp_path_factory.mktemp("begun")
    torch.manual_seed(5)
    model = SyncModel(ModelConfig.of("base"))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.fill_(0.05)
    save_tensors(folder / "weights.safetensors", model.state_dict())
    write_about(folder, config=model.config.to_json())
    return folder


@pytest.fixture
def old(begun: Path) -> SoundEncoder:
    sound = load_model(begun)[0].sound
    assert isinstance(sound, SoundEncoder)
    return sound


@pytest.fixture
def model() -> SyncModel:
    torch.manual_seed(0)
    made = SyncModel(ModelConfig.of("base", sound="phones"))
    load_front(made.sound)
    return made


@pytest.fixture(scope="module")
def heard(
    all_narrow: None, clips: list[CachedClip], tmp_path_factory: pytest.TempPathFactory
) -> list[CachedClip]:
    """Clips beside which lies what the published recogniser says of them."""
    own = copied(clips, tmp_path_factory.mktemp("heard"))
    made = SyncModel(ModelConfig.of("base", sound="phones"))
    load_front(made.sound)
    hear_clips(TorchEngine(made), own, seed=0)
    return own


def test_it_learns_and_the_recogniser_stays(
    model: SyncModel, old: SoundEncoder, heard: list[CachedClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teach_module, "BATCH", 6)
    monkeypatch.setattr(teach_module, "WARMUP", 5)
    before = {n: t.clone() for n, t in model.front.state_dict().items()}
    losses = teach(model.sound, old, heard, seed=3, steps=40)
    assert losses[0] > 0.8  # nearly nothing in common yet
    assert np.mean(losses[-5:]) < 0.4
    assert all(torch.equal(t, before[n]) for n, t in model.front.state_dict().items())
    assert not any(p.grad is not None for p in old.parameters())


def test_both_hear_the_same_moment(
    model: SyncModel, old: SoundEncoder, heard: list[CachedClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the manifest says that the file's sound is late, which is undone."""
    monkeypatch.setattr(teach_module, "CLEAN_SHARE", 1.0)
    monkeypatch.setattr(teach_module, "augment_steps", lambda steps, rng: steps)
    for offset_ms in (0.0, 50.0):
        clip = replace(heard[0], clip=replace(heard[0].clip, offset_ms=offset_ms))
        mel, phones = _stretch(clip, old, model.sound, np.random.default_rng(5))
        sound = np.asarray(heard[0].sound(), np.float32) / 32768.0
        whole = log_mel(np.pad(sound, 100 * 160))
        middle = mel[40:80]
        errors = [np.abs(whole[k : k + 40] - middle).max() for k in range(len(whole) - 40)]
        first = int(np.argmin(errors)) - 40 - 100 + 13  # of the stretch, on the file's own clock
        assert min(errors) < 1e-4
        wanted = hear(TorchEngine(model), sound, 100)[first - 16 + 100 :][: len(phones)]
        np.testing.assert_allclose(phones, wanted, atol=0.02)


def options(folder: Path, **changes: object) -> TrainOptions:
    made = TrainOptions(
        data=folder, cache=folder, out=folder / "run", precision="fp32", batch=2, frames=30,
        steps=1, synthetic=0, workers=0, realign_at=0, device="cpu", checkpoint_minutes=0.0,
        sound="phones", visual_layers=2,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_run_teaches_once_and_begins_with_the_rest(
    tmp_path: Path, begun: Path, heard: list[CachedClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    taught = []

    def short(tower: PhoneEncoder, old: SoundEncoder, *others: object) -> None:
        assert tower.into.weight.shape[1] == 144 and old.config.sound == "log-mel"
        with torch.no_grad():
            tower.out.bias.fill_(0.25)
        taught.append(tower)

    monkeypatch.setattr(sync_lesson, "teach", short)
    monkeypatch.setattr(loop, "prepare", lambda *_: (heard[:2], [], []))
    best = loop.train(options(tmp_path, start=begun, learning_rate=0.0))
    model, about = load_model(best)
    theirs = load_model(begun)[0].state_dict()
    assert float(model.sound.out.bias.detach().mean()) == pytest.approx(0.25, abs=0.01)
    torch.testing.assert_close(
        model.visual.out.weight, theirs["visual.out.weight"], atol=1e-3, rtol=0
    )
    assert model.config.visual_layers == 2 and "start" not in about.training
    loop.train(options(tmp_path, start=begun, learning_rate=0.0, steps=2))
    assert len(taught) == 1


@pytest.mark.parametrize("change", [{"size": "large"}, {"product": False}])
def test_a_beginning_of_another_shape_is_refused(
    tmp_path: Path, begun: Path, change: dict[str, object]
) -> None:
    with pytest.raises(UsageError, match="another shape"):
        Run(options(tmp_path, start=begun, **change))
