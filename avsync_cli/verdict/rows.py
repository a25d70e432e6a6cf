"""The rows that tell when a file's lag changes, seconds if these are known, and what is asked of
some of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from avsync_cli.inference.evidence import SecondCurves, WindowResult
from avsync_cli.verdict.agreement import log_sum
from avsync_cli.verdict.courses import Chain
from avsync_cli.verdict.drift import Drift, without_drift
from avsync_cli.verdict.ends import OTHER_MS, end_against, silent_ends
from avsync_cli.verdict.posterior import Constants
from avsync_cli.verdict.seconds import fair_votes, for_seconds, second_windows
from avsync_cli.verdict.steps import WOBBLE_MS, Steps, chain_of, find_steps, place, wobbling
from avsync_cli.verdict.stretches import UNVOUCHED_S


@dataclass(frozen=True)
class Rows:
    """What tells when the lag changes.

    Attributes:
        units: seconds, or windows where no seconds are known.
        votes: (T, O) fair votes, less what a drift adds to the lag.
        grid_ms: (O,) lags.
        apart_s: (T - 1,) from each row to the next, of a file of which only parts were read.
        anew: (T,) whether a row shows another shot than the one before; None if not known.
    """

    units: list[WindowResult]
    votes: np.ndarray
    grid_ms: np.ndarray
    apart_s: np.ndarray | None
    anew: np.ndarray | None

    def steps(self, rows: slice) -> Steps:
        """What is known of steps between some of the rows."""
        return find_steps(self.votes[rows], *self._between(rows))

    def place(self, rows: slice, lags_ms: tuple[float, float], share: float) -> tuple[int, int]:
        """The first and the last of some rows that may be the first after a step from one known
        lag to another."""
        around = self._wobbling(rows)
        columns = [int(np.argmin(np.abs(self.grid_ms - ms))) for ms in lags_ms]
        before, after = (around[:, column] + math.log(len(self.grid_ms)) for column in columns)
        apart_s = np.maximum(np.diff(middles(self.units[rows])), 1e-3)
        first, last = place(self._chain(rows), before, after, apart_s, share)
        return rows.start + first, rows.start + last

    def unseen(self, rows: slice, lag_ms: float) -> list[slice]:
        """Rows among some with one known lag in which, for `UNVOUCHED_S` and more, nothing is seen
        that goes with the sound at that lag or near it."""
        near = np.abs(self.grid_ms - lag_ms) <= OTHER_MS
        votes = np.log(np.exp(self.votes[rows][:, near]).sum(axis=1)) - math.log(near.mean())
        unseen = self._chain(rows).unseen(votes)
        away = np.r_[False, unseen > 0.5, False]
        turns = rows.start + np.flatnonzero(away[1:] != away[:-1])
        runs = (slice(int(low), int(high)) for low, high in turns.reshape(-1, 2))
        return [
            r for r in runs if self.units[r][-1].end_s - self.units[r][0].start_s >= UNVOUCHED_S
        ]

    def _wobbling(self, rows: slice) -> np.ndarray:
        """Votes of some rows for the lag of a stretch, which theirs lie around."""
        return wobbling(self.votes[rows], round(WOBBLE_MS / float(np.diff(self.grid_ms[:2])[0])))

    def _chain(self, rows: slice) -> Chain:
        """The courses that a lag may take in some rows."""
        step_ms, row_s, gaps_s, anew = self._between(rows)
        return chain_of(self.votes[rows].shape, step_ms, row_s, gaps_s, anew)

    def _between(self, rows: slice) -> tuple[float, float, np.ndarray | None, np.ndarray | None]:
        """A step of the lags, how long a row lasts, and what lies between rows."""
        gaps_s = None if self.apart_s is None else self.apart_s[rows.start : rows.stop - 1]
        row_s = float(np.median([u.end_s - u.start_s for u in self.units]))
        anew = None if self.anew is None else self.anew[rows][1:]
        return float(self.grid_ms[1] - self.grid_ms[0]), row_s, gaps_s, anew

    def against(self, rows: slice, told_ms: float) -> slice | None:
        """The end of some of the rows that does not go with the lag that would be told of them."""
        anew = None if self.anew is None else self.anew[rows]
        return end_against(self.votes[rows], self.grid_ms, told_ms, anew)

    def agreement(self, rows: slice) -> float:
        """How much likelier (natural logarithm) it makes some rows that they have one lag, be it
        any, than that each points anywhere."""
        along = self._wobbling(rows).sum(axis=0) + (rows.stop - rows.start - 1) * math.log(
            len(self.grid_ms)
        )
        return log_sum(along)

    def silent(self, rows: slice, told_ms: float) -> list[slice]:
        """The ends of some of the rows that do not speak for the lag that is told of them."""
        anew = None if self.anew is None else self.anew[rows]
        ends = silent_ends(self.votes[rows], self.grid_ms, told_ms, anew)
        return [slice(rows.start + end.start, rows.start + end.stop) for end in ends]

    def heard(self, lag_ms: float) -> slice:
        """The rows from the first to the last whose sound, at a lag, lies within the file: of the
        others `fair_votes` says nothing at all of it, wherever a drift has moved it."""
        column = int(np.argmin(np.abs(self.grid_ms - lag_ms)))
        nothing = -math.log(len(self.grid_ms))
        there = np.flatnonzero(np.abs(self.votes[:, column] - nothing) > 1e-9)
        return slice(int(there[0]), int(there[-1]) + 1) if len(there) else slice(0, 0)


def rows_of(
    windows: list[WindowResult],
    seconds: SecondCurves | None,
    offsets: np.ndarray,
    constants: Constants,
    drift: Drift | None,
    has_gaps: bool,
) -> Rows:
    """What tells when a file's lag changes.

    Args:
        windows: those to read, in order of time.
        seconds: told apart by these, where they are known.
        offsets: (O,) ms, the scan's.
        constants: of the model.
        drift: what is taken out of the lag; None for a file without one.
        has_gaps: whether only parts of the file were read.
    """
    units = windows if seconds is None else second_windows(seconds, seconds.offsets_ms)
    grid = offsets if seconds is None else seconds.offsets_ms.astype(np.float64)
    fine = constants if seconds is None else for_seconds(constants)
    apart_s, anew = None, None if seconds is None else seconds.anew
    if has_gaps:
        row_s = float(np.median([u.end_s - u.start_s for u in units]))
        apart_s = np.maximum(np.diff(middles(units)), row_s)
        # What lies between two parts is more than a cut.
        anew = None if anew is None else anew & np.r_[False, apart_s < 2 * row_s]
    return Rows(units, _level_votes(units, grid, fine, drift), grid, apart_s, anew)


def _level_votes(
    units: list[WindowResult], grid: np.ndarray, constants: Constants, drift: Drift | None
) -> np.ndarray:
    """(T, O) fair votes, less what a drift adds to the lag."""
    votes = fair_votes(units, constants)
    if drift is None:
        return votes
    nothing = np.full(len(units), -math.log(len(grid)))
    return without_drift(votes, grid, middles(units), drift, nothing)


def middles(windows: list[WindowResult]) -> np.ndarray:
    """(T,) s, the middle of each window."""
    return np.array([(w.start_s + w.end_s) / 2 for w in windows])
