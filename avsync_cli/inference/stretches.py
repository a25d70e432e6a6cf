"""A film in stretches: any eight seconds of it, judged as a whole reading would judge them.

A stretch is one window of the scan with as much around it as the range of the scan hears. It is
read by seeking, on the clock of the whole file; what comes out is the window that a reading from
the beginning finds there, and its seconds and blocks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from avsync_cli.errors import MediaError
from avsync_cli.inference.evidence import BlockTrace, Evidence, SecondCurves, TrackPath
from avsync_cli.inference.pipeline import (
    CHUNK_FRAMES,
    AnalyseOptions,
    Analysis,
    Passed,
    limits,
    pass_over,
)
from avsync_cli.inference.scan import WINDOW_FRAMES
from avsync_cli.inference.summary import summarise
from avsync_cli.media.decode import Timeline
from avsync_cli.media.facts import MediaInfo, pick_audio, pick_video
from avsync_cli.media.stills import QUIET_DB, key_picture, loudness
from avsync_cli.model.engine import Engine
from avsync_cli.regions.faces import CenterFace
from avsync_cli.regions.planes import size_of
from avsync_cli.regions.stream import RegionStream
from avsync_cli.timebase import BLOCK_FRAMES, FPS, HOPS_PER_FRAME

RUN_UP_FRAMES = 10
"""Least that is read on either side: faces are looked for every so many frames."""

LARGE_FACE = 0.25
"""Height of a face, as a share of the picture's, from which on a larger one promises no more."""

LIVELY_DB = 8.0
"""Standard deviation of the loudness of speech from syllable to syllable; of music it is half."""

HUSHED_DB = -50.0
"""Where nothing is louder nobody speaks."""


class OutOfOrder(Exception):
    """A film's time stamps jump, so that no place in it can be found by its time."""


