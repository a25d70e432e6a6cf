"""By how much sound really moved: source and copy decoded and laid over each other, sample by
sample. No model is asked, and no time stamp is believed beyond those that a player goes by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import ffmpeg as ffmpeg_python
import numpy as np

from avsync_cli.errors import DecodeError
from avsync_cli.media.ffmpeg import INPUT, command, input_args
from avsync_cli.media.process import FfmpegStream
from avsync_cli.media.restamp import FOLLOW, even_stamps
from avsync_cli.media.source import Source
from avsync_cli.repair.sound_graph import Piece, keeps_pitch

WINDOW_S = 1.5
LEAST_WINDOW_S = 0.25
REACH_S = 0.3
"""How far beside its place sound is looked for."""

MOST_WINDOWS = 24
"""Of one piece: the first, the last and others between, as far apart as they can be."""

LIKE = 0.5
"""Correlation of the same sound coded twice is above 0.9, of two sounds below 0.3."""

_NEARLY = 0.02
"""A hum is like itself at many places: one is as good as the best if it correlates this well."""

_LOUDNESS_HZ = 200
"""Steps in which loudness is compared where the speed changed and the pitch did not: the samples
themselves are others then."""

_BLUR_S = 0.05
"""Loudness is smoothed by as much, since pieces of sound were moved about by half of it."""

_STEADY = 0.1
"""Loudness that varies by less than this share of its mean is the same everywhere."""

_SILENCE = 3.0
"""Root mean square, in steps of 16-bit sound, below which there is nothing to compare."""


@dataclass(frozen=True, kw_only=True)
class Heard:
    """A sound track that is read, and the zero of its time.

    Attributes:
        file: where it is.
        track: number among its sound tracks.
        channels: how many it has.
        zero_s: when the first picture comes, seconds after the file's zero.
        beside: all tracks by which `zero_s` was found: of a transport stream ffmpeg takes the
            earliest of those that it is asked for as zero.
    """

    file: Source
    track: int
    channels: int
    zero_s: float
    beside: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Window:
    """A stretch of the copy, and where its sound comes from; both from the first picture on, in s.

    Attributes:
        at_s: its beginning in the copy.
        from_s: beginning of the same sound in the source.
        length_s: in the copy.
        speed: seconds of the source in a second of the copy.
    """

    at_s: float
    from_s: float
    length_s: float
    speed: float


def windows_of(
    pieces: Sequence[Piece], lead_s: float, ends_s: float, cut_s: float = math.inf
) -> list[Window]:
    """Stretches in which a copy can be compared with its source: head, middle and tail of every
    piece that has sound from within itself.

    Args:
        pieces: of the plan, on the file's timeline.
        lead_s: when the first picture comes on that timeline.
        ends_s: when the source's sound ends, from the first picture on.
        cut_s: where the copy's sound is cut at the latest, from the first picture on.

    >>> [w.at_s for w in windows_of([Piece(0.0, None, 500.0)], 0.0, 4.1)]
    [0.0, 1.05, 2.1]
    """
    found = []
    for number, piece in enumerate(pieces):
        start_s = 0.0 if number == 0 else piece.start_s - lead_s
        last = number == len(pieces) - 1 or piece.end_s is None
        end_s = ends_s if last or piece.end_s is None else piece.end_s - lead_s
        offset_s = piece.offset_at(start_s + lead_s) / 1000.0
        # In the copy's second t there is the source's second start + offset + (t - start) * speed.
        begin_s = start_s + max(0.0, -offset_s / piece.speed)
        stop_s = start_s + (end_s - start_s - offset_s) / piece.speed
        stop_s = min(stop_s, cut_s if last else end_s)
        length_s = min(WINDOW_S, stop_s - begin_s)
        if length_s < LEAST_WINDOW_S:
            continue
        count = max(1, min(MOST_WINDOWS, math.ceil((stop_s - begin_s) / length_s)))
        found += [
            Window(
                at_s=round(at_s, 9),
                from_s=start_s + offset_s + (at_s - start_s) * piece.speed,
                length_s=length_s,
                speed=piece.speed,
            )
            for at_s in np.linspace(begin_s, stop_s - length_s, count).tolist()
        ]
    return found


def measure(
    source: Heard,
    copy: Heard,
    windows: Sequence[Window],
    rate_hz: int,
    within_ms: float,
    pitch: str = "shift",
) -> list[tuple[Window, float | None]]:
    """How late the copy's sound is against the plan, window by window.

    Args:
        source, copy: the two tracks.
        windows: from `windows_of`.
        rate_hz: at which both are compared.
        within_ms: lags that are not told from none.
        pitch: what became of it where the speed changed, as in `copy.Move`.

    Returns:
        each window that has sound in it with the lag in ms (> 0 the copy's sound is too late), or
        None where one of the two has no such sound near there.

    Raises:
        DecodeError: a track cannot be read.
    """
    ours = _read(copy, [(w.at_s, w.length_s) for w in windows], rate_hz)
    wide = [(w.from_s - REACH_S, w.length_s * w.speed + 2 * REACH_S) for w in windows]
    theirs = _read(source, wide, rate_hz)
    found: list[tuple[Window, float | None]] = []
    for window, heard, around in zip(windows, ours, theirs, strict=True):
        there = _at_speed(around, window, rate_hz)
        reach = (len(there) - len(heard)) // 2
        if max(_loudness(heard), _loudness(there[reach : reach + len(heard)])) < _SILENCE:
            continue
        lag = _envelope_lag if keeps_pitch(window.speed, pitch) else _lag
        found.append((window, lag(heard, there, rate_hz, within_ms)))
    return found


def _envelope_lag(
    heard: np.ndarray, around: np.ndarray, rate_hz: int, within_ms: float
) -> float | None:
    """`_lag` by loudness alone; 0 where it is the same all the time."""
    step = max(1, round(rate_hz / _LOUDNESS_HZ))
    loud, around_loud = (_envelope(sound, step, rate_hz) for sound in (heard, around))
    reach = (len(around_loud) - len(loud)) // 2
    there = around_loud[reach : reach + len(loud)]
    if min(np.mean(loud), np.mean(there)) < _SILENCE:
        return None
    if max(np.std(loud) / np.mean(loud), np.std(there) / np.mean(there)) < _STEADY:
        return 0.0
    around_loud -= np.mean(around_loud)
    return _lag(loud - np.mean(loud), around_loud, round(rate_hz / step), within_ms)


def _envelope(samples: np.ndarray, step: int, rate_hz: int) -> np.ndarray:
    """Loudness (root mean square) around every `step`-th sample."""
    centres, half = np.arange(0, len(samples), step), round(_BLUR_S * rate_hz / 2)
    low = np.maximum(centres - half, 0)
    high = np.minimum(centres + half + 1, len(samples))
    sums = np.concatenate([[0.0], np.cumsum(samples**2)])
    return np.asarray(np.sqrt(np.maximum(sums[high] - sums[low], 0.0) / (high - low)))


def _loudness(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples**2)))


def _at_speed(around: np.ndarray, window: Window, rate_hz: int) -> np.ndarray:
    """The source's samples at the copy's speed, REACH_S beside the window on both sides."""
    reach = round(REACH_S * rate_hz)
    wanted = np.arange(-reach, round(window.length_s * rate_hz) + reach) * window.speed + reach
    return np.asarray(np.interp(wanted, np.arange(len(around)), around, left=0.0, right=0.0))


def _lag(heard: np.ndarray, around: np.ndarray, rate_hz: int, within_ms: float) -> float | None:
    """By how many ms the copy's sound is late; 0 where as good as any lag within `within_ms`."""
    size, reach = len(heard), (len(around) - len(heard)) // 2
    points = 1 << (len(around) + size).bit_length()
    product = np.fft.irfft(np.fft.rfft(around, points) * np.conj(np.fft.rfft(heard, points)))
    sums = np.concatenate([[0.0], np.cumsum(around**2)])
    energy = sums[size : size + 2 * reach + 1] - sums[: 2 * reach + 1]
    floor = size * _SILENCE**2 / 4
    if np.sum(heard**2) < floor:
        return None
    like = product[: 2 * reach + 1] / np.sqrt(np.maximum(energy, floor) * np.sum(heard**2))
    best = int(np.argmax(like))
    if like[best] < LIKE:
        return None
    near = round(within_ms * rate_hz / 1000)
    if like[max(0, reach - near) : reach + near + 1].max() >= like[best] - _NEARLY:
        return 0.0
    # Found later in the source than planned, it comes that much too early in the copy.
    return (reach - best) * 1000.0 / rate_hz


def _read(heard: Heard, spans: Sequence[tuple[float, float]], rate_hz: int) -> list[np.ndarray]:
    """(start, length) in seconds from the first picture on, as samples; silence beyond the ends."""
    weights = "+".join(f"{0.8**k:.3f}*c{k}" for k in range(min(heard.channels, 8)))
    source = ffmpeg_python.input(INPUT, **input_args())
    sound = (
        source[f"a:{heard.track}"]
        .filter("asetpts", f"PTS-({heard.zero_s:.9f})/TB")
        .filter(*even_stamps())
        .filter("aresample", rate_hz, first_pts=0, **FOLLOW)
        # The weights differ so that opposite channels do not silence each other.
        .filter("pan", f"mono|c0<{weights}")
    )
    wanted = ffmpeg_python.output(sound, "pipe:1", format="s16le")
    others = [source[stream] for stream in heard.beside]
    unused = ffmpeg_python.output(*others, "-", format="null", c="copy", copy_unknown=None)
    args = ffmpeg_python.merge_outputs(wanted, unused).get_args()
    places = [(round(start * rate_hz), round(length * rate_hz)) for start, length in spans]
    taken = [np.zeros(length) for _, length in places]
    done = 0
    block_bytes = 1 << 18
    with FfmpegStream(command(args, heard.file), path=heard.file, block_bytes=block_bytes) as pipe:
        while (block := pipe.read_block()) is not None:
            samples = np.frombuffer(block[: len(block) // 2 * 2], "<i2")
            for (start, length), window in zip(places, taken, strict=True):
                low, high = max(start, done), min(start + length, done + len(samples))
                if low < high:
                    window[low - start : high - start] = samples[low - done : high - done]
            done += len(samples)
        if pipe.check_end() != 0 and not done:
            what = f"the sound cannot be read ({pipe.last_error()})"
            raise heard.file.error(DecodeError, what, "the file may be damaged")
    return taken
