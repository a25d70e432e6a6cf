"""Find faces and their landmarks with CenterFace, through ONNX Runtime.

CenterFace (Xu et al., arXiv 1911.03599) answers with four maps at a quarter of the input's size:
how likely a face is centred in a cell, the logarithm of its height and width, where in the cell
the centre lies, and five landmarks relative to the box. The network file is MIT licensed and put
into the package when it is built.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Protocol

import numpy as np

from avsync_cli.errors import ModelError
from avsync_cli.regions.resize import resize_area

if TYPE_CHECKING:
    import onnxruntime

STRIDE = 4
"""Input pixels a cell of the network's output maps."""

ALIGN = 32
"""The network halves its input five times; sides must be multiples of this."""

LANDMARKS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
"""Order of the landmarks, left and right as seen in the picture."""


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
    """Anything that finds faces in RGB frames."""

    def __call__(self, frames: np.ndarray) -> list[list[Face]]:
        """Faces of each of (n, H, W, 3) uint8 frames, best first."""
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
        threshold: least score of a face.
        threads: ONNX Runtime threads, 0 for one a core.

    Raises:
        ModelError: the network file is not in the installed package.
    """

    def __init__(self, width_px: int = 320, threshold: float = 0.4, threads: int = 0) -> None:
        self.width_px = width_px
        self.threshold = threshold
        self.session = _open_session(threads)
        self.input_name = self.session.get_inputs()[0].name

    def __call__(self, frames: np.ndarray) -> list[list[Face]]:
        """Faces of each of (n, H, W, 3) uint8 RGB frames, best first, in the frames' pixels."""
        count, height, width = frames.shape[:3]
        if count == 0:
            return []
        ratio = min(1.0, self.width_px / max(width, height))
        small_h, small_w = max(8, round(height * ratio)), max(8, round(width * ratio))
        small = resize_area(frames, small_h, small_w)
        padded_h = -(-small_h // ALIGN) * ALIGN
        padded_w = -(-small_w // ALIGN) * ALIGN
        batch = np.zeros((count, 3, padded_h, padded_w), np.float32)
        batch[:, :, :small_h, :small_w] = small.transpose(0, 3, 1, 2)
        heat, scale, offset, points = self.session.run(None, {self.input_name: batch})
        to_frame = np.array([width / small_w, height / small_h], np.float32)
        return [
            self._decode(heat[i, 0], scale[i], offset[i], points[i], to_frame) for i in range(count)
        ]

    def _decode(
        self,
        heat: np.ndarray,
        scale: np.ndarray,
        offset: np.ndarray,
        points: np.ndarray,
        to_frame: np.ndarray,
    ) -> list[Face]:
        rows, columns = np.nonzero(heat > self.threshold)
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
            left_over = left_over[_overlap(boxes[left_over], box) < 0.3]
        return faces


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
