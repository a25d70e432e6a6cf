"""The engine: what it refuses to load, and what its graphs are fed."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from avsync_cli.errors import ModelError
from avsync_cli.model import engine as engine_module
from avsync_cli.model import folder as folder_module
from avsync_cli.model.engine import ABSENT, OnnxEngine, load_engine
from avsync_cli.model.features import log_mel
from tests.toy_model import build_toy_model, flash_clip


@pytest.fixture
def copy(toy_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy_folder, tmp_path / "copy"))


def change(folder: Path, **values: object) -> None:
    path = folder / "model.json"
    described = json.loads(path.read_text())
    described.update(values)
    path.write_text(json.dumps(described))


def put_graph(folder: Path, name: str, data: bytes) -> None:
    """Replace a graph together with its sum, as someone with bad intent would."""
    (folder / name).write_bytes(data)
    files = json.loads((folder / "model.json").read_text())["files"]
    files[name] = {"sha256": hashlib.sha256(data).hexdigest()}
    change(folder, files=files)


def test_loads_and_says_who_it_is(toy_engine: OnnxEngine) -> None:
    assert (toy_engine.name, toy_engine.version) == ("toy", "1.0")
    assert toy_engine.backend == "onnxruntime"
    assert toy_engine.config.cells == 4
    assert toy_engine.calibration == {}


GRAPHS = ("visual.onnx", "sound.onnx", "joint.onnx", "decide.onnx")


@pytest.mark.parametrize("name", GRAPHS)
def test_refuses_a_damaged_graph(copy: Path, name: str) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(ModelError, match=f"{name} is damaged") as caught:
        OnnxEngine(copy)
    assert caught.value.hint


@pytest.mark.parametrize("name", [*GRAPHS, "model.json"])
def test_refuses_a_missing_file(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(ModelError, match=name):
        OnnxEngine(copy)


def test_refuses_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model folder"):
        OnnxEngine(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"format": 2}, "format 2"),
        ({"format": None}, "format None"),
        ({"name": ""}, "no usable 'name'"),
        ({"name": "a\x1b[31m"}, "no usable 'name'"),
        ({"version": 3}, "no usable 'version'"),
        ({"files": []}, "lists no files"),
        ({"files": {}}, "no sum for visual.onnx"),
        ({"files": {"visual.onnx": {"sha256": "0"}}}, "no sum for visual.onnx"),
        ({"files": {"../other/visual.onnx": {}}}, "outside its folder"),
        ({"files": {"/etc/passwd": {}}}, "outside its folder"),
        ({"files": {"..": {}}}, "outside its folder"),
        ({"config": {"attention": "none"}}, "configuration has no key"),
        ({"config": None}, "configuration is not a table"),
        ({"calibration": []}, "calibration is not a table"),
        ({"calibration": {"scale": "1"}}, "'scale' is not a number"),
        ({"calibration": {"scale": True}}, "'scale' is not a number"),
    ],
)
def test_refuses_a_foreign_description(copy: Path, values: dict[str, object], says: str) -> None:
    change(copy, **values)
    with pytest.raises(ModelError, match=says):
        OnnxEngine(copy)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"calibration": NaN}'])
def test_refuses_what_is_not_json(copy: Path, text: str) -> None:
    (copy / "model.json").write_text(text)
    with pytest.raises(ModelError):
        OnnxEngine(copy)


def test_refuses_a_calibration_that_is_not_finite(copy: Path) -> None:
    text = (copy / "model.json").read_text()
    text = text.replace('"calibration": {}', '"calibration": {"scale": Infinity}')
    (copy / "model.json").write_text(text)
    with pytest.raises(ModelError, match="not finite"):
        OnnxEngine(copy)


def test_refuses_a_link_out_of_the_folder(copy: Path, toy_folder: Path) -> None:
    (copy / "joint.onnx").unlink()
    (copy / "joint.onnx").symlink_to(toy_folder / "joint.onnx")
    with pytest.raises(ModelError, match="leads outside"):
        OnnxEngine(copy)


def test_refuses_a_file_that_is_too_large(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "_GRAPH_LIMIT", 1000)
    with pytest.raises(ModelError, match="larger than"):
        OnnxEngine(copy)


def test_refuses_rubbish_with_the_right_sum(copy: Path) -> None:
    put_graph(copy, "decide.onnx", b"not a graph")
    with pytest.raises(ModelError, match="cannot be loaded"):
        OnnxEngine(copy)


def test_refuses_a_graph_of_another_kind(copy: Path) -> None:
    put_graph(copy, "sound.onnx", (copy / "decide.onnx").read_bytes())
    with pytest.raises(ModelError, match="not a graph of this kind"):
        OnnxEngine(copy)


def test_refuses_weights_outside_the_graph(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph may name another file as its weights; no such file is opened."""
    model = onnx.load_from_string((copy / "decide.onnx").read_bytes())
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.float32([8.0]).tobytes())
    tensor = next(t for t in model.graph.initializer if not t.dims)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "secret.bin"
    monkeypatch.chdir(tmp_path)
    put_graph(copy, "decide.onnx", model.SerializeToString())
    with pytest.raises(ModelError, match="cannot be loaded"):
        OnnxEngine(copy)


