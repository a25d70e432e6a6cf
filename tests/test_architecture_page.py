"""docs/architecture.md says what the code is."""

from __future__ import annotations

import ast
import re

import pytest

from tests.conftest import REPO
from tests.test_architecture import LAYERS, PACKAGE

PAGE = (REPO / "docs" / "architecture.md").read_text(encoding="utf-8")


def _section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def _rows(title: str) -> list[list[str]]:
    lines = [line for line in _section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize(("file", "name"), [row[:2] for row in _rows("The road of one file")])
def test_every_stop_of_the_road_exists(file: str, name: str) -> None:
    tree = ast.parse((PACKAGE / file.strip("`")).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.ClassDef)
    assert name.strip("`") in {node.name for node in tree.body if isinstance(node, kinds)}


def test_the_floors_are_those_that_are_held() -> None:
    floors = [set(re.findall(r"`(\w+)`", rooms)) for _, rooms in _rows("The floors")]
    assert floors == LAYERS[::-1]


def test_every_room_is_described() -> None:
    title = "What each room promises, and what it may not know"
    described = {name for room, *_ in _rows(title) for name in re.findall(r"`(\w+)`", room)}
    rooms = {room for floor in LAYERS for room in floor if not room.startswith("_")}
    assert described == rooms - {"onnx_runtime"}


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([\w/]+/[\w]+\.\w+|[\w]+\.py)`", PAGE))))
def test_every_file_that_is_named_exists(path: str) -> None:
    assert (PACKAGE / path).exists() or (REPO / path).exists()
