"""The published phone recogniser whose first layers are our ears, and the reader of its file.

`asr_waveform.hama` in the wheel hama 1.7.0 (Apache-2.0, https://github.com/hamanlp/hama) is a table
of named arrays: a Conformer of four blocks that writes down phones of many languages. What avsync
keeps of it is what `phones.PhoneFront` holds: mel filters, the first convolution and two blocks.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np

from avsync_cli.errors import ModelError

WHEEL = "hama==1.7.0"
SHA256 = "a9fcfe73e179ca48e399cd76a90a6b3e1887bf5037ecc52b778d13a149563328"
"""Of its file: the layers below are read by names and numbers that hold for this one alone."""

BLOCKS = 2
"""Conformer blocks kept: the second's output tells mouths apart best, and later ones no better."""

NOTICE = """\
The first layers of this model's sound side (phones.onnx, and sound.front in weights.safetensors)
are the weights of mel filters, first convolution and first two blocks of the phone recogniser in
the wheel hama 1.7.0 (hama/assets/asr_waveform.hama, https://github.com/hamanlp/hama), which its
author Seongmin Park released under the Apache License 2.0, a copy of which comes with avsync
(LICENSE). Changed here: read into layers of our own; attention limited to a second on either side;
no padding; run at two starting points, 10 ms apart; the layers after the second block left out.
"""

_MAGIC = b"HAMAPK\x01\x02"
_LARGEST = 64 << 20
_MOST_ARRAYS = 10_000
_TYPES: dict[int, np.dtype[Any]] = {0: np.dtype("<f4"), 1: np.dtype("<f2")}
_NUMBERED = {0: (829, 804), 1: (838, 807)}
"""First number of a block's matrices and of its depthwise convolution, which have no names."""


def find_recogniser() -> Path:
    """The recogniser's file in the installed wheel.

    Raises:
        ModelError: it is not there.
    """
    found = importlib.util.find_spec("hama")
    for place in (found.submodule_search_locations or []) if found is not None else []:
        path = Path(place) / "assets" / "asr_waveform.hama"
        if path.is_file():
            return path
    raise ModelError("the phone recogniser is not installed", f'pip install "{WHEEL}"')


def read_arrays(data: bytes) -> dict[str, np.ndarray]:
    """Every array of a `.hama` file, as stored: float32 or float16.

    Eight bytes of magic, a count, then for each array its name, type, shape, place and size; the
    numbers themselves fill the end of the file, from a multiple of 16 on.

    Raises:
        ModelError: not such a file, or one that ends early.
    """
    arrays: dict[str, np.ndarray] = {}
    try:
        if data[:8] != _MAGIC or len(data) > _LARGEST:
            raise ValueError("another kind of file")
        (count,), at = struct.unpack_from("<I", data, 8), 12
        if count > _MOST_ARRAYS:
            raise ValueError("too many arrays")
        table = []
        for _ in range(count):
            (length,) = struct.unpack_from("<H", data, at)
            name = data[at + 2 : at + 2 + length].decode("utf-8")
            kind, rank = struct.unpack_from("<BB", data, at + 2 + length)
            at += 4 + length
            *shape, place, size = struct.unpack_from(f"<{rank}IQQ", data, at)
            at += 4 * rank + 16
            table.append((name, _TYPES[kind], shape, place, size))
        base = -(-at // 16) * 16
        for name, dtype, shape, place, size in table:
            values = data[base + place : base + place + size]
            if math.prod(shape) * dtype.itemsize != len(values):
                raise ValueError(f"{name} has another size than its shape")
            arrays[name] = np.frombuffer(values, dtype).reshape(shape)
    except (struct.error, ValueError, KeyError, UnicodeError) as error:
        raise ModelError(f"not a recogniser's file: {error}", f'pip install "{WHEEL}"') from error
    return arrays


def load_recogniser() -> dict[str, np.ndarray]:
    """The weights of `phones.PhoneFront` by its own names, float32.

    Raises:
        ModelError: it is not there, or not the one we know.
    """
    file = find_recogniser()
    with file.open("rb") as stream:
        data = stream.read(_LARGEST + 1)
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise ModelError(f"{file} is not the recogniser that avsync knows", f'use "{WHEEL}"', file)
    theirs = read_arrays(data)
    ours = {
        "mel_filters": theirs["mel_fb"],
        "stem.weight": theirs["onnx::Conv_801"],
        "stem.bias": theirs["onnx::Conv_802"],
    }
    for block in range(BLOCKS):
        ours |= {f"blocks.{block}.{name}": a for name, a in _block(theirs, block).items()}
    return {name: np.array(a, np.float32, order="C") for name, a in ours.items()}


def _block(theirs: dict[str, np.ndarray], block: int) -> dict[str, np.ndarray]:
    """One block's weights; its matrices are stored the other way round than torch's."""
    matrix, depthwise = _NUMBERED[block]
    prefix = f"acoustic_model.model.blocks.{block}."
    ours = {}
    for part, numbers in (("ffn1", (0, 1)), ("ffn2", (7, 8))):
        for layer, number in zip(("fc1", "fc2"), numbers, strict=True):
            ours[f"{part}.{layer}.weight"] = theirs[f"onnx::MatMul_{matrix + number}"].T
            ours[f"{part}.{layer}.bias"] = theirs[f"{prefix}{part}.{layer}.bias"]
    ours["attn.qkv.weight"] = theirs[f"onnx::MatMul_{matrix + 2}"].T
    ours["attn.qkv.bias"] = theirs[f"{prefix}attn.in_proj_bias"]
    ours["attn.out.weight"] = theirs[f"onnx::MatMul_{matrix + 6}"].T
    ours["attn.out.bias"] = theirs[f"{prefix}attn.out_proj.bias"]
    ours["conv.depthwise.weight"] = theirs[f"onnx::Conv_{depthwise}"]
    ours["conv.depthwise.bias"] = theirs[f"onnx::Conv_{depthwise + 1}"]
    norms = {"ffn1.norm": "ffn1.norm", "attn.norm": "attn_norm", "conv.norm": "conv.norm"}
    norms |= {"ffn2.norm": "ffn2.norm", "norm": "norm"}
    norms |= {f"conv.pointwise{n}": f"conv.pointwise{n}" for n in (1, 2)}
    for mine, name in norms.items():
        for kind in ("weight", "bias"):
            ours[f"{mine}.{kind}"] = theirs[f"{prefix}{name}.{kind}"]
    return ours
