"""Sliding the sound past the picture: every window of blocks judged at every offset.

A window is eight seconds of the file with all regions seen in it. At each offset the joint part of
the model is run on every block, and all units (cells of blocks of regions) compete in one softmax,
so that the attention picks the speaker among faces as it picks the mouth among cells. Where
several regions are seen at once, each is also heard by itself, and one of them is the speaker.

An offset o > 0 takes the sound from o ms later: the block starting at frame k is compared with
the sound features of the steps 4 k + o / 10 + 4 t, t = 0..24. The log-odds therefore peak at the
lag of the sound.

Near the ends of the file some offsets ask for sound that does not exist. Silence stands in for it,
but a block is heard at an offset only where at least 60 % of the sound is real; the share of a
window's blocks heard at each offset is kept as `WindowResult.support` for the verdict to weigh.
"""

from __future__ import annotations

import numpy as np

from avsync_cli.inference.blocks import SILENCE, Block
from avsync_cli.inference.evidence import BlockTrace, SecondCurves, WindowResult
from avsync_cli.inference.sound import SoundStream
from avsync_cli.inference.traces import KEPT_OFFSETS, left_out, within_block
from avsync_cli.model.engine import ABSENT, Engine
from avsync_cli.timebase import BLOCK_FRAMES, FPS, FRAME_MS, HOP_MS, HOPS_PER_FRAME

WINDOW_BLOCKS = 8
"""Blocks a window spans: long enough for the attention to choose, short enough for a segment."""

MIN_SOUND_SHARE = 0.6
"""Share of a block's sound that must exist at an offset for the block to be heard there."""

SILENT_DBFS = -55.0
"""A block is silent when not even its loudest 10 ms within reach of the scan exceed this."""

_BLOCK_HOPS = BLOCK_FRAMES * HOPS_PER_FRAME
WINDOW_FRAMES = WINDOW_BLOCKS * BLOCK_FRAMES
PROMISING = 3
"""Coarse offsets of a window, and of all windows so far, around which to look closer."""

_PAIR_BLOCKS, _PAIR_OFFSETS = 2, 8
"""Blocks and offsets given to the joint layers at a time: their largest layer then is 3 MB and
stays near the processor, which is a quarter faster than a large batch."""

KEPT_BY_SECOND = 401
"""Offsets at most at which every second's curve is kept, in steps as small as that allows: 10 ms
for a scan of +-2 s, and 9 MB for three hours of film."""

_OFFSETS_AT_ONCE = 64
"""Offsets whose outcome is held at a time; a quarter of a megabyte for a block."""


