"""Find faces and their landmarks with CenterFace, through ONNX Runtime.

CenterFace (Xu et al., arXiv 1911.03599) answers with four maps at a quarter of the input's size:
how likely a face is centred in a cell, the logarithm of its height and width, where in the cell
the centre lies, and five landmarks relative to the box. The network file is MIT licensed and put
into the package when it is built.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from avsync_cli.errors import ModelError
from avsync_cli.regions.planes import size_of, small_rgb

if TYPE_CHECKING:
    import onnxruntime

STRIDE = 4
"""Input pixels a cell of the network's output maps."""

ALIGN = 32
"""The network halves its input five times; sides must be multiples of this."""

LANDMARKS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
"""Order of the landmarks, left and right as seen in the picture."""

Part = tuple[int, int, int, int]
"""Top, left, height and width of a part of a frame in pixels, all even."""

WHOLE_STEP = 1.06
"""How much more than asked for a picture may be shrunk for the sake of a whole number."""

NEAR_REACH = 1.0
"""A known face is looked for so many of its own sides around its centre."""

NEAR_PX = 36
"""Side of a known face, in pixels of the network's input, that is enough to find it again: a larger
one is shrunk more."""

NEAR_SHARE = 0.6
"""Share of the frame up to which looking around known faces is worth it."""

LEAST_SCORE = 0.4
"""Of a face, 0..1."""

SAME_FACE = 0.3
"""Intersection over union from which two boxes in one frame are of one face."""

NEAR_OVERLAP = 0.25
"""Least intersection over union of a face with itself some frames before."""


@dataclass(frozen=True)
class Face:
    """One detected face, in pixels of the frame it was found in.

    Attributes:
        box: (left, top, width, height).
        score: 0..1.
        landmarks: (5, 2) float32, x and y in the order of `LANDMARKS`.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: np.ndarray


class Detector(Protocol):
    """Anything that finds faces in frames."""

    def __call__(self, frames: np.ndarray) -> list[list[Face]]:
        """Faces of each of (n, 3 H / 2, W) uint8 frames (`planes`), best first."""
        ...


@runtime_checkable
class Follower(Protocol):
    """A detector that also finds known faces again, for less."""

    def near(self, frame: np.ndarray, known: Sequence[Face]) -> list[Face] | None:
        """The faces of an earlier frame in this (3 H / 2, W) uint8 one; None where one is not there
        any more, or where looking at the whole frame costs no more."""
        ...


def _overlap(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Intersection over union of (n, 4) left-top-width-height boxes with one."""
    left = np.maximum(boxes[:, 0], box[0])
    top = np.maximum(boxes[:, 1], box[1])
    right = np.minimum(boxes[:, 0] + boxes[:, 2], box[0] + box[2])
    bottom = np.minimum(boxes[:, 1] + boxes[:, 3], box[1] + box[3])
    inner = np.maximum(0.0, right - left) * np.maximum(0.0, bottom - top)
    union = boxes[:, 2] * boxes[:, 3] + box[2] * box[3] - inner
    ratio: np.ndarray = inner / np.maximum(union, 1e-9)
    return ratio


