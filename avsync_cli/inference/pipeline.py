"""One pass over a file: decode, look, listen, gather evidence. Nothing is decided here.

`analyse` reads a file; `analyse_tracks` is the same without the decode, for evaluation and tests
that have crops and sound at hand. Both feed one `Analysis`, piece by piece, and it keeps only what
a window of blocks and the range of the scan need: memory does not grow with the film, but for some
hundred bytes a block.
"""

from __future__ import annotations

import logging
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from avsync_cli.errors import TooShortError, UsageError
from avsync_cli.inference.ahead import ahead
from avsync_cli.inference.blocks import BlockBuilder
from avsync_cli.inference.evidence import BlockTrace, Evidence, MediaSummary
from avsync_cli.inference.scan import WindowScanner, offset_grid
from avsync_cli.inference.sound import SoundStream
from avsync_cli.model.engine import Engine
from avsync_cli.timebase import BLOCK_FRAMES, FPS, HOP_MS, HOPS_PER_FRAME, SAMPLE_RATE_HZ
from avsync_cli.wording import span

if TYPE_CHECKING:
    from avsync_cli.media.decode import Timeline
    from avsync_cli.media.facts import MediaInfo
    from avsync_cli.regions.stream import RegionPiece, RegionStream

log = logging.getLogger(__name__)

CHUNK_FRAMES = 25
"""Frames decoded at a time: a second of 640x360 is 17 MB, and a few of them live at once."""

LOOK_AHEAD = 4
"""Chunks looked at before they are judged: their crops and sound are small, their frames gone."""

NO_FACE = "no face found: the whole picture was judged"
NO_REGION = "nothing is shown for a second without a cut"

Progress = Callable[[float, float], None]
"""Called with the seconds done and the seconds there are, of the file's timeline."""


@dataclass(frozen=True, kw_only=True)
class AnalyseOptions:
    """What of a file to look at, and how closely.

    Attributes:
        range_ms: offsets from -range to +range are tried.
        step_ms: distance between two of them, a multiple of 10.
        thorough: judge every offset; else those 40 ms apart and all around the likeliest, and
            interpolate the rest, which is a third of the work. Measured on held-out clips, the
            estimates of both are the same (docs/model/log.md).
        video_track, audio_track: which of the file's tracks, from 0; None is a player's choice.
        start_s: where to begin.
        duration_s: how much to judge; None for all.
        threads: threads for decoder and face detector; 0 lets them choose.
    """

    range_ms: float = 1_000
    step_ms: int = 10
    thorough: bool = False
    video_track: int | None = None
    audio_track: int | None = None
    start_s: float = 0.0
    duration_s: float | None = None
    threads: int = 0


class Analysis:
    """Evidence in the making: sound and region pieces in, `Evidence` out.

    Args:
        engine: the model.
        options: range and step of the scan.
        first_frame: timeline frame at which the sound begins.
        only: blocks that begin at other frames are not judged; None judges all.

    Raises:
        UsageError: a range or step that cannot be scanned.
    """

    def __init__(
        self,
        engine: Engine,
        options: AnalyseOptions,
        first_frame: int = 0,
        only: range | None = None,
    ) -> None:
        try:
            offsets = offset_grid(options.range_ms, options.step_ms)
        except ValueError as error:
            raise UsageError(str(error), "see --range and --step") from error
        self._engine = engine
        self._options = options
        self._sound = SoundStream(engine, first_frame * HOPS_PER_FRAME)
        self._builder = BlockBuilder(engine)
        self._scanner = WindowScanner(engine, self._sound, offsets, options.thorough)
        self._only = only
        self._kinds: set[str] = set()

    @property
    def sound_s(self) -> float:
        """Seconds of real sound taken so far."""
        return self._sound.valid_steps * HOP_MS / 1000.0

    def push_sound(self, sound: np.ndarray, valid: np.ndarray | None = None) -> None:
        """Take the next sound: (160 n,) float32 at 16 kHz, and (n,) bool or None."""
        self._sound.push(sound, valid)

    def end_sound(self) -> None:
        """Say that no more sound comes."""
        self._sound.finish()

    def push_pieces(self, pieces: Iterable[RegionPiece], settled: int) -> None:
        """Take region pieces; all pieces before the frame `settled` are among those taken."""
        for piece in pieces:
            if len(piece.crops):
                self._kinds.add(piece.kind)
            blocks = self._builder.push(piece)
            if self._only is not None:
                blocks = [block for block in blocks if block.first_frame in self._only]
            self._scanner.add(blocks)
        self._scanner.advance(settled - self._builder.delay_frames)

    def finish(self, media: MediaSummary, remarks: Sequence[str] = ()) -> Evidence:
        """The evidence, once all sound and all last pieces have been taken; `remarks` on the file
        go before its other reasons."""
        self.end_sound()
        self._scanner.finish()
        scanner = self._scanner
        judged_s = scanner.judged_frames / FPS
        if media.duration_s > 0:  # the last block may hold the picture a little beyond the end
            judged_s = min(judged_s, media.duration_s)
        return Evidence(
            offsets_ms=scanner.offsets_ms,
            windows=scanner.windows,
            traces=scanner.traces,
            media=media,
            reasons=[*remarks, *limits(scanner.traces, "face" in self._kinds)],
            judged_s=judged_s,
            calibration=dict(self._engine.calibration),
            seconds=scanner.seconds,
            paths=self._builder.paths,
        )


