"""The graphs a model is run as, and the shapes of what goes in and comes out.

They are the parts of the one core, cut where inference caches: picture features, sound features,
joint layers with the attention's confidence, and the decision over a window; a model that hears
phones has one more, which makes of the sound what its sound encoder takes. Export writes them
after this table, the engine holds what it loads against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from avsync_cli.model.config import ModelConfig
from avsync_cli.timebase import BLOCK_FRAMES

PHONES = "phones.onnx"

Shape = tuple[str | int, ...]
"""Sizes of an array; a letter stands for any size."""


class Ports(NamedTuple):
    """Arrays of a graph by name, in order."""

    inputs: dict[str, Shape]
    outputs: dict[str, Shape]


def ports(config: ModelConfig) -> dict[str, Ports]:
    """What every graph of a model of these sizes takes and gives.

    N blocks or streams, F picture frames and T output frames, S samples, H steps of sound, O
    offsets, G windows of M units each.

    >>> ports(ModelConfig())["sound.onnx"].outputs
    {'a': ('N', 'T', 128)}
    """
    side, grid = config.input_px, config.grid
    channels, width, cells = config.channels, config.joint_width, config.cells
    found = {
        "visual.onnx": Ports(
            {"crops": ("N", "F", side, side)}, {"v": ("N", "T", channels, grid, grid)}
        ),
        "sound.onnx": Ports({"mel": ("N", "H", config.mel_bands)}, {"a": ("N", "T", channels)}),
        "joint.onnx": Ports(
            {
                "v": ("N", BLOCK_FRAMES, channels, grid, grid),
                "a": ("N", "O", BLOCK_FRAMES, channels),
            },
            {
                "z": ("N", "O", cells, width),
                "confidence": ("N", "O", cells),
                "similarity": ("N", "O", cells),
            },
        ),
        "decide.onnx": Ports(
            {"z": ("G", "M", width), "confidence": ("G", "M"), "similarity": ("G", "M")},
            {"logits": ("G", 2), "weights": ("G", "M")},
        ),
    }
    if config.sound == "phones":
        found[PHONES] = Ports({"sound": ("N", "S")}, {"steps": ("N", "H", config.mel_bands)})
    return found


def agrees(found: Sequence[str | int | None], wanted: Shape) -> bool:
    """Whether a shape can be what is wanted: as many sizes, and none that is known to differ.

    >>> agrees(["n", 25, None], ("N", 25, 128)), agrees([1, 24, 128], ("N", 25, 128))
    (True, False)
    """
    return len(found) == len(wanted) and all(
        mine == theirs
        for mine, theirs in zip(found, wanted, strict=True)
        if isinstance(mine, int) and isinstance(theirs, int)
    )