class CenterFace:
    """The shipped detector.

    Args:
        width_px: frames wider than this are shrunk to it before detection: 320 finds faces from
            about 12 px of that size on, i.e. 24 px in a 640 px wide picture.
        threads: ONNX Runtime threads, 0 for half the cores.

    Raises:
        ModelError: the network file is not in the installed package.
    """

    def __init__(self, width_px: int = 320, threads: int = 0) -> None:
        self.width_px = width_px
        self.session = _open_session(threads)
        self.input_name = self.session.get_inputs()[0].name

    def __call__(self, frames: np.ndarray) -> list[list[Face]]:
        """Faces of each of (n, 3 H / 2, W) uint8 frames, best first, in the frames' pixels."""
        return [self._find(f, [(0, 0, *size_of(f))], [self._step(size_of(f))])[0] for f in frames]

    def near(self, frame: np.ndarray, known: Sequence[Face]) -> list[Face] | None:
        """See `Follower`: every face is looked for in a square around where it was, by the same
        network, a large one in a smaller size."""
        height, width = size_of(frame)
        step = self._step((height, width))
        found: list[Face] = []
        # By an even number, since colours have half the size.
        steps = [max(step, max(face.box[2:]) // (2 * NEAR_PX) * 2.0) for face in known]
        squares = [
            _square_around(face.box, (height, width), own)
            for face, own in zip(known, steps, strict=True)
        ]
        # The network is run on whole cells of `ALIGN`.
        costs = [
            _aligned(h / own) * _aligned(w / own)
            for (_, _, h, w), own in zip(squares, steps, strict=True)
        ]
        if sum(costs) > NEAR_SHARE * _aligned(height / step) * _aligned(width / step):
            return None
        for was, there in zip(known, self._find(frame, squares, steps), strict=True):
            same = _overlap(np.array([f.box for f in there]).reshape(-1, 4), np.array(was.box))
            if not len(same) or same.max() < NEAR_OVERLAP:
                return None
            face = there[int(same.argmax())]
            # Two that were known are one now: who has gone is for the whole frame to say.
            taken = np.array([f.box for f in found]).reshape(-1, 4)
            if len(taken) and _overlap(taken, np.array(face.box)).max() >= SAME_FACE:
                return None
            found.append(face)
        return sorted(found, key=lambda face: -face.score)

    def _step(self, size: tuple[int, int]) -> float:
        """Pixels of frames of a size to one that the network sees, a whole number where that is
        near: pictures are shrunk to those many times faster."""
        step = max(1.0, max(size) / self.width_px)
        whole = math.ceil(step)
        return float(whole) if whole <= WHOLE_STEP * step else step

    def _find(
        self, frame: np.ndarray, parts: Sequence[Part], steps: Sequence[float]
    ) -> list[list[Face]]:
        """Faces of each of some parts of a frame, in the frame's pixels, every part shrunk by its
        own step. Parts that are seen in one size are searched together."""
        shown = [_shrunk(frame, part, step) for part, step in zip(parts, steps, strict=True)]
        found: list[list[Face]] = [[] for _ in parts]
        for shape in dict.fromkeys(picture.shape for picture, _ in shown):
            rows = [n for n, (picture, _) in enumerate(shown) if picture.shape == shape]
            batch = np.stack([shown[n][0] for n in rows])
            maps = self.session.run(None, {self.input_name: batch})
            for n, heat, scale, offset, points in zip(rows, *maps, strict=True):
                faces = self._decode(heat[0], scale, offset, points, shown[n][1])
                top, left = parts[n][:2]
                found[n] = [_moved(face, np.array([left, top], np.float32)) for face in faces]
        return found

    def _decode(
        self,
        heat: np.ndarray,
        scale: np.ndarray,
        offset: np.ndarray,
        points: np.ndarray,
        to_frame: np.ndarray,
    ) -> list[Face]:
        rows, columns = np.nonzero(heat > LEAST_SCORE)
        if len(rows) == 0:
            return []
        scores = heat[rows, columns]
        heights = np.exp(scale[0, rows, columns]) * STRIDE
        widths = np.exp(scale[1, rows, columns]) * STRIDE
        lefts = (columns + offset[1, rows, columns] + 0.5) * STRIDE - widths / 2
        tops = (rows + offset[0, rows, columns] + 0.5) * STRIDE - heights / 2
        boxes = np.stack([lefts, tops, widths, heights], axis=1)
        faces: list[Face] = []
        left_over = np.argsort(-scores)
        while len(left_over):
            best, left_over = left_over[0], left_over[1:]
            box = boxes[best]
            # The map stores y before x for every landmark.
            cell = points[:, rows[best], columns[best]].reshape(5, 2)[:, ::-1]
            landmarks = (cell * box[2:] + box[:2]) * to_frame
            placed = (box.reshape(2, 2) * to_frame).ravel()
            faces.append(
                Face(
                    (float(placed[0]), float(placed[1]), float(placed[2]), float(placed[3])),
                    float(scores[best]),
                    landmarks.astype(np.float32),
                )
            )
            left_over = left_over[_overlap(boxes[left_over], box) < SAME_FACE]
        return faces


def _shrunk(frame: np.ndarray, part: Part, step: float) -> tuple[np.ndarray, np.ndarray]:
    """A part of a frame as the network takes it, (3, h, w) float32 of whole cells, and how many of
    the frame's pixels one of its is, x and y."""
    top, left, height, width = part
    small_h, small_w = max(8, round(height / step)), max(8, round(width / step))
    if step == int(step):  # what is left over at the lower and right border is not looked at
        small_h, small_w = max(8, int(height // step)), max(8, int(width // step))
        if height >= 8 * step and width >= 8 * step:
            height, width = int(small_h * step), int(small_w * step)
    shown = np.zeros((3, _aligned(small_h), _aligned(small_w)), np.float32)
    shown[:, :small_h, :small_w] = small_rgb(frame, (top, left, height, width), small_h, small_w)
    return shown, np.array([width / small_w, height / small_h], np.float32)


def _aligned(pixels: float) -> int:
    """The network's next larger size."""
    return -(-math.ceil(pixels) // ALIGN) * ALIGN


def _square_around(
    box: tuple[float, float, float, float], size: tuple[int, int], step: float
) -> Part:
    """The square around a face in a frame of a size."""
    side = 2 * int(_aligned(2 * NEAR_REACH * max(box[2:]) / step) * step / 2)
    height, width = min(side, size[0]), min(side, size[1])
    top = int(np.clip(box[1] + box[3] / 2 - height / 2, 0, size[0] - height))
    left = int(np.clip(box[0] + box[2] / 2 - width / 2, 0, size[1] - width))
    return top // 2 * 2, left // 2 * 2, height, width


def _moved(face: Face, shift: np.ndarray) -> Face:
    left, top, width, height = face.box
    box = (left + float(shift[0]), top + float(shift[1]), width, height)
    return Face(box, face.score, face.landmarks + shift)


@lru_cache(maxsize=2)
def _open_session(threads: int) -> onnxruntime.InferenceSession:
    """The network, loaded once a process: optimising its graph costs more than a short clip."""
    from avsync_cli.onnx_runtime import load_onnxruntime, session_options

    runtime = load_onnxruntime()
    file = resources.files("avsync_cli.regions") / "data" / "centerface.onnx"
    if not file.is_file():
        raise ModelError(
            "the face detector is not in this installation of avsync",
            "reinstall with `pip install .`, which puts it into the package",
        )
    options = session_options(threads)
    options.log_severity_level = 3
    session: onnxruntime.InferenceSession = runtime.InferenceSession(
        file.read_bytes(), options, providers=["CPUExecutionProvider"]
    )
    return session
