"""Where time stamps jump: one correction for picture and sound together.

Recordings joined end to end (transport streams above all) restart their time stamps at the joint.
A player carries on; so do we, by adding to all later stamps what makes them follow on. Picture and
sound must get the very same amount, or the correction itself would put them out of sync: whichever
track meets the joint first sets it, the other takes it over.
"""

from __future__ import annotations

BACK_S = 0.3
"""A step back by more than this is a jump; less is disorder, and such frames are dropped."""

JOINED_FORWARD_S = 10.0
"""A step ahead by more than this is a jump in containers made to be joined (ts, mpeg)."""

FORWARD_S = 600.0
"""The same elsewhere, where a gap is meant; further is a damaged stamp, hours of filler."""

SAME_S = 1.0
"""Two tracks' jumps that differ by less than this are one joint; also less than any joint's size
that could be told from ordinary gaps, so a stray stamp falls back to the correction before it."""


class Epochs:
    """The corrections met so far in one file, shared by its readers.

    Args:
        container: ffmpeg's name of the demuxer.
    """

    def __init__(self, container: str) -> None:
        joined = any(name in container.split(",") for name in ("mpegts", "mpeg"))
        self._forward_s = JOINED_FORWARD_S if joined else FORWARD_S
        self._corrections = [0.0]

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
