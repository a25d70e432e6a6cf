"""Cut upright grey squares out of frames: around a mouth, or the whole picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avsync_cli.regions.planes import brightness, shades, size_of
from avsync_cli.regions.resize import average_cells, resize_area

CROP_PX = 96
"""Side of every crop; the model takes the middle 64 px and training moves about in the rest."""

FRAME_PX = 64
"""Side of a whole frame inside its crop: the part of the crop that the model looks at."""

MOUTH_SHARE = 1.0
"""Side of a mouth crop in face widths; its middle 64 px show nose tip to chin, cheek to cheek."""


@dataclass(frozen=True)
class Square:
    """A square in a frame, in pixels: its centre, side, and turn in radians (clockwise > 0)."""

    x: float
    y: float
    side: float
    turn: float = 0.0


def seen_part(square: Square, share: float, width: int, height: int) -> np.ndarray:
    """Where the middle of a square lies in the picture.

    Args:
        square: in pixels.
        share: of the square's side.
        width, height: of the picture in pixels.

    Returns:
        (6,) float32: the corner that is the crop's upper left, the way from there across the crop,
        and the way down, each x and y as shares of the picture.
    """
    side = square.side * share
    across = np.array([math.cos(square.turn), math.sin(square.turn)]) * side
    down = np.array([-across[1], across[0]])
    corner = np.array([square.x, square.y]) - (across + down) / 2
    scale = np.array([width, height] * 3)
    seen: np.ndarray = (np.concatenate([corner, across, down]) / scale).astype(np.float32)
    return seen


def seen_boxes(boxes: np.ndarray) -> np.ndarray:
    """(n, 4) boxes of which all is seen, upright, as (n, 6) of the kind of `seen_part`."""
    left, top, width, height = np.asarray(boxes, np.float32).T
    none = np.zeros_like(left)
    return np.stack([left, top, width, none, none, height], axis=1)


def cut_square(frame: np.ndarray, square: Square, kept: int = CROP_PX) -> np.ndarray:
    """One picture and a square to the middle (kept, kept) px of a grey crop of CROP_PX, uint8.

    Beyond the frame's border its edge is repeated. Squares much larger than the crop are averaged
    first, so that fine texture does not flicker as it moves across the sampling grid.

    Args:
        frame: (3 H / 2, W) uint8 (`planes`).
        square: what to cut out of it.
        kept: pixels either way; all of them by default.
    """
    grey = brightness(frame)
    shrink = max(1, int(square.side / CROP_PX))
    left = top = 0
    if shrink > 1:
        # Cells are counted from the corner of the whole square, whatever is kept of it.
        height, width = grey.shape
        reach = square.side * (abs(math.cos(square.turn)) + abs(math.sin(square.turn))) / 2 + 2
        top = int(np.clip(math.floor(square.y - reach), 0, height - 1))
        left = int(np.clip(math.floor(square.x - reach), 0, width - 1))
        bottom = int(np.clip(math.ceil(square.y + reach) + 1, top + 1, height))
        right = int(np.clip(math.ceil(square.x + reach) + 1, left + 1, width))
        rows, columns = (bottom - top) // shrink, (right - left) // shrink
        if rows >= 2 and columns >= 2:
            whole = grey[top : top + rows * shrink, left : left + columns * shrink]
            grey = average_cells(whole[None], shrink, shrink)[0]
        else:
            left = top = 0
            shrink = 1
    steps = (np.arange(kept, dtype=np.float32) + ((CROP_PX - kept) // 2 + 0.5)) / CROP_PX - 0.5
    along, across = (square.side * f(square.turn) * steps for f in (math.cos, math.sin))
    xs = ((square.x - left + along) / shrink - 0.5)[None, :] - (across / shrink)[:, None]
    ys = ((square.y - top + along) / shrink - 0.5)[:, None] + (across / shrink)[None, :]
    crop: np.ndarray = np.rint(shades(_bilinear(grey, xs, ys))).astype(np.uint8)
    return crop


def _bilinear(grey: np.ndarray, xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """(n, n) float32 of a picture at places in it; beyond its border its edge is repeated."""
    height, width = grey.shape
    xs = np.clip(xs, 0, width - 1)
    ys = np.clip(ys, 0, height - 1)
    # In single precision throughout, which holds every place in a picture: mixed kinds are slow.
    x0 = np.minimum(np.floor(xs), max(0, width - 2))
    y0 = np.minimum(np.floor(ys), max(0, height - 2))
    xs -= x0
    ys -= y0
    y0 *= width
    y0 += x0
    at = y0.astype(np.intp)
    flat = grey.ravel()
    right = 1 if width > 1 else 0
    below = width if height > 1 else 0
    rows = []
    for row in (0, below):
        start = flat[row:].take(at).astype(np.float32)
        change = flat[row + right :].take(at).astype(np.float32)
        change -= start
        rows.append(start + change * xs)
    out: np.ndarray = rows[0] + (rows[1] - rows[0]) * ys
    return out


def whole_frames(frames: np.ndarray | Sequence[np.ndarray], kept: int = CROP_PX) -> np.ndarray:
    """(n, 3 H / 2, W) uint8 pictures to (n, kept, kept) grey crops, the middle of (n, 96, 96) ones
    that hold all of the picture.

    The picture is squeezed to 64 x 64, whatever its shape, and its edge repeated around it.
    """
    # Every n-th pixel will do before averaging: four samples a side still make one of ours.
    step_y, step_x = (max(1, side // (4 * FRAME_PX)) for side in size_of(frames[0]))
    # One after the other, so that each stays near the processor.
    thinned = (brightness(frame)[None, ::step_y, ::step_x] for frame in frames)
    small = np.concatenate([resize_area(shades(one), FRAME_PX, FRAME_PX) for one in thinned])
    border = (CROP_PX - FRAME_PX) // 2
    padded = np.pad(
        np.rint(small).astype(np.uint8), ((0, 0), (border, border), (border, border)), "edge"
    )
    cut = (CROP_PX - kept) // 2
    middle: np.ndarray = padded[:, cut : cut + kept, cut : cut + kept]
    return middle
