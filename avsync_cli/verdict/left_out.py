"""Which ends of a file are left out, so that one lag can be told of the rest.

A file of one lag may begin or end with somebody who listens, with a voice off screen, or with
seconds whose sound lies beyond it: these say nothing of the lag, or by chance something else. They
are left out, and said to be, where all that is asked of a file holds of the rest: that its lag is
sure, that no step is likely, and that its own ends go with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from avsync_cli.inference.evidence import WindowResult
from avsync_cli.timebase import FRAME_MS
from avsync_cli.verdict.ends import goes_with
from avsync_cli.verdict.posterior import Answer, Constants
from avsync_cli.verdict.rows import Rows
from avsync_cli.verdict.steps import Steps

STEP_MORE_LIKELY = 1.0
"""One lag is told only where the evidence leaves a step as unlikely as it was beforehand, or makes
it less likely: where a part of the file points elsewhere, and be it weakly, it does neither. Of 156
held-out files without a step one is doubted by this rule, of 300 with one a single one is not."""

STEP_UNLIKELY = 0.1
"""Where a lag is sure only without an end, a step must be as much less likely than beforehand."""

NEGLIGIBLE = 1 / 30
"""Share of a file that may point to an unknown lag while the rest is told as one."""

AGREE = 1.0
"""From here on (natural logarithm) the seconds of an end have rather one lag than none: it may be
another, and casts doubt on all of a short file. By chance a few come to a little more than 0, which
is as much of either, and a single one always does."""

STEP_MUCH_MORE_LIKELY = 10.0
"""An end that makes a step likelier than this casts doubt on all of the file. Of 400 made films of
ten minutes whose ends may be about something else, seconds that point anywhere, four had a doubtful
end, with odds of 6 at the most; three seconds that all point to one other lag have odds of 5 to
150."""

Told = tuple[list[WindowResult], Answer]
"""The windows of some rows, and what they say."""


@dataclass(frozen=True)
class Course:
    """A file's rows as they are told.

    Attributes:
        runs: rows with one lag each.
        doubted: which of them are ends that are left out.
        steps: what is known of steps in the rest.
        end_against: whether an end that is not left out does not go with the rest.
    """

    runs: list[slice]
    doubted: tuple[int, ...]
    steps: Steps
    end_against: bool = False


def course_of(
    given: Rows,
    steps: Steps,
    answered: Callable[[slice], Told],
    constants: Constants | None,
) -> Course:
    """A file's rows as they are told; without `constants` nothing is asked of its ends."""
    if len(steps.runs) > 1:
        return Course(steps.runs, (), steps)
    if constants is None:
        return _without_end(given, steps, None)
    rows = steps.runs[0]
    told = answered(rows)[1]
    end = given.against(rows, told.offset_ms)
    course = _without_end(given, steps, end)
    if course.doubted:
        return course
    asked = _Asked(given, answered, constants)
    silent = _without(given.silent(rows, told.offset_ms), steps, len(given.units))
    if not told.sure(constants.undecided_below):
        return _where_sure(silent, asked, told.offset_ms) or course
    if steps.odds <= STEP_MORE_LIKELY and not course.end_against:
        return silent
    return (
        _without_unheard(asked, steps, told.offset_ms)
        or _without_other(asked, steps, end)
        or course
    )


@dataclass(frozen=True)
class _Asked:
    """What is asked of a part of a file as of a whole one.

    Attributes:
        given: the file's rows.
        answered: what some rows say.
        constants: of the model.
    """

    given: Rows
    answered: Callable[[slice], Told]
    constants: Constants

    def one_lag(self, kept: slice, most_odds: float = STEP_MORE_LIKELY) -> Steps | None:
        """What is known of steps in some rows if these surely have one lag: no step is likely, and
        both ends go with the rest; else None."""
        rest, told = self.given.steps(kept), self.answered(kept)[1]
        if len(rest.runs) > 1 or rest.odds > most_odds:
            return None
        if not told.sure(self.constants.undecided_below):
            return None
        return rest if self.given.against(kept, told.offset_ms) is None else None


