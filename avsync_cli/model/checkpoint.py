"""Weights on disk: safetensors beside a model.json, written whole or not at all, never pickled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from avsync_cli.errors import ModelError
from avsync_cli.model.config import ModelConfig
from avsync_cli.model.core import SyncModel

FORMAT = 1
"""Layout of model.json; raised when old files can no longer be read."""


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors, each as a copy of its own, to a safetensors file.

    As bytes: the library's own files are readable by nobody but their owner, and a model is for
    whoever may read the folder.
    """
    path.write_bytes(save({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        ModelError: missing or damaged.
    """
    try:
        return load_file(str(path))
    except FileNotFoundError as error:
        raise ModelError(f"{path} is missing", "point to a folder that training wrote") from error
    except Exception as error:  # safetensors raises its own kind for every damage
        raise ModelError(f"{path} is damaged: {error}", "use an older checkpoint") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ModelError: missing, or not a JSON object.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{path} is missing", "point to a folder that training wrote") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}", "use an older checkpoint") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path} is no JSON object", "use an older checkpoint")
    return values


def load_model(folder: Path) -> tuple[SyncModel, dict[str, Any]]:
    """A model and its model.json from a folder with weights.safetensors.

    Raises:
        ModelError: files missing, damaged, or of another shape than the configuration says.
    """
    about = read_json(folder / "model.json")
    if about.get("format") != FORMAT:
        raise ModelError(
            f"{folder} holds a model of format {about.get('format')!r}, not {FORMAT}",
            "train or fetch a model for this version of avsync",
        )
    config = ModelConfig.from_json(about.get("config"))
    model = SyncModel(config)
    try:
        model.load_state_dict(load_tensors(folder / "weights.safetensors"))
    except RuntimeError as error:
        first_line = str(error).splitlines()[0]
        raise ModelError(f"{folder}: the weights do not fit: {first_line}") from error
    return model.eval(), about


def optimizer_tensors(optimizer: torch.optim.Optimizer, names: list[str]) -> dict[str, Tensor]:
    """AdamW's moments and step counts as named tensors, in the order of `names`."""
    out: dict[str, Tensor] = {}
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for name, parameter in zip(names, parameters, strict=True):
        for key, value in optimizer.state.get(parameter, {}).items():
            out[f"{name}|{key}"] = torch.as_tensor(value)
    return out


def restore_optimizer(
    optimizer: torch.optim.Optimizer, names: list[str], tensors: dict[str, Tensor]
) -> None:
    """Put back what `optimizer_tensors` took."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for name, parameter in zip(names, parameters, strict=True):
        for full, value in tensors.items():
            owner, _, key = full.rpartition("|")
            if owner == name:
                kept = value if key == "step" else value.to(parameter.device)
                optimizer.state[parameter][key] = kept