def test_load_by_name_and_by_folder(
    toy_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("avsync_cli.config.models_dir", lambda: toy_folder.parent)
    assert load_engine("toy").folder == toy_folder
    assert load_engine(toy_folder).name == "toy"
    assert load_engine(str(toy_folder)).name == "toy"
    with pytest.raises(ModelError, match="no model named 'tay'") as caught:
        load_engine("tay")
    assert "toy" in caught.value.hint
    with pytest.raises(ModelError):
        load_engine("../toy")


def test_sound_phases_interleave(toy_engine: OnnxEngine) -> None:
    """Feature j of the stream is what the graph makes of the steps from j on, at every phase."""
    generator = np.random.default_rng(0)
    mel = generator.normal(0, 0.5, (30 + 57, 80)).astype(np.float32)
    features = toy_engine.encode_sound(mel)
    assert features.shape == (57, 8)
    expected = np.array([mel[j + 13 : j + 17].mean() for j in range(57)])
    np.testing.assert_allclose(features[:, 0], np.clip(expected, -1, 1), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1.0, atol=1e-5)
    alone = np.stack([toy_engine.encode_sound(mel[j : j + 31])[0] for j in range(57)])
    np.testing.assert_allclose(features, alone, atol=1e-6)


@pytest.mark.parametrize("steps", [0, 30, 31, 32, 33, 34, 35])
def test_short_sound(toy_engine: OnnxEngine, steps: int) -> None:
    assert toy_engine.encode_sound(np.zeros((steps, 80), np.float32)).shape == (
        max(0, steps - 30),
        8,
    )


def test_long_streams_are_cut_without_a_seam(
    toy_engine: OnnxEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops, sound = flash_clip(70)
    mel = log_mel(sound)
    whole = toy_engine.encode_visual(crops), toy_engine.encode_sound(mel)
    monkeypatch.setattr(engine_module, "_VISUAL_FRAMES", 9)
    monkeypatch.setattr(engine_module, "_SOUND_FRAMES", 7)
    np.testing.assert_allclose(toy_engine.encode_visual(crops), whole[0], atol=1e-6)
    np.testing.assert_allclose(toy_engine.encode_sound(mel), whole[1], atol=1e-6)
    assert whole[0].shape == (62, 8, 2, 2)
    assert toy_engine.encode_visual(crops[:8]).shape == (0, 8, 2, 2)


def test_absent_units_take_no_part(toy_engine: OnnxEngine) -> None:
    generator = np.random.default_rng(1)
    z = generator.normal(size=(3, 6, 8)).astype(np.float32)
    confidence = generator.normal(size=(3, 6)).astype(np.float32)
    similarity = generator.normal(size=(3, 6)).astype(np.float32)
    confidence[:, 4:] = ABSENT
    logits, weights = toy_engine.decide(z, confidence, similarity)
    fewer, _ = toy_engine.decide(z[:, :4], confidence[:, :4], similarity[:, :4])
    np.testing.assert_allclose(logits, fewer, atol=1e-5)
    assert (weights[:, 4:] == 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-6)


def test_a_failing_graph_is_a_model_error(toy_engine: OnnxEngine) -> None:
    with pytest.raises(ModelError, match=r"joint\.onnx"):
        toy_engine.joint(
            np.zeros((1, 25, 8, 2, 2), np.float32), np.zeros((1, 2, 24, 8), np.float32)
        )


@pytest.fixture(scope="module")
def phones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_model(tmp_path_factory.mktemp("phones"), sound="phones")


@pytest.mark.parametrize("steps", [0, 1, 2, 7, 40])
def test_phones_of_any_length_are_cut_without_a_seam(
    phones: Path, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "_PHONE_STEPS", 6)
    sound = flash_clip(170)[1][: (steps + 528) * 160]
    power = np.square(sound.reshape(-1, 160), dtype=np.float64).mean(axis=1)[264 : 264 + steps]
    level = np.tile((np.log(power + 1e-6) + 4)[:, None] / 4, 144)
    np.testing.assert_allclose(OnnxEngine(phones).sound_steps(sound), level, atol=1e-4)


def test_phones_of_another_number_are_refused(phones: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(phones, tmp_path / "copy"))
    graph = onnx.load_from_string((copy / "phones.onnx").read_bytes())
    size = np.array([264]).tobytes()
    edge = next(tensor for tensor in graph.graph.initializer if tensor.raw_data == size)
    edge.raw_data = np.int64([260]).tobytes()
    put_graph(copy, "phones.onnx", graph.SerializeToString())
    with pytest.raises(ModelError, match="gives 14 steps, not 10"):
        OnnxEngine(copy).sound_steps(np.zeros(538 * 160, np.float32))
    (copy / "phones.onnx").unlink()
    with pytest.raises(ModelError, match=r"phones\.onnx"):
        OnnxEngine(copy)


def test_inference_never_imports_torch(toy_folder: Path) -> None:
    code = (
        "import sys; import avsync_cli.inference.pipeline, avsync_cli.model.engine as e; "
        f"e.load_engine({str(toy_folder)!r} + '/'); "
        "sys.exit(any(m == 'torch' or m.startswith('torch.') for m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=120)
    assert done.returncode == 0


def test_attention_kinds_have_their_units(tmp_path: Path) -> None:
    for attention, units in (("none", 1), ("temporal", 1), ("spatio-temporal", 9)):
        engine = OnnxEngine(build_toy_model(tmp_path / attention, attention, grid=3))
        v = np.random.default_rng(0).normal(size=(2, 25, 8, 3, 3)).astype(np.float32)
        a = np.random.default_rng(1).normal(size=(2, 5, 25, 8)).astype(np.float32)
        z, confidence, similarity = engine.joint(v, a)
        assert z.shape == (2, 5, units, 8)
        assert confidence.shape == similarity.shape == (2, 5, units)


def test_what_is_asked_side_by_side_comes_in_its_order() -> None:
    engine, alone = load_engine("default", threads=2), load_engine("default", threads=1)
    rng = np.random.default_rng(0)
    v = rng.normal(size=(6, 25, 128, 4, 4)).astype(np.float32)
    a = rng.normal(size=(6, 3, 25, 128)).astype(np.float32)
    said = list(engine.each(lambda n: engine.joint(v[n : n + 1], a[n : n + 1]), range(6)))
    for n, parts in enumerate(said):
        for mine, other in zip(parts, alone.joint(v[n : n + 1], a[n : n + 1]), strict=True):
            np.testing.assert_allclose(mine, other, atol=1e-4)

    def fail(n: int) -> int:
        raise ModelError(f"{n}")

    for one in (engine, alone):
        with pytest.raises(ModelError, match=r"^0"):
            list(one.each(fail, range(6)))
