"""Sounds of a file that tell another story than the one that is judged.

A mix of all channels hides speech where one of them carries noise, or another microphone; and what
a camera records is often one microphone a track. A cheap look at the first minute, at how loud the
band of speech is from moment to moment, says which channels or tracks are worth being judged alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import ffmpeg as ffmpeg_python
import numpy as np

from avsync_cli.media.facts import AudioTrack, MediaInfo
from avsync_cli.media.ffmpeg import INPUT, command, input_args
from avsync_cli.media.process import FfmpegStream
from avsync_cli.timebase import FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

LOOK_S = 60.0
"""How much of a file is listened to."""

SPEECH_HZ = (300.0, 3400.0)
"""Where speech is, as telephones carry it: hum and rumble lie below."""

ANOTHER_STORY = 0.8
"""Correlation of two envelopes below which they are of different sounds. Sides of ordinary stereo
lie above 0.9."""

SILENT_DB = -60.0
"""A channel whose loudest moment in the band of speech is below this is silent."""

LEAST_CHANGE_DB = 3.0
"""Standard deviation of an envelope below which it is of noise or a hum: speech has 10 to 15."""

MOST = 3
"""Sounds at most that are proposed."""


@dataclass(frozen=True)
class OtherSound:
    """A sound that may be judged instead.

    Attributes:
        info: the file's facts, with the one channel chosen.
        track: number of the sound track.
        name: how a person finds it.
    """

    info: MediaInfo
    track: int
    name: str


def other_sounds(info: MediaInfo, track: AudioTrack, start_s: float = 0.0) -> list[OtherSound]:
    """Channels of a track, or other mono tracks beside a mono one, that tell another story than it.

    Args:
        info: the file.
        track: the one that was judged, as a mix of its channels.
        start_s: from where to listen.

    Returns:
        `MOST` at the most; those whose loudness changes most, as that of speech does, first.

    Raises:
        DecodeError: nothing can be decoded.
    """
    found: list[tuple[np.ndarray, OtherSound]] = []
    envelopes = speech_envelopes(info, track, start_s)
    judged = _log(envelopes.mean(axis=0))
    if track.channels > 1:
        for channel, envelope in enumerate(envelopes):
            alone = tuple(
                replace(t, channel=channel) if t.position == track.position else t
                for t in info.audio
            )
            name = f"channel {channel + 1} of {track.channels}"
            chosen = OtherSound(replace(info, audio=alone), track.position, name)
            found.append((_log(envelope), chosen))
    else:
        for other in info.audio:
            if other.position != track.position and other.channels == 1:
                envelope = speech_envelopes(info, other, start_s)[0]
                chosen = OtherSound(info, other.position, f"audio track {other.position}")
                found.append((_log(envelope), chosen))
    found = [(e, other) for e, other in found if _may_speak(e) and _differ(e, judged)]
    found.sort(key=lambda each: -float(each[0].std()))
    kept: list[tuple[np.ndarray, OtherSound]] = []
    for envelope, other_sound in found:
        if all(_differ(envelope, known) for known, _ in kept):
            kept.append((envelope, other_sound))
    return [other_sound for _, other_sound in kept[:MOST]]


def speech_envelopes(info: MediaInfo, track: AudioTrack, start_s: float) -> np.ndarray:
    """(C, T) power of each channel in the band of speech, 25 times a second."""
    options = dict(input_args(), ss=start_s, t=LOOK_S)
    stream = ffmpeg_python.input(INPUT, **options)[track.spec]
    stream = stream.filter("aformat", sample_rates=str(SAMPLE_RATE_HZ), sample_fmts="flt")
    args = ffmpeg_python.output(stream, "pipe:1", format="f32le").get_args()
    with FfmpegStream(command(args, info.file), path=info.file, block_bytes=1 << 20) as reader:
        heard = b"".join(iter(reader.read_block, None))
    size = 4 * track.channels * SAMPLES_PER_FRAME
    whole = np.frombuffer(heard[: len(heard) // size * size], "<f4")
    pieces = np.nan_to_num(whole).reshape(-1, SAMPLES_PER_FRAME, track.channels)
    spectrum = np.abs(np.fft.rfft(pieces * np.hanning(SAMPLES_PER_FRAME)[:, None], axis=1)) ** 2
    hertz = np.fft.rfftfreq(SAMPLES_PER_FRAME, 1 / SAMPLE_RATE_HZ)
    low, high = SPEECH_HZ
    band = spectrum[:, (hertz >= low) & (hertz <= high)].sum(axis=1) / SAMPLES_PER_FRAME**2
    return np.ascontiguousarray(band.T)


def _log(power: np.ndarray) -> np.ndarray:
    """Decibels, of what can be heard at all."""
    return np.asarray(10.0 * np.log10(np.maximum(power, 10.0 ** (SILENT_DB / 10.0 - 1.0))))


def _may_speak(envelope: np.ndarray) -> bool:
    """Whether an envelope of a second or more is loud enough, and changes enough, for speech."""
    if len(envelope) < FPS:
        return False
    return float(envelope.max()) > SILENT_DB and float(envelope.std()) >= LEAST_CHANGE_DB


def _differ(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether an envelope that changes is of another sound than a second one."""
    size = min(len(one), len(other))
    one, other = one[:size] - one[:size].mean(), other[:size] - other[:size].mean()
    power = float((one * one).sum() * (other * other).sum())
    return float((one * other).sum()) < ANOTHER_STORY * math.sqrt(power) + 1e-9
