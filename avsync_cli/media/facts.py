"""A file's facts, and which of its tracks are judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Literal, TypeVar

from avsync_cli.errors import MediaError, NoPictureError, NoSoundError
from avsync_cli.media.limits import check_picture, check_sound
from avsync_cli.media.source import Source


@dataclass(frozen=True, kw_only=True)
class Track:
    """One track of picture or sound.

    Attributes:
        letter: by which ffmpeg calls the kind.
        index: ffmpeg's stream index in the file.
        position: number among the tracks of its kind, from 0.
        codec: ffmpeg's short name.
        start_s: time stamp of the earliest of the first packets, on the file's own clock.
        is_default: whether the file asks players to choose it.
        language, title: as the file has them, "" where it has none; any text may stand there.
    """

    letter: ClassVar[str]
    index: int
    position: int
    codec: str
    start_s: Fraction | None
    is_default: bool = False
    language: str = ""
    title: str = ""

    @property
    def spec(self) -> str:
        """How ffmpeg is asked for it."""
        return f"{self.letter}:{self.position}"


StampKind = Literal["sound", "order", "rebuilt", "unsound"]
"""What a picture track's time stamps are worth.

* sound: each picture has its own time.
* order: only the order of decoding is stored; the decoder's delay has to be taken out.
* rebuilt: pictures follow one another at the track's rate, whatever their stamps say.
* unsound: the pictures' times cannot be told.
"""


@dataclass(frozen=True, kw_only=True)
class VideoTrack(Track):
    """One picture track.

    Attributes:
        width, height: as displayed, in square pixels, after rotation and sample aspect ratio.
        fps: mean source frame rate; the common rate it rounds to where there is one.
        vfr: whether the first frames come at visibly uneven distances.
        phase_s: by how much most of them come beside the times that are counted from the first.
        is_cover: a still picture attached to the file, not a picture track to judge.
        stamps: what its time stamps are worth.
        stamps_reason: what is wrong with unsound ones, else "".
    """

    letter = "v"
    width: int
    height: int
    fps: Fraction
    vfr: bool
    phase_s: Fraction = Fraction(0)
    is_cover: bool = False
    stamps: StampKind = "sound"
    stamps_reason: str = ""

    @property
    def has_pts(self) -> bool:
        """Whether stamps say when pictures are shown, and one can jump by them."""
        return self.stamps in ("sound", "unsound")


@dataclass(frozen=True, kw_only=True)
class AudioTrack(Track):
    """One sound track; its first packet may be codec delay that a player skips.

    Attributes:
        rate_hz, channels: as declared.
        channel: the only one of the channels that is listened to, from 0; None mixes them.
    """

    letter = "a"
    rate_hz: int
    channels: int
    channel: int | None = None


@dataclass(frozen=True, kw_only=True)
class MediaInfo:
    """A file's facts.

    Attributes:
        file: under its names.
        container: ffmpeg's name of the demuxer, such as "matroska,webm".
        start_s: the player's zero on the file's own clock.
        duration_s: as the file declares it, 0 if it does not.
        video, audio: its tracks.
        filler_s: time without picture and sound, where the look into the file met all of it.
    """

    file: Source
    container: str
    start_s: Fraction
    duration_s: float
    video: tuple[VideoTrack, ...]
    audio: tuple[AudioTrack, ...]
    filler_s: float = 0.0

    @property
    def path(self) -> str:
        """The file's name for the operating system."""
        return self.file.path

    def is_in(self, *containers: str) -> bool:
        """Whether the container is one of those that ffmpeg knows by these names."""
        return not set(containers).isdisjoint(self.container.split(","))


def usable_video(info: MediaInfo) -> list[VideoTrack]:
    """The picture tracks in the order in which they are numbered; covers are none."""
    return [track for track in info.video if not track.is_cover and track.width and track.height]


def usable_audio(info: MediaInfo) -> list[AudioTrack]:
    """The sound tracks in the order in which they are numbered."""
    return [track for track in info.audio if track.channels and track.rate_hz]


def pick_video(info: MediaInfo, wanted: int | None) -> VideoTrack:
    """The picture to judge.

    Args:
        wanted: which of the tracks, from 0, covers not counted; None is a player's choice.

    Raises:
        NoPictureError: there is none, or not so many.
        TooLargeError: it is beyond what `limits` allows.
    """
    tracks = usable_video(info)
    covers_only = not tracks and any(track.is_cover for track in info.video)
    what = "video track (only a cover picture)" if covers_only else "video track"
    track = _pick(tracks, wanted, what, info, NoPictureError)
    check_picture(track.width, track.height, float(track.fps), info.file.shown)
    return track


def pick_audio(info: MediaInfo, wanted: int | None) -> AudioTrack:
    """The sound to judge, as `pick_video`; raises NoSoundError."""
    track = _pick(usable_audio(info), wanted, "audio track", info, NoSoundError)
    check_sound(track.rate_hz, track.channels, info.file.shown)
    return track


_Any = TypeVar("_Any", bound=Track)


def _pick(
    tracks: Sequence[_Any],
    wanted: int | None,
    what: str,
    info: MediaInfo,
    error: type[MediaError],
) -> _Any:
    if not tracks:
        raise info.file.error(error, f"no {what}", "give a file with picture and sound")
    if wanted is None:
        return next((track for track in tracks if track.is_default), tracks[0])
    if not 0 <= wanted < len(tracks):
        said = f"no {what} {wanted}, the file has {len(tracks)}"
        raise info.file.error(error, said, f"choose a track from 0 to {len(tracks) - 1}")
    return tracks[wanted]
