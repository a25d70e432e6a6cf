"""The film with the model's attention drawn on it, and a time line that moves along below.

Frames are decoded, drawn on and encoded one by one; memory does not grow with the film. The frames
are those that were judged, 25 a second, on the same zero as the sound, which is kept: the copy is
as much out of sync as the film.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
from PIL import Image, ImageDraw

from avsync_cli.drawing.attention import Patch, cell_shades, region_words, seen_patch, shaded_cells
from avsync_cli.drawing.canvas import Box
from avsync_cli.drawing.lanes import time_span
from avsync_cli.drawing.palette import CELLS, DARK, STATUS_ROLE, rgb
from avsync_cli.drawing.pixels import Color, fill_rect, font, pen, plain, write
from avsync_cli.errors import UsageError
from avsync_cli.inference.evidence import BlockResult, Region, Strikes
from avsync_cli.judging import Excerpt
from avsync_cli.media.clock import Epochs, Stretch
from avsync_cli.media.facts import pick_audio, pick_video
from avsync_cli.media.film_writer import film_writer
from avsync_cli.media.picture import PictureReader, frame_size
from avsync_cli.media.probe import probe
from avsync_cli.timebase import FPS
from avsync_cli.verdict.answer import Judgement
from avsync_cli.wording import clock, safe_text, weight_words

MAX_HEIGHT = 720
LEAST_WIDTH = 480
"""Smaller pictures are enlarged by a whole factor, so that there is room for words."""

_READ_FRAMES = 10
_COLD, _HOT, _LEFT_OUT = rgb("#8fa3b8"), rgb(CELLS), rgb("#6b7683")
_BLACK = (0, 0, 0)

_STRIP_DOTS = 52
"""Below the picture: a line of words, bars, the verdict. Everything is measured in dots, of which
a small picture's is one pixel."""

_TEXT_DOTS = 10

_FLASH_S = 0.12
"""For three frames a strike is shown."""

Sides = TypeVar("Sides", bound=tuple[float, ...])


def write_overlay(
    judgement: Judgement, target: Path, excerpt: Excerpt | None = None, *, says: str = ""
) -> None:
    """Write the film that was judged, with boxes, cell maps and a time line drawn on.

    Args:
        judgement: of the film; it is opened again.
        target: the new film; appears whole or not at all.
        excerpt: what of it was judged.
        says: the verdict in a sentence, written below the picture.

    Raises:
        MediaError: the film cannot be read, or not be written.
        UsageError: `target` is no name for a film, or the film itself.
    """
    excerpt = excerpt or Excerpt()
    info = probe(judgement.path)
    if target.exists() and target.samefile(judgement.path):
        raise UsageError(f"{safe_text(str(target))} is the film itself", "name another file")
    video, audio = pick_video(info, excerpt.video_track), pick_audio(info, excerpt.audio_track)
    size = frame_size(video.width, video.height, MAX_HEIGHT)
    stretch = Stretch.of(info, video, excerpt.start_s, excerpt.duration_s)
    first, last = stretch.first_frame, stretch.end_frame
    painter = Painter(judgement, size, says)
    with (
        PictureReader(info, video, size, stretch, Epochs(info)) as reader,
        film_writer(target, painter.size, info, audio, stretch) as write,
    ):
        for number, frame in frames_between(reader, size, first, last):
            write(painter.paint(frame, number / FPS))
        reader.check()


