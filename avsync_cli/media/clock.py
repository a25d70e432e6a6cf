"""One clock for picture and sound: its zero, the stretch of it that is read, and its jumps."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from avsync_cli.media.facts import MediaInfo, VideoTrack
from avsync_cli.timebase import FPS

JOINED = ("mpegts", "mpeg")
"""Containers made to be joined end to end; their time stamps may start again at a joint."""

# --- Zero and stretch -----------------------------------------------------------------------------

PREROLL_S = 2.0
"""How far before the wanted start a jump aims: decoders and resamplers need a run-up."""

LOOSE_PREROLL_S = 12.0
"""The same for containers without an index, where a jump lands between key frames."""

INDEXED = ("mp4", "mov", "matroska", "webm", "avi")


@dataclass(frozen=True)
class Stretch:
    """What of a file is read.

    Attributes:
        zero_s: the timeline's zero on the file's own clock, see `timeline_zero`.
        first_frame: timeline frame (1/25 s) to begin with.
        end_frame: timeline frame to stop before, or None for the end of the file.
        seek_s: where to jump to in the file, seconds from its own zero, or None to read from the
            beginning.
    """

    zero_s: Fraction
    first_frame: int
    end_frame: int | None
    seek_s: float | None

    @classmethod
    def of(
        cls, info: MediaInfo, video: VideoTrack, start_s: float, duration_s: float | None
    ) -> Stretch:
        """The stretch from `start_s`, rounded to frames; None is all the rest."""
        first = round(start_s * FPS)
        end = None if duration_s is None else first + max(1, round(duration_s * FPS))
        preroll_s = PREROLL_S if info.is_in(*INDEXED) else LOOSE_PREROLL_S
        seek_s = first / FPS - preroll_s
        # Where only the order is stored, the decoder's delay shows only at the file's first frame.
        jumps = seek_s > 0 and video.has_pts
        return cls(timeline_zero(info, video), first, end, seek_s if jumps else None)

    def input_options(self) -> dict[str, str | None]:
        """What ffmpeg is told before the input to begin there."""
        if self.seek_s is None:
            return {}
        return {"noaccurate_seek": None, "ss": f"{self.seek_s:.6f}"}

    def bounds(self, margin_s: float) -> dict[str, str]:
        """Arguments of ffmpeg's trim filters that keep the stretch and a margin around it."""
        found = {}
        zero_s = float(self.zero_s)
        if self.first_frame > 0:
            found["start"] = f"{zero_s + self.first_frame / FPS - margin_s:.6f}"
        if self.end_frame is not None:
            found["end"] = f"{zero_s + self.end_frame / FPS + margin_s:.6f}"
        return found


def timeline_zero(info: MediaInfo, video: VideoTrack) -> Fraction:
    """The timeline's zero on the file's clock: the player's zero, moved by at most 20 ms.

    At 25 fps every source frame misses the nearest step by the same amount, up to 20 ms, and so
    would the whole picture against the sound. Moving the zero of both by that amount makes the
    steps hit the frames. At other rates the misses spread evenly and cancel, and nothing is moved;
    at multiples and whole parts of 25 fps they do not.
    """
    ratio = video.fps / FPS
    if video.vfr or video.start_s is None or 1 not in (ratio.numerator, ratio.denominator):
        return info.start_s
    step = min(Fraction(1, FPS), 1 / video.fps)
    phase = (video.start_s + video.phase_s - info.start_s) % step
    return info.start_s + (phase if phase <= step / 2 else phase - step)


def why_in_order(info: MediaInfo, video: VideoTrack) -> str:
    """Why stretches of a file must not be read by seeking, in words; "" if they may be."""
    if info.duration_s <= 0:
        return "the file does not say how long it is"
    if not video.has_pts:
        return "its pictures have no time stamps to seek by"
    return ""


# --- Jumps ----------------------------------------------------------------------------------------

BACK_S = 0.3
"""A step back by more than this is a jump; less is disorder, and such frames are dropped."""

JOINED_FORWARD_S = 10.0
"""A step ahead by more than this is a jump in containers made to be joined."""

FORWARD_S = 600.0
"""The same elsewhere, where a gap is meant; further is a damaged stamp, hours of filler."""

STEADY = 12
"""Pictures, or pieces of sound, that must have followed on before a jump for it to be a joint. What
jumps again and again was not joined: its time stamps mean what they say."""

SAME_S = 1.0
"""Two tracks' jumps that differ by less than this are one joint; also less than any joint's size
that could be told from ordinary gaps, so a stray stamp falls back to the correction before it."""


def joint_from_s(container: str) -> float:
    """From which step ahead on a jump is a joint, in seconds, by ffmpeg's name of the demuxer."""
    return FORWARD_S if set(JOINED).isdisjoint(container.split(",")) else JOINED_FORWARD_S


class Epochs:
    """The corrections of time stamps met so far in one file, shared by its readers.

    Recordings joined end to end (transport streams above all) restart their time stamps at the
    joint. A player carries on; so do we, by adding to all later stamps what makes them follow on.
    Picture and sound must get the very same amount, or the correction itself would put them out of
    sync: whichever track meets the joint first sets it, the other takes it over.
    """

    def __init__(self, info: MediaInfo) -> None:
        self._forward_s = joint_from_s(info.container)
        self._corrections = [0.0]

    @property
    def has_jumped(self) -> bool:
        """Whether stamps had to be corrected."""
        return len(self._corrections) > 1

    def is_jump(self, step_s: float) -> bool:
        """Whether a time stamp this far from the expected one starts another epoch."""
        return step_s < -BACK_S or step_s > self._forward_s

    def correction(self, needed_s: float) -> float:
        """Seconds to add to raw stamps from here on.

        Args:
            needed_s: what would make this track follow on without a gap.
        """
        near = min(self._corrections, key=lambda known: abs(known - needed_s))
        if abs(near - needed_s) <= SAME_S:
            return near
        self._corrections.append(needed_s)
        return needed_s
