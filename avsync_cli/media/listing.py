"""What ffmpeg prints about its input, where that cannot come from the file's own text.

There may be no ffprobe to ask, so what `packets` does not tell is read from ffmpeg's log. The log
repeats titles, names and keys of the file, in which anything may stand, line breaks included. Two
things keep them apart from what ffmpeg itself says:

* Lines on picture and sound have a mark in them (`dump_separator`) that is drawn by lot for each
  run; what stands behind it is ffmpeg's own.
* The line on the whole file and the line on its length are always printed. If a line of that form
  is there once, it is the true one; if it is there twice, neither is believed.
"""

from __future__ import annotations

import re
import secrets
import threading
from dataclasses import dataclass, field
from fractions import Fraction

from avsync_cli.errors import NotMediaError
from avsync_cli.media.ffmpeg import clean_line
from avsync_cli.media.source import Source
from avsync_cli.media.wholeness import begins_as_mp4

_MOST_LINES = 5000
_COMPLAINTS = 40

_INPUT = re.compile(r"Input #0, ([\w,]+), from '")
_DURATION = re.compile(
    r"  Duration: (?:N/A|-?(\d+):(\d\d):(\d\d\.\d+))(?:, start: (-?\d+\.\d+))?, bitrate:"
)
"""Damaged files have durations that are below zero; then there is none."""

_TITLE = re.compile(r"      title           : (.*)")
_ELSEWHERE = re.compile(r"(?:  )?\S")
"""How a line begins that is about something else than the track before: another track, of titles
for one, a programme, or what ffmpeg is about to write, whose tracks are listed the same way."""

_AFTER = ("[info] Output #0, ", "[info] Stream mapping:")
"""What is printed after the listing."""

_NO_INDEX = ": moov atom not found"
"""How ffmpeg's complaint ends about an mp4 or mov whose index is missing: it comes last if the film
is not made to be played while it loads, so half a film has none."""

_TITLE_TIMEOUT_S = 2.0
_END_OF_COLOUR = "\x1b[0m"


@dataclass
class ListedTrack:
    """What is listed of one track of picture or sound.

    Attributes:
        index: its number in the file.
        kind: "video" or "audio".
        has_data: whether its size or its sample rate is known; without, ffmpeg copies no packets.
        fps: mean frame rate with two decimals, "" if unknown.
        is_cover, is_default: dispositions.
        language, title: the file's own words.
    """

    index: int
    kind: str
    has_data: bool
    fps: str = ""
    is_cover: bool = False
    is_default: bool = False
    language: str = ""
    title: str = ""


@dataclass
class Listing:
    """What is listed of a file.

    Attributes:
        container: ffmpeg's name of the demuxer; "" if it cannot be told.
        start_s: the player's zero; None if it cannot be told.
        duration_s: 0 if unknown.
        tracks: of picture and sound, in the file's order.
        may_be_turned: whether something speaks of a rotation: ffmpeg, or the file's own words.
    """

    container: str = ""
    start_s: Fraction | None = None
    duration_s: float = 0.0
    tracks: list[ListedTrack] = field(default_factory=list)
    may_be_turned: bool = False