def frames_between(
    reader: PictureReader, size: tuple[int, int], first: int, last: int | None
) -> Iterator[tuple[int, np.ndarray]]:
    """Number and picture (*size, 3) of the frames that a reader gives, from `first` to before
    `last`; a picture holds until the next ones are read."""
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
        judgement: what is drawn.
        size: (height, width) of the frames that come.
        says: the sentence below them.

    Attributes:
        size: (height, width) of the frames that go, both even.
    """

    def __init__(self, judgement: Judgement, size: tuple[int, int], says: str = "") -> None:
        height, width = size
        scale = max(1, -(-LEAST_WIDTH // width))
        self._high, self._wide = height * scale, width * scale
        self._dot = max(1, round(self._wide / 480))
        self._letters = font(_TEXT_DOTS * self._dot)
        self.size = (self._high + _STRIP_DOTS * self._dot, self._wide)
        self._blocks = sorted(judgement.evidence.blocks, key=lambda b: b.start_s)
        self._starts = [b.start_s for b in self._blocks]
        self._longest_s = max((b.end_s - b.start_s for b in self._blocks), default=0.0)
        self._most = max((b.weight for b in self._blocks), default=0.0) or 1.0
        self._span = time_span(judgement)
        self._strikes = judgement.evidence.strikes
        self._tracks: dict[tuple[str, int | None], list[BlockResult]] = {}
        for block in self._blocks:
            key = (block.region.kind, block.region.track)
            self._tracks.setdefault(key, []).append(block)
        self._strip = self._draw_strip(judgement, says)

    def paint(self, frame: np.ndarray, at_s: float) -> np.ndarray:
        """One (H, W, 3) frame of the film at `at_s`, drawn on: (*size, 3) uint8."""
        out = np.empty((*self.size, 3), np.uint8)
        picture, strip = out[: self._high], out[self._high :]
        scale = self._wide // frame.shape[1]
        picture[:] = frame if scale == 1 else frame.repeat(scale, axis=0).repeat(scale, axis=1)
        strip[:] = self._strip
        for block in self._now(at_s):
            self._draw_block(picture, block, at_s)
        if self._strikes is not None and at_s < self._strikes.end_s:
            self._draw_strikes(picture, self._strikes, at_s)
        self._draw_playhead(strip, at_s)
        return out

    def _now(self, at_s: float) -> list[BlockResult]:
        low = bisect.bisect_left(self._starts, at_s - self._longest_s - 1e-6)
        high = bisect.bisect_right(self._starts, at_s + 1e-6)
        return [b for b in self._blocks[low:high] if b.start_s <= at_s + 1e-6 < b.end_s]

    # --- On the picture -----------------------------------------------------------------------

    def _draw_block(self, picture: np.ndarray, block: BlockResult, at_s: float) -> None:
        dot = self._dot
        region = self._region_at(block, at_s)
        box: Box = (dot, dot, self._wide - 2.0 * dot, self._high - 2.0 * dot)
        if region.kind == "face":
            left, top, width, height = region.box
            box = left * self._wide, top * self._high, width * self._wide, height * self._high
        share = min(1.0, block.weight / self._most)
        color = _mixed(share) if block.used else _LEFT_OUT
        said = weight_words(block.weight) if block.used else block.reason
        words = f"{region_words(region)}  {said}".rstrip()
        label = self._label_box(box, words)
        left, top, width, height = box
        around = left - dot / 2, top - dot / 2, width + dot, height + dot
        shades = cell_shades(block) if block.used else None
        if shades is not None:
            _draw_cells(picture, seen_patch(region, self._wide, self._high), shades)
        with _part(picture, [around, label]) as (part, moved):
            on = pen(part)
            _draw_frame(on, moved(around), _BLACK, 2.0 * dot, 0.45)
            _draw_frame(on, moved(box), color, dot * (1.0 + share))
            fill_rect(on, moved(label), _BLACK, 0.6)
            left, top, *_ = moved(label)
            write(on, (left + 2 * dot, top + 9 * dot), words, self._letters, color)

    def _draw_strikes(self, picture: np.ndarray, strikes: Strikes, at_s: float) -> None:
        """The square of which the answer is, bright for a moment at each strike as it is seen."""
        if strikes.box is None:
            return
        left, top, width, height = strikes.box
        box = left * self._wide, top * self._high, width * self._wide, height * self._high
        since = [at_s - heard_s + strikes.offset_ms / 1000 for heard_s in strikes.heard_s]
        struck = any(-1e-6 <= ago_s < _FLASH_S for ago_s in since)
        with _part(picture, [box]) as (part, moved):
            color, thick = (_HOT, 3.0) if struck else (_COLD, 1.0)
            _draw_frame(pen(part), moved(box), color, thick * self._dot)

    def _label_box(self, box: Box, words: str) -> Box:
        """Where words stand: above a box, or in it where there is no room above."""
        dot = self._dot
        width = self._letters.getlength(plain(words)) + 4.0 * dot
        left = float(np.clip(box[0], 0, max(0.0, self._wide - width)))
        top = box[1] - 11 * dot if box[1] >= 11 * dot else box[1] + dot
        return left, top, width, 11.0 * dot

    def _region_at(self, block: BlockResult, at_s: float) -> Region:
        """The block's region is that of its middle; between those of neighbours it glides."""
        track = self._tracks[(block.region.kind, block.region.track)]
        near = bisect.bisect_left(track, block.start_s, key=lambda b: b.start_s)
        k = next(i for i in range(near, len(track)) if track[i] is block)
        middle = (block.start_s + block.end_s) / 2
        other = k + 1 if at_s > middle else k - 1
        if not 0 <= other < len(track):
            return block.region
        beside = track[other]
        apart = (beside.start_s + beside.end_s) / 2 - middle
        # Further apart than neighbours are: the face was away meanwhile.
        if not 0 < abs(apart) <= 1.5 * (block.end_s - block.start_s):
            return block.region
        share = (at_s - middle) / apart
        a, b = block.region, beside.region
        seen = _between(a.seen, b.seen, share) if a.seen and b.seen else None
        return replace(a, box=_between(a.box, b.box, share), seen=seen)

    # --- Below it -----------------------------------------------------------------------------

    def _x(self, at_s: float) -> float:
        start, end = self._span
        share = float(np.clip((at_s - start) / (end - start), 0.0, 1.0))
        return 4 * self._dot + share * (self._wide - 8 * self._dot)

    def _draw_strip(self, judgement: Judgement, says: str) -> np.ndarray:
        """What does not move: words, bars of attention, the verdict's stretches."""
        dot = self._dot
        strip = Image.new("RGB", (self._wide, _STRIP_DOTS * dot), DARK["paper"])
        on = pen(strip)
        # The end of the line is left to the time.
        room = self._wide - 14 * dot - self._letters.getlength("0:00:00.0")
        color = rgb(DARK[STATUS_ROLE[judgement.verdict.status]])
        write(on, (4 * dot, 11 * dot), self._cut(says, room), self._letters, color)
        top, bottom = 15.0 * dot, 40.0 * dot
        panel = (4.0 * dot, top, self._wide - 8.0 * dot, bottom - top)
        fill_rect(on, panel, rgb(DARK["panel"]))
        columns = np.zeros(self._wide)
        for block in self._blocks:
            low, high = int(self._x(block.start_s)), int(self._x(block.end_s))
            part = columns[low : max(low + 1, high - (high - low > 3))]
            np.maximum(part, block.weight, out=part)
        for x in np.flatnonzero(columns):
            share = columns[x] / self._most
            bar = share * (bottom - top)
            fill_rect(on, (float(x), bottom - bar, 1.0, bar), _mixed(share))
        for segment in judgement.verdict.segments:
            left, right = self._x(segment.start_s), self._x(segment.end_s)
            width = max(1.0, right - left - dot / 2)
            color = rgb(DARK[STATUS_ROLE[segment.status]])
            fill_rect(on, (left, 42.0 * dot, width, 6.0 * dot), color)
        return np.asarray(strip)

    def _cut(self, words: str, room: float) -> str:
        """The words, or as many letters of them as have room."""
        if self._letters.getlength(plain(words)) <= room:
            return words
        while words and self._letters.getlength(plain(words) + "...") > room:
            words = words[:-1]
        return words + "..."

    def _draw_playhead(self, strip: np.ndarray, at_s: float) -> None:
        dot, ink = self._dot, rgb(DARK["ink"])
        x = round(self._x(at_s) - dot / 2)
        strip[14 * dot : 49 * dot, x : x + dot] = ink
        now = clock(at_s, tenths=True)
        width = self._letters.getlength(now)
        room = (self._wide - 5 * dot - width, 0.0, width + 5 * dot, 14.0 * dot)
        with _part(strip, [room]) as (part, moved):
            left, top, *_ = moved(room)
            write(pen(part), (left + width + dot, top + 11 * dot), now, self._letters, ink, "end")


