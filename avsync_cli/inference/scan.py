"""Sliding the sound past the picture: every window of blocks judged at every offset.

A window is eight seconds of the file with all regions seen in it, or what lies between two cuts in
them: who listens in one shot would water down what the speaker's says in another. At each offset
the joint part of the model is run on every block, and all units (cells of blocks of regions)
compete in one softmax, so that the attention picks the speaker among faces as it picks the mouth
among cells. Where several regions are seen at once, each is also heard by itself, and one of them
is the speaker.

An offset o > 0 takes the sound from o ms later: the block starting at frame k is compared with
the sound features of the steps 4 k + o / 10 + 4 t, t = 0..24. The log-odds therefore peak at the
lag of the sound.

Near the ends of the file some offsets ask for sound that does not exist. Silence stands in for it,
but a block is heard at an offset only where at least 60 % of the sound is real; the share of a
window's blocks heard at each offset is kept as `WindowResult.support` for the verdict to weigh.
"""

from __future__ import annotations

import numpy as np

from avsync_cli.inference.blocks import SILENCE, Block, by_shot
from avsync_cli.inference.evidence import BlockTrace, SecondCurves, WindowResult
from avsync_cli.inference.sound import SoundStream
from avsync_cli.inference.traces import KEPT_OFFSETS, left_out
from avsync_cli.inference.window import JudgedWindow
from avsync_cli.model.engine import Engine
from avsync_cli.timebase import BLOCK_FRAMES, FPS, FRAME_MS, HOP_MS, HOPS_PER_FRAME

WINDOW_BLOCKS = 8
"""Blocks a window spans: long enough for the attention to choose, short enough for a segment."""

SILENT_DBFS = -55.0
"""A block is silent when not even its loudest 10 ms within reach of the scan exceed this."""

_BLOCK_HOPS = BLOCK_FRAMES * HOPS_PER_FRAME
WINDOW_FRAMES = WINDOW_BLOCKS * BLOCK_FRAMES
PROMISING = 3
"""Coarse offsets of a window, and of all windows so far, around which to look closer."""

KEPT_BY_SECOND = 401
"""Offsets at most at which every second's curve is kept, in steps as small as that allows: 10 ms
for a scan of +-2 s, and 9 MB for three hours of film."""


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
        self._anew: list[bool] = []
        self._shown: set[int] = set()
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
        for shot in by_shot(used):
            self._judge(shot)
        self.traces[known:] = sorted(self.traces[known:], key=lambda t: (t.first_frame, t.track))
        self._sound.drop_before(end * HOPS_PER_FRAME + int(self._shifts[0]) - _BLOCK_HOPS)

    def _audible(self, block: Block) -> bool:
        first = block.first_frame * HOPS_PER_FRAME
        power = self._sound.power(
            first + int(self._shifts[0]), first + _BLOCK_HOPS + int(self._shifts[-1])
        )
        return bool(power.max() >= 10.0 ** (SILENT_DBFS / 10.0))

    def _judge(self, blocks: list[Block]) -> None:
        window = JudgedWindow(self._engine, blocks, [self._slide(b) for b in blocks], self._coarse)
        if self._thorough:
            window.evaluate(np.arange(len(self._shifts)))
        else:
            window.evaluate(self._coarse)
            window.evaluate(self._promising(window.logits))
            window.interpolate()
        self._record(blocks, window.logits, window.heard)
        self._record_seconds(window, {b.track for b in blocks})
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

    def _record_seconds(self, window: JudgedWindow, shown: set[int]) -> None:
        """Keep what single seconds say, of a shot in which these tracks are shown."""
        anew, self._shown = not shown & self._shown, shown
        for start, curve in zip(window.second_starts, window.seconds, strict=True):
            if np.isfinite(curve[self._kept]).any():
                self._second_curves.append(curve[self._kept].astype(np.float16))
                self._second_starts.append(start / FPS)
                self._anew.append(anew)
                anew = False

    @property
    def seconds(self) -> SecondCurves | None:
        """What single seconds said, in order of time."""
        if not self._second_curves:
            return None
        return SecondCurves(
            start_s=np.array(self._second_starts),
            offsets_ms=self.offsets_ms[self._kept],
            logits=np.stack(self._second_curves),
            anew=np.array(self._anew),
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