class ListingLog:
    """Takes ffmpeg's log and keeps what is of use in it.

    Complaints and tags may be without end; few of either are kept.

    Attributes:
        mark: what ffmpeg has to be given as `dump_separator`.
    """

    def __init__(self) -> None:
        self.mark = f"<{secrets.token_hex(4)}>"
        self._lines: list[str] = []
        self._complaints: list[str] = []
        self._begun = False
        self._of_track = False
        self._seen = 0
        self._is_over = False
        self._changed = threading.Condition()

    def take_line(self, line: str) -> bool:
        """Called with each line of the log, on the thread that reads it."""
        plain = line.removeprefix(_END_OF_COLOUR)
        # Complaints are coloured; they may name a track as the listing does, mark and all.
        own = "" if "\x1b" in plain else plain.removeprefix("[info] ")
        with self._changed:
            marked = self.mark in own
            self._of_track = marked or (self._of_track and _ELSEWHERE.match(own) is None)
            useful = (
                "rotation of" in own
                or any(pattern.match(own) for pattern in (_INPUT, _DURATION))
                or (self._of_track and _TITLE.match(own) is not None)
            )
            if marked or (useful and len(self._lines) < _MOST_LINES):
                self._lines.append(own)
            self._begun |= _INPUT.match(own) is not None
            if not self._begun:
                self._complaints = [*self._complaints[1 - _COMPLAINTS :], line]
            self._seen += marked
            self._is_over = not marked and (self._is_over or plain.startswith(_AFTER))
            self._changed.notify_all()
        return True

    def wait_for(self, tracks: int, timeout_s: float) -> bool:
        """Wait until so many tracks have been listed; whether they were in time. For the last one's
        title it does not wait for long."""
        with self._changed:
            listed = self._changed.wait_for(lambda: self._seen >= tracks, timeout_s)
            self._changed.wait_for(lambda: self._is_over, _TITLE_TIMEOUT_S)
            return listed

    def read(self, file: Source) -> Listing:
        """What has been listed.

        Raises:
            NotMediaError: nothing, for this is no file that ffmpeg opens.
        """
        with self._changed:
            lines, begun = list(self._lines), self._begun
        if not begun:
            raise self._not_media(file)
        listing = Listing(may_be_turned=any("rotation of" in line for line in lines))
        containers = [match.group(1) for line in lines if (match := _INPUT.match(line))]
        durations = [match for line in lines if (match := _DURATION.match(line))]
        if len(containers) == 1:
            listing.container = containers[0]
        if len(durations) == 1:
            hours, minutes, seconds, start = durations[0].groups()
            listing.start_s = Fraction(start or "0")
            if hours is not None:
                listing.duration_s = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        for line in lines:
            if self.mark in line:
                listing.tracks.append(self._track(line))
            elif listing.tracks and (match := _TITLE.match(line)):
                listing.tracks[-1].title = match.group(1)
        return listing

    def _track(self, line: str) -> ListedTrack:
        before, _, behind = line.partition(self.mark)
        behind = behind.replace(self.mark, ", ")
        kind = "video" if before.rfind(": Video: ") > before.rfind(": Audio: ") else "audio"
        track = ListedTrack(-1, kind, bool(re.search(r"\b\d+x\d+|\d+ Hz", behind)))
        track.is_cover = "(attached pic)" in behind
        track.is_default = "(default)" in behind
        if kind == "video" and (rate := re.search(r"\b([\d.]+)(k?) fps", behind)):
            track.fps = str(float(rate.group(1)) * (1000 if rate.group(2) else 1))
        begin = re.match(r"  Stream #0:(\d+)(?:\[0x[0-9a-f]+\])?(?:\((.*)\))?: \w+: ", before)
        if begin is not None:
            track.index = int(begin.group(1))
            language = begin.group(2) or ""
            track.language = "" if language == "und" else language
        return track

    def _not_media(self, file: Source) -> NotMediaError:
        stamp = file.stamp()
        if stamp is not None and stamp.size_bytes == 0:
            what = "not a media file avsync can open (it is empty)"
            return file.error(NotMediaError, what, "copy it anew, or wait until it is written")
        # A line may hold no more than the colour's end.
        cleaned = [said for line in self._complaints if (said := clean_line(line, file))]
        if any(said.endswith(_NO_INDEX) for said in cleaned) and begins_as_mp4(file):
            what = "its index (moov) is missing: it was cut short, or its recording never ended"
            return file.error(NotMediaError, what, "copy it anew, or repair it first")
        said = f" ({cleaned[-1]})" if cleaned else ""
        hint = "give a video file such as mp4, mov, mkv, webm or ts (not a playlist)"
        return file.error(NotMediaError, f"not a media file avsync can open{said}", hint)
