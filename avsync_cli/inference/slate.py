"""The clap at the head of a take: where two sticks or hands meet, and where that is heard.

Heard: power that rises in all bands within a few milliseconds, out of something quieter, and dies
away again. Seen: a part of the picture that moves fast and stands still from one picture to the
next. A clap is told only where one such sound and, within the range of the scan, one such stop
stand out.

The pictures are the file's own, not those of the 25 Hz timeline: a clap is as exact as a frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from avsync_cli.inference.evidence import Clap
from avsync_cli.timebase import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from avsync_cli.media.facts import MediaInfo

HEAD_S = 30.0
"""How much of a file is searched: a slate is held up, read out and clapped within that."""

NO_CLAP = f"no clap stands out in the first {HEAD_S:g} s"

HEIGHT = 144
"""Lines of the pictures: sticks across a tenth of a wide shot are still some pixels apart."""

_HOP = 32
_EDGES = (4, 8, 16, 32, 60)
"""Edges of four bands in bins of 125 Hz: 0.5 to 1, 2, 4 and 7.5 kHz."""

_BEFORE_HOPS, _AFTER_HOPS, _BLOW_HOPS, _DECAY_HOPS = 25, 3, 12, 100
_RISE_DB, _BLOW_SHARE, _UNRIVALLED_DB = 18.0, 0.5, 6.0
"""A clap rises in every band by 18 dB above the mean of the 50 ms before it, spends half of what it
has in 200 ms in the first 24 (a syllable spends it later), is the loudest there is, and no other
such sound comes within 6 dB of it."""

_LEAST_DB = -50.0
"""Below this of full scale nothing is a clap: a converter's noise has edges, too."""

_CELLS = 8
_LEAST_LEVELS, _STOP_RATIO, _UNRIVALLED_RATIO = 25.0, 4.0, 2.0
"""What claps changes nine cells by 25 grey levels a frame, added up, and by four times what they
change in the 80 ms after, and is twice as strong as any other stop in reach."""

_MOST_CELLS = _CELLS * _CELLS * 2 // 3
"""What stops in more than two thirds of the picture at once is a cut, or the camera."""

_AROUND_S = 0.08
_SAME_S = 0.1
_ONSET_SHARE = 0.2
"""Share of a clap's first peak from which on it has begun."""


def find_clap(
    pictures: np.ndarray, times_s: np.ndarray, sound: np.ndarray, range_ms: float
) -> Clap | None:
    """The clap in a stretch of film, if one stands out.

    Args:
        pictures: (N, H, W) uint8 brightness of the file's own frames.
        times_s: (N,) when each is shown, rising.
        sound: (S,) float32 in -1..1 at 16 kHz from time 0 on.
        range_ms: how far apart the two may be.
    """
    sample = _heard(sound)
    if sample is None or len(pictures) < 8:
        return None
    sound_s = sample / SAMPLE_RATE_HZ
    near = np.abs(times_s - sound_s) <= range_ms / 1000.0 + _AROUND_S
    first, end = (int(np.flatnonzero(near)[i]) for i in (0, -1)) if near.any() else (0, -1)
    found = _seen(pictures[first : end + 1], times_s[first : end + 1])
    if found is None or abs(sound_s - found[1]) * 1000.0 > range_ms:
        return None
    at, picture_s = found
    return Clap(
        frame=first + at,
        picture_s=picture_s,
        sound_s=sound_s,
        frame_ms=float(np.median(np.diff(times_s)) * 1000.0),
    )


def _heard(sound: np.ndarray) -> int | None:
    """The sample at which the one clap of the sound begins."""
    window = np.hanning(2 * _EDGES[-1] + 8).astype(np.float32)
    if len(sound) < (_BEFORE_HOPS + _DECAY_HOPS) * _HOP:
        return None
    cut = np.lib.stride_tricks.sliding_window_view(sound, len(window))[::_HOP]
    power = np.square(np.abs(np.fft.rfft(cut * window, axis=1))) / np.square(window.sum())
    bands = np.add.reduceat(power[:, : _EDGES[-1]], _EDGES[:-1], axis=1)
    hops = np.arange(_BEFORE_HOPS, len(bands) - _DECAY_HOPS)
    total = np.concatenate([np.zeros((1, bands.shape[1])), np.cumsum(bands, axis=0)])
    before = (total[hops - 3] - total[hops - _BEFORE_HOPS]) / (_BEFORE_HOPS - 3)
    after = np.max([bands[hops + k] for k in range(_AFTER_HOPS)], axis=0)
    rise = 10.0 * np.log10((after + 1e-10) / (before + 1e-10)).min(axis=1)
    level = 10.0 * np.log10(bands.sum(axis=1) + 1e-10)
    peak = np.max([level[hops + k] for k in range(_AFTER_HOPS)], axis=0)
    sharp = (rise >= _RISE_DB) & (peak >= _LEAST_DB)
    energy = total.sum(axis=1)
    blow, all_of_it = (energy[hops + n] - energy[hops] for n in (_BLOW_HOPS, _DECAY_HOPS))
    sharp &= blow >= _BLOW_SHARE * all_of_it
    if not sharp.any():
        return None
    best = int(np.argmax(np.where(sharp, peak, -np.inf)))
    far = np.abs(hops - hops[best]) * _HOP > _SAME_S * SAMPLE_RATE_HZ
    rivals = np.where(sharp, peak + _UNRIVALLED_DB, peak)[far]
    if rivals.max(initial=-np.inf) > peak[best]:
        return None
    around = np.flatnonzero(sharp & ~far)
    begin = int(hops[around[0]]) * _HOP
    piece = np.abs(sound[begin : begin + 4 * len(window)])
    return begin + int(np.argmax(piece >= _ONSET_SHARE * piece[: 2 * len(window)].max()))


