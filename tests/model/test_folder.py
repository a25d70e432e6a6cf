"""Model folders from strangers: shared files, numbers out of bounds, graphs that contradict."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from avsync_cli.errors import EXIT_USAGE, ModelError
from avsync_cli.model import engine as engine_module
from avsync_cli.model import folder as folder_module
from avsync_cli.model.engine import OnnxEngine, load_engine
from avsync_cli.model.folder import ABOUT, read_about, write_about
from tests.conftest import REPO
from tests.model.test_engine import change, put_graph
from tests.toy_model import build_toy_model, toy_config

HUGE = "9" * 400
DEEP = "[" * 900 + "]" * 900


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of bundled models: `one`, and `two`, whose encoders lie in `one`."""
    shelf = tmp_path / "shelf"
    build_toy_model(shelf / "one")
    build_toy_model(shelf / "two", attention="temporal")
    for name in ("visual.onnx", "sound.onnx"):
        (shelf / "two" / name).unlink()
        give_home(shelf / "two", name, "one")
    monkeypatch.setattr(folder_module, "models_dir", lambda: shelf)
    return shelf


def give_home(folder: Path, name: str, home: object) -> None:
    files = json.loads((folder / ABOUT).read_text())["files"]
    files[name]["home"] = home
    change(folder, files=files)


def test_encoders_lie_in_the_folder_of_another_bundled_model(shelf: Path) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (12, 96, 96)).astype(np.uint8)
    one, two = (OnnxEngine(shelf / name, threads=1) for name in ("one", "two"))
    np.testing.assert_array_equal(one.encode_visual(crops), two.encode_visual(crops))
    assert (one.config.attention, two.config.attention) == ("spatio-temporal", "temporal")


