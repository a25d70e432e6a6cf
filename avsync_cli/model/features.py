"""What the encoders are fed: log-mel steps of the sound and centred crops of the picture.

Numpy only, so that users' inference and training share it without torch. Log-mel step j is
centred on sample 160 j of the timeline, i.e. on the time 10 ms x j; picture frame k belongs to
the steps 4 k .. 4 k + 3.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from avsync_cli.timebase import HOP_SAMPLES, SAMPLE_RATE_HZ

WINDOW_SAMPLES = 400
"""25 ms: long enough for two periods of a low voice, short enough for a burst."""

FFT_SIZE = 512
MEL_LOW_HZ, MEL_HIGH_HZ = 50.0, 7_600.0
LOG_FLOOR = 1e-6
"""Power below which everything counts as silence: 16-bit dither lies there."""

LOG_CENTRE, LOG_SCALE = -4.0, 4.0
"""Bring the usual log power of speech, about -12 .. +4, to about -2 .. +2."""


def _hz_to_mel(hz: np.ndarray | float) -> np.ndarray:
    """Mel scale after O'Shaughnessy, 2595 log10(1 + f / 700)."""
    return 2595.0 * np.log10(1.0 + np.asarray(hz, dtype=np.float64) / 700.0)


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)


@lru_cache(maxsize=4)
def mel_filters(bands: int = 80) -> np.ndarray:
    """Triangular filters, (FFT_SIZE // 2 + 1, bands) float32, each band's weights summing to 1.

    A sum of 1 (instead of a peak of 1) keeps noise of equal power equal in all bands. Filters
    narrower than one FFT bin fall back to the nearest bin, so that no band is empty.
    """
    edges_hz = _mel_to_hz(np.linspace(_hz_to_mel(MEL_LOW_HZ), _hz_to_mel(MEL_HIGH_HZ), bands + 2))
    bins_hz = np.arange(FFT_SIZE // 2 + 1) * SAMPLE_RATE_HZ / FFT_SIZE
    left, centre, right = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rising = (bins_hz[:, None] - left) / (centre - left)
    falling = (right - bins_hz[:, None]) / (right - centre)
    weights = np.maximum(0.0, np.minimum(rising, falling))
    for band in np.flatnonzero(weights.sum(axis=0) <= 0.0):
        weights[int(np.argmin(np.abs(bins_hz - centre[band]))), band] = 1.0
    filters: np.ndarray = (weights / weights.sum(axis=0)).astype(np.float32)
    filters.setflags(write=False)
    return filters


def log_mel(sound: np.ndarray, bands: int = 80) -> np.ndarray:
    """Log-mel steps of a stretch of sound.

    Args:
        sound: (S,) float32 in -1..1 at 16 kHz. S should be a multiple of 160.
        bands: number of mel bands.

    Returns:
        (S // 160, bands) float32, about -2..2; step j is centred on sample 160 j. Half a window
        beyond either end counts as silence: callers that cut a stream give some sound more on
        both sides and drop the steps it makes.
    """
    steps = len(sound) // HOP_SAMPLES
    if steps == 0:
        return np.zeros((0, bands), np.float32)
    half = WINDOW_SAMPLES // 2
    padded = np.pad(np.asarray(sound, np.float32), (half, half))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::HOP_SAMPLES][:steps]
    window = np.hanning(WINDOW_SAMPLES + 1)[:-1].astype(np.float32)
    filters = mel_filters(bands)
    out = np.empty((steps, bands), np.float32)
    for first in range(0, steps, 4096):  # bounded memory for an hour of sound
        part = frames[first : first + 4096] * window
        power = np.abs(np.fft.rfft(part, FFT_SIZE)).astype(np.float32) ** 2
        out[first : first + 4096] = np.log(power @ filters + LOG_FLOOR)
    out -= LOG_CENTRE
    out /= LOG_SCALE
    return out


def centre_crop(crops: np.ndarray, side_px: int) -> np.ndarray:
    """The middle `side_px` square of (..., H, W) crops; a view, no copy."""
    height, width = crops.shape[-2:]
    top, left = (height - side_px) // 2, (width - side_px) // 2
    return crops[..., top : top + side_px, left : left + side_px]


def edge_pad(values: np.ndarray, before: int, after: int) -> np.ndarray:
    """Repeat the first and last entry: a held picture, the least surprising filler."""
    if before == 0 and after == 0:
        return values
    return np.pad(values, [(before, after)] + [(0, 0)] * (values.ndim - 1), mode="edge")