def _seen(pictures: np.ndarray, times_s: np.ndarray) -> tuple[int, float] | None:
    """The frame at which the one sudden stop is over, and the time of the stop between two."""
    if len(pictures) < 8:
        return None
    height, width = (side // _CELLS * _CELLS for side in pictures.shape[1:])
    grey = pictures[:, :height, :width].astype(np.int16)
    change = np.abs(np.diff(grey, axis=0)).reshape(
        len(grey) - 1, _CELLS, height // _CELLS, _CELLS, width // _CELLS
    )
    motion = change.mean(axis=(2, 4), dtype=np.float32).reshape(len(change), -1)
    motion = _around(np.maximum(motion - np.percentile(motion, 20, axis=0), 0.0))
    reach = max(2, round(_AROUND_S / float(np.median(np.diff(times_s)))))
    padded = np.pad(motion, ((reach, reach), (0, 0)))
    n = len(motion)
    before = np.max([padded[k : k + n] for k in range(reach + 1)], axis=0)
    after = np.max([padded[k : k + n] for k in range(reach + 1, 2 * reach + 1)], axis=0)
    stops = (before >= _LEAST_LEVELS) & (before >= _STOP_RATIO * after) & (motion >= before / 4)
    strength = np.where(stops, before - after, 0.0).sum(axis=1)
    strength[n - reach :] = 0.0  # what comes after is not seen
    best = int(np.argmax(strength))
    far = np.abs(np.arange(n) - best) > reach
    if not strength[best] > _UNRIVALLED_RATIO * strength[far].max(initial=0.0):
        return None
    if stops[best].sum() > _MOST_CELLS:
        return None
    moving = motion[:, stops[best]].sum(axis=1)
    return best + 1, _between(moving, times_s, best)


def _around(motion: np.ndarray) -> np.ndarray:
    """(n, cells) motion of each cell and its neighbours together: what only leaves a cell goes on
    next to it, and has not stopped."""
    padded = np.pad(motion.reshape(-1, _CELLS, _CELLS), ((0, 0), (1, 1), (1, 1)))
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    both: np.ndarray = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    return both.reshape(len(motion), -1)


def _between(moving: np.ndarray, times_s: np.ndarray, last: int) -> float:
    """When motion ended, by how much of its last step was made.

    Step k leads from frame k to frame k + 1; without the stop the last one would have grown as the
    one before it did. An eighth of a step may be seen as one or not (`_seen`), so the end lies
    between an eighth of a step and nine after frame `last`: no estimate strays further than half.
    """
    faster = 1.0
    if last >= 2 and moving[last - 2] > 0:
        faster = float(np.clip(moving[last - 1] / moving[last - 2], 1.0, 1.5))
    whole = faster * moving[last - 1] if last >= 1 else moving[last]
    made = float(np.clip((moving[last] + moving[last + 1]) / max(whole, 1e-6), 0.62, 1.0))
    return float(times_s[last] + made * (times_s[last + 1] - times_s[last]))


def read_clap(
    info: MediaInfo, video_track: int | None, audio_track: int | None, range_ms: float
) -> Clap | None:
    """The clap within the first `HEAD_S` of a file; None where none stands out.

    Args:
        info: from `probe`.
        video_track, audio_track: their numbers; None for those of a player.
        range_ms: how far apart picture and sound of it may be.

    Raises:
        MediaError: nothing can be decoded.
    """
    from avsync_cli.media.head import read_head

    head = read_head(info, video_track, audio_track, seconds=HEAD_S, max_height=HEIGHT)
    return find_clap(head.pictures, head.times_s, head.sound, range_ms)
