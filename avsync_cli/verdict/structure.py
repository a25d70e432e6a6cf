"""The course of a file's lag, constant, drifting or stepping, and the stretches that come of it.

Windows of up to eight seconds say most surely what a lag is; seconds say when it changes. So a
drift is looked for in windows (see `drift`), steps are looked for in seconds (see `steps`), and
each stretch between two steps is answered by its own windows: those that lie in it, and of those
that a step cuts in two, the seconds that lie in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from avsync_cli.inference.evidence import SecondCurves, WindowResult
from avsync_cli.timebase import FRAME_MS
from avsync_cli.verdict.agreement import Seconds
from avsync_cli.verdict.drift import Drift, find_drift, read_along
from avsync_cli.verdict.ends import goes_with
from avsync_cli.verdict.posterior import Answer, Constants, group_answer, read_windows
from avsync_cli.verdict.rows import Rows, middles, rows_of
from avsync_cli.verdict.seconds import second_windows, windows_of
from avsync_cli.verdict.steps import PLACED, PLACED_APART, Steps
from avsync_cli.verdict.stretches import STEP_WITHIN_S, UNJUDGED_S, UNPLACED_S, Part

STEP_MORE_LIKELY = 1.0
"""One lag is told only where the evidence leaves a step as unlikely as it was beforehand, or makes
it less likely: where a part of the file points elsewhere, and be it weakly, it does neither. Of 156
held-out files without a step one is doubted by this rule, of 300 with one a single one is not."""

NEGLIGIBLE = 1 / 30
"""Share of a file that may point to an unknown lag while the rest is told as one."""

AGREE = 0.0
"""From here on (natural logarithm) the seconds of an end rather have one lag than none: it may be
another, and casts doubt on all of a short file."""

STEP_MUCH_MORE_LIKELY = 10.0
"""An end that makes a step likelier than this casts doubt on all of the file. Of 400 made films of
ten minutes whose ends may be about something else, seconds that point anywhere, four had a doubtful
end, with odds of 6 at the most; three seconds that all point to one other lag have odds of 5 to
150."""

_Told = tuple[list[WindowResult], Answer]


@dataclass(frozen=True)
class Structure:
    """A file's stretches, and how sure it is that these are all.

    Attributes:
        parts: in order of time; one where the lag is constant or only drifts.
        step_odds: by how much the evidence makes a step likelier (> 1) or less likely (< 1) than it
            was beforehand, in what is not left out as doubtful; 0 where all that was found is too
            small to be seen.
        step_probability: that there is a step at all, 0..1; likewise.
        step_s: where one is likeliest.
        end_against: whether the seconds before or after that, though no step is likely, do not go
            with the rest.
        unseen_s: (first, last) second of long stretches within the parts in which nothing is seen
            that goes with the sound.
    """

    parts: list[Part]
    step_odds: float
    step_probability: float
    step_s: float
    end_against: bool = False
    unseen_s: tuple[tuple[float, float], ...] = ()


def find_structure(
    windows: list[WindowResult],
    seconds: SecondCurves | None,
    offsets: np.ndarray,
    constants: Constants,
    drift: Drift | None = None,
    *,
    has_gaps: bool = False,
) -> Structure:
    """Cut a file where its lag steps: usually nowhere.

    Args:
        windows: those to read, in order of time.
        seconds: what tells when a lag changes; None to tell it by the windows.
        offsets: (O,) ms, the scan's.
        constants: of the model.
        drift: looked for unless it is given.
        has_gaps: whether only parts of the file were read.
    """
    if drift is None:
        read = read_windows(windows, constants)
        drift = find_drift(read.votes, read.scores, middles(windows), offsets, constants)
    given = rows_of(windows, seconds, offsets, constants, drift, has_gaps)
    units, steps = given.units, given.steps(slice(0, len(given.units)))

    def answered(rows: slice) -> _Told:
        mine = windows
        if rows != slice(0, len(units)):
            fine = units[rows] if seconds is None else second_windows(seconds, offsets, rows)
            mine = windows_of(windows, fine)
        own = read_windows(mine, constants)
        if drift is not None:
            own = read_along(own, offsets, middles(mine), drift)
        alone = None if seconds is None else Seconds(given.votes[rows], given.grid_ms)
        return mine, group_answer(own, offsets, constants, alone)

    # Of a film of which only parts were read the ends are a few seconds of many minutes.
    asked = seconds is not None and not has_gaps
    course = _course(given, steps, answered, constants if asked else None)
    found = _told_runs(course.runs, answered, joined=not course.doubted)
    merged = len(found) == 1 and len(course.runs) > 1
    parts = _timed(found, units, drift)
    if not course.doubted:
        parts = _placed(parts, found, given, has_gaps)
    for number in course.doubted:
        parts[number] = replace(parts[number], doubted=True)
    if drift is not None:
        parts = [piece for part in parts for piece in _within_range(part, float(offsets[-1]))]
    return Structure(
        parts,
        0.0 if merged else course.steps.odds,
        0.0 if merged else course.steps.probability,
        _step_s(course.steps, found, units),
        course.end_against,
        () if has_gaps or drift is not None else tuple(_unseen_s(parts, found, given)),
    )


def _unseen_s(
    parts: list[Part], found: list[tuple[slice, list[WindowResult], Answer]], given: Rows
) -> Iterator[tuple[float, float]]:
    """Where nothing is seen for long that goes with the sound, by first and last second."""
    for part, (rows, _, answer) in zip(parts, found, strict=True):
        if part.doubted or rows.stop - rows.start < 2:
            continue
        for run in given.unseen(rows, answer.offset_ms):
            yield given.units[run.start].start_s, given.units[run.stop - 1].end_s


def _told_runs(
    runs: list[slice], answered: Callable[[slice], _Told], joined: bool
) -> list[tuple[slice, list[WindowResult], Answer]]:
    """Runs of rows with their windows and answers; `joined` where neighbours do not differ."""
    found: list[tuple[slice, list[WindowResult], Answer]] = []
    for rows in runs:
        mine, answer = answered(rows)
        # A step of less than a frame is nothing one could see, and may be a change of speaker.
        if joined and found and abs(found[-1][2].offset_ms - answer.offset_ms) < FRAME_MS:
            rows = slice(found.pop()[0].start, rows.stop)
            mine, answer = answered(rows)
        found.append((rows, mine, answer))
    return found


@dataclass(frozen=True)
class _Course:
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


def _course(
    given: Rows,
    steps: Steps,
    answered: Callable[[slice], _Told],
    constants: Constants | None,
) -> _Course:
    """A file's rows as they are told; without `constants` nothing is asked of its ends."""
    if len(steps.runs) > 1:
        return _Course(steps.runs, (), steps)
    if constants is None:
        return _without_end(given, steps, None)
    rows = steps.runs[0]
    told = answered(rows)[1]
    end = given.against(rows, told.offset_ms)
    course = _without_end(given, steps, end)
    if course.doubted or not told.sure(constants.undecided_below):
        return course
    if steps.odds <= STEP_MORE_LIKELY and not course.end_against:
        return _without(given.silent(rows, told.offset_ms), steps, len(given.units))
    unheard = _without_unheard(given, steps, told.offset_ms)
    return unheard or _without_other(given, steps, end, answered, constants) or course