def limits(traces: Sequence[BlockTrace], has_faces: bool) -> list[str]:
    """What limits an answer by these blocks, in words.

    Args:
        traces: of all blocks.
        has_faces: whether any face was seen.
    """
    if not traces:
        return [NO_REGION]
    reasons = [] if has_faces else [NO_FACE]
    left_out: dict[str, int] = {}
    for trace in traces:
        if trace.reason:
            left_out[trace.reason] = left_out.get(trace.reason, 0) + 1
    total = len(traces)
    for reason, count in sorted(left_out.items(), key=lambda item: -item[1]):
        if count == total:
            reasons.insert(0, reason)
        elif 2 * count > total:
            reasons.append(f"{reason} in {count} of {total} blocks")
    return reasons


def analyse_tracks(
    pieces: Iterable[RegionPiece],
    sound: np.ndarray,
    options: AnalyseOptions,
    engine: Engine,
    media: MediaSummary | None = None,
) -> Evidence:
    """Evidence from crops and sound that are at hand.

    Args:
        pieces: region pieces; those of a track in order and contiguous, the last marked `last`.
        sound: (S,) float32 in -1..1 at 16 kHz from frame 0 on; an incomplete last 10 ms are cut
            off.
        options: range and step are used.
        engine: the model.
        media: facts for the report; made up from the lengths when None.
    """
    analysis = Analysis(engine, options)
    whole = len(sound) - len(sound) % (SAMPLE_RATE_HZ * HOP_MS // 1000)
    analysis.push_sound(sound[:whole])
    # Nothing says which piece comes last for a stretch of time, so no window closes before the end.
    analysis.push_pieces(pieces, 0)
    if media is None:
        media = MediaSummary(
            duration_s=len(sound) / SAMPLE_RATE_HZ,
            fps=float(FPS),
            vfr=False,
            width=0,
            height=0,
            audio_hz=SAMPLE_RATE_HZ,
            audio_track=0,
        )
    return analysis.finish(media)


def analyse(
    path: str | os.PathLike[str] | MediaInfo,
    options: AnalyseOptions,
    engine: Engine,
    progress: Progress | None = None,
) -> Evidence:
    """The evidence of one file, in one pass.

    Args:
        path: the file, or what `probe` said of it.
        options: what to look at and how.
        engine: the model, as of `load_engine`.
        progress: called after every chunk; an exception it raises ends the work.

    Raises:
        TooShortError: less than one block (25 frames) of picture, or 1 s of sound.
        MediaError: the file cannot be judged.
        UsageError: an option out of range.
    """
    from avsync_cli.inference.summary import summarise
    from avsync_cli.media.decode import Timeline
    from avsync_cli.regions.stream import RegionStream

    with Timeline(
        path,
        video_track=options.video_track,
        audio_track=options.audio_track,
        start_s=options.start_s,
        duration_s=options.duration_s,
        chunk_frames=CHUNK_FRAMES,
        threads=options.threads,
    ) as timeline:
        regions = RegionStream(
            timeline.frame_size, threads=options.threads, crop_px=engine.config.input_px
        )
        total_s = _total_s(timeline, options)

        def tell(passed: Passed) -> None:
            if progress is not None:
                progress((passed.end_frame - passed.first_frame) / FPS, total_s)

        passed = pass_over(timeline, regions, lambda first: Analysis(engine, options, first), tell)
        analysis = passed.analysis
        sound_s = 0.0 if analysis is None else analysis.sound_s
        if analysis is None or passed.frames < BLOCK_FRAMES or sound_s < 1.0:
            raise _too_short(timeline.info.path, passed.frames / FPS, sound_s)
        media, remarks = summarise(timeline, passed.end_frame / FPS)
        return analysis.finish(media, remarks)


@dataclass(kw_only=True)
class Passed:
    """How far a pass over a timeline has come.

    Attributes:
        analysis: what was gathered; None before the first frame.
        first_frame, end_frame: what was read.
        frames: how many of these were pictures of the file.
    """

    analysis: Analysis | None = None
    first_frame: int = 0
    end_frame: int = 0
    frames: int = 0


def pass_over(
    timeline: Timeline,
    regions: RegionStream,
    begin: Callable[[int], Analysis],
    tell: Callable[[Passed], None],
) -> Passed:
    """Read a timeline to its end, or to that of its stretch, and gather what it says.

    Args:
        timeline: not read yet.
        regions: for its size of picture.
        begin: makes the analysis, from the number of the first frame.
        tell: called after every chunk; an exception it raises ends the work.
    """
    passed = Passed()
    spent_s: defaultdict[str, float] = defaultdict(float)
    began_s = time.perf_counter()
    with ahead(_look(timeline, regions, spent_s), LOOK_AHEAD, timeline.close) as seen:
        for part in seen:
            since_s = time.perf_counter()
            if passed.analysis is None:
                passed.first_frame = part.first_frame
                passed.analysis = begin(part.first_frame)
            passed.analysis.push_sound(part.sound, part.sound_valid)
            passed.analysis.push_pieces(part.pieces, part.settled)
            passed.frames += part.valid_frames
            passed.end_frame = part.end_frame
            spent_s["the model"] += time.perf_counter() - since_s
            tell(passed)
    since_s = time.perf_counter()
    if passed.analysis is not None:
        passed.analysis.end_sound()
        passed.analysis.push_pieces(regions.finish(), passed.end_frame)
    spent_s["the model"] += time.perf_counter() - since_s
    _log_pass(timeline, passed, spent_s, time.perf_counter() - began_s)
    return passed


def _total_s(timeline: Timeline, options: AnalyseOptions) -> float:
    """Seconds that will be looked at, as far as the file says."""
    left_s = max(0.0, timeline.info.duration_s - options.start_s)
    return left_s if options.duration_s is None else min(left_s, options.duration_s)


def _too_short(path: str, picture_s: float, sound_s: float) -> TooShortError:
    return TooShortError(
        f"too short to judge: {picture_s:.2f} s of picture and {sound_s:.2f} s of sound: {path}",
        "one second of both is the least",
        path,
    )


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """A chunk of the timeline after it was looked at: its sound, and the regions settled by it."""

    first_frame: int
    end_frame: int
    valid_frames: int
    sound: np.ndarray
    sound_valid: np.ndarray
    pieces: list[RegionPiece]
    settled: int


def _look(timeline: Timeline, regions: RegionStream, spent_s: dict[str, float]) -> Iterator[_Seen]:
    """The timeline, chunk by chunk, with its frames turned into region pieces."""
    since_s = time.perf_counter()
    for chunk in timeline:
        decoded_s = time.perf_counter()
        spent_s["decoding"] += decoded_s - since_s
        pieces = regions.push(chunk.first_frame, chunk.frames, chunk.frame_valid)
        spent_s["looking for faces"] += time.perf_counter() - decoded_s
        yield _Seen(
            first_frame=chunk.first_frame,
            end_frame=chunk.first_frame + len(chunk.frames),
            valid_frames=int(chunk.frame_valid.sum()),
            sound=chunk.sound,
            sound_valid=chunk.sound_valid,
            pieces=pieces,
            settled=regions.settled,
        )
        since_s = time.perf_counter()


def _log_pass(
    timeline: Timeline, passed: Passed, spent_s: dict[str, float], whole_s: float
) -> None:
    """Say what was read and what each stage took; the first two run beside the model."""
    start_s, end_s = passed.first_frame / FPS, passed.end_frame / FPS
    stages = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in spent_s.items())
    shown = timeline.info.file.shown
    log.info("%s: read %s in %.2f s: %s", shown, span(start_s, end_s), whole_s, stages)
