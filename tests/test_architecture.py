"""The house rules: who may import whom, what a command may load, what lies at the top."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPO

PACKAGE = REPO / "avsync_cli"

LAYERS = [
    {"cores"},
    {"errors", "timebase", "by_value", "names", "wording", "_version", "onnx_runtime"},
    {"config", "devices", "interrupt", "leftovers"},
    {"files"},
    {"media", "regions"},
    {"model"},
    {"inference", "corpus", "loading"},
    {"verdict"},
    {"judging"},
    {"drawing", "evaluation"},
    {"repair", "training"},
    {"report"},
    {"batch"},
    {"api", "cli"},
    {"__init__", "__main__"},
]
"""From the ground up: a room may import from lower layers and from itself."""

TORCH_FILES = {
    f"model/{name}.py"
    for name in (
        "encoders",
        "over_time",
        "phones",
        "joint",
        "attention",
        "core",
        "checkpoint",
        "syncnet",
        "export",
        "torch_engine",
    )
}
TORCH_ROOMS = ("training/", "evaluation/")

TOP_LEVEL = {
    "pyproject.toml", "avsync_cli", "models", "tests", "docs", "CHANGELOG.md", "README.md",
    "LICENSE",
}  # fmt: skip


def _modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "_models" not in path.parts)


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def _imports(path: Path) -> set[str]:
    """Dotted names below `avsync_cli` that the file imports anywhere, functions included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written out in full"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found.update(n.removeprefix("avsync_cli.") for n in names if n.startswith("avsync_cli."))
    return found


def _layer(room: str) -> int:
    for index, rooms in enumerate(LAYERS):
        if room in rooms:
            return index
    raise AssertionError(f"{room} has no layer: add it to LAYERS")


def _allowed(room: str, imported: str) -> bool:
    other = imported.partition(".")[0]
    # `from avsync_cli import __version__` and the like name what the package itself offers.
    if other.startswith("__"):
        return True
    return other == room or _layer(other) < _layer(room)


@pytest.mark.parametrize("path", _modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    room = _room(path)
    wrong = sorted(name for name in _imports(path) if not _allowed(room, name))
    assert not wrong, f"{room} must not import {wrong}"


def test_the_rule_would_notice() -> None:
    assert not _allowed("media", "inference.pipeline")
    assert not _allowed("regions", "model.core")
    assert not _allowed("drawing", "report.html")
    assert not _allowed("verdict", "repair.plan")
    assert not _allowed("inference", "cli.app")
    assert not _allowed("inference", "corpus.cache")
    assert not _allowed("evaluation", "training.loop")
    assert _allowed("cli", "inference.pipeline.analyse")


@pytest.mark.parametrize("path", _modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_torch_stays_in_its_rooms(path: Path) -> None:
    name = str(path.relative_to(PACKAGE))
    tree = ast.parse(path.read_text(encoding="utf-8"))
    roots = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            roots.add((node.module or "").partition(".")[0])
    if name not in TORCH_FILES and not name.startswith(TORCH_ROOMS):
        assert "torch" not in roots


def _loaded_by(code: str) -> set[str]:
    """Top-level packages in `sys.modules` after `code` ran in a fresh interpreter."""
    script = f"import sys\n{code}\nprint('\\n'.join({{m.partition('.')[0] for m in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=REPO,
        timeout=60,
        check=True,
    )
    return set(done.stdout.split())


def test_help_loads_neither_numpy_nor_anything_heavy() -> None:
    code = (
        "from avsync_cli.__main__ import main\n"
        "import io, contextlib\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    for args in ('--help', 'score --help', 'offset-scan -h', 'train -h', 'eval -h'):\n"
        "        assert main(args.split()) == 0"
    )
    heavy = {"numpy", "torch", "onnxruntime", "onnx", "ffmpeg", "imageio_ffmpeg"}
    assert not heavy & _loaded_by(code)


@pytest.mark.parametrize("command", ["score", "offset-scan"])
def test_judging_never_loads_torch(command: str, tmp_path: Path) -> None:
    # Far enough to load everything: engine, decoder, regions; the file is refused at the end.
    film = tmp_path / "film.mp4"
    film.write_bytes(b"no film")
    code = (
        "from tests.toy_model import build_toy_model\n"
        "from pathlib import Path\n"
        f"toy = build_toy_model(Path({str(tmp_path / 'toy')!r}))\n"
        "from avsync_cli.__main__ import main\n"
        f"code = main([{command!r}, '--model', str(toy), {str(film)!r}])\n"
        "assert code == 3, code\n"
        "import avsync_cli.regions.stream, avsync_cli.regions.faces, avsync_cli.report.terminal"
    )
    loaded = _loaded_by(code)
    assert "onnxruntime" in loaded
    assert "torch" not in loaded


def test_importing_the_package_imports_nothing_else() -> None:
    loaded = _loaded_by("import avsync_cli\nassert avsync_cli.score and avsync_cli.__version__")
    assert not {"numpy", "typer", "rich", "onnxruntime", "torch"} & loaded


def test_top_level_holds_only_what_belongs_there() -> None:
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPO, capture_output=True, check=False, timeout=30
    )
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    names = {name.split("/")[0] for name in done.stdout.decode().split("\0") if name}
    assert {name for name in names if not name.startswith(".")} <= TOP_LEVEL
    assert "pyproject.toml" in names


def _files_imported(path: Path, files: set[str]) -> set[str]:
    """Files of the package that `path` imports anywhere, by dotted name below the package."""
    return {
        next((n for n in (name, name.rpartition(".")[0]) if n in files), name)
        for name in _imports(path)
    } & files


def _circles(imported: dict[str, set[str]]) -> list[list[str]]:
    """Groups of files each of which reaches itself through the others, sorted."""

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            for name in imported[todo.pop()] - seen:
                seen.add(name)
                todo.append(name)
        return seen

    reached = {name: reach(name) for name in imported}
    groups = {
        tuple(sorted(other for other in reached[name] if name in reached[other]))
        for name in imported
        if name in reached[name]
    }
    return [list(group) for group in sorted(groups)]


def test_no_files_import_each_other_in_a_circle() -> None:
    dotted = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in _modules()
    }
    imported = {name: _files_imported(path, set(dotted)) for name, path in dotted.items()}
    assert _circles(imported) == []


def test_a_circle_would_be_noticed() -> None:
    assert _circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert _circles({"a": {"b"}, "b": set()}) == []
