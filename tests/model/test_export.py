"""The exported graphs say what the torch core says, and damaged folders are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from avsync_cli.errors import ModelError, UsageError  # noqa: E402
from avsync_cli.model import export as export_module  # noqa: E402
from avsync_cli.model import folder as folder_module  # noqa: E402
from avsync_cli.model.checkpoint import load_model, save_tensors  # noqa: E402
from avsync_cli.model.config import ModelConfig  # noqa: E402
from avsync_cli.model.core import SyncModel  # noqa: E402
from avsync_cli.model.engine import load_engine  # noqa: E402
from avsync_cli.model.export import export  # noqa: E402
from avsync_cli.model.features import log_mel  # noqa: E402
from avsync_cli.model.folder import write_about  # noqa: E402
from avsync_cli.model.recogniser import load_recogniser  # noqa: E402
from avsync_cli.model.torch_engine import TorchEngine  # noqa: E402
from avsync_cli.training.bank import encoder_tensors  # noqa: E402


def trained_folder(
    tmp_path: Path, attention: str, size: str = "base", sound: str = "log-mel", layers: int = 0
) -> Path:
    """A folder as training leaves it, with random weights and lively statistics."""
    torch.manual_seed(1)
    over_time = {"visual_layers": layers, "sound_layers": layers}
    config = ModelConfig.of(size, sound, attention=attention, **over_time)  # type: ignore[arg-type]
    model = SyncModel(config)
    for layer in [*model.visual.over_time, *model.sound.over_time]:
        torch.nn.init.normal_(layer.out.weight, std=0.1)
    if sound == "phones":
        published = {n: torch.tensor(a) for n, a in load_recogniser().items()}
        model.front.load_state_dict(published)
    torch.nn.init.normal_(model.confidence.out.weight)
    for module in model.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    folder = tmp_path / "trained"
    folder.mkdir()
    save_tensors(folder / "weights.safetensors", model.state_dict())
    write_about(folder, config=model.config.to_json())
    return folder


@pytest.mark.parametrize(
    ("attention", "size", "sound", "layers"),
    [
        ("none", "base", "log-mel", 0),
        ("temporal", "base", "log-mel", 0),
        ("spatio-temporal", "base", "log-mel", 0),
        ("spatio-temporal", "large", "log-mel", 0),
        ("spatio-temporal", "base", "phones", 3),
    ],
)
def test_onnx_equals_torch(
    tmp_path: Path, attention: str, size: str, sound: str, layers: int
) -> None:
    folder = trained_folder(tmp_path, attention, size, sound, layers)
    bundle = export(folder, tmp_path / "bundle")
    onnx, reference = load_engine(bundle, threads=1), TorchEngine(load_model(bundle)[0])
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (33 + 2 * 2**layers, 96, 96)).astype(np.uint8)
    steps = 171 + 8 * (2**layers - 1)
    wave = rng.normal(0, 0.1, 160 * (steps + 2 * onnx.config.edge_steps)).astype(np.float32)
    mel = onnx.sound_steps(wave)
    assert mel.shape == (steps, onnx.config.mel_bands)
    np.testing.assert_allclose(mel, reference.sound_steps(wave), atol=1e-4)
    v, a = onnx.encode_visual(crops), onnx.encode_sound(mel)
    np.testing.assert_allclose(v, reference.encode_visual(crops), atol=1e-4)
    np.testing.assert_allclose(a, reference.encode_sound(mel), atol=1e-4)
    blocks = v[None, :25]
    offsets = np.stack([a[i : i + 100 : 4] for i in range(5)])[None]
    ours, theirs = onnx.joint(blocks, offsets), reference.joint(blocks, offsets)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-4)
    decided = onnx.decide(*(x[0] for x in ours))
    for mine, other in zip(decided, reference.decide(*(x[0] for x in theirs)), strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-4)
    before = TorchEngine(load_model(folder)[0])
    np.testing.assert_allclose(a, before.encode_sound(mel), atol=2e-3)
    np.testing.assert_allclose(v, before.encode_visual(crops), atol=2e-3)
    assert sum(f.stat().st_size for f in bundle.glob("*.onnx")) <= 16_000_000
    most = 18_000_000 if layers else 16_000_000
    assert size == "large" or sum(f.stat().st_size for f in bundle.iterdir()) <= most
    assert (bundle / "NOTICE").is_file() == (sound == "phones")


def test_whoever_may_read_a_bundle_may_read_all_of_it(tmp_path: Path) -> None:
    bundle = export(trained_folder(tmp_path, "none"), tmp_path / "bundle")
    readable = (bundle / "model.json").stat().st_mode
    assert {f.stat().st_mode for f in bundle.iterdir()} == {readable}


def test_a_damaged_bundle_is_refused(tmp_path: Path) -> None:
    bundle = export(trained_folder(tmp_path, "none"), tmp_path / "bundle")
    graph = bundle / "joint.onnx"
    data = bytearray(graph.read_bytes())
    data[len(data) // 2] ^= 1
    graph.write_bytes(bytes(data))
    with pytest.raises(ModelError, match=r"joint\.onnx"):
        load_engine(bundle)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    folder = trained_folder(tmp_path, "none")
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="damaged"):
        load_model(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"channels": "many"},
        {"attention": "all"},
        {"size": "huge"},
        {"size": ["large"]},
        {"grid": 0},
        {"extra": 1},
        {"product": 1},
    ],
)
def test_a_foreign_configuration_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ModelError):
        ModelConfig.from_json(ModelConfig().to_json() | change)


@pytest.mark.parametrize("change", [{"visual_layers": 2}, {"grid": 5}, {"sound_context": (9, 9)}])
def test_sizes_that_do_not_go_together_are_refused(
    tmp_path: Path, change: dict[str, object]
) -> None:
    folder = trained_folder(tmp_path, "none")
    write_about(folder, config=ModelConfig().to_json() | change)
    with pytest.raises(ModelError, match="encoder has"):
        load_model(folder)


def test_a_model_older_than_the_sizes_is_of_the_first() -> None:
    values = ModelConfig().to_json()
    del values["size"]
    assert ModelConfig.from_json(values) == ModelConfig.of("base")


def test_a_head_exported_beside_its_encoders_model_leaves_them_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = tmp_path / "shelf"
    for module in (folder_module, export_module):
        monkeypatch.setattr(module, "models_dir", lambda: shelf)
    first = trained_folder(tmp_path, "spatio-temporal")
    export(first, shelf / "first")
    model, _ = load_model(first)
    head = SyncModel(ModelConfig(attention="temporal"))
    head.load_state_dict(encoder_tensors(model), strict=False)
    save_tensors(first / "weights.safetensors", head.state_dict())
    write_about(first, config=head.config.to_json())
    export(first, shelf / "second")
    assert {f.name for f in (shelf / "second").iterdir()} == {
        "decide.onnx", "joint.onnx", "model.json"
    }  # fmt: skip
    crops = np.random.default_rng(0).integers(0, 256, (12, 96, 96)).astype(np.uint8)
    one, two = (load_engine(shelf / name, threads=1) for name in ("first", "second"))
    np.testing.assert_array_equal(one.encode_visual(crops), two.encode_visual(crops))
    assert two.config.attention == "temporal"
    export(first, tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "visual.onnx").is_file()
    assert (tmp_path / "elsewhere" / "weights.safetensors").is_file()


def test_nothing_but_an_older_model_is_replaced(tmp_path: Path) -> None:
    checkpoint = trained_folder(tmp_path, "none")
    rushes = tmp_path / "rushes"
    rushes.mkdir()
    (rushes / "film.mp4").touch()
    for place, what in ((rushes, "something else than a model"), (checkpoint, "its checkpoint")):
        before = sorted(place.iterdir())
        with pytest.raises(UsageError, match=what):
            export(checkpoint, place)
        assert sorted(place.iterdir()) == before
    bundle = tmp_path / "bundle"
    bundle.mkdir()  # an empty folder is as good as none
    for name in ("first", "second"):
        export(checkpoint, bundle, name=name)
        assert load_engine(bundle, threads=1).name == name


def test_encoders_in_eight_bits_say_nearly_the_same(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    trained = trained_folder(tmp_path, "spatio-temporal")
    generator = np.random.default_rng(3)
    crops = generator.integers(0, 256, (60, 96, 96)).astype(np.uint8)
    sound = generator.normal(0, 0.1, 60 * 640).astype(np.float32)
    plain = load_engine(export(trained, tmp_path / "plain"), threads=1)
    small = load_engine(export(trained, tmp_path / "small", samples=[(crops, sound)]), threads=1)
    sizes = [(tmp_path / n / "visual.onnx").stat().st_size for n in ("plain", "small")]
    assert sizes[1] < 0.4 * sizes[0]
    mel = log_mel(sound)
    for one, other in (
        (plain.encode_visual(crops), small.encode_visual(crops)),
        (plain.encode_sound(mel), small.encode_sound(mel)),
    ):
        assert one.shape == other.shape
        lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        assert ((one * other).sum(axis=1) / lengths).mean() > 0.97


def test_clips_too_short_to_measure_by_are_refused(tmp_path: Path) -> None:
    short = (np.zeros((20, 96, 96), np.uint8), np.zeros(20 * 640, np.float32))
    with pytest.raises(ModelError, match="long enough"):
        export(trained_folder(tmp_path, "none"), tmp_path / "out", samples=[short])
    assert not (tmp_path / "out").exists()
