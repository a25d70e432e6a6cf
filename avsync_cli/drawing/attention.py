"""Which blocks the answer rests on, and where in the picture the model looked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avsync_cli.inference.evidence import BlockResult, Region

Box = tuple[float, float, float, float]

_MOUTH_DOWN = 0.74
"""Where the mouth is in a face box, as a share of its height from the top."""

_SEEN_SHARE = 64 / 96
"""Side of what the model sees of a mouth crop, in face widths; see `regions.crops`."""


def strongest(blocks: Sequence[BlockResult], count: int) -> list[BlockResult]:
    """At most `count` of the used blocks with the most weight, in order of time.

    Neighbours are passed over as long as there are others: six seconds in a row show one shot.
    """
    used = sorted((b for b in blocks if b.used and b.weight > 0), key=lambda b: -b.weight)
    if not used:
        return []
    length = max(b.end_s for b in used) - min(b.start_s for b in used)
    apart = length / (2 * count)
    chosen: list[BlockResult] = []
    for least in (apart, 0.0):
        for block in used:
            if len(chosen) == count:
                break
            far = all(abs(block.start_s - other.start_s) >= least for other in chosen)
            if far and not any(block is other for other in chosen):
                chosen.append(block)
    return sorted(chosen, key=lambda b: (b.start_s, b.region.track or 0))


def cell_box(region: Region, aspect: float) -> Box:
    """Where the cells of a block lie: the part of the region that the model sees.

    For the whole frame that is all of it. For a face it is a square around the mouth; its place is
    worked out from the face's box and may be off for a face that is turned or tilted.

    Args:
        region: of the block.
        aspect: width of the picture over its height.

    Returns:
        (left, top, width, height) as shares of the picture; may reach beyond it.
    """
    left, top, width, height = region.box
    if region.kind == "frame":
        return region.box
    wide = width * _SEEN_SHARE
    high = wide * aspect
    middle = left + width / 2, top + _MOUTH_DOWN * height
    return middle[0] - wide / 2, middle[1] - high / 2, wide, high


def cell_shades(block: BlockResult) -> np.ndarray | None:
    """(h, w) opacities 0..1 for a block's cells, 0 where there is no more than an even share."""
    cells = block.cells
    if cells is None or not cells.size or not np.isfinite(cells).all():
        return None
    even = 1.0 / cells.size
    most = max(float(cells.max()), 2.0 * even)
    shades: np.ndarray = np.clip((cells - even) / (most - even), 0.0, 1.0)
    return shades


def region_words(region: Region) -> str:
    """A region in words: "face 2" or "whole picture"."""
    return f"face {region.track}" if region.kind == "face" else "whole picture"
