"""What reading picture and reading sound have in common: one ffmpeg, and its end."""

from __future__ import annotations

from typing import Self

from avsync_cli.errors import DecodeError
from avsync_cli.media.clock import Epochs, Stretch
from avsync_cli.media.facts import MediaInfo
from avsync_cli.media.process import FfmpegStream
from avsync_cli.media.stamps import Stamps


class TrackReader:
    """Reads a track from one ffmpeg process; a context manager that ends it.

    Args:
        kind: "picture" or "sound".
        info: the file.
        stretch: what of it.
        epochs: corrections shared with the other track.

    Attributes:
        has_ended: whether the end of the track was met.
    """

    _stream: FfmpegStream

    def __init__(self, kind: str, info: MediaInfo, stretch: Stretch, epochs: Epochs) -> None:
        self._kind, self._file, self._stretch, self._epochs = kind, info.file, stretch, epochs
        self._stamps = Stamps(kind)
        self.has_ended = False
        self._count = 0  # of pictures, or samples, that were read

    def check(self) -> None:
        """Raise DecodeError if ffmpeg was killed, or ended without anything where there must be
        something."""
        if not self.has_ended:
            return
        status = self._stream.check_end()
        # A stretch in the middle may well have none.
        if self._count == 0 and not (status == 0 and self._stretch.first_frame > 0):
            said = self._stream.last_error()
            what = f"no {self._kind} could be decoded{f' ({said})' if said else ''}"
            hint = "the file may be damaged or its codec unknown to this ffmpeg"
            raise self._file.error(DecodeError, what, hint)

    def close(self) -> None:
        """End ffmpeg; nothing more can be read. May be called at any time."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
