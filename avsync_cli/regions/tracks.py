"""Link detections into face tracks and say where each face is at every frame.

Detections come every few frames. A track is a list of them; between two of them position, size
and turn are interpolated, and smoothed over a third of a second, because a landmark's jitter
would otherwise look like a moving mouth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from avsync_cli.regions.crops import MOUTH_SHARE, Square
from avsync_cli.regions.faces import Face

LINK_OVERLAP = 0.25
"""Least intersection over union of a face with its track's last box."""

MAX_GAP = 15
"""Frames a face may go unseen within a track: a blink of the detector, a hand before the face."""

SMOOTH = 4
"""Frames on either side over which a track's course is averaged."""

MIN_WIDTH_PX = 20.0
"""Faces narrower than this (in a picture of at most 360 lines) show no readable mouth."""

MAX_TRACKS = 4
"""Largest faces followed at the same time; more cost time and seldom speak."""


@dataclass
class Track:
    """One face within one shot.

    Attributes:
        number: unique within the file.
        frames: frame numbers of its detections, rising.
        course: one row a detection: mouth x, y, face width, turn, box left, top, width, height.
        last_allowed: last frame of its shot once known (exclusive), else None.
    """

    number: int
    frames: list[int] = field(default_factory=list)
    course: list[np.ndarray] = field(default_factory=list)
    score: float = 0.0
    shot_start: int = 0
    shot_end: int | None = None

    def add(self, frame: int, face: Face) -> None:
        """Append a detection."""
        self.frames.append(frame)
        self.course.append(_course_row(face))
        self.score = max(self.score, face.score)

    @property
    def box(self) -> np.ndarray:
        """Last known box: left, top, width, height in pixels."""
        return self.course[-1][4:]

    def span(self) -> tuple[int, int]:
        """First and past-the-end frame the track reaches, holding to its shot's ends if near."""
        first, end = self.frames[0], self.frames[-1] + 1
        if first - self.shot_start <= SMOOTH + 1:
            first = self.shot_start
        if self.shot_end is not None and self.shot_end - end <= SMOOTH + 1:
            end = self.shot_end
        return first, end

    def places(self, first: int, end: int) -> np.ndarray:
        """Smoothed course rows (end - first, 8) of the frames first .. end - 1."""
        rows = np.stack(self.course)
        wanted = np.arange(first - SMOOTH, end + SMOOTH)
        held = np.clip(wanted, self.frames[0], self.frames[-1])
        dense = np.stack(
            [np.interp(held, self.frames, rows[:, c]) for c in range(rows.shape[1])], 1
        )
        sums = np.cumsum(np.vstack([np.zeros((1, dense.shape[1])), dense]), axis=0)
        window = 2 * SMOOTH + 1
        smooth: np.ndarray = (sums[window:] - sums[:-window]) / window
        return smooth

    def forget_before(self, frame: int) -> None:
        """Drop detections no longer needed for frames from `frame` on: bounded memory."""
        keep = 0
        while keep + 2 < len(self.frames) and self.frames[keep + 2] < frame - 4 * SMOOTH - MAX_GAP:
            keep += 1
        if keep and self.frames[0] < frame:
            del self.frames[:keep], self.course[:keep]


def _course_row(face: Face) -> np.ndarray:
    left, top, width, height = face.box
    eyes = face.landmarks[1] - face.landmarks[0]
    mouth = (face.landmarks[3] + face.landmarks[4]) / 2
    turn = math.atan2(float(eyes[1]), float(eyes[0])) if eyes[0] > 0.1 * width else 0.0
    turn = float(np.clip(turn, -0.6, 0.6))
    return np.array([mouth[0], mouth[1], width, turn, left, top, width, height], np.float64)


def mouth_square(row: np.ndarray) -> Square:
    """The square around the mouth for one row of a track's course."""
    return Square(float(row[0]), float(row[1]), float(row[2]) * MOUTH_SHARE, float(row[3]))


def link(tracks: list[Track], frame: int, faces: list[Face], new: int, shot_start: int) -> int:
    """Give each face of a frame to the open track it overlaps most, or to a new one.

    Args:
        tracks: open tracks of this shot; extended in place, new ones appended.
        frame: frame number of the detections.
        faces: detections of one frame.
        new: number for the next new track.
        shot_start: first frame of the current shot.

    Returns:
        the number for the next new track.
    """
    faces = [f for f in faces if f.box[2] >= MIN_WIDTH_PX and f.box[3] >= MIN_WIDTH_PX]
    faces = sorted(faces, key=lambda f: -f.box[2] * f.box[3])[:MAX_TRACKS]
    free = [t for t in tracks if t.shot_end is None and frame - t.frames[-1] <= MAX_GAP]
    pairs = sorted(
        (
            (overlap(track.box, np.array(face.box)), i, j)
            for i, track in enumerate(free)
            for j, face in enumerate(faces)
        ),
        reverse=True,
    )
    used_tracks: set[int] = set()
    used_faces: set[int] = set()
    for share, i, j in pairs:
        if share < LINK_OVERLAP or i in used_tracks or j in used_faces:
            continue
        free[i].add(frame, faces[j])
        used_tracks.add(i)
        used_faces.add(j)
    for j, face in enumerate(faces):
        if j not in used_faces:
            track = Track(new, shot_start=shot_start)
            track.add(frame, face)
            tracks.append(track)
            new += 1
    return new


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes (left, top, width, height)."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    inner = width * height
    return float(inner / (a[2] * a[3] + b[2] * b[3] - inner))
