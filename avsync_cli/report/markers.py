"""Markers for editing programs: one for every stretch of a film that is out of sync.

`.csv` has the columns of the marker list that Adobe Premiere Pro exports, which its marker panels
and most other programs read. `.edl` is a CMX 3600 list of the kind that DaVinci Resolve takes by
Timelines > Import > Timeline Markers from EDL: one event a marker, and below it a line with the
note, the colour |C:, the name |M: and the length in frames |D:. `.otio` and `.fcpxml` are timelines
(`editor_markers`).
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from avsync_cli.report.editor_markers import Film, Marker, fcpxml_text, otio_text
from avsync_cli.report.sentences import limits_words
from avsync_cli.report.table import csv_line
from avsync_cli.report.timecode import exact_rate, frame_at, frame_of, is_drop_frame, timecode
from avsync_cli.verdict.answer import Judgement
from avsync_cli.wording import offset_words, percent, safe_text

CSV_COLUMNS = ("Marker Name", "Description", "In", "Out", "Duration", "Marker Type")

_EDL_START = "01:00:00:00"
"""Where Resolve begins a timeline unless told otherwise; its markers count from there."""


def markers(judgement: Judgement) -> list[Marker]:
    """The out-of-sync stretches of a film, in order."""
    rate = exact_rate(judgement.evidence.media.fps)
    found = []
    for segment in judgement.verdict.segments:
        if segment.status != "out_of_sync" or segment.offset_ms is None:
            continue
        first = frame_at(segment.start_s, rate)
        words = offset_words(segment.offset_ms).capitalize()
        note = f"{percent(segment.confidence)} sure"
        if segment.offset_ci_ms is not None:
            low, high = segment.offset_ci_ms
            note = f"{low:+.0f} to {high:+.0f} ms, {note}"
        note = f"{words}, {note}; outside {limits_words(judgement.tolerance)}"
        end = max(first + 1, frame_at(segment.end_s, rate))
        found.append(Marker(first, end, words, note))
    return found


def marker_file(judgement: Judgement, suffix: str) -> str:
    """The markers of a film as the text of a file; its ending, in small letters, says which."""
    rate, found = exact_rate(judgement.evidence.media.fps), markers(judgement)
    if suffix == ".edl":
        return edl_text(found, rate, Path(judgement.path).stem)
    if suffix in (".otio", ".fcpxml"):
        film = Film(judgement.path, rate, judgement.evidence.media.duration_s)
        return (otio_text if suffix == ".otio" else fcpxml_text)(found, film)
    return csv_text(found, rate)


def csv_text(found: list[Marker], rate: Fraction) -> str:
    """Columns as in Premiere's own export, separated by commas; drop-frame codes are written with
    semicolons throughout, as there."""
    separators = ";;" if is_drop_frame(rate) else "::"
    lines = [csv_line(CSV_COLUMNS)]
    for marker in found:
        frames = (marker.first, marker.end, marker.end - marker.first)
        codes = (timecode(frame, rate, separators=separators) for frame in frames)
        lines.append(csv_line((marker.name, marker.note, *codes, "Comment")))
    return "".join(lines)


def edl_text(found: list[Marker], rate: Fraction, title: str) -> str:
    """An EDL with one event a marker, on a timeline that begins at an hour."""
    drop = is_drop_frame(rate)
    separators = ":;" if drop else "::"
    zero = frame_of(_EDL_START, rate)
    lines = [f"TITLE: {_plain(title)}", f"FCM: {'DROP FRAME' if drop else 'NON-DROP FRAME'}", ""]
    for number, marker in enumerate(found, start=1):
        # An event is one frame long; how long the marker is, is said below it.
        ends = (zero + marker.first, zero + marker.first + 1)
        begin, end = (timecode(frame, rate, separators=separators) for frame in ends)
        lines.append(f"{number:03d}  001      V     C        {begin} {end} {begin} {end}")
        said = f"{_plain(marker.note)} |C:ResolveColorRed |M:{_plain(marker.name)}"
        lines += [f"{said} |D:{marker.end - marker.first}", ""]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """One line without the bar that separates fields."""
    return safe_text(text).replace("|", "/")
