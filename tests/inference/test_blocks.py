"""Blocks: on the grid, complete, encoded with their own context, and left out for a reason."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from avsync_cli.inference.blocks import (
    FROZEN,
    MIN_VALID_FRAMES,
    NO_PICTURE,
    Block,
    BlockBuilder,
    by_shot,
)
from avsync_cli.model.engine import OnnxEngine
from avsync_cli.regions.stream import RegionPiece
from tests.toy_model import region_pieces


def numbered(first: int, frames: int) -> np.ndarray:
    """Crops whose brightness tells their frame number (for the 125 frames around it)."""
    level = (2 * (first + np.arange(frames)) % 250).astype(np.uint8)
    return np.broadcast_to(level[:, None, None], (frames, 96, 96)).copy()


def build(
    engine: OnnxEngine, first: int, crops: np.ndarray, piece_frames: int = 250, **options: object
) -> list[Block]:
    builder = BlockBuilder(engine)
    pieces = region_pieces(crops, first, piece_frames=piece_frames, **options)  # type: ignore[arg-type]
    return [block for piece in pieces for block in builder.push(piece)]


def shown(block: Block) -> np.ndarray:
    """Brightness (25,) of the frames in a block, as the toy model's features tell it."""
    return np.rint((block.features[:, 0, 0, 0] + 1) * 127.5).astype(int)


@settings(max_examples=40, deadline=None)
@given(first=st.integers(0, 60), frames=st.integers(1, 330), piece=st.integers(1, 400))
def test_blocks_of_any_track(toy_engine: OnnxEngine, first: int, frames: int, piece: int) -> None:
    blocks = build(toy_engine, first, numbered(first, frames), piece)
    end = first + frames
    covered = np.zeros(end + 60, int)
    for block in blocks:
        numbers = np.arange(block.first_frame, block.first_frame + 25)
        inside = np.clip(numbers, first, end - 1)
        assert (shown(block) == 2 * inside % 250).all()
        real = (numbers >= first) & (numbers < end)
        assert real.sum() >= MIN_VALID_FRAMES
        on_grid = block.first_frame % 25 == 0
        at_an_end = first in (block.first_frame, block.first_frame + 25) or end in (
            block.first_frame,
            block.first_frame + 25,
        )
        assert on_grid or at_an_end or frames < 25
        covered[numbers[real]] += 1
    starts = [b.first_frame for b in blocks]
    assert starts == sorted(set(starts))
    seen = np.flatnonzero(covered)
    if frames >= 20:
        assert len(blocks) >= 1
        # Nothing is wasted but less than eight frames at either end; a frame is in two blocks at
        # the most, in three where a short track has both ends off the grid.
        assert covered[first + 7 : end - 7].min(initial=1) >= 1
        assert covered.max() <= (2 if frames >= 75 else 3)
        assert (np.diff(seen) == 1).all()
    else:
        assert blocks == []


@settings(max_examples=15, deadline=None)
@given(first=st.integers(0, 60), frames=st.integers(20, 330), piece=st.integers(1, 400))
def test_pieces_do_not_matter(toy_engine: OnnxEngine, first: int, frames: int, piece: int) -> None:
    crops = np.random.default_rng(frames).integers(0, 255, (frames, 96, 96)).astype(np.uint8)
    whole = build(toy_engine, first, crops, 1000)
    cut = build(toy_engine, first, crops, piece)
    assert [b.first_frame for b in whole] == [b.first_frame for b in cut]
    for one, other in zip(whole, cut, strict=True):
        np.testing.assert_array_equal(one.features, other.features)
        assert (one.region, one.reason) == (other.region, other.reason)


def test_three_seconds_are_three_blocks(toy_engine: OnnxEngine) -> None:
    blocks = build(toy_engine, 0, numbered(0, 75))
    assert [b.first_frame for b in blocks] == [0, 25, 50]
    assert {b.reason for b in blocks} == {""}
    assert blocks[0].region.kind == "face" and blocks[0].region.track == 0
    assert blocks[0].region.box == (0.25, 0.25, 0.5, 0.5)


def test_ends_off_the_grid_get_blocks_of_their_own(toy_engine: OnnxEngine) -> None:
    assert [b.first_frame for b in build(toy_engine, 10, numbered(10, 80))] == [10, 25, 50, 65]
    assert [b.first_frame for b in build(toy_engine, 3, numbered(3, 70))] == [0, 25, 50]


def test_frozen_and_missing_pictures_are_left_out(toy_engine: OnnxEngine) -> None:
    crops = numbered(0, 75)
    crops[26:50] = crops[25]
    valid = np.ones(75, bool)
    valid[50:56] = False
    blocks = build(toy_engine, 0, crops, valid=valid)
    assert [b.reason for b in blocks] == ["", FROZEN, NO_PICTURE]
    # A mouth in a still picture moves in a small place only.
    crops[26:50:2, 40:48, 40:56] += 8
    assert build(toy_engine, 0, crops)[1].reason == ""


