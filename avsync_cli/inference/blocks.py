"""From region tracks to blocks: 25 frames of one region, encoded, and fit to be judged or not.

Blocks lie on the file's absolute grid (block b is the frames 25 b .. 25 b + 24), so that regions
seen at the same time are cut alike and compete as equals. A region that covers 20 of the 25 frames
is held still for the missing ones. Where the grid would waste the start or the end of a track, a
block aligned to that end is added; it may overlap its neighbour, and only the time that is new
counts as evidence (see `scan`).

The visual encoder is run over stretches of four blocks, since every run uses up r frames of
context on either side; the context is the track's own picture where there is one. What stands still
or is no picture is not encoded, since nothing judges it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from avsync_cli.inference.evidence import Region, TrackPath
from avsync_cli.model.engine import Engine
from avsync_cli.model.features import centre_crop, edge_pad
from avsync_cli.regions.crops import seen_boxes
from avsync_cli.timebase import BLOCK_FRAMES

if TYPE_CHECKING:
    from avsync_cli.regions.stream import RegionPiece

MIN_VALID_FRAMES = 20
"""Frames of a block that must show the region: four fifths, so that at most 200 ms are held."""

MIN_NEW_FRAMES = 8
"""Frames a grid block must lack for an overlapping one to be worth its cost (a third)."""

PIECE_FRAMES = 4 * BLOCK_FRAMES
"""Frames encoded at a time; with r = 4 the context then costs 8 %, instead of 32 % by block."""

STILL_LEVELS = 1.0
"""A picture in which no 8x8 px patch changes by more than this many grey levels between any two
frames (mean over the patch) is a still: noise of the mildest camera moves more."""

_PATCH_PX = 8

NO_PICTURE = "no picture"
FROZEN = "frozen picture"
SILENCE = "silence"


@dataclass(frozen=True)
class Block:
    """One block of one region.

    Attributes:
        first_frame: on the timeline.
        track: number of the region's track among all tracks, faces and frames alike.
        region: as the report shows it.
        features: (25, C, h, w) float32.
        reason: why it cannot be judged by its picture, or "".
    """

    first_frame: int
    track: int
    region: Region
    features: np.ndarray
    reason: str


def by_shot(blocks: Sequence[Block]) -> list[list[Block]]:
    """Blocks in order of time, in groups of which none shows anything of another.

    Tracks that are seen at the same time belong together; by as much as a picture may be held at an
    end and a beginning, the blocks of two shots may overlap.
    """
    spans: dict[int, tuple[int, int]] = {}
    for block in blocks:
        first, _ = spans.get(block.track, (block.first_frame, 0))
        spans[block.track] = first, block.first_frame + BLOCK_FRAMES
    shots: list[list[Block]] = []
    shot_of: dict[int, list[Block]] = {}
    end = 0
    for track, span in sorted(spans.items(), key=lambda item: item[1]):
        if not shots or span[0] >= end - 2 * (BLOCK_FRAMES - MIN_VALID_FRAMES):
            shots.append([])
        shot_of[track], end = shots[-1], max(end, span[1])
    for block in blocks:
        shot_of[block.track].append(block)
    return shots


class BlockBuilder:
    """Turns region pieces, in the order a region stream gives them, into blocks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tracks: dict[int, _Track] = {}
        self._faces: dict[int, int] = {}
        self._boxes: dict[int, list[np.ndarray]] = {}
        self._first: dict[int, int] = {}

    @property
    def paths(self) -> dict[int, TrackPath]:
        """Where every face was so far, by its number."""
        return {n: TrackPath(self._first[n], np.concatenate(b)) for n, b in self._boxes.items()}

    @property
    def delay_frames(self) -> int:
        """Once all pieces up to frame f have been pushed, every block that starts and ends before
        f - `delay_frames` has been given."""
        return PIECE_FRAMES + self._engine.config.visual_context

    def push(self, piece: RegionPiece) -> list[Block]:
        """Take the next piece of a track; returns the blocks it completed, in order of time.

        Raises:
            ValueError: the piece does not continue its track.
        """
        track = self._tracks.get(piece.track)
        if track is None:
            number = None
            if piece.kind == "face":
                number = self._faces.setdefault(piece.track, len(self._faces))
            track = _Track(self._engine, piece.kind, piece.track, number, piece.first_frame)
            self._tracks[piece.track] = track
        if piece.kind == "face" and len(piece.boxes):
            number = self._faces[piece.track]
            self._first.setdefault(number, piece.first_frame)
            shares = np.rint(np.clip(piece.boxes, 0.0, 1.0) * 65535.0).astype(np.uint16)
            self._boxes.setdefault(number, []).append(shares)
        blocks = list(track.push(piece))
        if piece.last:
            del self._tracks[piece.track]
        return blocks


