"""Sliding the sound past the picture: every window of blocks judged at every offset.

A window is eight seconds of the file with all regions seen in it. At each offset the joint part of
the model is run on every block, and all units (cells of blocks of regions) compete in one softmax,
so that the attention picks the speaker among faces as it picks the mouth among cells.

An offset o > 0 takes the sound from o ms later: the block starting at frame k is compared with
the sound features of the steps 4 k + o / 10 + 4 t, t = 0..24. The log-odds therefore peak at the
lag of the sound.

Near the ends of the file some offsets ask for sound that does not exist. Silence stands in for it,
but a block is heard at an offset only where at least 60 % of the sound is real; the share of a
window's blocks heard at each offset is kept as `WindowResult.support` for the verdict to weigh.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avsync_cli.inference.blocks import SILENCE, Block
from avsync_cli.inference.engine import ABSENT, Engine
from avsync_cli.inference.evidence import BlockResult, Region, WindowResult
from avsync_cli.inference.sound import SoundStream
from avsync_cli.timebase import BLOCK_FRAMES, FPS, FRAME_MS, HOP_MS, HOPS_PER_FRAME

WINDOW_BLOCKS = 8
"""Blocks a window spans: long enough for the attention to choose, short enough for a segment."""

MIN_SOUND_SHARE = 0.6
"""Share of a block's sound that must exist at an offset for the block to be heard there."""

SILENT_DBFS = -55.0
"""A block is silent when not even its loudest 10 ms within reach of the scan exceed this."""

KEPT_OFFSETS = 101
"""Offsets, a frame apart, at which a block's attention is remembered until the file's offset is
known: +-2 s, and 20 MB for three hours of film."""

_BLOCK_HOPS = BLOCK_FRAMES * HOPS_PER_FRAME
_WINDOW_FRAMES = WINDOW_BLOCKS * BLOCK_FRAMES
_JOINT_BYTES = 96 << 20
_LIVE_LAYERS = 3


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


@dataclass(frozen=True)
class BlockTrace:
    """What is kept of a block until the file's offset is known.

    Attributes:
        first_frame: on the timeline.
        track: number of the region's track, for order.
        region: where the model looked.
        reason: why it was left out, or "".
        p_logit: log-odds of "in sync" of the block alone at offset 0; None where it has no sound.
        kept_ms: (K,) offsets at which the attention is remembered; empty when left out.
        confidence: (K,) float16 at these.
        cells: (K, M) uint8 weights within the block, 255 for the largest; None for M = 1.
    """

    first_frame: int
    track: int
    region: Region
    reason: str
    p_logit: float | None
    kept_ms: np.ndarray
    confidence: np.ndarray
    cells: np.ndarray | None


