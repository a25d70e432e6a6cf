"""A model's folder: its one reader, and its one writer.

`model.json` says what the model is; beside it lie the ONNX graphs that are run, and, in a folder
that training wrote or a model to train on from, `weights.safetensors`. All of it is untrusted
input: every value has its bounds, and nothing is run before its sum agrees.

A graph that several bundled models share lies in the folder of one of them; the others name that
model as the file's home. A home is a name among the bundled models, never a path.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avsync_cli.config import models_dir
from avsync_cli.errors import ModelError
from avsync_cli.model.config import ModelConfig

FORMAT = 1
"""Layout of a model folder; raised when old ones can no longer be read."""

ABOUT = "model.json"
WEIGHTS = "weights.safetensors"
ENCODERS = ("visual.onnx", "sound.onnx")

SYNCNET = "syncnet"
"""Kind of a folder that holds the baseline of SyncNet's shape."""

_JSON_LIMIT = 1 << 20
_GRAPH_LIMIT = 256 << 20
_MOST_ENTRIES = 200
_LONGEST_TEXT = 1000
_LARGEST_NUMBER = 1e6
"""No constant of a calibration is near it; what is larger is a slip or an attack."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SUM = re.compile(r"[0-9a-fA-F]{64}")
_REINSTALL = "reinstall avsync, or fetch the model again"

Plain = str | int | float | bool | None


@dataclass(frozen=True)
class StoredFile:
    """A file that belongs to a model.

    Attributes:
        sha256: its sum, 64 hexadecimal digits.
        home: bundled model in whose folder it lies; "" for the model's own.
    """

    sha256: str
    home: str = ""


@dataclass(frozen=True, kw_only=True)
class About:
    """What a model folder says of itself.

    Attributes:
        folder: where it lies.
        kind: "" for a model of ours, else the baseline it is.
        name, version: "" in a checkpoint, which has neither yet.
        config: sizes and preprocessing; None for a baseline, which has but one size.
        files: graphs and weights by name; empty for a checkpoint.
        calibration: constants by name.
        training: how it was trained, plain values by name.
    """

    folder: Path
    kind: str
    name: str
    version: str
    config: ModelConfig | None
    files: Mapping[str, StoredFile]
    calibration: Mapping[str, float]
    training: Mapping[str, Plain]

    @property
    def step(self) -> int | None:
        """Optimiser steps it was trained for, where that is known."""
        step = self.training.get("step")
        return step if type(step) is int else None


def is_name(text: str) -> bool:
    """Whether a text can be the name of a bundled model: one plain word, no path."""
    return _NAME.fullmatch(text) is not None


def read_about(folder: Path) -> About:
    """What a folder's model.json says, checked value by value.

    Raises:
        ModelError: no such folder, or a model.json that is missing, no JSON, of another format, or
            holds a value out of bounds; the message names the value.
    """
    path = folder / ABOUT
    said = _read_json(folder, path)
    kind = _text(path, said, "kind")
    if kind not in ("", SYNCNET):
        raise ModelError(f"{path} is of an unknown kind: {kind!r}", "update avsync", path)
    return About(
        folder=folder,
        kind=kind,
        name=_text(path, said, "name"),
        version=_text(path, said, "version"),
        config=None if kind else ModelConfig.from_json(said.get("config")),
        files=_files(path, said.get("files", {})),
        calibration=_calibration(said.get("calibration", {})),
        training=_training(path, said.get("training", {})),
    )


def read_bundle(folder: Path) -> tuple[About, ModelConfig]:
    """`read_about` of a model that users run: one of ours, with a name and a version."""
    about = read_about(folder)
    for key in ("name", "version"):
        if not getattr(about, key):
            raise ModelError(
                f"{folder / ABOUT} has no usable {key!r}",
                "give a folder made by export",
                folder,
            )
    if about.config is None:
        raise ModelError(f"{folder} holds a baseline, which can only be evaluated", "", folder)
    return about, about.config


def read_graph(about: About, name: str) -> bytes:
    """The bytes of one graph, once its sum has been found right; read once, so that what was
    checked is what is run.

    Raises:
        ModelError: not listed, missing, damaged, too large, or outside its folder.
    """
    stored = about.files.get(name)
    if stored is None:
        raise ModelError(f"{ABOUT} in {about.folder} has no sum for {name}", _REINSTALL)
    home = models_dir() / stored.home if stored.home else about.folder
    path = home / name
    try:
        if not path.resolve().is_relative_to(home.resolve()):
            raise ModelError(f"{path} leads outside its folder", _REINSTALL, path)
        data = _read_limited(path, _GRAPH_LIMIT)
    except OSError as error:
        raise ModelError(f"the model lacks {path}", _REINSTALL, path) from error
    if hashlib.sha256(data).hexdigest() != stored.sha256.lower():
        raise ModelError(f"{path} is damaged: its sum is not that in {ABOUT}", _REINSTALL, path)
    return data


def _read_json(folder: Path, path: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise ModelError(f"no model folder at {folder}", "check the path", folder)
    try:
        text = _read_limited(path, _JSON_LIMIT)
    except OSError as error:
        raise ModelError(
            f"no readable {ABOUT} in {folder}", "give a folder made by export or train", folder
        ) from error
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not JSON", _REINSTALL, path) from error
    if not isinstance(said, dict):
        raise ModelError(f"{path} does not describe a model", _REINSTALL, path)
    found = said.get("format")
    if type(found) is not int or found != FORMAT:
        raise ModelError(
            f"{path} has format {reprlib.repr(found)}, this avsync reads {FORMAT}",
            "update avsync or the model",
            path,
        )
    return said


def _read_limited(path: Path, limit: int) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(path)
    with path.open("rb") as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise ModelError(f"{path} is larger than a model's file may be", _REINSTALL, path)
    return data


def _text(path: Path, said: dict[str, Any], key: str) -> str:
    """A short word or name; "" where the key is not there at all."""
    value = said.get(key, "")
    usable = isinstance(value, str) and len(value) <= 100 and value.isprintable()
    if not usable or (key in said and not value):
        raise ModelError(f"{path} has no usable {key!r}", _REINSTALL, path)
    return str(value)


def _files(path: Path, values: object) -> dict[str, StoredFile]:
    if not isinstance(values, dict) or len(values) > _MOST_ENTRIES:
        raise ModelError(f"{path} lists no files", _REINSTALL, path)
    kept = {}
    for name, entry in values.items():
        if not is_name(name):
            shown = reprlib.repr(name)
            raise ModelError(f"{path} names a file outside its folder: {shown}", _REINSTALL, path)
        entry = entry if isinstance(entry, dict) else {}
        digest, home = entry.get("sha256"), entry.get("home", "")
        if not isinstance(digest, str) or not _SUM.fullmatch(digest):
            raise ModelError(f"{ABOUT} in {path.parent} has no sum for {name}", _REINSTALL, path)
        if not isinstance(home, str) or not (home == "" or is_name(home)):
            raise ModelError(f"{path} gives {name} a home that is no model", _REINSTALL, path)
        kept[name] = StoredFile(digest, home)
    return kept


_SHARES = {"outlier", "file_outlier", "undecided_below"}
_NEVER_NEGATIVE = _SHARES | {
    *("scale", "second_scale", "power", "support_power"),
    *("confidence_scale", "common_odds", "jitter_ms"),
}


def _calibration(values: object) -> dict[str, float]:
    if not isinstance(values, dict) or len(values) > _MOST_ENTRIES:
        raise ModelError("the model's calibration is not a table", _REINSTALL)
    kept: dict[str, float] = {}
    for name, value in values.items():
        shown = reprlib.repr(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ModelError(f"the model's calibration {shown} is not a number", _REINSTALL)
        if isinstance(value, float) and not math.isfinite(value):
            raise ModelError(f"the model's calibration {shown} is not finite", _REINSTALL)
        # Compared before it is converted: an integer may be too large for any float.
        if abs(value) > _LARGEST_NUMBER:
            raise ModelError(f"the model's calibration {shown} is out of bounds", _REINSTALL)
        if (value < 0 and name in _NEVER_NEGATIVE) or (value > 1 and name in _SHARES):
            raise ModelError(f"the model's calibration {shown} is out of bounds", _REINSTALL)
        kept[name] = float(value)
    return kept


def _training(path: Path, values: object) -> dict[str, Plain]:
    if not isinstance(values, dict) or len(values) > _MOST_ENTRIES:
        raise ModelError(f"{path} has no usable 'training'", _REINSTALL, path)
    for name, value in values.items():
        plain = value is None or isinstance(value, (bool, str, int, float))
        long = isinstance(value, str) and len(value) > _LONGEST_TEXT
        huge = isinstance(value, int) and abs(value) > 1 << 53
        if not plain or long or huge:
            shown = reprlib.repr(name)
            raise ModelError(f"{path} has an unusable {shown} in 'training'", _REINSTALL, path)
    return values


# --- Writing --------------------------------------------------------------------------------------


def write_about(folder: Path, **values: Any) -> None:
    """Write model.json: the format, and whatever of `About`'s fields is given, as plain values."""
    text = json.dumps({"format": FORMAT, **values}, indent=1, sort_keys=True)
    (folder / ABOUT).write_text(text + "\n", encoding="utf-8")


def sums(folder: Path) -> dict[str, dict[str, str]]:
    """What model.json says of the graphs and weights in a folder."""
    return {
        file.name: {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
        for file in sorted(folder.iterdir())
        if file.suffix in (".onnx", ".safetensors")
    }


def move_in(folder: Path, name: str) -> dict[str, dict[str, str]]:
    """Prepare a folder to be the bundled model `name`: whatever another bundled model has as its
    own is left to it.

    A model whose encoders are all another's is a head, and keeps no weights to train on from.

    Returns:
        what model.json says of the model's files.
    """
    files = sums(folder)
    neighbours = sorted(p.parent for p in models_dir().glob(f"*/{ABOUT}") if p.parent.name != name)
    for neighbour in neighbours:
        for file, stored in read_about(neighbour).files.items():
            lent = files.get(file, {})
            if not stored.home and "home" not in lent and lent.get("sha256") == stored.sha256:
                lent["home"] = neighbour.name
                (folder / file).unlink()
    if WEIGHTS in files and all("home" in files[graph] for graph in ENCODERS):
        del files[WEIGHTS]
        (folder / WEIGHTS).unlink()
    return files