def _without_end(given: Rows, steps: Steps, end: slice | None) -> _Course:
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
        return _Course(steps.runs, (), steps)
    ends = [slice(0, steps.at), slice(steps.at, rows)]
    doubted = 0 if steps.at < rows - steps.at else 1
    short = min(steps.at, rows - steps.at) <= NEGLIGIBLE * rows
    if short and steps.odds <= STEP_MUCH_MORE_LIKELY:
        rest = given.steps(ends[1 - doubted])
        if rest.odds <= STEP_MORE_LIKELY:
            return _Course(ends, (doubted,), rest)
    return _Course(steps.runs, (), steps, end is not None and not likelier)


def _without_other(
    given: Rows,
    steps: Steps,
    end: slice | None,
    answered: Callable[[slice], _Told],
    constants: Constants,
) -> _Course | None:
    """Rows of a file without an end, a third of all at the most, whose seconds agree on no lag: a
    question that is asked off screen, say. None where they do, or what is left does not have one
    lag by all that is asked of a file."""
    rows = len(given.units)
    first, last = 0, rows
    if steps.odds > STEP_MORE_LIKELY:
        first, last = (steps.at, rows) if steps.at < rows - steps.at else (0, steps.at)
    if end is not None:
        first, last = max(first, end.stop if end.start == 0 else 0), min(last, end.start or rows)
    kept, beside = slice(first, last), [slice(0, first), slice(last, rows)]
    if 3 * (rows - (last - first)) > rows or all(one.start < one.stop for one in beside):
        return None
    if any(given.agreement(one) > AGREE for one in beside if one.start < one.stop):
        return None
    # A shot at an end that says nothing may hide a step, and keeps the odds of one where they were.
    for silent in given.silent(kept, answered(kept)[1].offset_ms):
        first, last = (silent.stop, last) if silent.start == first else (first, silent.start)
    kept = slice(first, last)
    rest, told = given.steps(kept), answered(kept)[1]
    alone = len(rest.runs) == 1 and rest.odds <= STEP_MORE_LIKELY
    if not (alone and told.sure(constants.undecided_below)):
        return None
    if given.against(kept, told.offset_ms) is not None:
        return None
    return _without([slice(0, first), slice(last, rows)], rest, rows)