class Film:
    """One file, read a window at a time.

    Args:
        info: of a file that can be read by seeking, with its length.
        options: as for `analyse`; start and duration bound what may be read.
        engine: the model.

    Attributes:
        first, last: numbers of the first and the last window.

    Raises:
        NoPictureError, NoSoundError: the track is not there.
    """

    def __init__(self, info: MediaInfo, options: AnalyseOptions, engine: Engine) -> None:
        self._info, self._options, self._engine = info, options, engine
        self._video = pick_video(info, options.video_track)
        self._audio = pick_audio(info, options.audio_track)
        end_s = info.duration_s
        if options.duration_s is not None:
            end_s = min(end_s, options.start_s + options.duration_s)
        self._begin, self._end = round(options.start_s * FPS), round(end_s * FPS)
        self.first = self._begin // WINDOW_FRAMES
        self.last = max(self.first, (self._end - BLOCK_FRAMES) // WINDOW_FRAMES)
        heard = options.range_ms / 1000 * FPS + max(engine.config.sound_context) / HOPS_PER_FRAME
        self._around = max(RUN_UP_FRAMES, math.ceil(heard))
        self._detector = CenterFace(threads=options.threads)
        self._track = 0

    @property
    def duration_s(self) -> float:
        """How much there is to read."""
        return (self._end - self._begin) / FPS

    @property
    def window_s(self) -> float:
        """How long a window is."""
        return WINDOW_FRAMES / FPS

    def spans_s(self, window: int) -> tuple[float, float]:
        """Where a window begins and ends, and no more than was asked for."""
        begin, end = window * WINDOW_FRAMES, (window + 1) * WINDOW_FRAMES
        return max(begin, self._begin) / FPS, min(end, self._end) / FPS

    def read_s(self, windows: Sequence[int]) -> float:
        """Seconds of the file that are read for these windows."""
        return sum(self._bounds(window)[1] - self._bounds(window)[0] for window in windows) / FPS

    def _bounds(self, window: int) -> tuple[int, int]:
        begin, end = window * WINDOW_FRAMES, (window + 1) * WINDOW_FRAMES
        return max(self._begin, begin - self._around), min(self._end, end + self._around)

    def promise(self, window: int) -> float:
        """By a cheap look, how much of a speaking face there is, 0 to 1: the largest face of one
        picture in the middle, times how lively the loudness is."""
        begin_s, end_s = self.spans_s(window)
        try:
            picture = key_picture(self._info, self._video, (begin_s + end_s) / 2)
            if picture is None:
                return 0.0
            faces = self._detector(picture[None])[0]
            if not faces:
                return 0.0
            levels = loudness(self._info, self._video, self._audio, begin_s, end_s)
        except MediaError:
            return 0.0
        height = max(face.box[3] for face in faces) / size_of(picture)[0]
        return min(1.0, height / LARGE_FACE) * liveliness(levels)

    def read(self, window: int) -> Evidence | None:
        """What one window says; None where nothing of it can be decoded.

        Raises:
            MediaError: the file cannot be judged.
            OutOfOrder: nor can it be read by seeking.
        """
        first, end = self._bounds(window)
        own_end = (window + 1) * WINDOW_FRAMES
        # A track's last block lies at its end, wherever that is: here it is where reading ended.
        only = range(window * WINDOW_FRAMES, own_end - (BLOCK_FRAMES - 1) * (window < self.last))
        options, engine = self._options, self._engine
        with Timeline(
            self._info,
            video_track=options.video_track,
            audio_track=options.audio_track,
            start_s=first / FPS,
            duration_s=(end - first) / FPS,
            chunk_frames=CHUNK_FRAMES,
            threads=options.threads,
        ) as timeline:
            regions = RegionStream(
                timeline.frame_size,
                detector=self._detector,
                crop_px=engine.config.input_px,
                first_track=self._track,
            )
            passed = pass_over(
                timeline, regions, lambda at: Analysis(engine, options, at, only), _say_nothing
            )
            if timeline.has_jumped:
                raise OutOfOrder
            self._track = regions.next_track
            if passed.analysis is None or passed.frames == 0:
                return None
            media, remarks = summarise(timeline, passed.end_frame / FPS)
            # Where picture and sound end is known of a file that was read to its end.
            media = replace(media, decoded_s=None, complete=None)
            remarks = remarks if media.stamps == "unsound" else []
            return passed.analysis.finish(media, remarks)


def _say_nothing(_: Passed) -> None:
    """A stretch is too short to tell how far it is."""


def liveliness(levels_db: np.ndarray) -> float:
    """How much a loudness goes up and down from syllable to syllable, 0 to 1 (like speech).

    Args:
        levels_db: (n,) of every 40 ms, QUIET_DB and more.
    """
    if len(levels_db) < FPS or float(levels_db.max()) < HUSHED_DB:
        return 0.0
    heard = np.maximum(levels_db, max(QUIET_DB, float(levels_db.max()) - 40.0))
    # Half a second is longer than a syllable: what is left of it is no slow change of scene.
    slow = np.convolve(heard, np.ones(13) / 13, "same")
    return min(1.0, float(np.std((heard - slow)[6:-6])) / LIVELY_DB)


def pooled(parts: Sequence[Evidence], read_s: float) -> Evidence:
    """The evidence of several windows as that of one file with gaps.

    Args:
        parts: each of one window, at least one, in order of time.
        read_s: seconds of the file that were read for them.
    """
    first = parts[0]
    unsound = next((part for part in parts if part.media.stamps == "unsound"), first)
    traces: list[BlockTrace] = []
    paths: dict[int, TrackPath] = {}
    faces = 0  # each part counts its own from 0
    for part in parts:
        traces += [_renumbered(trace, faces) for trace in part.traces]
        paths |= {faces + number: path for number, path in part.paths.items()}
        faces += 1 + max(part.paths, default=-1)
    curves = [part.seconds for part in parts if part.seconds is not None]
    remarks = list(unsound.reasons[:1]) if unsound.media.stamps == "unsound" else []
    return Evidence(
        offsets_ms=first.offsets_ms,
        windows=[window for part in parts for window in part.windows],
        media=unsound.media,
        traces=traces,
        paths=paths,
        reasons=remarks + limits(traces, any(trace.region.kind == "face" for trace in traces)),
        judged_s=sum(part.judged_s for part in parts),
        calibration=first.calibration,
        seconds=None
        if not curves
        else SecondCurves(
            np.concatenate([c.start_s for c in curves]),
            curves[0].offsets_ms,
            np.concatenate([c.logits for c in curves]),
            _joined([c.anew for c in curves]),
        ),
        stretches=len(parts),
        read_s=read_s,
    )


def _joined(anew: Sequence[np.ndarray | None]) -> np.ndarray | None:
    known = [part for part in anew if part is not None]
    return np.concatenate(known) if len(known) == len(anew) else None


def _renumbered(trace: BlockTrace, faces: int) -> BlockTrace:
    """A block of a part before which there were so many faces."""
    if trace.region.track is None:
        return trace
    return replace(trace, region=replace(trace.region, track=trace.region.track + faces))