def test_a_picture_that_stands_still_is_not_encoded(
    toy_engine: OnnxEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    encode = toy_engine.encode_visual

    def count(crops: np.ndarray) -> np.ndarray:
        encoded.append(len(crops))
        return encode(crops)

    monkeypatch.setattr(toy_engine, "encode_visual", count)
    still = np.repeat(numbered(40, 1), 600, axis=0)
    assert [b.reason for b in build(toy_engine, 0, still)] == [FROZEN] * 24
    assert encoded == []
    moving = still.copy()
    moving[301] += 9  # one frame that differs is reason enough to look
    (seen,) = [b for b in build(toy_engine, 0, moving) if not b.reason]
    assert seen.first_frame == 300
    assert shown(seen)[1] == 89
    assert (np.delete(shown(seen), 1) == 80).all()
    assert len(encoded) == 1 and encoded[0] < 40


def test_a_block_at_a_tracks_end_sees_what_a_still_one_before_it_left_out(
    toy_engine: OnnxEngine,
) -> None:
    crops = np.repeat(numbered(40, 1), 60, axis=0)
    crops[55:] += 20
    blocks = build(toy_engine, 0, crops)
    assert [(b.first_frame, b.reason) for b in blocks] == [(0, FROZEN), (25, FROZEN), (35, "")]
    assert shown(blocks[2]).tolist() == [80] * 20 + [100] * 5


def test_faces_are_numbered_among_faces(toy_engine: OnnxEngine) -> None:
    builder = BlockBuilder(toy_engine)
    crops = numbered(0, 25)
    regions = []
    for track, kind in ((4, "frame"), (7, "face"), (9, "face")):
        for piece in region_pieces(crops, 0, track, kind):
            regions += [b.region for b in builder.push(piece)]
    assert [(r.kind, r.track) for r in regions] == [("frame", None), ("face", 0), ("face", 1)]


def test_an_empty_last_piece_ends_a_track(toy_engine: OnnxEngine) -> None:
    builder = BlockBuilder(toy_engine)
    piece = next(region_pieces(numbered(0, 30), piece_frames=100))
    nothing = np.zeros((0, 96, 96), np.uint8)
    open_piece = RegionPiece("face", 0, 0, piece.crops, piece.valid, piece.boxes)
    assert builder.push(open_piece) == []
    end = RegionPiece("face", 0, 30, nothing, np.zeros(0, bool), np.zeros((0, 4), np.float32), True)
    assert [b.first_frame for b in builder.push(end)] == [0]


def test_a_gap_in_a_track_is_refused(toy_engine: OnnxEngine) -> None:
    builder = BlockBuilder(toy_engine)
    first, _, third = region_pieces(numbered(0, 90), piece_frames=30)
    builder.push(first)
    with pytest.raises(ValueError, match="goes on at frame 60"):
        builder.push(third)


def test_a_long_track_is_not_kept(toy_engine: OnnxEngine) -> None:
    builder = BlockBuilder(toy_engine)
    count = 0
    for piece in region_pieces(numbered(0, 2000), piece_frames=125):
        count += len(builder.push(piece))
        for track in builder._tracks.values():
            assert track._crops is not None and len(track._crops) < 400
            assert track._features is None or len(track._features) < 200
            assert len(track._valid) < 400
    assert count == 80
    assert not builder._tracks


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(1, 199), max_size=5, unique=True))
@example(cuts=[131, 151])  # held at the end of one and at the beginning of the next
def test_shots_share_no_track_and_lose_no_block(toy_engine: OnnxEngine, cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), 200]
    builder = BlockBuilder(toy_engine)
    blocks: list[Block] = []
    for track, (low, high) in enumerate(pairwise(edges)):
        for piece in region_pieces(numbered(low, high - low), low, track=track):
            blocks += builder.push(piece)
    blocks.sort(key=lambda b: (b.first_frame, b.track))
    shots = by_shot(blocks)
    assert [id(b) for shot in shots for b in shot] == [id(b) for b in blocks]
    # Each track is a shot, whatever is held at its ends.
    assert [len({b.track for b in shot}) for shot in shots] == [1] * len(shots)
    assert len(shots) == len({b.track for b in blocks})
    # Somebody who stays in the picture makes it one.
    for piece in region_pieces(numbered(0, 200), 0, track=99):
        blocks += builder.push(piece)
    blocks.sort(key=lambda b: (b.first_frame, b.track))
    assert [len(shot) for shot in by_shot(blocks)] == [len(blocks)]
