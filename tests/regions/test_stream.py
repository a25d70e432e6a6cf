"""Shots, tracks and crops on frames made up for the purpose, with a detector that knows them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from avsync_cli.regions.crops import CROP_PX, FRAME_PX, Square, cut_square, whole_frames
from avsync_cli.regions.faces import Face
from avsync_cli.regions.resize import resize_area
from avsync_cli.regions.shots import ShotDetector
from avsync_cli.regions.stream import WHOLE_EVERY, RegionPiece, RegionStream
from tests.planes import as_planes

H, W = 120, 160


def face(x: float, y: float, size: float = 40.0, turn: float = 0.0, score: float = 0.9) -> Face:
    """A face whose mouth lies at (x, y)."""
    cos, sin = np.cos(turn), np.sin(turn)
    places = np.array([[-8, -20], [8, -20], [0, -8], [-6, 0], [6, 0]], float)
    turned = places @ np.array([[cos, sin], [-sin, cos]]) + [x, y]
    return Face((x - size / 2, y - 0.75 * size, size, size), score, turned.astype(np.float32))


class Scripted:
    """Knows the frame's number from its corner pixel, and the faces from a function."""

    def __init__(self, script: object) -> None:
        self.script = script
        self.calls = 0

    def __call__(self, frames: np.ndarray) -> list[list[Face]]:
        self.calls += len(frames)
        return [self.script(int(f[0, 0]) * 256 + int(f[0, 1])) for f in frames]  # type: ignore[operator]


def film(count: int, shade: object = lambda k: 90) -> np.ndarray:
    """Flat frames of a given shade, numbered in their corner."""
    frames = np.zeros((count, H, W, 3), np.uint8)
    for k in range(count):
        frames[k] = shade(k)  # type: ignore[operator]
    pictures = as_planes(frames)
    pictures[:, 0, 0], pictures[:, 0, 1] = np.divmod(np.arange(count), 256)
    return pictures


def run(frames: np.ndarray, script: object, chunk: int = 50) -> list[RegionPiece]:
    stream = RegionStream((H, W), detector=Scripted(script))
    pieces: list[RegionPiece] = []
    for at in range(0, len(frames), chunk):
        part = frames[at : at + chunk]
        pieces += stream.push(at, part, np.ones(len(part), bool))
        assert all(p.first_frame + len(p.crops) <= stream.settled for p in pieces)
    pieces += stream.finish()
    assert stream.settled == len(frames)
    return pieces


def spans(pieces: list[RegionPiece]) -> list[tuple[str, int, int]]:
    """(kind, first, end) of every region, checking that its pieces follow each other."""
    found: dict[int, list[RegionPiece]] = {}
    for piece in pieces:
        found.setdefault(piece.track, []).append(piece)
    out = []
    for parts in found.values():
        assert parts[-1].last
        assert not any(p.last for p in parts[:-1])
        full = [p for p in parts if len(p.crops)]
        for before, after in pairwise(full):
            assert after.first_frame == before.first_frame + len(before.crops)
        end = full[-1].first_frame + len(full[-1].crops)
        out.append((parts[0].kind, full[0].first_frame, end))
    return sorted(out, key=lambda s: (s[1], s[2]))


@pytest.mark.parametrize("chunk", [7, 50, 400])
def test_one_face_makes_one_track_however_the_film_is_cut(chunk: int) -> None:
    frames = film(130)
    pieces = run(frames, lambda k: [face(60 + 0.2 * k, 70)], chunk)
    assert spans(pieces) == [("face", 0, 130)]
    boxes = np.concatenate([p.boxes for p in pieces])
    centres = (boxes[:, 0] + boxes[:, 2] / 2) * W
    np.testing.assert_allclose(centres[10:120], 60 + 0.2 * np.arange(10, 120), atol=1.0)


def test_no_face_means_the_whole_frame() -> None:
    pieces = run(film(60), lambda k: [])
    assert spans(pieces) == [("frame", 0, 60)]
    assert all((p.boxes == [0, 0, 1, 1]).all() for p in pieces)


