"""The shipped detector on the project's own rendered person."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avsync_cli.media.decode import read_all
from avsync_cli.regions.faces import CenterFace
from avsync_cli.regions.stream import RegionStream

SAMPLE = Path(__file__).parents[2] / "docs" / "sample" / "talker.mp4"


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return read_all(SAMPLE, duration_s=2.0).frames


def test_the_rendered_face_is_found_with_its_mouth_below_its_eyes(frames: np.ndarray) -> None:
    found = CenterFace(threads=1)(frames[:3])
    assert [len(faces) for faces in found] == [1, 1, 1]
    best = found[0][0]
    assert best.score > 0.5
    eyes, mouth = best.landmarks[:2], best.landmarks[3:]
    assert mouth[:, 1].min() > eyes[:, 1].max()
    left, top, width, height = best.box
    assert (best.landmarks >= [left, top]).all()
    assert (best.landmarks <= [left + width, top + height]).all()


def test_size_of_the_input_does_not_move_the_face(frames: np.ndarray) -> None:
    whole = CenterFace(threads=1)(frames[:1])[0][0]
    half = CenterFace(threads=1)(frames[:1, ::2, ::2])[0][0]
    np.testing.assert_allclose(np.array(half.landmarks) * 2, whole.landmarks, atol=6)


def test_no_frames_and_no_faces(frames: np.ndarray) -> None:
    detector = CenterFace(threads=1)
    assert detector(frames[:0]) == []
    assert detector(np.full((2, 90, 120, 3), 128, np.uint8)) == [[], []]


def test_the_rendered_person_becomes_one_track(frames: np.ndarray) -> None:
    stream = RegionStream(frames.shape[1:3], threads=1)
    pieces = stream.push(0, frames, np.ones(len(frames), bool)) + stream.finish()
    assert {p.kind for p in pieces} == {"face"}
    assert len({p.track for p in pieces}) == 1
    assert sum(len(p.crops) for p in pieces) == len(frames)
