"""From a verdict to what has to be done to the sound: a pure function, like the verdict itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from avsync_cli.repair.sound_graph import Piece
from avsync_cli.timebase import FRAME_MS
from avsync_cli.verdict.answer import Segment, Tolerance, Verdict

GOOD_ENOUGH_MS = 10.0
"""Closer than a step of the scan nobody sees, and moving it again would be moving noise."""

LEAST_PIECE_S = 1.0
"""A stretch shorter than the sound a verdict can be given on is no splice of its own."""

Kind = Literal["nothing", "constant", "drift", "splices"]


@dataclass(frozen=True)
class FixPlan:
    """What to do to a file.

    Attributes:
        kind: "nothing" when no piece has to move; "splices" for several pieces, drifting or not.
        pieces: from the file's beginning to its end without gaps, each with how far its sound is
            to be moved; empty for "nothing".
        level_ms: the lag that the sound has afterwards; not 0 where a stretch that is in sync stays
            as it is, and the others are brought to it.
    """

    kind: Kind
    pieces: tuple[Piece, ...]
    level_ms: float = 0.0


NOTHING = FixPlan("nothing", ())


def constant_plan(offset_ms: float) -> FixPlan:
    """The plan for one lag from beginning to end; > 0 the sound is LATE."""
    return FixPlan("constant", (Piece(0.0, None, offset_ms),))


def plan_fix(
    verdict: Verdict, *, tolerance: Tolerance | None = None, force: bool = False
) -> FixPlan:
    """What brings the sound of a file to its picture.

    Undecided stretches take the offset of the decided one nearest in time.

    Args:
        verdict: decided; its segments say where the lag changes.
        tolerance: of a file whose lag steps, the longest stretch that is surely within it stays as
            it is; None moves all of them.
        force: also move what is in sync.

    Returns:
        "nothing" for a file that is in sync, or within 10 ms of it throughout, unless `force`d.

    Raises:
        ValueError: the verdict is undecided.
    """
    if verdict.status == "undecided" or verdict.offset_ms is None:
        raise ValueError("an undecided file has no plan")
    if verdict.status == "in_sync" and not force:
        return NOTHING
    drift = verdict.drift_ms_per_min or 0.0
    pieces = _joined(_lines(verdict, drift))
    if len(pieces) == 1:
        # One lag or line for all: the file's own estimate, which rests on all evidence.
        offset_ms = _line_at_zero(verdict, drift) if drift else verdict.offset_ms
        pieces = [replace(pieces[0], offset_ms=offset_ms)]
    if not force and not drift and all(abs(p.offset_ms) <= GOOD_ENOUGH_MS for p in pieces):
        return NOTHING
    kind: Kind = "splices" if len(pieces) > 1 else "drift" if drift else "constant"
    if kind == "splices" and not drift and not force and tolerance is not None:
        level_ms = _level(verdict, tolerance)
        moved = tuple(replace(p, offset_ms=p.offset_ms - level_ms) for p in pieces)
        return FixPlan(kind, moved, level_ms)
    return FixPlan(kind, tuple(pieces))


def _level(verdict: Verdict, tolerance: Tolerance) -> float:
    """The lag of the longest stretch that is surely in sync: what a film of one lag like it would
    keep. 0 where there is none, or where it is as good as 0."""
    kept = [
        s
        for s in verdict.segments
        if s.status == "in_sync"
        and s.offset_ci_ms is not None
        and -tolerance.early_ms <= s.offset_ci_ms[0]
        and s.offset_ci_ms[1] <= tolerance.late_ms
    ]
    longest = max(kept, key=lambda s: s.end_s - s.start_s, default=None)
    level_ms = 0.0 if longest is None else longest.offset_ms or 0.0
    return level_ms if abs(level_ms) > GOOD_ENOUGH_MS else 0.0


def _lines(verdict: Verdict, drift: float) -> list[Piece]:
    """A piece for every decided stretch, reaching half way to its neighbours."""
    known = sorted(
        (s for s in verdict.segments if s.offset_ms is not None), key=lambda s: (s.start_s, s.end_s)
    )
    if not known:
        assert verdict.offset_ms is not None
        return [Piece(0.0, None, verdict.offset_ms, drift)]
    borders = [0.0, *(max(0.0, (a.end_s + b.start_s) / 2) for a, b in pairwise(known))]
    pieces = []
    for segment, start_s in zip(known, borders, strict=True):
        assert segment.offset_ms is not None
        offset_ms = segment.offset_ms - drift * (_middle(segment) - start_s) / 60.0
        pieces.append(Piece(start_s, None, offset_ms, drift))
    return pieces


def _line_at_zero(verdict: Verdict, drift: float) -> float:
    """Lag in ms at the file's beginning of the line through all decided stretches."""
    assert verdict.offset_ms is not None
    known = [s for s in verdict.segments if s.offset_ms is not None and s.end_s > s.start_s]
    total_s = sum(s.end_s - s.start_s for s in known)
    if not total_s:
        return verdict.offset_ms
    at_zero = ((s.offset_ms or 0.0) - drift * _middle(s) / 60.0 for s in known)
    return sum(x * (s.end_s - s.start_s) for x, s in zip(at_zero, known, strict=True)) / total_s


def _middle(segment: Segment) -> float:
    return (segment.start_s + segment.end_s) / 2


def _joined(pieces: list[Piece]) -> list[Piece]:
    """The same pieces, those that go on where the one before ends made one, and closed up."""
    kept = [pieces[0]]
    for piece in pieces[1:]:
        last = kept[-1]
        step_ms = abs(piece.offset_ms - last.offset_at(piece.start_s))
        # A stretch must hold more sound than its lag moves out of it.
        if piece.start_s - last.start_s < max(LEAST_PIECE_S, 2 * abs(last.offset_ms) / 1000.0):
            # Too short to stand for itself: the next one begins where it began.
            drift = piece.drift_ms_per_min
            earlier_ms = piece.offset_ms - drift * (piece.start_s - last.start_s) / 60.0
            kept[-1] = replace(piece, start_s=last.start_s, offset_ms=earlier_ms)
        elif step_ms >= FRAME_MS:
            kept.append(piece)
    return [
        replace(piece, end_s=after.start_s if after is not None else None)
        for piece, after in zip(kept, [*kept[1:], None], strict=True)
    ]