class WindowScanner:
    """Collects blocks, and judges a window as soon as nothing more can come to it.

    Args:
        engine: the model.
        sound: the file's sound; the scanner drops what no later window can want.
        offsets_ms: (O,) as of `offset_grid`.
    """

    def __init__(self, engine: Engine, sound: SoundStream, offsets_ms: np.ndarray) -> None:
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
        self._zero = zero
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
            end = (self._next_window + 1) * _WINDOW_FRAMES
            if end > complete_frame:
                return
            last = (end + BLOCK_FRAMES) * HOPS_PER_FRAME + int(self._shifts[-1])
            if last > self._sound.ready:
                return
            self._close(end)

    def finish(self) -> None:
        """Judge what is left; the sound must be finished."""
        while self._pending:
            self._close((self._next_window + 1) * _WINDOW_FRAMES)

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
                self.traces.append(_left_out(block, reason))
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
        config = self._engine.config
        count, offsets, cells = len(blocks), len(self._shifts), config.cells
        v = np.stack([b.features for b in blocks])
        sound = [self._slide(b) for b in blocks]
        heard = np.stack([share >= MIN_SOUND_SHARE for _, share in sound])  # (N, O)
        logits = np.full(offsets, np.nan, np.float32)
        levels = np.zeros((count, len(self._coarse)), np.float16)
        shares = np.zeros((count, len(self._coarse), cells), np.uint8)
        alone: np.ndarray | None = None
        at_a_time, pairs = self._portion(v.shape)
        for low in range(0, offsets, at_a_time):
            part = slice(low, min(low + at_a_time, offsets))
            a = np.stack([slid[part] for slid, _ in sound])  # (N, O', 25, C)
            rows = max(1, pairs // a.shape[1])
            joined = [
                self._engine.joint(v[n : n + rows], a[n : n + rows]) for n in range(0, count, rows)
            ]
            z, confidence, similarity = (
                x[0] if len(x) == 1 else np.concatenate(x) for x in zip(*joined, strict=True)
            )
            if part.start <= self._zero < part.stop:
                at = self._zero - low
                out, _ = self._engine.decide(z[:, at], confidence[:, at], similarity[:, at])
                alone = out[:, 1] - out[:, 0]
            mine = (self._coarse >= part.start) & (self._coarse < part.stop)
            levels[:, mine], shares[:, mine] = _within(confidence[:, self._coarse[mine] - low])
            confidence = np.where(heard[:, part, None], confidence, np.float32(ABSENT))
            some = np.flatnonzero(heard[:, part].any(axis=0))
            if len(some):
                units = (len(some), count * cells)
                out, _ = self._engine.decide(
                    z[:, some].swapaxes(0, 1).reshape(*units, -1),
                    confidence[:, some].swapaxes(0, 1).reshape(units),
                    similarity[:, some].swapaxes(0, 1).reshape(units),
                )
                logits[low + some] = out[:, 1] - out[:, 0]
        self._record(blocks, logits, heard)
        assert alone is not None
        keep = self._worth_keeping(logits)
        kept_ms = self.offsets_ms[self._coarse[keep]]
        for n, block in enumerate(blocks):
            self.traces.append(
                BlockTrace(
                    block.first_frame,
                    block.track,
                    block.region,
                    "",
                    float(alone[n]) if heard[n, self._zero] else None,
                    kept_ms,
                    levels[n, keep],
                    shares[n, keep] if cells > 1 else None,
                )
            )

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

    def _portion(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Offsets to join at a time, and (block, offset) pairs, for a bounded working set."""
        count, frames, channels, height, width = shape
        pair = frames * height * width * max(channels, self._engine.config.joint_width) * 4
        pairs = max(1, _JOINT_BYTES // (pair * _LIVE_LAYERS))
        return max(1, pairs // count), pairs

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
            WindowResult(first / FPS, end / FPS, logits, blocks_seen, support=support)
        )


def finish_blocks(
    traces: list[BlockTrace],
    offsets_ms: Sequence[float],
    calibration: dict[str, float],
    grid: int,
) -> list[BlockResult]:
    """Turn traces into the blocks of the report, once the file's offset is known.

    Args:
        traces: in order.
        offsets_ms: for every trace the offset at which its attention counts.
        calibration: `block_scale` and `block_bias` turn a block's own log-odds into `p_sync`.
        grid: side of the grid of cells.
    """
    scale, bias = calibration.get("block_scale", 1.0), calibration.get("block_bias", 0.0)
    used = np.array([not t.reason for t in traces], bool)
    at = [
        int(np.argmin(np.abs(t.kept_ms - offset))) if u else 0
        for t, u, offset in zip(traces, used, offsets_ms, strict=True)
    ]
    levels = np.array(
        [float(t.confidence[i]) if u else 0.0 for t, u, i in zip(traces, used, at, strict=True)]
    )
    weights = np.zeros(len(traces))
    if used.any():
        weights[used] = np.exp(levels[used] - levels[used].max())
        weights /= weights.sum()
    results = []
    for n, trace in enumerate(traces):
        cells = None
        if used[n] and trace.cells is not None:
            share = trace.cells[at[n]].astype(np.float32)
            cells = (share / share.sum()).reshape(grid, grid)
        logit = 0.0 if trace.p_logit is None else scale * trace.p_logit + bias
        results.append(
            BlockResult(
                trace.first_frame / FPS,
                (trace.first_frame + BLOCK_FRAMES) / FPS,
                trace.region,
                float(levels[n]),
                float(weights[n]),
                0.5 * (1.0 + math.tanh(logit / 2.0)),
                bool(used[n]),
                trace.reason,
                cells,
            )
        )
    return results


def _left_out(block: Block, reason: str) -> BlockTrace:
    return BlockTrace(
        block.first_frame,
        block.track,
        block.region,
        reason,
        None,
        np.zeros(0, np.int64),
        np.zeros(0, np.float16),
        None,
    )


def _within(confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Confidences (..., M) of cells to the block's own (...), their log-mean-exp, and to uint8
    weights (..., M) within the block."""
    top = confidence.max(axis=-1, keepdims=True)
    share = np.exp(confidence - top)
    level = np.log(share.mean(axis=-1)) + top[..., 0]
    return np.clip(level, -6e4, 6e4), np.rint(share * 255.0).astype(np.uint8)
