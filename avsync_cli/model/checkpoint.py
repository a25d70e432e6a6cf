"""Weights on disk: safetensors, never pickled."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from avsync_cli.errors import ModelError
from avsync_cli.model.core import SyncModel
from avsync_cli.model.folder import WEIGHTS, About, read_about


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


def load_weights(module: nn.Module, folder: Path) -> None:
    """Put the weights of a folder into a module.

    Raises:
        ModelError: they are missing, damaged, or of another shape.
    """
    try:
        module.load_state_dict(load_tensors(folder / WEIGHTS))
    except RuntimeError as error:
        first_line = str(error).splitlines()[0]
        raise ModelError(f"{folder}: the weights do not fit: {first_line}") from error


def load_model(folder: Path) -> tuple[SyncModel, About]:
    """A model of ours and what its folder says of it.

    Raises:
        ModelError: files missing, damaged, of another kind, or of another shape than the
            configuration says.
    """
    about = read_about(folder)
    if about.config is None:
        raise ModelError(f"{folder} holds a baseline, not a model", "give another folder", folder)
    try:
        model = SyncModel(about.config)
    except ValueError as error:
        raise ModelError(f"{folder}: {error}", "update avsync or the model", folder) from error
    load_weights(model, folder)
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
