"""Repairing one file: judge, plan, write beside, check, judge the copy, and only then name it.

At no moment is there a half-written or unchecked file under the name that was asked for, and the
original is never opened for writing: in place, the finished copy is renamed over it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from avsync_cli.config import Settings
from avsync_cli.errors import MediaError, UsageError
from avsync_cli.files import file_beside, has_no_room, no_room
from avsync_cli.judging import Excerpt, analyse_file
from avsync_cli.media.facts import pick_audio, pick_video
from avsync_cli.media.probe import probe
from avsync_cli.media.source import Source
from avsync_cli.model.engine import Engine
from avsync_cli.repair.check import Finding, check_copy
from avsync_cli.repair.confirmation import confirms, parts_confirm
from avsync_cli.repair.containers import carrier
from avsync_cli.repair.contents import list_contents
from avsync_cli.repair.copy import Move, Progress, Recipe, plan_copies, write_copy
from avsync_cli.repair.description import describe
from avsync_cli.repair.kept import losses
from avsync_cli.repair.plan import FixPlan, constant_plan, plan_fix
from avsync_cli.verdict.answer import Judgement

Watch = Callable[[str], AbstractContextManager[Progress | None]]
"""Given a word for what is being done, what to tell of how far it is."""

Pitch = Literal["auto", "keep", "shift"]


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be repaired, and how.

    Attributes:
        source: the file.
        target: where the copy goes; the source itself, links followed, for `in_place`.
        in_place: whether the copy takes the source's place.
        offset_ms: the lag, if it is known: > 0 the sound is late. The source is not judged then.
        pitch: what happens to it where the speed changes.
        force: also move the sound of a file that is in sync.
        plan_only: write nothing.
        keep_unverified: keep a copy that the model did not confirm.
        settings, excerpt: how the source and the copy are judged.
    """

    source: Source
    target: Path
    in_place: bool = False
    offset_ms: float | None = None
    pitch: Pitch = "auto"
    force: bool = False
    plan_only: bool = False
    keep_unverified: bool = False
    settings: Settings
    excerpt: Excerpt = field(default_factory=Excerpt)


@dataclass(frozen=True, kw_only=True)
class Repair:
    """What was found and done.

    Attributes:
        outcome: "nothing" to do, "planned" only, "written", or "refused": the copy is gone.
        plan: what was to be moved.
        recipe: how the copy was or would be made, None for "nothing".
        before, after: the judgements on the source and the copy, None where there was none.
        doubt: what speaks against the copy, "" if nothing does.
        lost: what is not in the copy, in words.
    """

    outcome: Literal["nothing", "planned", "written", "refused"]
    plan: FixPlan
    recipe: Recipe | None = None
    before: Judgement | None = None
    after: Judgement | None = None
    doubt: str = ""
    lost: tuple[str, ...] = ()

    @property
    def confirmed(self) -> bool:
        """Whether the copy is there and was measured to be in sync."""
        return self.outcome == "written" and not self.doubt


class _Refused(Exception):
    """The copy may not have its name."""


def repair(order: Order, engine: Engine | None, watch: Watch | None = None) -> Repair:
    """Write a copy whose sound is where it belongs, and measure it again.

    Args:
        order: what to do.
        engine: the model that judges; None only where nothing is to be judged.
        watch: told of each step.

    Returns:
        what was done; a copy that was not confirmed is gone, unless the order keeps it.

    Raises:
        MediaError: the file is undecided, or cannot be read, judged or written.
        UsageError: the order cannot be meant.
        WriteError: there is no room for the copy, or no right to write it.
    """
    watch = watch or (lambda _: nullcontext())
    stood = order.source.stamp()
    before = None
    if order.offset_ms is not None:
        if order.offset_ms == 0:
            raise UsageError("an offset of 0 ms moves nothing", "give the lag, such as 120ms")
        plan = constant_plan(order.offset_ms)
    else:
        before = _judge(order, order.source, engine, watch, "judging")
        _refuse_undecided(order, before)
        plan = plan_fix(before.verdict, tolerance=before.tolerance, force=order.force)
    if plan.kind == "nothing":
        return Repair(outcome="nothing", plan=plan, before=before)
    move = _move(order, plan)
    recipes = plan_copies(move, list_contents(move.info, move.into))
    done = Repair(outcome="planned", plan=plan, recipe=recipes[0], before=before)
    if order.plan_only:
        return done
    with suppress(_Refused), file_beside(order.target, overwrite=order.in_place) as partial:
        done = _compared(order, move, recipes, partial, done, watch)
        done = _judge_copy(order, partial, done, engine, watch)
        if done.outcome == "refused":
            raise _Refused
        if order.in_place and order.source.stamp() != stood:
            what = "changed by somebody else in the meantime, so left alone"
            raise order.source.error(MediaError, what, "run again")
    return done


