"""A window of blocks, judged at one offset after another: see `scan`."""

from __future__ import annotations

import numpy as np

from avsync_cli.inference.blocks import Block
from avsync_cli.inference.traces import within_block
from avsync_cli.model.engine import ABSENT, Engine, SideBySide
from avsync_cli.timebase import BLOCK_FRAMES

MIN_SOUND_SHARE = 0.6
"""Share of a block's sound that must exist at an offset for the block to be heard there."""

_PAIR_BLOCKS, _PAIR_OFFSETS = 2, 8
"""Blocks and offsets given to the joint layers at a time: their largest layer then is 3 MB and
stays near the processor, which is a quarter faster than a large batch."""

_OFFSETS_AT_ONCE = 64
"""Offsets whose outcome is held at a time; a quarter of a megabyte for a block."""


class JudgedWindow:
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
            levels, shares = within_block(confidence[rows].swapaxes(0, 1))
            self.levels[:, columns], self.shares[:, columns] = levels, shares
            confidence[~self.heard[:, part].T] = ABSENT
            for curve, rivals in zip((self.logits, *self.seconds), self._rivals, strict=True):
                said = [self._together(own, part, (z, confidence, similarity)) for own in rivals]
                curve[part] = _any_of(np.stack(said))
            self._alone(columns, part[rows], [x[rows] for x in (z, confidence, similarity)])
        self._judged[offsets] = True

    def _alone(self, columns: np.ndarray, part: np.ndarray, joint: list[np.ndarray]) -> None:
        """Put into `singles` what every block says by itself, at those offsets that are coarse."""
        if not len(columns):
            return
        z, confidence, similarity = (x.reshape(-1, *x.shape[2:]) for x in joint)
        said = self._decide(z, confidence, similarity).reshape(len(columns), -1).T
        self.singles[:, columns] = np.where(self.heard[:, part], said, np.nan)

    def _together(
        self,
        rows: np.ndarray,
        part: np.ndarray,
        joint: tuple[np.ndarray, np.ndarray, np.ndarray],
    ) -> np.ndarray:
        """What some blocks say at some offsets when all their units compete in one softmax."""
        z, confidence, similarity = (x if len(rows) == x.shape[1] else x[:, rows] for x in joint)
        units = (len(part), len(rows) * self._cells)
        said = self._decide(
            z.reshape(*units, -1), confidence.reshape(units), similarity.reshape(units)
        )
        return np.where(self.heard[np.ix_(rows, part)].any(axis=0), said, np.float32(np.nan))

    def interpolate(self) -> None:
        """Fill in the offsets between those judged."""
        for rivals, curve in zip(self._rivals, (self.logits, *self.seconds), strict=True):
            own = rivals[0]
            known = np.flatnonzero(self._judged & np.isfinite(curve))
            if len(known):
                between = np.flatnonzero(~self._judged & self.heard[own].any(axis=0))
                curve[between] = np.interp(between, known, curve[known])

    def _joint(self, part: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """z (O', N, M, D), confidence and similarity (O', N, M) of all blocks at some offsets."""
        engine, blocks = self._engine, len(self._v)
        tiles = [
            (slice(o, o + _PAIR_OFFSETS), slice(n, n + _PAIR_BLOCKS))
            for n in range(0, blocks, _PAIR_BLOCKS)
            for o in range(0, len(part), _PAIR_OFFSETS)
        ]
        z = np.empty((len(part), blocks, self._cells, engine.config.joint_width), np.float32)
        confidence, similarity = np.empty((2, *z.shape[:3]), np.float32)

        def joint(tile: tuple[slice, slice]) -> None:
            offsets, rows = tile
            sound = np.stack([slid[part[offsets]] for slid in self._sound[rows]])
            said = engine.joint(self._v[rows], sound)
            for whole, found in zip((z, confidence, similarity), said, strict=True):
                whole[tile] = found.swapaxes(0, 1)

        each = engine.each if isinstance(engine, SideBySide) else map
        list(each(joint, tiles))
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
