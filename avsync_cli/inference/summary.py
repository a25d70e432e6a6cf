"""What is told of a file beside its lag: its facts, and what is odd about them."""

from __future__ import annotations

from avsync_cli.inference.evidence import MediaSummary
from avsync_cli.media.broken_end import broken_end
from avsync_cli.media.completeness import APART_S, declared_s, is_complete
from avsync_cli.media.decode import Timeline
from avsync_cli.media.goes_on import goes_on
from avsync_cli.wording import clock


def summarise(timeline: Timeline, decoded_to_s: float) -> tuple[MediaSummary, list[str]]:
    """The facts of a file that was read, and remarks for the evidence's reasons.

    Args:
        timeline: read as far as it is wanted.
        decoded_to_s: how far that is.
    """
    info, video, audio, ends = timeline.info, timeline.video, timeline.audio, timeline.ends
    doubt, holes_s = timeline.stamps_doubt, timeline.holes_s
    lost = [f"neither picture nor sound from {_span(*hole)}" for hole in holes_s[:1]]
    if len(holes_s) > 1:
        lost = [f"{lost[0]}, and {len(holes_s) - 1} times more"]
    if ends is not None and (part := broken_end(info)):
        lost.append(f"the file breaks off within {part}")
    if ends is not None and goes_on(info):
        lost.append("the file goes on with another recording, which is not judged")
    summary = MediaSummary(
        duration_s=info.duration_s if info.duration_s > 0 else decoded_to_s,
        fps=float(video.fps),
        vfr=video.vfr,
        width=video.width,
        height=video.height,
        audio_hz=audio.rate_hz,
        audio_track=audio.position,
        audio_tracks=len(info.audio),
        container=info.container,
        stamps="unsound" if doubt else video.stamps,
        declared_s=declared_s(info),
        decoded_s=None if ends is None else ends.last_s,
        complete=None if ends is None else is_complete(info, ends) and not lost,
    )
    remarks = ([f"unsound time stamps: {doubt}"] if doubt else []) + lost
    if ends is not None and abs(ends.picture_s - ends.sound_s) > APART_S:
        picture, sound = clock(ends.picture_s), clock(ends.sound_s)
        remarks.append(f"the picture ends at {picture}, the sound at {sound}")
    if summary.is_sparse:
        remarks.insert(0, f"too few pictures to see lips move: {summary.fps:.2g} a second")
    return summary, remarks


def _span(begin_s: float, end_s: float) -> str:
    return f"{clock(begin_s)} to {clock(end_s)}"