def _without_unheard(given: Rows, steps: Steps, told_ms: float) -> _Course | None:
    """Rows of a file of which one lag is told, without ends whose sound would lie beyond the file
    at that lag: they cannot speak for it, only, by chance, for others. None where what is next to
    them or the rest does not go with that lag, or such an end speaks clearly for another."""
    rows, heard = len(given.units), given.heard(told_ms)
    ends = [end for end in (slice(0, heard.start), slice(heard.stop, rows)) if end.start < end.stop]
    if not ends or 3 * (heard.stop - heard.start) < 2 * rows or steps.odds > STEP_MUCH_MORE_LIKELY:
        return None
    if not all(goes_with(given.votes, given.grid_ms, told_ms, given.anew, end) for end in ends):
        return None
    rest = given.steps(heard)
    if len(rest.runs) > 1 or rest.odds > STEP_MORE_LIKELY or given.against(heard, told_ms):
        return None
    return _without(ends, rest, rows)


def _without(ends: list[slice], steps: Steps, rows: int) -> _Course:
    """Rows of a file of which one lag is told, without ends that say nothing for it."""
    first = next((end.stop for end in ends if end.start == 0), 0)
    last = next((end.start for end in ends if end.start > 0), rows)
    runs = [slice(0, first), slice(first, last), slice(last, rows)]
    kept = [run for run in runs if run.start < run.stop]
    doubted = tuple(n for n, run in enumerate(kept) if run != slice(first, last))
    return _Course(kept, doubted, steps)


def _timed(
    found: list[tuple[slice, list[WindowResult], Answer]],
    units: list[WindowResult],
    drift: Drift | None,
) -> list[Part]:
    """The stretches with their times: each lasts until the next, unless nothing was judged long
    before that."""
    parts: list[Part] = []
    for number, (rows, mine, answer) in enumerate(found):
        start_s = units[rows.start].start_s if number else mine[0].start_s
        end_s = max(w.end_s for w in mine)
        if number + 1 < len(found):
            next_s = units[rows.stop].start_s
            end_s = next_s if next_s - end_s < UNJUDGED_S else end_s
        parts.append(Part(windows=mine, answer=answer, drift=drift, start_s=start_s, end_s=end_s))
    return parts


def _placed(
    parts: list[Part],
    found: list[tuple[slice, list[WindowResult], Answer]],
    given: Rows,
    has_gaps: bool,
) -> list[Part]:
    """The stretches without what lies between them and may belong to either, where that is long:
    while nobody speaks, or where nothing was read, a step leaves no trace. Where it is short and
    nothing was read in it, the step is told in its middle, no further off than need be."""
    share, least_s = (PLACED_APART, STEP_WITHIN_S) if has_gaps else (PLACED, UNPLACED_S)
    told, units = list(parts), given.units
    for number, ((one, _, first), (other, _, second)) in enumerate(pairwise(found)):
        rows, lags_ms = slice(one.start, other.stop), (first.offset_ms, second.offset_ms)
        low, high = given.place(rows, lags_ms, share)
        end_s, start_s = units[low - 1].end_s, units[high].start_s
        if start_s - end_s < least_s:
            if not has_gaps:
                continue
            end_s = start_s = (end_s + start_s) / 2
        told[number] = replace(told[number], end_s=end_s)
        told[number + 1] = replace(told[number + 1], start_s=start_s)
    return told


def _step_s(
    steps: Steps,
    found: list[tuple[slice, list[WindowResult], Answer]],
    units: list[WindowResult],
) -> float:
    """When the likeliest step is, among those that part the stretches if there are several."""
    row = steps.at
    if len(found) > 1:
        row = min((rows.start for rows, _, _ in found[1:]), key=lambda start: abs(start - row))
    return units[row].start_s


def _within_range(part: Part, reach_ms: float) -> list[Part]:
    """A drifting part, cut where its lag leaves the scanned range."""
    inside = [w for w in part.windows if abs(part.offset_at((w.start_s + w.end_s) / 2)) <= reach_ms]
    if not inside or len(inside) == len(part.windows):
        return [part]
    pieces: list[Part] = []
    before = [w for w in part.windows if w.end_s <= inside[0].start_s]
    after = [w for w in part.windows if w.start_s >= inside[-1].end_s]
    for group, beyond in ((before, True), (inside, False), (after, True)):
        if group:
            pieces.append(
                replace(
                    part,
                    windows=group,
                    start_s=group[0].start_s,
                    end_s=max(w.end_s for w in group),
                    beyond=beyond,
                )
            )
    return pieces
