"""Time stamps that ffmpeg logs beside the raw data, in step with it.

Raw picture and sound carry no time. A filter at the end of the graph logs one line for each frame
it passes on, before the frame reaches the pipe; in order of arrival, line n belongs to frame n.

The log also repeats text of the file, its titles for one, which could look like such a line. But
ffmpeg prints no escape character of the file's: what has the colour of a filter's name before it
is a filter's own.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque

from avsync_cli.errors import DecodeError
from avsync_cli.media.source import Source

STAMP_TIMEOUT_S = 20.0

PICTURE_KEY = "avsync"
"""Metadata key that the picture graph adds to every frame, so that there is something to print."""

FROM_FILTER = r"(?:\x1b\[0m)?\x1b\[[1-9][0-9;]*m\["
"""How a line begins that a filter logs, of the bitstream too, up to the filter's name."""

_NAME_END = r"_\d+ @ [0-9a-fx]+\] \x1b\[0m(?:\[info\] )?"
_PICTURE = re.compile(
    rf"{FROM_FILTER}Parsed_metadata{_NAME_END}"
    rf"(?:frame:\s*\d+\s+pts:\s*(?P<pts>NOPTS|-?\d+)\b|{PICTURE_KEY}=)"
)
_SOUND = re.compile(
    rf"{FROM_FILTER}Parsed_ashowinfo{_NAME_END}"
    r"n:\s*\d+ pts:\s*(?P<pts>NOPTS|-?\d+)\b.*?\bnb_samples:(?P<samples>\d+)"
)


class Stamps:
    """A queue of (pts, samples) between ffmpeg's log thread and the reader.

    `pts` is None where ffmpeg knows no time; `samples` is 0 for pictures. It stays short because
    ffmpeg waits for its pipe: no more stamps than frames in flight.
    """

    def __init__(self, kind: str) -> None:
        self._pattern = {"picture": _PICTURE, "sound": _SOUND}[kind]
        self._queue: deque[tuple[int | None, int]] = deque()
        self._changed = threading.Condition()

    def take_line(self, line: str) -> bool:
        """Called with each line of the log; True if it was one of ours."""
        match = self._pattern.match(line)
        if match is None:
            return False
        found = match.groupdict()
        if found["pts"] is None:
            return True
        pts = None if found["pts"] == "NOPTS" else int(found["pts"])
        with self._changed:
            self._queue.append((pts, int(found.get("samples") or 0)))
            self._changed.notify_all()
        return True

    def pop(self, file: Source) -> tuple[int | None, int]:
        """The next stamp; the data is there already and its line must come.

        Raises:
            DecodeError: it does not come.
        """
        deadline = time.monotonic() + STAMP_TIMEOUT_S
        with self._changed:
            while not self._queue:
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    what = "ffmpeg gave data without a time stamp"
                    raise file.error(DecodeError, what, "try another release of ffmpeg")
            return self._queue.popleft()
