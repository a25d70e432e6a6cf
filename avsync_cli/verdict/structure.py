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
from avsync_cli.verdict.left_out import Told, course_of
from avsync_cli.verdict.posterior import Answer, Constants, group_answer, read_windows
from avsync_cli.verdict.rows import Rows, middles, rows_of
from avsync_cli.verdict.seconds import second_windows, windows_of
from avsync_cli.verdict.steps import PLACED, PLACED_APART, Steps
from avsync_cli.verdict.stretches import STEP_WITHIN_S, UNJUDGED_S, UNPLACED_S, Part


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

    def answered(rows: slice) -> Told:
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
    course = course_of(given, steps, answered, constants if asked else None)
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
    runs: list[slice], answered: Callable[[slice], Told], joined: bool
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