@contextmanager
def _part(
    pixels: np.ndarray, boxes: Sequence[Box]
) -> Iterator[tuple[Image.Image, Callable[[Box], Box]]]:
    """The part of (H, W, 3) pixels around boxes, and what moves a box into that part.

    Only what is drawn on goes through Pillow and back: all of a frame would take five times as
    long as to draw on it.
    """
    height, width = pixels.shape[:2]
    lefts, tops, rights, bottoms = zip(
        *((x, y, x + across, y + down) for x, y, across, down in boxes), strict=True
    )
    left, top = (int(np.clip(min(a) - 1, 0, b - 1)) for a, b in ((lefts, width), (tops, height)))
    right = int(np.clip(max(rights) + 2, left + 1, width))
    bottom = int(np.clip(max(bottoms) + 2, top + 1, height))
    part = Image.fromarray(pixels[top:bottom, left:right])
    yield part, lambda box: (box[0] - left, box[1] - top, box[2], box[3])
    pixels[top:bottom, left:right] = np.asarray(part)


def _between(a: Sides, b: Sides, share: float) -> Sides:
    """The sides on the way from `a` to `b`."""
    return cast(Sides, tuple(x + share * (y - x) for x, y in zip(a, b, strict=True)))


def _draw_cells(picture: np.ndarray, patch: Patch, shades: np.ndarray) -> None:
    cells = list(shaded_cells(patch, shades))
    corners = [place for four, _ in cells for place in four]
    (left, top), (right, bottom) = np.min(corners, axis=0), np.max(corners, axis=0)
    with _part(picture, [(left, top, right - left, bottom - top)]) as (part, moved):
        x, y, *_ = moved((0.0, 0.0, 0.0, 0.0))
        # Gathered first, so that edges which two cells share are not painted twice.
        cover = Image.new("L", part.size)
        on = ImageDraw.Draw(cover)
        for four, shade in cells:
            on.polygon([(a + x, b + y) for a, b in four], fill=round(127 * shade))
        part.paste(rgb(CELLS), (0, 0, *part.size), cover)


def _mixed(share: float) -> Color:
    """From grey to amber as the share goes from 0 to 1."""
    red, green, blue = (int(a + share * (b - a)) for a, b in zip(_COLD, _HOT, strict=True))
    return red, green, blue


def _draw_frame(
    on: ImageDraw.ImageDraw, box: Box, color: Color, width: float, alpha: float = 1.0
) -> None:
    """The outline of a box, `width` pixels wide, inside of it."""
    left, top, right, bottom = box[0], box[1], box[0] + box[2] - 1, box[1] + box[3] - 1
    outline = (*color, round(255 * alpha))
    if right > left and bottom > top:
        on.rectangle((left, top, right, bottom), outline=outline, width=max(1, round(width)))