def test_a_shared_file_must_have_its_sum(shelf: Path) -> None:
    data = bytearray((shelf / "one" / "visual.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (shelf / "one" / "visual.onnx").write_bytes(bytes(data))
    with pytest.raises(ModelError, match=r"one/visual\.onnx is damaged"):
        OnnxEngine(shelf / "two")


@pytest.mark.parametrize(
    "home", ["..", "../one", "/etc", ".", "one/../../x", 3, ["one"], "a" * 200]
)
def test_a_home_is_a_name_and_no_path(shelf: Path, home: object) -> None:
    give_home(shelf / "two", "visual.onnx", home)
    with pytest.raises(ModelError, match="home that is no model"):
        OnnxEngine(shelf / "two")


def test_a_home_that_is_not_there_is_named(shelf: Path) -> None:
    give_home(shelf / "two", "visual.onnx", "three")
    with pytest.raises(ModelError, match=r"lacks .*three/visual\.onnx"):
        OnnxEngine(shelf / "two")


@pytest.mark.parametrize("home", ["", "one"])
def test_no_link_leads_out(shelf: Path, tmp_path: Path, home: str) -> None:
    outside = tmp_path / "outside.onnx"
    shutil.move(shelf / "one" / "visual.onnx", outside)
    (shelf / "one" / "visual.onnx").symlink_to(outside)
    with pytest.raises(ModelError, match="leads outside"):
        OnnxEngine(shelf / ("two" if home else "one"))


def spoilt(folder: Path, where: tuple[str, ...], text: str) -> None:
    """Put JSON text at a place of model.json, as it stands."""
    said = json.loads((folder / ABOUT).read_text())
    inner = said
    for key in where[:-1]:
        inner = inner.setdefault(key, {})
    inner[where[-1]] = "HERE"
    (folder / ABOUT).write_text(json.dumps(said).replace('"HERE"', text))


@pytest.mark.parametrize("text", [HUGE, "9" * 5000, "1e999", "-1e300", DEEP, "{}", '"x"', "true"])
@pytest.mark.parametrize(
    "where",
    [
        ("format",),
        ("name",),
        ("files",),
        ("files", "visual.onnx"),
        ("files", "visual.onnx", "sha256"),
        ("calibration",),
        ("calibration", "scale"),
        ("config", "grid"),
        ("config", "sound_context"),
        ("training",),
        ("training", "step"),
    ],
)
def test_a_value_out_of_bounds_is_told_in_a_line(
    toy_folder: Path, tmp_path: Path, where: tuple[str, ...], text: str
) -> None:
    folder = Path(shutil.copytree(toy_folder, tmp_path / "copy"))
    spoilt(folder, where, text)
    try:
        OnnxEngine(folder)
    except ModelError as error:
        assert error.exit_code == EXIT_USAGE
        assert len(error.message) < 300
        assert "\n" not in error.message
    else:  # a few are plain values where any may stand
        assert (where, text) in {
            (("calibration",), "{}"),
            (("training",), "{}"),
            (("name",), '"x"'),
            *((("training", "step"), t) for t in ('"x"', "true", "1e999", "-1e300")),
        }


@pytest.mark.parametrize(
    ("key", "value"),
    [("grid", 32), ("input_px", 32), ("channels", 16), ("joint_width", 16), ("mel_bands", 40),
     ("attention", "none")],
)  # fmt: skip
def test_sizes_that_contradict_the_graphs_are_told_before_any_run(
    toy_folder: Path, tmp_path: Path, key: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(toy_folder, tmp_path / "copy"))
    change(folder, config=toy_config().to_json() | {key: value})
    monkeypatch.setattr(OnnxEngine, "_run", lambda *_: pytest.fail("it was run"))
    with pytest.raises(ModelError, match=r"onnx: .* has the shape .* model\.json says"):
        OnnxEngine(folder)


@pytest.mark.parametrize(
    ("key", "value", "graph_name"),
    [("visual_context", 2, "visual"), ("sound_context", [4, 8], "sound")],
)
def test_a_context_that_contradicts_the_graphs_is_told_by_the_first_run(
    toy_folder: Path, tmp_path: Path, key: str, value: object, graph_name: str
) -> None:
    folder = Path(shutil.copytree(toy_folder, tmp_path / "copy"))
    change(folder, config=toy_config().to_json() | {key: value})
    engine, side = OnnxEngine(folder), toy_config().input_px
    with pytest.raises(ModelError, match=rf"{graph_name}\.onnx gives \d+ frames, not \d+"):
        if graph_name == "visual":
            engine.encode_visual(np.zeros((40, side, side), np.uint8))
        else:
            engine.encode_sound(np.zeros((160, toy_config().mel_bands), np.float32))


@pytest.mark.parametrize(
    ("key", "value"), [("scale", -0.1), ("outlier", 1.5), ("second_scale", -1), ("power", -2)]
)
def test_a_calibration_out_of_bounds_is_refused(
    toy_folder: Path, tmp_path: Path, key: str, value: float
) -> None:
    folder = Path(shutil.copytree(toy_folder, tmp_path / "copy"))
    change(folder, calibration={key: value})
    with pytest.raises(ModelError, match=f"calibration '{key}' is out of bounds"):
        OnnxEngine(folder)


def graph(nodes: list[onnx.NodeProto], out: list[object]) -> bytes:
    """visual.onnx of any nodes, with the toy's own inputs."""
    side = toy_config().input_px
    crops = helper.make_tensor_value_info("crops", TensorProto.FLOAT, ["n", "f", side, side])
    v = helper.make_tensor_value_info("v", TensorProto.FLOAT, out)
    made = helper.make_model(
        helper.make_graph(nodes, "hostile", [crops], [v]),
        opset_imports=[helper.make_opsetid("", 18)],
    )
    made.ir_version = 9
    data: bytes = made.SerializeToString()
    return data


def test_a_graph_that_gives_other_sizes_than_it_promised(toy_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(toy_folder, tmp_path / "copy"))
    # How many channels there are is seen only when it is run: as many as pixels that are not 0.
    numbers = {"axes": [0, 3, 4], "shape": [1, 1, 1, 2, 2]}
    constants = [
        helper.make_node(
            "Constant", [], [name], value=helper.make_tensor(name, TensorProto.INT64, [len(n)], n)
        )
        for name, n in numbers.items()
    ]
    nodes = [
        *constants,
        helper.make_node("NonZero", ["crops"], ["places"]),
        helper.make_node("Cast", ["places"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["floats", "axes"], ["five"]),
        helper.make_node("Expand", ["five", "shape"], ["v"]),
    ]
    put_graph(folder, "visual.onnx", graph(nodes, ["n", "t", "c", "h", "w"]))
    engine = OnnxEngine(folder)
    with pytest.raises(ModelError, match=r"visual\.onnx gives v of \(1, 4, 0, 2, 2\)"):
        engine.encode_visual(np.zeros((12, 96, 96), np.uint8))


def test_a_graph_that_never_ends_is_stopped(
    toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(toy_folder, tmp_path / "copy"))

    def value(name: str, kind: int, shape: list[object]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, shape)

    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["goes"]),
            helper.make_node("Add", ["x", "x"], ["y"]),
        ],
        "body",
        [value("i", TensorProto.INT64, []), value("going", TensorProto.BOOL, []),
         value("x", TensorProto.FLOAT, ["n", "f", 64, 64])],
        [value("goes", TensorProto.BOOL, []), value("y", TensorProto.FLOAT, ["n", "f", 64, 64])],
    )  # fmt: skip
    axis = helper.make_tensor("axis", TensorProto.INT64, [1], [2])
    nodes = [
        helper.make_node("Loop", ["", "", "crops"], ["last"], body=body),
        helper.make_node("Constant", [], ["axis"], value=axis),
        helper.make_node("Unsqueeze", ["last", "axis"], ["v"]),
    ]
    put_graph(folder, "visual.onnx", graph(nodes, ["n", "t", "c", "h", "w"]))
    monkeypatch.setattr(engine_module, "FIRST_CALL_S", 0.5)
    engine = OnnxEngine(folder, threads=1)
    with pytest.raises(ModelError, match=r"did not end in visual\.onnx within 0\.5 s"):
        engine.encode_visual(np.zeros((12, 96, 96), np.uint8))


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    config = toy_config("temporal")
    write_about(tmp_path, name="a", config=config.to_json(), training={"step": 7, "ema": 0.5})
    about = read_about(tmp_path)
    assert (about.name, about.version, about.config, about.step) == ("a", "", config, 7)
    assert about.training == {"step": 7, "ema": 0.5}


