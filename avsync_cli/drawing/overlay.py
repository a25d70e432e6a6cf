"""The film with the model's attention drawn on it, and a timeline that moves along below.

Frames are decoded, drawn on and encoded one by one; memory does not grow with the film. The frames
are those that were judged, 25 a second, on the same zero as the sound, which is kept: the copy is
as much out of sync as the film.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from avsync_cli.drawing import raster
from avsync_cli.drawing.attention import cell_box, cell_shades, region_words
from avsync_cli.drawing.canvas import DARK, rgb
from avsync_cli.drawing.figures import STATUS_ROLE
from avsync_cli.drawing.lettering import ADVANCE, text_width
from avsync_cli.drawing.over_time import time_span
from avsync_cli.errors import UsageError
from avsync_cli.inference.evidence import BlockResult
from avsync_cli.media.clock import Epochs
from avsync_cli.media.decode import LOOSE_PREROLL_S, pick_audio, pick_video, timeline_zero
from avsync_cli.media.film_writer import FilmWriter
from avsync_cli.media.picture import PictureReader, frame_size
from avsync_cli.media.probe import probe
from avsync_cli.report.terminal import verdict_words
from avsync_cli.timebase import FPS
from avsync_cli.verdict.answer import Judgement
from avsync_cli.wording import clock, safe_text

MAX_HEIGHT = 720
LEAST_WIDTH = 480
"""Smaller pictures are enlarged by a whole factor, so that there is room for words."""

_READ_FRAMES = 10
_INK, _PAPER, _PANEL = rgb(DARK["ink"]), rgb(DARK["paper"]), rgb(DARK["panel"])
_CELLS = rgb("#ffb000")
_COLD, _HOT = np.array(rgb("#8fa3b8")), np.array(rgb("#ffb000"))


def write_overlay(
    report: Judgement,
    target: Path,
    *,
    video_track: int | None = None,
    audio_track: int | None = None,
    start_s: float = 0.0,
    duration_s: float | None = None,
    progress: Callable[[float, float], None] | None = None,
) -> None:
    """Write the film `report` is about, with boxes, cell maps and a timeline drawn on.

    Args:
        report: of the file; it is opened again.
        target: the new film; appears whole or not at all.
        video_track, audio_track, start_s, duration_s: as it was judged.
        progress: called with (seconds done, seconds in all) now and then.

    Raises:
        MediaError: the film cannot be read, or not be written.
        UsageError: `target` is no name for a film, or the film itself.
    """
    info = probe(report.path)
    if target.exists() and target.samefile(report.path):
        raise UsageError(f"{safe_text(str(target))} is the film itself", "name another file")
    video, audio = pick_video(info, video_track or 0), pick_audio(info, audio_track or 0)
    size = frame_size(video.width, video.height, MAX_HEIGHT)
    zero_s = timeline_zero(info, video)
    first = round(start_s * FPS)
    last = None if duration_s is None else first + max(1, round(duration_s * FPS))
    seek_s = first / FPS - LOOSE_PREROLL_S
    painter = Painter(report, size)
    reader = PictureReader(
        info,
        video,
        size,
        Epochs(info.container),
        zero_s=zero_s,
        first_frame=first,
        end_frame=last,
        seek_s=seek_s if seek_s > 0 and video.has_pts else None,
        threads=0,
    )
    total_s = info.duration_s - start_s if duration_s is None else duration_s
    try:
        with FilmWriter(
            target,
            painter.size,
            info,
            audio,
            zero_s=zero_s,
            start_s=first / FPS,
            duration_s=duration_s,
        ) as film:
            for number, frame in _frames(reader, size, first, last):
                film.write(painter.paint(frame, number / FPS))
                if progress is not None and number % FPS == 0:
                    progress((number - first) / FPS, total_s)
            reader.check()
    finally:
        reader.close()


def _frames(
    reader: PictureReader, size: tuple[int, int], first: int, last: int | None
) -> Iterator[tuple[int, np.ndarray]]:
    frames = np.empty((_READ_FRAMES, *size, 3), np.uint8)
    valid = np.empty(_READ_FRAMES, bool)
    number, count = first, _READ_FRAMES
    while count == _READ_FRAMES:
        count = reader.fill(frames, valid)
        for k in range(count):
            if last is not None and number >= last:
                return
            yield number, frames[k]
            number += 1


class Painter:
    """Draws on frames.

    Args:
        report: what is drawn.
        size: (height, width) of the frames that come.

    Attributes:
        size: (height, width) of the frames that go, both even.
    """

    def __init__(self, report: Judgement, size: tuple[int, int]) -> None:
        height, width = size
        self._scale = max(1, -(-LEAST_WIDTH // width))
        self._high, self._wide = height * self._scale, width * self._scale
        self._dot = max(1, round(self._wide / 480))
        # Strip: a line of words, a line of time, bars, verdict, with gaps of two dots.
        self._strip_high = 2 * (26 * self._dot)
        self.size = (self._high + self._strip_high, self._wide)
        self._report = report
        self._aspect = width / height
        self._blocks = sorted(report.evidence.blocks, key=lambda b: b.start_s)
        self._starts = [b.start_s for b in self._blocks]
        self._longest_s = max((b.end_s - b.start_s for b in self._blocks), default=0.0)
        self._most = max((b.weight for b in self._blocks), default=0.0) or 1.0
        self._span = time_span(report)
        self._tracks: dict[tuple[str, int | None], list[BlockResult]] = {}
        for block in self._blocks:
            key = (block.region.kind, block.region.track)
            self._tracks.setdefault(key, []).append(block)
        self._strip = self._draw_strip()

    def paint(self, frame: np.ndarray, at_s: float) -> np.ndarray:
        """One (H, W, 3) frame of the film at `at_s`, drawn on: (*size, 3) uint8."""
        out = np.empty((*self.size, 3), np.uint8)
        picture = out[: self._high]
        picture[:] = frame if self._scale == 1 else self._enlarged(frame)
        out[self._high :] = self._strip
        for block in self._now(at_s):
            self._draw_block(picture, block, at_s)
        self._draw_playhead(out[self._high :], at_s)
        return out

    def _enlarged(self, frame: np.ndarray) -> np.ndarray:
        return frame.repeat(self._scale, axis=0).repeat(self._scale, axis=1)

    def _now(self, at_s: float) -> list[BlockResult]:
        low = bisect.bisect_left(self._starts, at_s - self._longest_s - 1e-6)
        high = bisect.bisect_right(self._starts, at_s + 1e-6)
        return [b for b in self._blocks[low:high] if b.start_s <= at_s + 1e-6 < b.end_s]

    # --- On the picture -----------------------------------------------------------------------

    def _draw_block(self, picture: np.ndarray, block: BlockResult, at_s: float) -> None:
        dot = self._dot
        box = self._placed(self._box_at(block, at_s))
        if block.region.kind == "frame":
            box = (dot, dot, self._wide - 2.0 * dot, self._high - 2.0 * dot)
        share = min(1.0, block.weight / self._most)
        color = _mixed(share) if block.used else rgb("#6b7683")
        shades = cell_shades(block) if block.used else None
        if shades is not None:
            self._draw_cells(picture, block, at_s, shades)
        raster.draw_frame(picture, _grown(box, dot / 2), (0, 0, 0), 2.0 * dot, 0.45)
        raster.draw_frame(picture, box, color, dot * (1.0 + share))
        words = f"{100 * block.weight:.1f} %" if block.used else safe_text(block.reason)
        words = f"{region_words(block.region)}  {words}".rstrip()
        left = float(np.clip(box[0], 0, max(0, self._wide - text_width(words, dot) - 4 * dot)))
        top = box[1] - 11 * dot if box[1] >= 11 * dot else box[1] + dot
        width = text_width(words, dot) + 4.0 * dot
        raster.draw_rect(picture, (left, top, width, 11.0 * dot), (0, 0, 0), 0.6)
        raster.draw_text(picture, left + 2 * dot, top + 9 * dot, words, color, dot)

    def _draw_cells(
        self, picture: np.ndarray, block: BlockResult, at_s: float, shades: np.ndarray
    ) -> None:
        box = self._box_at(block, at_s)
        region = type(block.region)(block.region.kind, block.region.track, box)
        left, top, width, height = self._placed(cell_box(region, self._aspect))
        high, wide = height / shades.shape[0], width / shades.shape[1]
        for y, x in zip(*np.nonzero(shades > 0.02), strict=True):
            cell = (left + x * wide, top + y * high, wide, high)
            raster.draw_rect(picture, cell, _CELLS, 0.5 * float(shades[y, x]))

    def _box_at(self, block: BlockResult, at_s: float) -> tuple[float, float, float, float]:
        """The block's box is that of its middle; between the middles of neighbours it glides."""
        track = self._tracks[(block.region.kind, block.region.track)]
        k = next(i for i in _near(track, block.start_s) if track[i] is block)
        middle = (block.start_s + block.end_s) / 2
        other = k + 1 if at_s > middle else k - 1
        if not 0 <= other < len(track):
            return block.region.box
        beside = track[other]
        apart = (beside.start_s + beside.end_s) / 2 - middle
        # Further apart than neighbours are: the face was away meanwhile.
        if not 0 < abs(apart) <= 1.5 * (block.end_s - block.start_s):
            return block.region.box
        share = (at_s - middle) / apart
        a, b = np.array(block.region.box), np.array(beside.region.box)
        left, top, width, height = (float(side) for side in a + share * (b - a))
        return left, top, width, height

    def _placed(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        left, top, width, height = box
        return left * self._wide, top * self._high, width * self._wide, height * self._high

    # --- Below it -----------------------------------------------------------------------------

    def _x(self, at_s: float) -> float:
        start, end = self._span
        share = float(np.clip((at_s - start) / (end - start), 0.0, 1.0))
        return 4 * self._dot + share * (self._wide - 8 * self._dot)

    def _draw_strip(self) -> np.ndarray:
        """What does not move: words, bars of attention, the verdict's stretches."""
        dot = self._dot
        strip = np.empty((self._strip_high, self._wide, 3), np.uint8)
        strip[:] = _PAPER
        words = safe_text(verdict_words(self._report))
        words = words[:1].upper() + words[1:]
        # The end of the line is left to the time.
        room = (self._wide - 8 * dot - text_width("0:00:00.0", dot) - 6 * dot) // (ADVANCE * dot)
        words = words if len(words) <= room else words[: max(0, room - 3)] + "..."
        role = STATUS_ROLE[self._report.verdict.status]
        raster.draw_text(strip, 4 * dot, 11 * dot, words, rgb(DARK[role]), dot)
        top, bottom = 15.0 * dot, 40.0 * dot
        raster.draw_rect(strip, (4.0 * dot, top, self._wide - 8.0 * dot, bottom - top), _PANEL)
        columns = np.zeros(self._wide)
        for block in self._blocks:
            low, high = int(self._x(block.start_s)), int(self._x(block.end_s))
            part = columns[low : max(low + 1, high - (1 if high - low > 3 else 0))]
            np.maximum(part, block.weight, out=part)
        for x in np.flatnonzero(columns):
            share = columns[x] / self._most
            bar = share * (bottom - top)
            raster.draw_rect(strip, (float(x), bottom - bar, 1.0, bar), _mixed(share))
        for segment in self._report.verdict.segments:
            left, right = self._x(segment.start_s), self._x(segment.end_s)
            color = rgb(DARK[STATUS_ROLE[segment.status]])
            width = max(1.0, right - left - dot / 2)
            raster.draw_rect(strip, (left, 42.0 * dot, width, 6.0 * dot), color)
        return strip

    def _draw_playhead(self, strip: np.ndarray, at_s: float) -> None:
        dot = self._dot
        x = self._x(at_s)
        raster.draw_rect(strip, (x - dot / 2, 14.0 * dot, float(dot), 35.0 * dot), _INK)
        now = clock(at_s, tenths=True)
        raster.draw_text(strip, self._wide - 4 * dot, 11 * dot, now, _INK, dot, "end")


def _near(track: list[BlockResult], start_s: float) -> range:
    low = bisect.bisect_left(track, start_s, key=lambda b: b.start_s)
    return range(low, len(track))


def _mixed(share: float) -> raster.Color:
    """From grey to amber as the share goes from 0 to 1."""
    red, green, blue = (_COLD + share * (_HOT - _COLD)).astype(int)
    return int(red), int(green), int(blue)


def _grown(box: tuple[float, float, float, float], by: float) -> tuple[float, float, float, float]:
    left, top, width, height = box
    return left - by, top - by, width + 2 * by, height + 2 * by
