"""The shape of a model, as stored in `model.json`; plain values, no torch.

Everything that must agree between training, export and inference is here: sizes, context and
preprocessing. A `ModelConfig` read back from JSON is checked field by field, since model files
are untrusted input.
"""

from __future__ import annotations

import dataclasses
import reprlib
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from avsync_cli.errors import ModelError
from avsync_cli.timebase import HOPS_PER_FRAME

Attention = Literal["none", "temporal", "spatio-temporal"]
Size = Literal["base", "large"]
Sound = Literal["log-mel", "phones"]


def layers_reach(layers: int) -> int:
    """Frames on either side that so many layers over time take.

    >>> layers_reach(0), layers_reach(3)
    (0, 7)
    """
    return 2**layers - 1


class Widths(NamedTuple):
    """Channels of the encoders' layers, first to last.

    Attributes:
        visual: stem and the three stages.
        sound: the four strided layers and the one that leaves no pitch.
        features: C of both encoders' features.
    """

    visual: tuple[int, int, int, int]
    sound: tuple[int, int, int, int, int]
    features: int


WIDTHS: dict[Size, Widths] = {
    "base": Widths((24, 48, 96, 160), (32, 64, 96, 128, 192), 128),
    "large": Widths((32, 64, 128, 224), (32, 64, 96, 160, 224), 192),
}
"""What a size means. "large" has 1.6 times the weights and costs 1.8 times the arithmetic."""

CROP_PX = 96
"""Side of a stored region crop in pixels: the model's input with room to move it about."""


PHONE_WIDTH = 144
"""Numbers a step that the recogniser's blocks give, see `model.phones`."""

PHONE_EDGE_STEPS = 264
"""Steps of sound that they take on either side of one: 2.64 s."""

VISUAL_CONTEXT = 4
"""Frames on either side that the visual encoder's stem and stages take."""

SOUND_CONTEXT: dict[Sound, tuple[int, int]] = {"log-mel": (13, 14), "phones": (16, 16)}
"""Steps of sound before and after the four of a frame that the sound encoder's own layers take."""

MEL_EDGE_STEPS = 2
"""Steps of sound beyond either end of a stretch whose samples reach into its log-mel windows."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes of one model.

    Attributes:
        attention: which units compete in the softmax: nothing (uniform weights), blocks, or
            spatial cells of blocks (arXiv 1812.06071, section 3.2).
        sound: what the sound encoder is fed a hundred times a second: log-mel, or what a phone
            recogniser's blocks say; "log-mel" in models older than the field.
        size: how wide the encoders are, see `WIDTHS`; "base" in models older than the field.
        visual_layers, sound_layers: residual layers over time on top of either encoder, the first
            seeing a frame more on either side, each next one twice as many; 0 in models older than
            the fields.
        input_px: side of the picture the visual encoder takes, the centre of a 96 px crop.
        channels: C, width of the features of both encoders, as `size` has it.
        grid: side of the square grid of spatial cells that the visual encoder keeps.
        joint_width: D, channels of the joint representation z.
        hidden: width of the first layer of the decision (512 in the paper).
        visual_context: picture frames consumed on either side of every output frame.
        sound_context: steps of sound consumed (before, after) the four of every output frame.
        mel_bands: numbers a step: log-mel bands, or the recogniser's 144.
        product: whether the first joint layer also sees the product of the two features.
        similarity_skip: whether the attention-pooled similarity of the two encoders is added to
            the decision's logits (False is the paper's plain decision).
    """

    attention: Attention = "spatio-temporal"
    sound: Sound = "log-mel"
    size: Size = "base"
    visual_layers: int = 0
    sound_layers: int = 0
    input_px: int = 64
    channels: int = 128
    grid: int = 4
    joint_width: int = 64
    hidden: int = 512
    visual_context: int = VISUAL_CONTEXT
    sound_context: tuple[int, int] = (13, 14)
    mel_bands: int = 80
    product: bool = True
    similarity_skip: bool = True

    @classmethod
    def of(cls, size: Size, sound: Sound = "log-mel", **others: Any) -> ModelConfig:
        """The configuration of a size and a kind of sound, with what follows from them."""
        around = VISUAL_CONTEXT + layers_reach(others.get("visual_layers", 0))
        before, after = SOUND_CONTEXT[sound]
        beyond = layers_reach(others.get("sound_layers", 0)) * HOPS_PER_FRAME
        derived = {"visual_context": around, "sound_context": (before + beyond, after + beyond)}
        others = derived | others
        if sound == "phones":
            others = {"mel_bands": PHONE_WIDTH} | others
        return cls(size=size, sound=sound, channels=WIDTHS[size].features, **others)

    @property
    def edge_steps(self) -> int:
        """Steps of sound used up at either end of a stretch before there are any to encode."""
        return PHONE_EDGE_STEPS if self.sound == "phones" else MEL_EDGE_STEPS

    @property
    def cells(self) -> int:
        """Units a block has in the softmax: 1, or the cells of the grid."""
        return self.grid * self.grid if self.attention == "spatio-temporal" else 1

    def sound_hops(self, frames: int) -> int:
        """Log-mel steps needed for `frames` output frames of sound features."""
        return frames * HOPS_PER_FRAME + sum(self.sound_context)

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary for `model.json`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: object) -> ModelConfig:
        """Read back what `to_json` wrote.

        Raises:
            ModelError: for an unknown or missing key, a wrong type, or a size out of bounds.
        """
        if not isinstance(values, dict):
            raise ModelError("the model's configuration is not a table", "reinstall the model")
        known = {f.name: f for f in dataclasses.fields(cls)}
        unknown = sorted(set(values) - set(known))
        missing = sorted(set(known) - set(values) - _YOUNGER)
        if unknown or missing:
            shown = reprlib.repr((unknown or missing)[0])
            what = f"unknown key {shown}" if unknown else f"no key {shown}"
            raise ModelError(f"the model's configuration has {what}", "update avsync or the model")
        config = cls(**{name: _checked(name, value) for name, value in values.items()})
        if config.sound == "phones" and config.mel_bands != PHONE_WIDTH:
            raise ModelError(f"the model's configuration has phones of {config.mel_bands} numbers")
        return config


_BOUNDS = {
    "input_px": (16, CROP_PX),
    "channels": (8, 2048),
    "grid": (1, 32),
    "joint_width": (8, 2048),
    "hidden": (8, 8192),
    "visual_context": (0, 50),
    "visual_layers": (0, 4),
    "sound_layers": (0, 4),
    "mel_bands": (16, 256),
}


_YOUNGER = frozenset({"size", "sound", "visual_layers", "sound_layers"})
"""Fields that older models lack."""

_WORDS: dict[str, tuple[object, ...]] = {
    "attention": get_args(Attention),
    "size": get_args(Size),
    "sound": get_args(Sound),
}
_SWITCHES = frozenset({"product", "similarity_skip"})


def _checked(name: str, value: object) -> Any:
    if name in _WORDS:
        usable = value in _WORDS[name]
    elif name in _SWITCHES:
        usable = isinstance(value, bool)
    elif name == "sound_context":
        steps = tuple(value) if isinstance(value, (list, tuple)) else ()
        usable = len(steps) == 2 and all(type(v) is int and 0 <= v <= 400 for v in steps)
    else:
        low, high = _BOUNDS[name]
        usable = type(value) is int and low <= value <= high
    if not usable:
        shown = reprlib.repr(value)
        raise ModelError(f"the model's configuration has an unusable {name}: {shown}")
    return tuple(value) if isinstance(value, list) else value