def _where_sure(silent: Course, asked: _Asked, told_ms: float) -> Course | None:
    """A file without its silent ends, whose lag is sure without them alone: they water down what
    the rest says. None where it is not, nor as near to what all of it says as a frame, where they
    agree on a lag of their own, or a step is not much less likely than it was beforehand."""
    ends = [silent.runs[n] for n in silent.doubted]
    if not ends or any(_agrees(asked.given, end) for end in ends):
        return None
    kept = next(run for n, run in enumerate(silent.runs) if n not in silent.doubted)
    rest = asked.one_lag(kept, STEP_UNLIKELY)
    if rest is None or abs(asked.answered(kept)[1].offset_ms - told_ms) > FRAME_MS:
        return None
    return replace(silent, steps=rest)


def _without_end(given: Rows, steps: Steps, end: slice | None) -> Course:
    """Rows of a file of which one lag could be told, but for an end that is in doubt.

    Args:
        given: the rows.
        steps: what is known of steps in them.
        end: one that does not go with the rest.
    """
    rows = len(given.units)
    likelier = steps.odds > STEP_MORE_LIKELY
    if end is not None and not likelier:
        steps = replace(steps, at=end.stop if end.start == 0 else end.start)
    if not likelier and end is None:
        return Course(steps.runs, (), steps)
    ends = [slice(0, steps.at), slice(steps.at, rows)]
    doubted = 0 if steps.at < rows - steps.at else 1
    short = min(steps.at, rows - steps.at) <= NEGLIGIBLE * rows
    if short and steps.odds <= STEP_MUCH_MORE_LIKELY:
        rest = given.steps(ends[1 - doubted])
        if rest.odds <= STEP_MORE_LIKELY:
            return Course(ends, (doubted,), rest)
    return Course(steps.runs, (), steps, end is not None and not likelier)


def _without_other(asked: _Asked, steps: Steps, end: slice | None) -> Course | None:
    """Rows of a file without an end, a third of all at the most, whose seconds agree on no lag: a
    question that is asked off screen, say. None where they do, or what is left does not have one
    lag by all that is asked of a file."""
    given, rows = asked.given, len(asked.given.units)
    first, last = 0, rows
    if steps.odds > STEP_MORE_LIKELY:
        first, last = (steps.at, rows) if steps.at < rows - steps.at else (0, steps.at)
    if end is not None:
        first, last = max(first, end.stop if end.start == 0 else 0), min(last, end.start or rows)
    kept, beside = slice(first, last), [slice(0, first), slice(last, rows)]
    if 3 * (rows - (last - first)) > rows or all(one.start < one.stop for one in beside):
        return None
    if any(_agrees(given, one) for one in beside if one.start < one.stop):
        return None
    for silent in given.silent(kept, asked.answered(kept)[1].offset_ms):
        first, last = (silent.stop, last) if silent.start == first else (first, silent.start)
    # A shot at an end that says nothing may hide a step, and keeps the odds of one where they were.
    rest = asked.one_lag(kept) or asked.one_lag(slice(first, last))
    return None if rest is None else _without([slice(0, first), slice(last, rows)], rest, rows)


def _agrees(given: Rows, end: slice) -> bool:
    """Whether the seconds of an end have a lag in common, be it any."""
    return given.agreement(end) > AGREE


def _without_unheard(asked: _Asked, steps: Steps, told_ms: float) -> Course | None:
    """Rows of a file of which one lag is told, without ends whose sound would lie beyond the file
    at that lag: they cannot speak for it, only, by chance, for others. None where what is next to
    them or the rest does not go with that lag, or such an end speaks clearly for another."""
    given, rows = asked.given, len(asked.given.units)
    heard = given.heard(told_ms)
    ends = [end for end in (slice(0, heard.start), slice(heard.stop, rows)) if end.start < end.stop]
    if not ends or 3 * (heard.stop - heard.start) < 2 * rows or steps.odds > STEP_MUCH_MORE_LIKELY:
        return None
    if not all(goes_with(given.votes, given.grid_ms, told_ms, given.anew, end) for end in ends):
        return None
    rest = asked.one_lag(heard)
    return None if rest is None else _without(ends, rest, rows)


def _without(ends: list[slice], steps: Steps, rows: int) -> Course:
    """Rows of a file of which one lag is told, without ends that say nothing for it."""
    first = next((end.stop for end in ends if end.start == 0), 0)
    last = next((end.start for end in ends if end.start > 0), rows)
    runs = [slice(0, first), slice(first, last), slice(last, rows)]
    kept = [run for run in runs if run.start < run.stop]
    doubted = tuple(n for n, run in enumerate(kept) if run != slice(first, last))
    return Course(kept, doubted, steps)
