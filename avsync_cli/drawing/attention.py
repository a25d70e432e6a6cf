"""Which blocks the answer rests on, and where in the picture the model looked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from avsync_cli.drawing.canvas import Point
from avsync_cli.inference.evidence import BlockResult, Region

Patch = tuple[Point, Point, Point]
"""A parallelogram: its first corner, the way from there across, and the way down."""


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


def seen_patch(region: Region, width: float, height: float) -> Patch:
    """The part of a picture so wide and high that the model saw of a region: its cells lie there.

    It may be turned, as a tilted face is, and reach beyond the picture.
    """
    left, top, wide, high = region.box
    x, y, ax, ay, dx, dy = region.seen or (left, top, wide, 0.0, 0.0, high)
    return (x * width, y * height), (ax * width, ay * height), (dx * width, dy * height)


def shaded_cells(patch: Patch, shades: np.ndarray) -> Iterator[tuple[list[Point], float]]:
    """The four corners and the shade of every cell of a grid (h, w) that fills a patch."""
    (x, y), (ax, ay), (dx, dy) = patch
    rows, columns = shades.shape
    for (row, column), shade in np.ndenumerate(shades):
        corners = ((row, column), (row, column + 1), (row + 1, column + 1), (row + 1, column))
        yield (
            [
                (x + ax * c / columns + dx * r / rows, y + ay * c / columns + dy * r / rows)
                for r, c in corners
            ],
            float(shade),
        )


def cell_shades(block: BlockResult) -> np.ndarray | None:
    """(h, w) opacities 0..1 for a block's cells, 0 where there is no more than an even share."""
    cells = block.cells
    if cells is None or not cells.size or not np.isfinite(cells).all():
        return None
    even = 1.0 / cells.size
    most = max(float(cells.max()), 2.0 * even)
    return np.asarray(np.clip((cells - even) / (most - even), 0.0, 1.0))


def region_words(region: Region) -> str:
    """A region in words: "face 2" or "whole picture"."""
    return f"face {region.track}" if region.kind == "face" else "whole picture"