class _Track:
    """One region while it lasts.

    Frame numbers here are the timeline's; `start` may lie before the first frame shown, where a
    block was completed by holding the picture.
    """

    def __init__(
        self,
        engine: Engine,
        kind: Literal["face", "frame"],
        track: int,
        number: int | None,
        first: int,
    ) -> None:
        self._engine = engine
        self._kind = kind
        self._track = track
        self._number = number
        self._context = engine.config.visual_context
        into = first % BLOCK_FRAMES
        held = into if BLOCK_FRAMES - into >= MIN_VALID_FRAMES else 0
        self._held = held
        self._start = first - held
        self._next = self._start
        if self._start % BLOCK_FRAMES and BLOCK_FRAMES - into < MIN_NEW_FRAMES:
            self._next = _grid_after(self._start)
        self._covered = self._start
        self._real_end = first
        self._real_frames = 0
        # Features and marks from `_marks_first` on, crops from `_crops_first`, context included.
        self._crops: np.ndarray | None = None
        self._crops_first = self._start - self._context
        self._marks_first = self._start
        self._valid = np.zeros(0, bool)
        self._motion = np.zeros(0, np.float32)
        self._places = np.zeros((0, 10), np.float32)
        self._features: np.ndarray | None = None
        self._blank = np.zeros(0, bool)
        self._encoded = self._start

    def push(self, piece: RegionPiece) -> Iterator[Block]:
        if len(piece.crops) and piece.first_frame != self._real_end:
            raise ValueError(
                f"track {piece.track} goes on at frame {piece.first_frame}, not {self._real_end}"
            )
        if len(piece.crops):
            self._append(piece)
        if self._crops is None:
            return
        end = self._real_end
        if piece.last:
            end += self._hold_end()
        while self._encoded < end:
            goal = min((self._encoded // PIECE_FRAMES + 1) * PIECE_FRAMES, end)
            if goal + self._context > self._crops_first + len(self._crops):
                break
            self._encode(goal)
            while self._next + BLOCK_FRAMES <= self._encoded:
                yield self._block(self._next)
                self._next = _grid_after(self._next)
            self._trim()
        wasted = end - self._covered
        if piece.last and wasted >= MIN_NEW_FRAMES and end - BLOCK_FRAMES >= self._start:
            yield self._block(end - BLOCK_FRAMES)

    def _append(self, piece: RegionPiece) -> None:
        # Only what the model looks at is kept, and only that can make a still.
        crops = centre_crop(piece.crops, self._engine.config.input_px)
        before = self._crops
        valid, boxes = np.asarray(piece.valid, bool), np.asarray(piece.boxes, np.float32)
        places = np.concatenate([boxes, seen_boxes(boxes) if piece.seen is None else piece.seen], 1)
        if before is None:
            motion = _motion(crops[:1], crops)
            self._crops = edge_pad(crops, self._held + self._context, 0)
            valid = np.pad(valid, (self._held, 0))
            motion = np.pad(motion, (self._held, 0))
            places = edge_pad(places, self._held, 0)
        else:
            motion = _motion(before[-1:], crops)
            self._crops = np.concatenate([before, crops])
        self._valid = np.concatenate([self._valid, valid])
        self._motion = np.concatenate([self._motion, motion])
        self._places = np.concatenate([self._places, places])
        self._real_end += len(crops)
        self._real_frames += len(crops)

    def _hold_end(self) -> int:
        """Hold the last picture where that completes a block; returns by how many frames."""
        over = self._real_end % BLOCK_FRAMES
        shown = min(over, self._real_frames)
        held = BLOCK_FRAMES - over if shown >= MIN_VALID_FRAMES else 0
        length = self._real_end - self._start
        if self._real_frames >= MIN_VALID_FRAMES and length + held < BLOCK_FRAMES:
            held = BLOCK_FRAMES - length
        assert self._crops is not None
        self._crops = edge_pad(self._crops, 0, held + self._context)
        self._valid = np.pad(self._valid, (0, held))
        self._motion = np.pad(self._motion, (0, held))
        self._places = edge_pad(self._places, 0, held)
        return held

    def _encode(self, goal: int) -> None:
        """Features of the frames up to `goal`, nothing where no block of them is to be judged."""
        blank = np.zeros(goal - self._encoded, bool)
        firsts = list(self._firsts(goal))
        for unfit in (True, False):  # in this order, since the first block may overlap the second
            for first in firsts:
                if bool(self._reason(first)) == unfit:
                    low = max(first - self._encoded, 0)
                    blank[low : first + BLOCK_FRAMES - self._encoded] = unfit
        edges = [0, *(np.flatnonzero(np.diff(blank)) + 1), len(blank)]
        config = self._engine.config
        parts = [] if self._features is None else [self._features]
        for low, high in pairwise(edges):
            if blank[low]:
                shape = (high - low, config.channels, config.grid, config.grid)
                parts.append(np.zeros(shape, np.float32))
            else:
                parts.append(self._seen(self._encoded + low, self._encoded + high))
        self._features = np.concatenate(parts)
        self._blank = np.concatenate([self._blank, blank])
        self._encoded = goal

    def _seen(self, first: int, end: int) -> np.ndarray:
        """Features of the frames `first` .. `end` - 1."""
        assert self._crops is not None
        low = first - self._context - self._crops_first
        return self._engine.encode_visual(self._crops[low : low + end - first + 2 * self._context])

    def _firsts(self, end: int) -> Iterator[int]:
        """First frames of the next blocks that are complete at `end`."""
        first = self._next
        while first + BLOCK_FRAMES <= end:
            yield first
            first = _grid_after(first)

    def _reason(self, first: int) -> str:
        """Why a block cannot be judged by its picture, or ""."""
        marks = slice(first - self._marks_first, first + BLOCK_FRAMES - self._marks_first)
        if int(self._valid[marks].sum()) < MIN_VALID_FRAMES:
            return NO_PICTURE
        return FROZEN if float(self._motion[marks][1:].max()) < STILL_LEVELS else ""

    def _block(self, first: int) -> Block:
        assert self._features is not None
        low, reason = first - self._marks_first, self._reason(first)
        features = self._features[low : low + BLOCK_FRAMES]
        if self._blank[low : low + BLOCK_FRAMES].any() and not reason:
            features = self._seen(first, first + BLOCK_FRAMES)
        left, top, width, height, x, y, *ways = map(float, self._places[low + BLOCK_FRAMES // 2])
        seen = (x, y, ways[0], ways[1], ways[2], ways[3])
        region = Region(self._kind, self._number, (left, top, width, height), seen)
        self._covered = max(self._covered, first + BLOCK_FRAMES)
        return Block(first, self._track, region, features.copy(), reason)

    def _trim(self) -> None:
        """Forget what neither the next block nor one aligned to the track's end can want."""
        keep = min(self._next, self._encoded - BLOCK_FRAMES)
        cut = keep - self._marks_first
        if self._features is None or self._crops is None or cut <= 0:
            return
        self._features, self._blank = self._features[cut:].copy(), self._blank[cut:]
        self._valid, self._motion = self._valid[cut:], self._motion[cut:]
        self._places, self._crops = self._places[cut:], self._crops[cut:].copy()
        self._marks_first += cut
        self._crops_first += cut


def _grid_after(frame: int) -> int:
    """First frame of the first grid block that starts after `frame`."""
    return (frame // BLOCK_FRAMES + 1) * BLOCK_FRAMES


def _motion(before: np.ndarray, crops: np.ndarray) -> np.ndarray:
    """(n,) largest mean change of a patch, in grey levels, from each crop's predecessor."""
    earlier = np.concatenate([before, crops[:-1]]).astype(np.int16)
    change = np.abs(crops.astype(np.int16) - earlier)
    height, width = (side - side % _PATCH_PX for side in change.shape[1:])
    patches = change[:, :height, :width].reshape(
        len(crops), height // _PATCH_PX, _PATCH_PX, width // _PATCH_PX, _PATCH_PX
    )
    largest: np.ndarray = patches.mean(axis=(2, 4), dtype=np.float32).max(axis=(1, 2))
    return largest
