"""Who is in the picture, and who of them draws the attention: a line for everybody seen at once.

A face is followed from cut to cut; who it belongs to is not known, so that a line is taken up
again by the next face for which it is free.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from avsync_cli.drawing.attention import region_words
from avsync_cli.drawing.canvas import LETTER
from avsync_cli.drawing.palette import region_role
from avsync_cli.drawing.plot import Plot
from avsync_cli.inference.evidence import BlockResult

LINE = 22.0
"""Height of a line: a name, and a bar below it."""

_NAME, _BAR = 10.0, 7.0
_FAINT = 0.15
"""How strong a bar's colour is where others have all of the attention."""

_MAX_PARTS = 400
"""Blocks drawn one by one; beyond, a face has one bar for all of its time."""


@dataclass(frozen=True)
class Person:
    """One region from its first block to its last.

    Attributes:
        blocks: in order of time.
        line: which line it has, from 0 above.
    """

    blocks: tuple[BlockResult, ...]
    line: int

    @property
    def end_s(self) -> float:
        """Where the last block ends."""
        return max(b.end_s for b in self.blocks)


def people(blocks: Sequence[BlockResult]) -> list[Person]:
    """Everybody seen, in order of their first block; [] where there is only one region."""
    tracks: dict[tuple[str, int | None], list[BlockResult]] = {}
    for block in sorted(blocks, key=lambda b: b.start_s):
        tracks.setdefault((block.region.kind, block.region.track), []).append(block)
    if len(tracks) < 2:
        return []
    until: list[float] = []
    found = []
    for own in tracks.values():
        free = (k for k, end_s in enumerate(until) if end_s <= own[0].start_s + 1e-6)
        line = next(free, len(until))
        person = Person(tuple(own), line)
        until[line : line + 1] = [person.end_s]
        found.append(person)
    return found


def lines(everybody: Iterable[Person]) -> int:
    """How many lines they need."""
    return max((person.line + 1 for person in everybody), default=0)


def draw_people(plot: Plot, everybody: Sequence[Person]) -> None:
    """Draw a bar for every second of everybody, the stronger the more of the attention of that time
    it has; grey where it was left out."""
    blocks = [block for person in everybody for block in person.blocks]
    most: dict[int, float] = {}
    for block in blocks:
        second = int(block.start_s)
        most[second] = max(most.get(second, 0.0), block.weight)
    for person in everybody:
        top = plot.top + person.line * LINE
        first = person.blocks[0]
        words = region_words(first.region)
        left, right = plot.x(first.start_s), plot.x(person.end_s)
        if LETTER * len(words) < right - left:
            plot.canvas.text((left, top + _NAME), words)
        shares = [b.weight / (most[int(b.start_s)] or 1.0) for b in person.blocks]
        # The last block may overlap the one before; it has only the time that is new.
        ends = [first.start_s, *(b.end_s for b in person.blocks)]
        parts = [(max(b.start_s, e), b.end_s) for b, e in zip(person.blocks, ends, strict=False)]
        used = [b.used for b in person.blocks]
        if len(blocks) > _MAX_PARTS:
            shares, parts = [sum(shares) / len(shares)], [(first.start_s, person.end_s)]
            used = [any(used)]
        for share, (start_s, end_s), good in zip(shares, parts, used, strict=True):
            x = plot.x(start_s)
            box = x, top + _NAME + 4, max(plot.x(end_s) - x - 1.0, 0.6), _BAR
            alpha = _FAINT + (1.0 - _FAINT) * share if good else 1.0
            plot.canvas.rect(box, region_role(first) if good else "grid", alpha)