def offset_grid(range_ms: float, step_ms: int) -> np.ndarray:
    """(O,) int64 offsets -n step .. n step with n step <= range, so that 0 is always there.

    Raises:
        ValueError: the step is no multiple of 10 ms, or the range is less than one step.
    """
    if step_ms <= 0 or step_ms % HOP_MS:
        raise ValueError(f"the step must be a multiple of {HOP_MS} ms, not {step_ms}")
    steps = int(range_ms // step_ms)
    if steps < 1:
        raise ValueError(f"the range must be at least one step of {step_ms} ms")
    return np.arange(-steps, steps + 1, dtype=np.int64) * step_ms


class WindowScanner:
    """Collects blocks, and judges a window as soon as nothing more can come to it.

    Args:
        engine: the model.
        sound: the file's sound; the scanner drops what no later window can want.
        offsets_ms: (O,) as of `offset_grid`.
        thorough: judge every offset; else every fourth, 40 ms apart, then those around the best,
            and interpolate the rest: a third of the work.
    """

    def __init__(
        self,
        engine: Engine,
        sound: SoundStream,
        offsets_ms: np.ndarray,
        thorough: bool = True,
    ) -> None:
        self.windows: list[WindowResult] = []
        self.traces: list[BlockTrace] = []
        self.offsets_ms = offsets_ms
        every = max(1, FRAME_MS // int(offsets_ms[1] - offsets_ms[0]))
        zero = int(np.argmin(np.abs(offsets_ms)))
        self._coarse = np.arange(zero % every, len(offsets_ms), every)
        self.judged_frames = 0
        self._engine = engine
        self._sound = sound
        self._shifts = offsets_ms // HOP_MS
        self._thorough = thorough or every == 1
        self._votes = np.zeros(len(self._coarse))
        self._kept = np.arange(0, len(offsets_ms), -(-len(offsets_ms) // KEPT_BY_SECOND))
        self._second_curves: list[np.ndarray] = []
        self._second_starts: list[float] = []
        self._pending: list[Block] = []
        self._next_window = 0
        self._judged_to = 0

    def add(self, blocks: list[Block]) -> None:
        """Take blocks; they may come in any order within what `advance` has not closed."""
        self._pending.extend(blocks)

    def advance(self, complete_frame: int) -> None:
        """Judge all windows whose blocks are complete and whose sound is known.

        Args:
            complete_frame: every block that starts before it has been added.
        """
        while True:
            end = (self._next_window + 1) * WINDOW_FRAMES
            if end > complete_frame:
                return
            last = (end + BLOCK_FRAMES) * HOPS_PER_FRAME + int(self._shifts[-1])
            if last > self._sound.ready:
                return
            self._close(end)

    def finish(self) -> None:
        """Judge what is left; the sound must be finished."""
        while self._pending:
            self._close((self._next_window + 1) * WINDOW_FRAMES)

    def _close(self, end: int) -> None:
        blocks = [b for b in self._pending if b.first_frame < end]
        self._pending = [b for b in self._pending if b.first_frame >= end]
        self._next_window += 1
        blocks.sort(key=lambda b: (b.first_frame, b.track))
        used: list[Block] = []
        known = len(self.traces)
        for block in blocks:
            reason = block.reason or ("" if self._audible(block) else SILENCE)
            if reason:
                self.traces.append(left_out(block, reason))
            else:
                used.append(block)
        if used:
            self._judge(used)
        self.traces[known:] = sorted(self.traces[known:], key=lambda t: (t.first_frame, t.track))
        self._sound.drop_before(end * HOPS_PER_FRAME + int(self._shifts[0]) - _BLOCK_HOPS)

    def _audible(self, block: Block) -> bool:
        first = block.first_frame * HOPS_PER_FRAME
        power = self._sound.power(
            first + int(self._shifts[0]), first + _BLOCK_HOPS + int(self._shifts[-1])
        )
        return bool(power.max() >= 10.0 ** (SILENT_DBFS / 10.0))

    def _judge(self, blocks: list[Block]) -> None:
        window = _Window(self._engine, blocks, [self._slide(b) for b in blocks], self._coarse)
        if self._thorough:
            window.evaluate(np.arange(len(self._shifts)))
        else:
            window.evaluate(self._coarse)
            window.evaluate(self._promising(window.logits))
            window.interpolate()
        self._record(blocks, window.logits, window.heard)
        self._record_seconds(window)
        keep = self._worth_keeping(window.logits)
        kept_ms = self.offsets_ms[self._coarse[keep]]
        cells = self._engine.config.cells > 1
        for n, block in enumerate(blocks):
            self.traces.append(
                BlockTrace(
                    first_frame=block.first_frame,
                    track=block.track,
                    region=block.region,
                    reason="",
                    kept_ms=kept_ms,
                    logits=window.singles[n, keep].astype(np.float16),
                    confidence=window.levels[n, keep],
                    cells=window.shares[n, keep] if cells else None,
                )
            )

    def _promising(self, logits: np.ndarray) -> np.ndarray:
        """Offsets not judged yet around the window's best coarse ones and those of the windows
        before it: where a peak may be hiding between two coarse steps."""
        coarse = np.nan_to_num(logits[self._coarse], nan=-np.inf)
        if not np.isfinite(coarse).any():
            return np.zeros(0, np.int64)
        vote = np.exp(np.minimum(coarse - coarse.max(), 0.0))
        vote /= vote.sum()
        self._votes += np.log(vote + 0.05 / len(vote))
        near = np.zeros(len(logits), bool)
        reach = int(self._coarse[1] - self._coarse[0]) if len(self._coarse) > 1 else 1
        for ranking in (coarse, self._votes):
            for best in self._coarse[np.argsort(-ranking, kind="stable")[:PROMISING]]:
                near[max(0, best - reach) : best + reach + 1] = True
        near[self._coarse] = False
        return np.flatnonzero(near)

    def _worth_keeping(self, logits: np.ndarray) -> np.ndarray:
        """Which of the coarse offsets to remember attention at: the likeliest, so that memory
        does not grow with the range of the scan."""
        if len(self._coarse) <= KEPT_OFFSETS:
            return np.arange(len(self._coarse))
        likely = np.nan_to_num(logits[self._coarse], nan=-np.inf)
        return np.sort(np.argsort(-likely, kind="stable")[:KEPT_OFFSETS])

    def _slide(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """(O, 25, C) view of the sound features at every offset, and (O,) share of real sound."""
        first = block.first_frame * HOPS_PER_FRAME + int(self._shifts[0])
        end = block.first_frame * HOPS_PER_FRAME + _BLOCK_HOPS + int(self._shifts[-1])
        features = self._sound.features(first, end)
        windows = np.lib.stride_tricks.sliding_window_view(features, _BLOCK_HOPS, axis=0)
        step = int(self._shifts[1] - self._shifts[0])
        slid = windows[::step].swapaxes(1, 2)[:, ::HOPS_PER_FRAME]
        known = np.concatenate([[0], np.cumsum(self._sound.valid(first, end))])
        at = self._shifts - self._shifts[0]
        return slid, (known[at + _BLOCK_HOPS] - known[at]) / _BLOCK_HOPS

    def _record_seconds(self, window: _Window) -> None:
        """Keep what single seconds say."""
        for start, curve in zip(window.second_starts, window.seconds, strict=True):
            if np.isfinite(curve[self._kept]).any():
                self._second_curves.append(curve[self._kept].astype(np.float16))
                self._second_starts.append(start / FPS)

    @property
    def seconds(self) -> SecondCurves | None:
        """What single seconds said, in order of time."""
        if not self._second_curves:
            return None
        return SecondCurves(
            start_s=np.array(self._second_starts),
            offsets_ms=self.offsets_ms[self._kept],
            logits=np.stack(self._second_curves),
        )

    def _record(self, blocks: list[Block], logits: np.ndarray, heard: np.ndarray) -> None:
        known = np.isfinite(logits)
        first = min(b.first_frame for b in blocks)
        end = max(b.first_frame for b in blocks) + BLOCK_FRAMES
        seen = np.zeros(end - first, bool)
        for block in blocks:
            seen[block.first_frame - first : block.first_frame - first + BLOCK_FRAMES] = True
        frames = int(seen.sum())
        self.judged_frames += int(seen[max(0, self._judged_to - first) :].sum())
        self._judged_to = max(self._judged_to, end)
        if not known.any():
            return
        # Where nothing was heard the curve says nothing: its own middle, neither for nor against.
        logits = np.where(known, logits, np.median(logits[known])).astype(np.float32)
        support = heard.mean(axis=0, dtype=np.float64).astype(np.float32)
        blocks_seen = frames / BLOCK_FRAMES
        self.windows.append(
            WindowResult(
                start_s=first / FPS,
                end_s=end / FPS,
                logits=logits,
                blocks=blocks_seen,
                support=support,
            )
        )


class _Window:
    """The blocks of a window, judged at some offsets after others.

    Attributes:
        logits: (O,) log-odds, not a number where not judged, or where nothing is heard.
        heard: (N, O) bool, whether enough of a block's sound exists.
        levels, shares: attention at the coarse offsets, as in `BlockTrace`.
        singles: (N, K) log-odds of every block by itself at the coarse offsets; not a number where
            it is not heard.
        second_starts: (S,) first frames of the seconds that the blocks lie in, rising.
        seconds: (S, O) log-odds of each of these seconds by itself, all its regions competing; not
            a number where `logits` is none.
    """

    def __init__(
        self,
        engine: Engine,
        blocks: list[Block],
        sound: list[tuple[np.ndarray, np.ndarray]],
        coarse: np.ndarray,
    ) -> None:
        self._engine = engine
        self._v = np.stack([b.features for b in blocks])
        self._sound = [slid for slid, _ in sound]
        self._coarse = coarse
        self._cells = engine.config.cells
        self._judged = np.zeros(len(sound[0][1]), bool)
        self.heard = np.stack([share >= MIN_SOUND_SHARE for _, share in sound])
        self.logits = np.full(len(self._judged), np.nan, np.float32)
        self.levels = np.zeros((len(blocks), len(coarse)), np.float16)
        self.shares = np.zeros((len(blocks), len(coarse), self._cells), np.uint8)
        self.singles = np.full((len(blocks), len(coarse)), np.nan, np.float32)
        first = np.array([b.first_frame for b in blocks])
        seconds = [
            np.flatnonzero(first // BLOCK_FRAMES == second)
            for second in np.unique(first // BLOCK_FRAMES)
        ]
        self.second_starts = [int(first[rows].min()) for rows in seconds]
        self.seconds = np.full((len(seconds), len(self._judged)), np.nan, np.float32)
        self._rivals = [_rivals(blocks, rows) for rows in (np.arange(len(blocks)), *seconds)]

    def evaluate(self, offsets: np.ndarray) -> None:
        """Judge at the given indices of offsets, a bounded number at a time."""
        for low in range(0, len(offsets), _OFFSETS_AT_ONCE):
            part = offsets[low : low + _OFFSETS_AT_ONCE]
            z, confidence, similarity = self._joint(part)
            _, columns, rows = np.intersect1d(self._coarse, part, return_indices=True)
            levels, shares = within_block(confidence[:, rows])
            self.levels[:, columns], self.shares[:, columns] = levels, shares
            heard = self.heard[:, part]
            confidence = np.where(heard[..., None], confidence, np.float32(ABSENT))
            for curve, rivals in zip((self.logits, *self.seconds), self._rivals, strict=True):
                said = [self._together(own, part, (z, confidence, similarity)) for own in rivals]
                curve[part] = _any_of(np.stack(said))
            self._alone(columns, part[rows], [x[:, rows] for x in (z, confidence, similarity)])
        self._judged[offsets] = True

    def _alone(self, columns: np.ndarray, part: np.ndarray, joint: list[np.ndarray]) -> None:
        """Put into `singles` what every block says by itself, at those offsets that are coarse."""
        if not len(columns):
            return
        units = (len(self.heard) * len(columns),)
        z, confidence, similarity = (x.reshape(*units, *x.shape[2:]) for x in joint)
        said = self._decide(z, confidence, similarity).reshape(len(self.heard), -1)
        self.singles[:, columns] = np.where(self.heard[:, part], said, np.nan)

    def _together(
        self,
        rows: np.ndarray,
        part: np.ndarray,
        joint: tuple[np.ndarray, np.ndarray, np.ndarray],
    ) -> np.ndarray:
        """What some blocks say at some offsets when all their units compete in one softmax."""
        said = np.full(len(part), np.nan, np.float32)
        some = np.flatnonzero(self.heard[rows][:, part].any(axis=0))
        if len(some):
            z, confidence, similarity = (x[rows][:, some].swapaxes(0, 1) for x in joint)
            units = (len(some), len(rows) * self._cells)
            said[some] = self._decide(
                z.reshape(*units, -1), confidence.reshape(units), similarity.reshape(units)
            )
        return said

    def interpolate(self) -> None:
        """Fill in the offsets between those judged."""
        for rivals, curve in zip(self._rivals, (self.logits, *self.seconds), strict=True):
            own = rivals[0]
            known = np.flatnonzero(self._judged & np.isfinite(curve))
            if len(known):
                between = np.flatnonzero(~self._judged & self.heard[own].any(axis=0))
                curve[between] = np.interp(between, known, curve[known])

    def _joint(self, part: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """z (N, O', M, D), confidence and similarity (N, O', M) of all blocks at some offsets."""
        rows = []
        for n in range(0, len(self._v), _PAIR_BLOCKS):
            v = self._v[n : n + _PAIR_BLOCKS]
            columns = []
            for o in range(0, len(part), _PAIR_OFFSETS):
                at = part[o : o + _PAIR_OFFSETS]
                a = np.stack([slid[at] for slid in self._sound[n : n + _PAIR_BLOCKS]])
                columns.append(self._engine.joint(v, a))
            rows.append([np.concatenate(x, axis=1) for x in zip(*columns, strict=True)])
        z, confidence, similarity = (np.concatenate(x) for x in zip(*rows, strict=True))
        return z, confidence, similarity

    def _decide(self, z: np.ndarray, confidence: np.ndarray, similarity: np.ndarray) -> np.ndarray:
        logits, _ = self._engine.decide(z, confidence, similarity)
        difference: np.ndarray = logits[:, 1] - logits[:, 0]
        return difference


def _rivals(blocks: list[Block], rows: np.ndarray) -> list[np.ndarray]:
    """Who may be the speaker, as rows of blocks: whoever the attention picks among all of them,
    or one region alone, with those that were in the picture before and after it.

    Mouths that move to words nobody hears draw the attention as the speaker's does: of four talkers
    of whom one was heard it found none, and each of them alone was found.
    """
    lanes: list[list[int]] = []
    tracks: dict[int, list[int]] = {}
    for row in rows:
        tracks.setdefault(blocks[row].track, []).append(int(row))
    for own in sorted(tracks.values(), key=lambda own: blocks[own[0]].first_frame):
        begin = blocks[own[0]].first_frame
        free = (n for n in lanes if blocks[n[-1]].first_frame + BLOCK_FRAMES <= begin)
        lane = next(free, None)
        if lane is None:
            lanes.append(own)
        else:
            lane += own
    return [rows] if len(lanes) < 2 else [rows, *map(np.array, lanes)]


def _any_of(logits: np.ndarray) -> np.ndarray:
    """Log-odds (R, O) of rivals to those of one of them, each as likely beforehand; (O,)."""
    heard = np.isfinite(logits)
    top = np.max(logits, axis=0, initial=-np.inf, where=heard)
    share = np.where(heard, np.exp(np.where(heard, logits - top, 0.0)), 0.0).sum(axis=0)
    count = np.maximum(heard.sum(axis=0), 1)
    said = np.where(heard.any(axis=0), top + np.log(np.maximum(share, 1e-30) / count), np.nan)
    return said.astype(np.float32)