def test_tracks_and_frames_never_cross_a_cut() -> None:
    checker = (np.indices((H, W)).sum(axis=0) // 20 % 2 * 160)[..., None]
    frames = film(120, lambda k: 60 if k < 52 else checker)
    pieces = run(frames, lambda k: [face(60, 70)])
    assert spans(pieces) == [("face", 0, 52), ("face", 52, 120)]
    pieces = run(frames, lambda k: [])
    assert spans(pieces) == [("frame", 0, 52), ("frame", 52, 120)]


def test_a_short_gap_is_bridged_and_a_long_one_ends_the_track() -> None:
    pieces = run(film(150), lambda k: [] if 41 <= k <= 49 else [face(60, 70)])
    assert spans(pieces) == [("face", 0, 150)]
    pieces = run(film(200), lambda k: [] if 41 <= k <= 99 else [face(60, 70)])
    assert spans(pieces) == [("face", 0, 41), ("frame", 41, 100), ("face", 100, 200)]


def test_a_single_false_alarm_is_no_face() -> None:
    pieces = run(film(80), lambda k: [face(60, 70)] if k == 30 else [])
    assert spans(pieces) == [("frame", 0, 80)]


def test_two_people_make_two_tracks_and_tiny_faces_none() -> None:
    pieces = run(film(60), lambda k: [face(40, 60), face(110, 60), face(80, 20, size=9)])
    assert spans(pieces) == [("face", 0, 60), ("face", 0, 60)]


def test_filler_stays_marked() -> None:
    frames = film(60)
    stream = RegionStream((H, W), detector=Scripted(lambda k: [face(60, 70)]))
    valid = np.ones(60, bool)
    valid[20:30] = False
    pieces = stream.push(0, frames, valid) + stream.finish()
    np.testing.assert_array_equal(np.concatenate([p.valid for p in pieces]), valid)


def test_frames_must_follow_each_other() -> None:
    stream = RegionStream((H, W), detector=Scripted(lambda k: []))
    stream.push(0, film(10), np.ones(10, bool))
    with pytest.raises(ValueError, match="follow"):
        stream.push(12, film(10), np.ones(10, bool))


def test_a_crop_shows_the_mouth_upright_and_centred() -> None:
    yy, xx = np.mgrid[0:H, 0:W]
    turn = 0.4
    along = (xx - 80) * np.cos(turn) + (yy - 60) * np.sin(turn)
    across = -(xx - 80) * np.sin(turn) + (yy - 60) * np.cos(turn)
    # Pixel k covers k .. k + 1, so the middle of the drawn lips is at (80.5, 60.5).
    lips = (np.abs(along) < 15) & (np.abs(across) < 4)
    frame = np.where(lips, 255, 30).astype(np.uint8)[..., None].repeat(3, axis=2)
    crop = cut_square(as_planes(frame), Square(80.5, 60.5, 60, turn)).astype(float)
    assert crop.shape == (CROP_PX, CROP_PX)
    bright = crop > 140
    rows, columns = np.nonzero(bright)
    scale = CROP_PX / 60
    assert rows.mean() == pytest.approx(47.5, abs=1.0)
    assert columns.mean() == pytest.approx(47.5, abs=1.0)
    assert np.ptp(columns) == pytest.approx(30 * scale, abs=4)
    assert np.ptp(rows) == pytest.approx(8 * scale, abs=4)


def test_a_crop_beyond_the_border_repeats_the_edge() -> None:
    frame = np.full((H, W, 3), 77, np.uint8)
    crop = cut_square(as_planes(frame), Square(-20, 130, 90))
    assert (crop == 77).all()


@pytest.mark.parametrize("side", [40.0, 90.0, 250.0])
def test_the_middle_of_a_crop_is_the_same_made_alone(side: float) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (H * 3 // 2, W)).astype(np.uint8)
    square = Square(70.3, 55.8, side, 0.2)
    middle = cut_square(frame, square, kept=64)
    whole = cut_square(frame, square)[16:80, 16:80]
    # Coordinates counted from another corner are rounded otherwise in the last bit.
    assert np.abs(middle.astype(int) - whole.astype(int)).max() <= 1
    np.testing.assert_array_equal(whole_frames([frame], 64), whole_frames([frame])[:, 16:80, 16:80])


def test_a_stream_makes_no_more_of_a_crop_than_is_wanted() -> None:
    frames = film(60)
    stream = RegionStream((H, W), detector=Scripted(lambda k: [face(60, 70)]), crop_px=64)
    pieces = stream.push(0, frames, np.ones(60, bool)) + stream.finish()
    assert {p.crops.shape[1:] for p in pieces} == {(64, 64)}


def test_whole_frames_keep_everything_inside_the_models_view() -> None:
    frame = np.zeros((1, H, W, 3), np.uint8)
    frame[0, :12, :16] = 255
    crop = whole_frames(as_planes(frame))[0]
    border = (CROP_PX - FRAME_PX) // 2
    assert crop[border : border + 6, border : border + 6].mean() > 200
    assert crop[border + 10 :, border + 10 :].max() == 0


def test_flashes_and_moving_patches_are_no_cuts() -> None:
    frames = np.full((60, H, W), 80, np.uint8)
    frames[20:22] = 235  # a camera's flash
    frames[40:, 30:70, 40:100] = 235  # something bright comes in and stays
    starts = ShotDetector().push(frames, frames[:0])
    assert np.flatnonzero(starts).tolist() == [0]


def test_a_cut_is_found_across_a_chunks_border() -> None:
    rng = np.random.default_rng(0)
    scenes = rng.integers(16, 236, (2, H // 20, W // 20)).repeat(20, axis=1).repeat(20, axis=2)
    frames = np.stack([scenes[0]] * 30 + [scenes[1]] * 30).astype(np.uint8)
    for border in (29, 30, 31):
        detector = ShotDetector()
        first = detector.push(frames[:border], frames[border : border + 3])
        second = detector.push(frames[border:], frames[:0])
        starts = np.flatnonzero(np.concatenate([first, second]))
        assert starts.tolist() == [0, 30]


@pytest.mark.parametrize("target", [(30, 40), (120, 160), (200, 333)])
def test_resizing_keeps_the_mean_and_flat_pictures(target: tuple[int, int]) -> None:
    flat = np.full((2, H, W), 57, np.uint8)
    np.testing.assert_allclose(resize_area(flat, *target), 57, atol=1e-3)
    ramp = np.linspace(0, 255, W)[None, None, :].repeat(H, axis=1)
    assert resize_area(ramp, *target).mean() == pytest.approx(ramp.mean(), abs=0.5)


@pytest.mark.parametrize("target", [(30, 40), (45, 64), (36, 100), (240, 100)])
def test_rows_and_columns_are_resized_alike(target: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (2, 120, 160)).astype(np.uint8)
    turned = resize_area(noise.swapaxes(1, 2), *target[::-1]).swapaxes(1, 2)
    np.testing.assert_allclose(resize_area(noise, *target), turned, atol=1e-3)


def detections(script: object, count: int = 200) -> int:
    """How many frames of a film are looked at for faces."""
    detector = Scripted(script)
    stream = RegionStream((H, W), detector=detector)
    frames = film(count)
    for at in range(0, count, 60):
        part = frames[at : at + 60]
        stream.push(at, part, np.ones(len(part), bool))
    stream.finish()
    return detector.calls


def test_what_keeps_still_is_looked_at_half_as_often_as_what_moves() -> None:
    still = detections(lambda k: [face(60, 70)])
    moving = detections(lambda k: [face(30 + 0.6 * k, 70, size=24.0)])
    flickering = detections(lambda k: [face(60, 70)] if k % 20 == 0 else [])
    assert still == 21  # every tenth frame, and half-way between the last and the end
    assert moving == flickering == 40


class Following(Scripted):
    """A detector that also finds known faces again, as long as the script still has them."""

    def __init__(self, script: object) -> None:
        super().__init__(script)
        self.followed: list[int] = []
        self.whole: list[int] = []

    def __call__(self, frames: np.ndarray) -> list[list[Face]]:
        self.whole += [int(f[0, 0]) * 256 + int(f[0, 1]) for f in frames]
        return super().__call__(frames)

    def near(self, frame: np.ndarray, known: Sequence[Face]) -> list[Face] | None:
        number = int(frame[0, 0]) * 256 + int(frame[0, 1])
        (faces,) = Scripted(self.script)(frame[None])
        if len(faces) < len(known):
            return None
        self.followed.append(number)
        return faces[: len(known)]


def followed_through(detector: Following, frames: np.ndarray, chunk: int) -> None:
    stream = RegionStream((H, W), detector=detector)
    for at in range(0, len(frames), chunk):
        part = frames[at : at + chunk]
        stream.push(at, part, np.ones(len(part), bool))
    stream.finish()


@pytest.mark.parametrize("chunk", [7, 25, 100])
def test_known_faces_are_followed_between_looks_at_whole_frames(chunk: int) -> None:
    detector = Following(lambda k: [face(60, 70)] * (1 + (k >= 85)) if k < 130 else [])
    frames = film(200)
    frames[:, H - 20 : H, W - 40 :] += (np.arange(200, dtype=np.uint8) // 10)[:, None, None] * 6
    followed_through(detector, frames, chunk)
    assert [n for n in detector.whole if n < 130] == list(range(0, 130, WHOLE_EVERY))
    # Lost at 130: from there on whole frames, since nobody is known.
    assert all(n in detector.whole for n in range(130, 200, 10))
    assert sorted(set(detector.followed)) == [10, 20, 30, 40, 60, 70, 80, 90, 95, 110, 120, 125]


@pytest.mark.parametrize("chunk", [7, 25, 100])
def test_where_nothing_changes_around_known_faces_nobody_new_is_looked_for(chunk: int) -> None:
    detector = Following(lambda k: [face(60, 70)] if k < 130 else [])
    frames = film(250)
    frames[:, 40:80, 40:80] += np.arange(250, dtype=np.uint8)[:, None, None] % 70  # the face itself
    frames[100:, :10, W - 40 :] += 60  # somebody's hair
    frames[220:, :10, W - 40 :] += 60
    frames[180:, 40:80, 40:80] = 90
    followed_through(detector, frames, chunk)
    # Half-way between looks that differ, and before the end, all is seen.
    assert sorted(detector.whole) == [0, 100, 130, 140, 150, 160, 170, 180, 220, 245]


@pytest.mark.parametrize("chunk", [7, 25, 100])
def test_a_look_half_way_is_not_what_later_frames_are_held_against(chunk: int) -> None:
    detector = Following(lambda k: [face(60, 70)] if k >= 40 else [])
    frames = film(60)
    frames[36:, :10, W - 40 :] += 60
    followed_through(detector, frames, chunk)
    # The whole of 35 is looked at after that of 40, and in one large chunk after 50 was.
    assert sorted(detector.whole) == [0, 35, 40]


def test_following_finds_the_same_as_looking_everywhere() -> None:
    def script(k: int) -> list[Face]:
        return [face(40 + 0.3 * k, 70, size=30.0)] if k < 150 else []

    frames = film(200)
    whole = run(frames, script, chunk=len(frames))
    stream = RegionStream((H, W), detector=Following(script))
    followed = stream.push(0, frames, np.ones(len(frames), bool)) + stream.finish()
    assert [p.kind for p in followed] == [p.kind for p in whole] != []
    np.testing.assert_array_equal(
        np.concatenate([p.crops for p in followed]), np.concatenate([p.crops for p in whole])
    )