def test_the_bundled_models_share_their_encoders() -> None:
    names = ("default", "default-temporal", "default-none")
    engines = [load_engine(name, threads=1) for name in names]
    kinds = [engine.config.attention for engine in engines]
    assert kinds == ["spatio-temporal", "temporal", "none"]
    files = {path.relative_to(REPO / "models") for path in (REPO / "models").rglob("*.onnx")}
    assert len(files) == 3 + 2 * len(names)
    assert sum(path.stat().st_size for path in (REPO / "models").rglob("*")) < 17_000_000


def test_the_default_can_be_trained_on_from() -> None:
    pytest.importorskip("torch")
    from avsync_cli.model.checkpoint import load_model
    from avsync_cli.model.torch_engine import TorchEngine

    model, _ = load_model(REPO / "models" / "default")
    crops = np.random.default_rng(0).integers(0, 256, (12, 96, 96)).astype(np.uint8)
    shipped = load_engine("default", threads=1).encode_visual(crops)
    # Kept in half precision: finer than any step of training.
    np.testing.assert_allclose(TorchEngine(model).encode_visual(crops), shipped, atol=0.05)
    agree = (TorchEngine(model).encode_visual(crops) * shipped).sum(axis=1)
    size = np.square(shipped).sum(axis=1)
    np.testing.assert_allclose(agree, size, rtol=5e-3, atol=5e-3)
