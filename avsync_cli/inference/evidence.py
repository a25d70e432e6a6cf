"""What a run over one file leaves behind: plain values, no behaviour beyond small sums.

`pipeline` makes an `Evidence`; the room `verdict` turns it into a `Verdict` without looking at the
file again, and `report` writes both down. Signs: an offset > 0 means the sound is LATE (it comes
after the picture that belongs to it), < 0 that it is EARLY.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from avsync_cli.by_value import ByValue
from avsync_cli.names import RegionKind


@dataclass(frozen=True)
class Region:
    """Where the model looked: a face track, or the whole frame.

    Attributes:
        kind: "face" or "frame".
        track: number of the face track in the file, from 0; None for the whole frame.
        box: (left, top, width, height) as shares of the displayed picture, 0..1, at mid-block.
        seen: the part that the model saw then, in which its cells lie: a corner, the way from
            there across the crop, and the way down, each x and y as shares of the picture; None
            for all of the box.
    """

    kind: RegionKind
    track: int | None
    box: tuple[float, float, float, float]
    seen: tuple[float, float, float, float, float, float] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class BlockResult(ByValue):
    """One block (25 frames) of one region, judged.

    Attributes:
        start_s, end_s: on the file's timeline.
        region: where the model looked.
        confidence: the attention module's output for the block before the softmax (a logit, any
            real number; for spatio-temporal attention the log-sum-exp over the block's cells minus
            log of their number), at the file's estimated offset.
        weight: its share in the softmax over all used blocks of the file, 0..1, summing to 1.
        p_sync: probability 0..1 that this block's own lag, by itself, is within the tolerance.
        used: False when the block was left out of the decision.
        reason: why it was left out ("silence", "frozen picture", "no picture", ...), else "".
        cells: (h, w) attention weights within the block, summing to 1; None unless
            spatio-temporal.
    """

    start_s: float
    end_s: float
    region: Region
    confidence: float
    weight: float
    p_sync: float
    used: bool = True
    reason: str = ""
    cells: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class TrackPath(ByValue):
    """Where a face is in every frame, from a cut, or from where it comes, to where it goes.

    Attributes:
        first_frame: on the timeline, of 25 frames a second.
        boxes: (n, 4) uint16 left, top, width and height, 65535 being all of the picture's side:
            eight bytes a frame, 9 MB for four faces during three hours.
    """

    first_frame: int
    boxes: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """(n, 4) float32 boxes as shares of the picture."""
        shares: np.ndarray = (self.boxes / 65535.0).astype(np.float32)
        return shares


@dataclass(frozen=True, kw_only=True, eq=False)
class BlockTrace(ByValue):
    """What is kept of a block until the file's offset is known.

    Attributes:
        first_frame: on the timeline.
        track: number of the region's track, for order.
        region: where the model looked.
        reason: why it was left out, or "".
        kept_ms: (K,) offsets at which the block is remembered; empty when left out.
        logits: (K,) float16 log-odds of "in sync" of the block by itself; NaN where not heard.
        confidence: (K,) float16 at these.
        cells: (K, M) uint8 weights within the block, 255 for the largest; None for M = 1.
    """

    first_frame: int
    track: int
    region: Region
    reason: str
    kept_ms: np.ndarray
    logits: np.ndarray
    confidence: np.ndarray
    cells: np.ndarray | None


@dataclass(frozen=True, kw_only=True, eq=False)
class WindowResult(ByValue):
    """A few neighbouring blocks of one shot judged together at every offset of the scan.

    Attributes:
        start_s, end_s: on the file's timeline.
        logits: (O,) float32, log-odds of "in sync" after the sound is moved EARLIER by
            `offsets_ms[o]`; its peak is therefore the window's own offset.
        blocks: number of used blocks behind it (over all regions at least one; time, not area).
        support: (O,) float32, share 0..1 of its blocks whose sound exists at each offset; near the
            ends of a file it is less than 1, and where it is 0 the logit is only the curve's
            median. None where all of it exists everywhere.
    """

    start_s: float
    end_s: float
    logits: np.ndarray
    blocks: float
    support: np.ndarray | None = None


FEWEST_FPS = 4.5
"""Even pictures a second below which nothing is told. Of six talkers thinned out to 2, 3, 4 and 5 a
second none, none, one and four got an answer: those at 5 within 20 ms, the one at 4 66 ms off."""


@dataclass(frozen=True, kw_only=True)
class MediaSummary:
    """The facts about the file that the answer repeats.

    Attributes:
        duration_s: as declared, or else as decoded.
        audio_track: number of the judged one among the file's sound tracks, from 0.
        audio_tracks: how many there are.
        stamps: what the picture's time stamps are worth: "sound", "order", "rebuilt" or "unsound"
            (see `media.facts.StampKind`).
        declared_s: the length the file itself declares, None if it declares none.
        decoded_s: where the last picture or sound ended, None unless all of it was read.
        complete: whether that reaches what is declared; None unless all of it was read.
    """

    duration_s: float
    fps: float
    vfr: bool
    width: int
    height: int
    audio_hz: int
    audio_track: int
    container: str = ""
    audio_tracks: int = 1
    stamps: str = "sound"
    declared_s: float | None = None
    decoded_s: float | None = None
    complete: bool | None = None

    @property
    def is_sparse(self) -> bool:
        """Whether pictures come evenly, and too seldom to see lips move."""
        return not self.vfr and 0.0 < self.fps < FEWEST_FPS

    @property
    def tells_when(self) -> bool:
        """Whether the picture says when lips move."""
        return self.stamps != "unsound" and not self.is_sparse


@dataclass(frozen=True, eq=False)
class SecondCurves(ByValue):
    """What single seconds say: less than windows do, but they tell when a lag changes.

    Attributes:
        start_s: (N,) float64, start of each second that was judged, rising.
        offsets_ms: (K,) rising in equal steps, within the scan's.
        logits: (N, K) float16 log-odds of "in sync" of the second by itself, as in `WindowResult`;
            NaN at offsets at which its sound lies beyond the file's ends.
        anew: (N,) bool, whether nothing of what was judged in the second before is seen any more:
            after a cut, in another shot. None where that is not known.
    """

    start_s: np.ndarray
    offsets_ms: np.ndarray
    logits: np.ndarray
    anew: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Clap:
    """A clap that is seen and heard.

    Attributes:
        frame: number of the file's picture, from 0, in which the sticks are first shut.
        picture_s: when they met, between that picture and the one before.
        sound_s: when it is heard first.
        frame_ms: duration of a frame; half of it is how exact the lag is.
    """

    frame: int
    picture_s: float
    sound_s: float
    frame_ms: float

    @property
    def offset_ms(self) -> float:
        """By how much the sound comes after the picture."""
        return (self.sound_s - self.picture_s) * 1000.0


@dataclass(frozen=True, kw_only=True)
class Strikes:
    """Strikes seen and heard at the head of a file, on which its answer rests.

    Attributes:
        offset_ms: by how much the sound comes after the picture.
        p: probability 0..1 that this is right within two frames (80 ms).
        end_s: how far the file was read for it.
        box: the square that goes with the sound best, (left, top, width, height) as shares of the
            picture; None where it is not known.
        heard_s: when those are heard that are seen there.
    """

    offset_ms: float
    p: float
    end_s: float
    box: tuple[float, float, float, float] | None = None
    heard_s: tuple[float, ...] = ()


@dataclass(kw_only=True, eq=False)
class Evidence(ByValue):
    """Everything a verdict may depend on.

    Attributes:
        offsets_ms: (O,) int64, rising, in equal steps; the scan's grid.
        windows: in order of time.
        media: facts about the file.
        traces: blocks as the scan left them, in order of time, then of region.
        blocks: the same as reports show them, made once the lag is known (`traces`); [] until then.
        reasons: words of the kind "no face found", "silence", said when they limit the answer.
        judged_s: seconds of the file covered by at least one used block.
        calibration: constants of the model that turn logits into probabilities (see `verdict`).
        seconds: what single seconds say, to tell when a lag changes; None if not kept.
        stretches: how many parts of the file were read, with gaps between them; None for all of it.
        read_s: seconds of the file in these parts, None likewise.
        paths: by the number of its face track, where a face is.
        clap: at the head, where one was looked for and found.
        strikes: what the answer rests on where the model had none; else None.
    """

    offsets_ms: np.ndarray
    windows: list[WindowResult]
    media: MediaSummary
    traces: list[BlockTrace] = field(default_factory=list)
    blocks: list[BlockResult] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    judged_s: float = 0.0
    calibration: dict[str, float] = field(default_factory=dict)
    seconds: SecondCurves | None = None
    clap: Clap | None = None
    strikes: Strikes | None = None
    stretches: int | None = None
    read_s: float | None = None
    paths: dict[int, TrackPath] = field(default_factory=dict)
