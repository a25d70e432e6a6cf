"""Frames in, region pieces out: shots, faces, tracks and crops in one bounded pass.

A `RegionStream` is fed the picture in order and hands out, about a second later, what there is to
look at: a piece for every face track alive, and the whole frame for stretches without a usable
face. Nothing older than that second is kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from avsync_cli.regions.crops import CROP_PX, FRAME_PX, cut_square, seen_part, whole_frames
from avsync_cli.regions.faces import CenterFace, Detector, Face, Follower
from avsync_cli.regions.planes import brightness
from avsync_cli.regions.shots import AHEAD, ShotDetector, thumbnails
from avsync_cli.regions.tracks import MAX_GAP, SMOOTH, Track, link, mouth_square, overlap

DETECT_EVERY = 10
"""Frames between detections, which are what costs most: of a face that sits still, two a second are
plenty. Where the faces of two detections differ, one half-way between them is added."""

WHOLE_EVERY = 5 * DETECT_EVERY
"""Frames between detections in whole frames where faces are known and something changes around
them; in between they are looked for around where they were. Whoever comes into a shot is seen so
much later at most."""

CHANGED = 5.0
"""Grey levels by which a thumbnail's pixel differs where somebody may have come."""

STEADY = 0.7
"""Least intersection over union of a face in two detections for it to have kept still."""

LAG = MAX_GAP + DETECT_EVERY + SMOOTH + AHEAD
"""Frames a piece is held back, until it is known whether a face comes back or has gone."""

MIN_SCORE = 0.5
"""Best detection a track needs to count as a face."""

MIN_DETECTIONS = 2
"""Detections a track needs: a single one is more often a false alarm than a face."""


@dataclass(frozen=True)
class RegionPiece:
    """A stretch of one region.

    Attributes:
        kind: "face" (a square around the mouth) or "frame" (all of the picture).
        track: number of the region, unique within the file for both kinds.
        first_frame: number of the first crop's frame on the 25 fps timeline.
        crops: (n, 96, 96) uint8 grey, or their middle; n may be 0 for a piece that only says
            `last`.
        valid: (n,) bool, False where the frame is filler.
        boxes: (n, 4) float32, left, top, width and height as shares of the picture, 0..1.
        last: True when the region ends with this piece.
        seen: (n, 6) float32, where the crops lie in the picture (`crops.seen_part`); None where
            they are the boxes.
    """

    kind: Literal["face", "frame"]
    track: int
    first_frame: int
    crops: np.ndarray
    valid: np.ndarray
    boxes: np.ndarray
    last: bool = False
    seen: np.ndarray | None = None


