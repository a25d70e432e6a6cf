"""The errors avsync raises on purpose, each with a hint and an exit code.

Every error a person can meet says three things: what is wrong, with which file, and what to
do about it. `message` is one line and names the file where there is one; `hint` is the next step;
`exit_code` is what the process ends with when the error reaches the top.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

EXIT_IN_SYNC = 0
EXIT_OUT_OF_SYNC = 1
EXIT_USAGE = 2
EXIT_UNDECIDED = 3
EXIT_INTERNAL = 70
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


def worst(statuses: Sequence[str]) -> str:
    """What a file counts as whose sound tracks have these answers.

    >>> worst(["in_sync", "undecided"])
    'undecided'
    """
    order = ("out_of_sync", "error", "undecided", "in_sync")
    return min(statuses, key=order.index)


def exit_code(counts: Mapping[str, int]) -> int:
    """The exit code of a run, from how many files have each status.

    >>> exit_code({"in_sync": 3, "error": 1})
    3
    """
    if counts.get("out_of_sync"):
        return EXIT_OUT_OF_SYNC
    return EXIT_UNDECIDED if counts.get("undecided") or counts.get("error") else EXIT_IN_SYNC


class AvsyncError(Exception):
    """Base of all deliberate errors.

    Args:
        message: one line, without a trailing full stop, naming the file where there is one.
        hint: one line with the next step, or "".
        path: the file the error is about, or None.
    """

    exit_code = EXIT_USAGE

    def __init__(self, message: str, hint: str = "", path: str | Path | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.path = None if path is None else str(path)

    def __str__(self) -> str:
        return self.message


class UsageError(AvsyncError):
    """A flag, argument or combination of them that cannot be meant."""


class WriteError(UsageError):
    """A file or folder that cannot be written where it was asked for: no room, no right."""


class ConfigError(AvsyncError):
    """A configuration file or AVSYNC_* variable that cannot be used."""


class FfmpegMissingError(AvsyncError):
    """No usable ffmpeg: not in AVSYNC_FFMPEG, not on PATH, not in the wheel."""


class ModelError(AvsyncError):
    """A model folder that is missing, damaged or foreign."""


class DataError(AvsyncError):
    """A manifest, folder or cache for training or evaluation that cannot be used."""


class WorkerError(AvsyncError):
    """The processes or the cluster that were to judge files cannot work at all."""

    exit_code = EXIT_INTERNAL


class MediaError(AvsyncError):
    """A media file that cannot be judged; one such file never stops a batch."""

    exit_code = EXIT_UNDECIDED


class FileMissingError(MediaError):
    """The path names nothing, or nothing that can be read."""


class NotMediaError(MediaError):
    """The file is not a container ffmpeg can open, or one that avsync refuses to open."""


class NoPictureError(MediaError):
    """The file has no usable video track."""


class NoSoundError(MediaError):
    """The file has no usable audio track."""


class TooShortError(MediaError):
    """Fewer frames or less sound than one block needs."""


class TooLargeError(MediaError):
    """The file claims a size, rate or length beyond what avsync takes on."""


class DecodeError(MediaError):
    """ffmpeg opened the file and then gave up, hung or produced nothing."""
