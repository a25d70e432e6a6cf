"""The shipped detector on the project's own rendered person."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avsync_cli.regions.faces import NEAR_PX, CenterFace, Face
from avsync_cli.regions.planes import small_rgb
from avsync_cli.regions.resize import resize_area
from avsync_cli.regions.stream import RegionStream
from tests.planes import as_planes
from tests.read_all import read_all

SAMPLE = Path(__file__).parents[2] / "docs" / "sample" / "talker.mp4"


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return read_all(SAMPLE, duration_s=2.0).frames


def test_the_rendered_face_is_found_with_its_mouth_below_its_eyes(frames: np.ndarray) -> None:
    found = CenterFace(threads=1)(as_planes(frames[:3]))
    assert [len(faces) for faces in found] == [1, 1, 1]
    best = found[0][0]
    assert best.score > 0.5
    eyes, mouth = best.landmarks[:2], best.landmarks[3:]
    assert mouth[:, 1].min() > eyes[:, 1].max()
    left, top, width, height = best.box
    assert (best.landmarks >= [left, top]).all()
    assert (best.landmarks <= [left + width, top + height]).all()


def test_size_of_the_input_does_not_move_the_face(frames: np.ndarray) -> None:
    whole = CenterFace(threads=1)(as_planes(frames[:1]))[0][0]
    half = CenterFace(threads=1)(as_planes(frames[:1, ::2, ::2]))[0][0]
    np.testing.assert_allclose(np.array(half.landmarks) * 2, whole.landmarks, atol=6)


def test_the_network_sees_the_colours_that_the_film_has(frames: np.ndarray) -> None:
    height, width = frames.shape[1] // 2, frames.shape[2] // 2
    shown = small_rgb(as_planes(frames[0]), (0, 0, *frames.shape[1:3]), height, width)
    wanted = np.stack([resize_area(frames[:1, ..., n], height, width)[0] for n in range(3)])
    assert np.abs(shown - wanted).mean() < 1.0
    part = small_rgb(as_planes(frames[0]), (20, 30, 40, 60), 20, 30)
    np.testing.assert_allclose(part, shown[:, 10:30, 15:45], atol=1e-3)


def test_no_frames_and_no_faces(frames: np.ndarray) -> None:
    detector = CenterFace(threads=1)
    assert detector(as_planes(frames[:0])) == []
    assert detector(np.full((2, 135, 120), 128, np.uint8)) == [[], []]


def test_the_rendered_person_becomes_one_track(frames: np.ndarray) -> None:
    stream = RegionStream(frames.shape[1:3], threads=1)
    pieces = stream.push(0, as_planes(frames), np.ones(len(frames), bool)) + stream.finish()
    assert {p.kind for p in pieces} == {"face"}
    assert len({p.track for p in pieces}) == 1
    assert sum(len(p.crops) for p in pieces) == len(frames)


def test_a_known_face_is_found_again_around_where_it_was(frames: np.ndarray) -> None:
    detector = CenterFace(threads=1)
    wide = np.full((2, *frames.shape[1:3], 3), 128, np.uint8).repeat(2, axis=2)
    wide[:, :, : frames.shape[2]] = frames[[0, 10]]
    wide = as_planes(wide)
    before, after = detector(wide)
    found = detector.near(wide[1], before)
    assert found is not None and len(found) == len(after) == 1
    width = after[0].box[2]
    np.testing.assert_allclose(found[0].landmarks, after[0].landmarks, atol=0.02 * width)
    np.testing.assert_allclose(found[0].box, after[0].box, atol=0.04 * width)
    assert detector.near(np.full_like(wide[1], 128), before) is None  # it is gone
    same = as_planes(frames[10])
    assert detector.near(same, [before[0]] * 9) is None  # as dear as the whole frame


@pytest.mark.parametrize("width", [636, 480, 500])
def test_pictures_of_any_width_show_the_face_in_the_same_place(
    frames: np.ndarray, width: int
) -> None:
    height = 2 * round(frames.shape[1] * width / frames.shape[2] / 2)
    resized = [resize_area(frames[:1, ..., n], height, width) for n in range(3)]
    picture = as_planes(np.rint(np.stack(resized, axis=-1)).astype(np.uint8))
    detector, finer = CenterFace(threads=1), CenterFace(width_px=width, threads=1)
    (found,), (fine,) = detector(picture), finer(picture)
    assert len(found) == len(fine) == 1
    atol = 0.08 * fine[0].box[2]  # faces of another size, to the network
    np.testing.assert_allclose(found[0].landmarks, fine[0].landmarks, atol=atol)


def test_faces_that_are_followed_together_are_found_as_each_alone(frames: np.ndarray) -> None:
    picture = np.full((2 * frames.shape[1], 2 * frames.shape[2], 3), 128, np.uint8)
    picture[: frames.shape[1], : frames.shape[2]] = frames[0]
    picture[frames.shape[1] :, frames.shape[2] :] = frames[0]
    detector = CenterFace(width_px=picture.shape[1], threads=1)
    picture = as_planes(picture)
    (known,) = detector(picture[None])
    runs: list[int] = []
    run = detector.session.run

    class Watched:
        def run(self, names: None, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
            runs.extend(len(x) for x in feed.values())
            return run(names, feed)

    detector.session = Watched()  # type: ignore[assignment]
    together = detector.near(picture, known)
    assert together is not None and runs == [2]
    alone = [detector.near(picture, [face]) for face in known]
    for one, face in zip(alone, together, strict=True):
        assert one is not None
        np.testing.assert_allclose(one[0].landmarks, face.landmarks, atol=0.01)


def test_one_face_is_not_found_for_two_that_were_known(frames: np.ndarray) -> None:
    picture = np.full((2 * frames.shape[1], 4 * frames.shape[2], 3), 128, np.uint8)
    picture[: frames.shape[1], : frames.shape[2]] = frames[0]
    detector, picture = CenterFace(width_px=picture.shape[1], threads=1), as_planes(picture)
    ((one,),) = detector(picture[None])
    left, top, width, height = one.box
    beside = Face((left + 0.3 * width, top, width, height), 0.9, one.landmarks)
    assert detector.near(picture, [beside]) is not None
    assert detector.near(picture, [one, beside]) is None


def test_a_large_known_face_is_looked_for_in_a_small_picture(frames: np.ndarray) -> None:
    detector = CenterFace(threads=1)
    close = np.ascontiguousarray(frames[0].repeat(2, axis=0).repeat(2, axis=1)[:, 320:960])
    picture = as_planes(close[None])[0]
    (known,) = detector(picture[None])
    sizes: list[tuple[int, ...]] = []
    run = detector.session.run

    class Watched:
        def run(self, names: None, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
            sizes.extend(x.shape[2:] for x in feed.values())
            return run(names, feed)

    detector.session = Watched()  # type: ignore[assignment]
    assert max(known[0].box[2:]) > 4 * NEAR_PX
    found = detector.near(picture, known)
    assert found is not None
    side = max(known[0].box[2:])
    np.testing.assert_allclose(found[0].landmarks, known[0].landmarks, atol=0.06 * side)
    assert max(sizes[0]) <= 6 * NEAR_PX