class RegionStream:
    """Follows what there is to see through a video.

    Args:
        frame_size: (height, width) of the frames in pixels.
        detector: finds faces; CenterFace unless given. Tests hand in their own.
        threads: threads for the detector, 0 for half the cores.
        crop_px: side of the middle of each crop that is made: CROP_PX for all of it, less where
            nothing looks at the rest.
        first_track: number of the first region.
    """

    def __init__(
        self,
        frame_size: tuple[int, int],
        *,
        detector: Detector | None = None,
        threads: int = 0,
        crop_px: int = CROP_PX,
        first_track: int = 0,
    ) -> None:
        self.crop_px = crop_px
        self.height, self.width = frame_size
        self.detector: Detector = detector if detector is not None else CenterFace(threads=threads)
        self.settled = 0
        self._looked = 0  # cuts are known up to here, faces up to the last detection before
        self._wanted: list[int] = []  # frames to detect in, once
        self._last: tuple[int, list[Face]] | None = None  # latest detection that was linked
        self._searched: np.ndarray | None = None  # thumbnail of the last frame searched as a whole
        self._shots = ShotDetector()
        self._cuts: list[int] = []
        self._shot_start = 0
        self._tracks: list[Track] = []
        self._number = first_track
        # One array a frame, views of what was pushed: nothing is copied while it waits.
        self._frames: list[np.ndarray] = []
        self._begun = False
        self._valid = np.zeros(0, bool)
        self._run: int | None = None  # number of the whole-frame region reaching up to `settled`

    @property
    def next_track(self) -> int:
        """Number that the next region gets."""
        return self._number

    def push(
        self, first_frame: int, frames: np.ndarray, frame_valid: np.ndarray
    ) -> list[RegionPiece]:
        """Take the next (n, 3 H / 2, W) uint8 frames (`planes`) and their (n,) bool marks.

        Returns:
            the pieces settled by now; those of one track are contiguous and in order.
        """
        if not self._begun:
            self.settled, self._looked, self._begun = first_frame, first_frame, True
        elif first_frame != self.settled + len(self._frames):
            raise ValueError(f"frames must follow each other, got {first_frame}")
        self._frames.extend(frames)
        self._valid = np.concatenate([self._valid, frame_valid])
        seen = first_frame + len(frames)
        self._look(seen - AHEAD)
        return self._deliver(seen - LAG)

    def finish(self) -> list[RegionPiece]:
        """The rest, once no more frames come."""
        if not self._begun:
            return []
        seen = self.settled + len(self._frames)
        self._look(seen, last=True)
        for track in self._tracks:
            if track.shot_end is None:
                track.shot_end = seen
        pieces = self._deliver(seen)
        pieces += self._end_run()
        self._tracks.clear()
        return pieces

    def _look(self, end: int, last: bool = False) -> None:
        """Find cuts and faces in the frames up to `end` and update the tracks."""
        first_frame = self._looked
        if not self._begun or end <= first_frame:
            return
        self._looked = end
        frames = self._frames[first_frame - self.settled : end - self.settled + AHEAD]
        bright = [brightness(frame) for frame in frames]
        starts = self._shots.push(bright[: end - first_frame], bright[end - first_frame :])
        for i, starting in enumerate(starts):
            number = first_frame + i
            if starting:
                self._cuts.append(number)
            if starting or number % DETECT_EVERY == 0:
                self._wanted.append(number)
        known = dict([self._last] if self._last else [])
        found = self._detect(self._wanted, known)
        between = self._between(found, last)
        found |= self._detect(between, known | found)
        for number in sorted(found):
            if number in self._cuts:
                for track in self._tracks:
                    if track.shot_end is None:
                        track.shot_end = number
                self._shot_start = number
            self._last = (number, found[number])
            self._number = link(self._tracks, number, found[number], self._number, self._shot_start)
        self._wanted = []

    def _detect(self, numbers: list[int], known: dict[int, list[Face]]) -> dict[int, list[Face]]:
        """Faces in frames given by number, rising; `known` are those of frames before or among
        them."""
        found = dict(known)
        for number in numbers:
            faces = self._follow(number, found)
            if faces is None:
                frame = self._frames[number - self.settled]
                (faces,) = self.detector(frame[None])
                # Of one half-way nothing is kept: its successor may have been looked at before.
                if number in self._cuts or not number % DETECT_EVERY:
                    (self._searched,) = thumbnails([brightness(frame)])
            found[number] = faces
        return {number: found[number] for number in numbers}

    def _follow(self, number: int, known: dict[int, list[Face]]) -> list[Face] | None:
        """The faces of the frame known last, found again; None where all of it is to be seen."""
        before = max((n for n in known if number - DETECT_EVERY <= n < number), default=None)
        if before is None or number in self._cuts or not isinstance(self.detector, Follower):
            return None
        frame, faces = self._frames[number - self.settled], known[before]
        if not faces and number % DETECT_EVERY:
            return None
        if (not faces or not number % WHOLE_EVERY) and self._has_changed(frame, faces):
            return None
        return self.detector.near(frame, faces) if faces else []

    def _has_changed(self, frame: np.ndarray, faces: list[Face]) -> bool:
        """Whether a frame differs, outside known faces, from the last one searched as a whole."""
        if self._searched is None:
            return True
        (thumb,) = thumbnails([brightness(frame)])
        changed = np.abs(thumb - self._searched) > CHANGED
        scale = np.array([self.width / thumb.shape[1], self.height / thumb.shape[0]] * 2)
        for face in faces:
            left, top, width, height = np.array(face.box) / scale
            rows = slice(max(0, int(top - height / 2)), max(0, math.ceil(top + 1.5 * height)))
            columns = slice(max(0, int(left - width / 2)), max(0, math.ceil(left + 1.5 * width)))
            changed[rows, columns] = False
        return bool(changed.any())

    def _between(self, found: dict[int, list[Face]], last: bool) -> list[int]:
        """Frames half-way between two detections that are worth one more: where something moved,
        came or went, and before a cut."""
        faces = dict([self._last] if self._last else []) | found
        marks = sorted(faces) + ([self._looked] if last else [])
        extra = []
        for before, after in pairwise(marks):
            half = before - before % DETECT_EVERY + DETECT_EVERY // 2
            if not before < half < after:
                continue
            ends = after in self._cuts or after == self._looked
            if ends or not _steady(faces[before], faces[after]):
                extra.append(half)
        return extra

    def _deliver(self, end: int) -> list[RegionPiece]:
        if not self._begun or end <= self.settled:
            return []
        first, seen = self.settled, self.settled + len(self._frames)
        pieces: list[RegionPiece] = []
        covered = np.zeros(end - first, bool)
        for track in self._tracks:
            if len(track.frames) < MIN_DETECTIONS or track.score < MIN_SCORE:
                continue
            begins, ends = track.span()
            gone = track.shot_end is not None or seen - track.frames[-1] > MAX_GAP + DETECT_EVERY
            begins, stops = max(begins, first), min(ends, end)
            if begins < stops:
                covered[begins - first : stops - first] = True
                pieces.append(self._cut(track, begins, stops, last=gone and ends <= end))
        pieces += self._whole(covered, first)
        keep = end - first
        self._frames, self._valid = self._frames[keep:], self._valid[keep:]
        self.settled = end
        self._cuts = [c for c in self._cuts if c >= end]
        self._tracks = [
            t
            for t in self._tracks
            if t.span()[1] > end or (t.shot_end is None and seen - t.frames[-1] <= MAX_GAP)
        ]
        for track in self._tracks:
            track.forget_before(end)
        return pieces

    def _cut(self, track: Track, first: int, end: int, last: bool) -> RegionPiece:
        rows = track.places(first, end)
        at = first - self.settled
        frames = self._frames[at : at + end - first]
        squares = [mouth_square(row) for row in rows]
        crops = np.stack(
            [cut_square(f, s, kept=self.crop_px) for f, s in zip(frames, squares, strict=True)]
        )
        share = self.crop_px / CROP_PX
        seen = np.stack([seen_part(s, share, self.width, self.height) for s in squares])
        scale = np.array([self.width, self.height, self.width, self.height], np.float32)
        boxes = np.clip(rows[:, 4:] / scale, 0.0, 1.0).astype(np.float32)
        valid = self._valid[at : at + end - first].copy()
        return RegionPiece("face", track.number, first, crops, valid, boxes, last, seen)

    def _whole(self, covered: np.ndarray, first: int) -> list[RegionPiece]:
        """Whole-frame pieces for the stretches of first .. that no face covers."""
        pieces: list[RegionPiece] = []
        cuts = {c - first for c in self._cuts}
        at = 0
        while at < len(covered):
            if covered[at]:
                pieces += self._end_run()
                at += 1
                continue
            if at in cuts:
                pieces += self._end_run()
            stop = at + 1
            while stop < len(covered) and not covered[stop] and stop not in cuts:
                stop += 1
            if self._run is None:
                self._run, self._number = self._number, self._number + 1
            boxes = np.tile(np.array([0, 0, 1, 1], np.float32), (stop - at, 1))
            share = self.crop_px / FRAME_PX
            part = [(1 - share) / 2, (1 - share) / 2, share, 0, 0, share]
            pieces.append(
                RegionPiece(
                    "frame",
                    self._run,
                    first + at,
                    whole_frames(self._frames[at:stop], self.crop_px),
                    self._valid[at:stop].copy(),
                    boxes,
                    seen=np.tile(np.array(part, np.float32), (stop - at, 1)),
                )
            )
            at = stop
        return pieces

    def _end_run(self) -> list[RegionPiece]:
        """Close the open whole-frame region, if any, with an empty last piece."""
        if self._run is None:
            return []
        number, self._run = self._run, None
        empty = np.zeros((0, self.crop_px, self.crop_px), np.uint8)
        none = np.zeros((0, 4), np.float32)
        return [RegionPiece("frame", number, self.settled, empty, np.zeros(0, bool), none, True)]


def _steady(before: list[Face], after: list[Face]) -> bool:
    """Whether two detections show the same faces in about the same places."""
    if len(before) != len(after):
        return False
    return all(
        max((overlap(np.array(f.box), np.array(g.box)) for g in after), default=0.0) >= STEADY
        for f in before
    )