def _move(order: Order, plan: FixPlan) -> Move:
    info = probe(order.source)
    return Move(
        info=info,
        video=pick_video(info, order.excerpt.video_track),
        audio=pick_audio(info, order.excerpt.audio_track),
        pieces=plan.pieces,
        into=carrier(order.target),
        pitch=order.pitch,
    )


def _judge(
    order: Order, path: Source | Path, engine: Engine | None, watch: Watch, doing: str
) -> Judgement:
    assert engine is not None
    with watch(doing) as progress:
        return analyse_file(path, order.settings, engine, order.excerpt, progress)


def _refuse_undecided(order: Order, before: Judgement) -> None:
    verdict, strikes = before.verdict, before.evidence.strikes
    if strikes is not None:
        what = "known by strikes alone, which is too little for a repair"
        hint = f"if you have seen it yourself, give the lag: --offset {strikes.offset_ms:.0f}ms"
        raise order.source.error(MediaError, what, hint)
    if verdict.status != "undecided" and verdict.offset_ms is not None:
        return
    why = f" ({verdict.reasons[0]})" if verdict.reasons else ""
    hint = "if you know the lag, give it: --offset 120ms"
    raise order.source.error(MediaError, f"undecided{why}, so nothing was changed", hint)


def write_checked(
    move: Move, recipes: Sequence[Recipe], partial: Path, target: Path, watch: Watch
) -> tuple[Recipe, Finding]:
    """Write a copy and compare it with its source; where all of a sound track is late by the same,
    as some writers make it, write it once more with as much taken off.

    Args:
        move, recipes: what is done, and the ways to do it.
        partial: where to; overwritten.
        target: its name later, for messages.
        watch: told of each step.

    Returns:
        the recipe that was used, and what was found.

    Raises:
        MediaError, WriteError: it cannot be written or read.
    """
    with watch("writing") as progress:
        recipe = write_copy(move.info, recipes, partial, target, progress)
    with watch("comparing"):
        finding = _found(move, recipe, partial)
    if finding.late_ms and not move.late_ms:
        corrected = replace(move, late_ms=finding.late_ms)
        again = [r for r in plan_copies(corrected, recipe.contents) if r.way == recipe.way]
        return write_checked(corrected, again, partial, target, watch)
    if finding.against and has_no_room(partial.parent):
        raise no_room(target)
    return recipe, finding


def _found(move: Move, recipe: Recipe, partial: Path) -> Finding:
    """What speaks against the copy. That it cannot be read does, too: what another kind of file
    does not hold some writers leave out without a word."""
    try:
        return check_copy(move, recipe, partial)
    except MediaError as error:
        if error.path != os.fspath(partial):
            raise
        return Finding(against=f"the copy cannot be read ({type(error).__name__})")


def _compared(
    order: Order, move: Move, recipes: list[Recipe], partial: Path, done: Repair, watch: Watch
) -> Repair:
    recipe, finding = write_checked(move, recipes, partial, order.target, watch)
    lost = [track.words for track in recipe.contents.left_out]
    said = describe(order.source.path), describe(partial)
    if said[0] is not None and said[1] is not None:
        lost += losses(said[0], said[1], recipe.contents)
    outcome: Literal["refused", "written"] = "refused" if finding.against else "written"
    return replace(done, outcome=outcome, recipe=recipe, doubt=finding.against, lost=tuple(lost))


def _judge_copy(
    order: Order, partial: Path, done: Repair, engine: Engine | None, watch: Watch
) -> Repair:
    """Ask the model whether the copy, which is what was planned, is in sync."""
    if done.outcome == "refused":
        return done
    after = None
    try:
        after = _judge(order, partial, engine, watch, "checking")
        before = None if done.before is None else done.before.verdict
        borders_s = [piece.start_s for piece in done.plan.pieces[1:]]
        level_ms = done.plan.level_ms
        doubt = confirms(before, after.verdict, after.tolerance, level_ms)
        doubt = doubt or parts_confirm(after, borders_s, level_ms)
    except MediaError as error:
        doubt = f"the copy cannot be read ({type(error).__name__})"
    stays = not doubt or order.keep_unverified or _by_hand(order, after)
    return replace(done, outcome="written" if stays else "refused", after=after, doubt=doubt)


def _by_hand(order: Order, after: Judgement | None) -> bool:
    """Whether nothing but the person's word is to be had: who gives the lag by hand often does so
    because nothing can be judged."""
    known = order.offset_ms is not None and not order.in_place
    return known and after is not None and after.verdict.status == "undecided"
