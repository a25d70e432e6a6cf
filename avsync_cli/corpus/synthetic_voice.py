"""Speech-like sound and the mouth that makes it, both read off one score of phones.

A random score of syllables is turned into smooth articulator curves (jaw, lips, tongue) and into
the controls of a source-filter synthesiser. The picture samples the curves at exact frame times,
the sound is filtered by vocal-tract resonances that follow the same curves, so the two are in
sync by construction, to the millisecond of the control grid.

Sources: the source-filter model and its second-order resonances, Klatt, "Software for a
cascade/parallel formant synthesizer" (JASA 1980); coarticulation as targets blended by dominance,
Cohen and Massaro, "Modeling coarticulation in synthetic visual speech" (1993).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from avsync_cli.corpus import synthetic_phones as phones
from avsync_cli.corpus.synthetic_noise import ease, smooth_noise
from avsync_cli.timebase import SAMPLE_RATE_HZ

CONTROL_HZ = 1000
"""Control curves a second: one point a millisecond, well below the 10 ms offset resolution."""

_PAD_S = 0.8
"""Speech made before and after the part that is kept, so that clips begin in mid-sentence."""

_PER_POINT = SAMPLE_RATE_HZ // CONTROL_HZ
_GUARD = 100
"""Points synthesised on either side of the kept ones, for windows to ring in and out."""

_WINDOW = 256
_HOP = _WINDOW // 2
_FFT = 768


@dataclass(frozen=True, kw_only=True)
class Voice:
    """A speaker's way of speaking.

    Attributes:
        pitch_hz: mean pitch, about 80..280.
        tract: factor on all formants (shorter tract, higher formants), about 0.85..1.2.
        breath: share of noise in the voiced source, 0..0.3.
        bright: how much of the highs the voice has, 0.6..1.3.
        rate_hz: mean syllables a second, 2..7.
        effort: how far the mouth opens for the same sound, 0.45 (mumbling) .. 1.25.
        rest: lip aperture when silent, 0 (shut) .. 0.15 (parted).
        lead_s: how much earlier than its sound a gesture is steered, in seconds; 0..0.016 puts the
            peak of opening against loudness where recorded speakers have it (sound 5..10 ms late).
        pause: mean length of a pause between phrases in seconds.
    """

    pitch_hz: float
    tract: float
    breath: float
    bright: float
    rate_hz: float
    effort: float
    rest: float
    lead_s: float
    pause: float


def draw_voice(rng: np.random.Generator) -> Voice:
    """A random speaker."""
    high = rng.random() < 0.5
    return Voice(
        pitch_hz=float(rng.uniform(155, 270) if high else rng.uniform(82, 155)),
        tract=float(rng.uniform(1.02, 1.2) if high else rng.uniform(0.88, 1.05)),
        breath=float(rng.uniform(0.01, 0.15)),
        bright=float(rng.uniform(0.6, 1.3)),
        rate_hz=float(np.clip(rng.normal(4.3, 1.0), 2.0, 7.0)),
        effort=float(np.clip(rng.normal(0.9, 0.2), 0.45, 1.25)),
        rest=float(max(0.0, rng.uniform(-0.1, 0.15))),
        lead_s=float(rng.uniform(0.0, 0.016)),
        pause=float(rng.uniform(0.15, 0.6)),
    )


CURVES = ("jaw", "aperture", "width", "tongue", "tuck", "press")
"""What a mouth does, see `Speech`."""


@dataclass(frozen=True, kw_only=True)
class Speech:
    """Sound and the mouth behind it.

    Attributes:
        sound: (samples,) float32 at 16 kHz, RMS about 0.1 where voiced, peaks below 1.
        jaw, aperture, width, tongue, tuck, press: (points,) float32 at `CONTROL_HZ`, from time 0.
            jaw and aperture 0 (shut) .. about 1.3; width -1 (rounded) .. 1 (spread); tongue (tip)
            0 (down) .. 1 (up); tuck 0..1 (lower lip under the upper teeth); press 0..1 (lips
            pressed together by a bilabial).
    """

    sound: np.ndarray
    jaw: np.ndarray
    aperture: np.ndarray
    width: np.ndarray
    tongue: np.ndarray
    tuck: np.ndarray
    press: np.ndarray

    def mouth_at(self, times_s: np.ndarray) -> np.ndarray:
        """The mouth at given moments.

        Args:
            times_s: (n,) seconds from the start of the sound.

        Returns:
            (6, n) float32: jaw, aperture, width, tongue, tuck, press.
        """
        grid = np.arange(len(self.jaw)) / CONTROL_HZ
        curves = [np.interp(times_s, grid, getattr(self, name)) for name in CURVES]
        return np.stack(curves).astype(np.float32)


def _hann_smooth(curve: np.ndarray, width: int) -> np.ndarray:
    """Columns of (points, k) or (points,) smoothed by a symmetric Hann kernel; ends repeated."""
    width = max(3, width | 1)
    kernel = np.hanning(width + 2)[1:-1]
    kernel /= kernel.sum()
    half = width // 2
    flat = curve.reshape(len(curve), -1)
    out = np.empty_like(flat)
    for k in range(flat.shape[1]):
        out[:, k] = np.convolve(np.pad(flat[:, k], half, mode="edge"), kernel, mode="valid")
    return np.asarray(out.reshape(curve.shape))


def _draw_score(
    rng: np.random.Generator, voice: Voice, total_ms: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random phrases: (phones,) table rows, durations in ms, stress (1 is plain)."""
    rows: list[int] = []
    lengths: list[int] = []
    stresses: list[float] = []
    onset_p = phones.ONSET_ODDS / phones.ONSET_ODDS.sum()
    coda_p = phones.CODA_ODDS / phones.CODA_ODDS.sum()
    vowel_p = phones.VOWEL_ODDS / phones.VOWEL_ODDS.sum()
    spent = 0

    def add(name: str, length_ms: float, stress: float) -> None:
        nonlocal spent
        length = max(5, round(length_ms))
        rows.append(phones.INDEX[name])
        lengths.append(length)
        stresses.append(stress)
        spent += length

    def add_all(cluster: Sequence[tuple[str, float]], squeeze: float, stress: float) -> None:
        for name, length in cluster:
            scale = 1.0 if length < 25 else squeeze * rng.uniform(0.8, 1.25)
            add(name, max(45.0 if name in phones.SHUT else 5.0, length * scale), stress)

    if rng.random() < 0.3:
        add("sil", rng.uniform(50, 900), 1.0)
    while spent < total_ms:
        syllables = int(rng.integers(2, 14))
        rate = voice.rate_hz * rng.uniform(0.8, 1.25)
        for k in range(syllables):
            stress = float(np.clip(rng.normal(1.0, 0.22), 0.5, 1.5))
            pace = 4.5 / rate * rng.uniform(0.85, 1.15)
            squeeze = pace**0.5
            onset = phones.ONSETS[rng.choice(len(phones.ONSETS), p=onset_p)]
            coda = (
                phones.CODAS[rng.choice(len(phones.CODAS), p=coda_p)] if rng.random() < 0.7 else ()
            )
            add_all(onset, squeeze, stress)
            vowel = phones.VOWELS[rng.choice(len(phones.VOWELS), p=vowel_p)]
            length = max(55.0, (1000 / rate) * rng.uniform(0.75, 1.2) - 85 * squeeze)
            if k == syllables - 1:
                length *= rng.uniform(1.1, 1.7)
            if rng.random() < 0.15:
                add(vowel, length * 0.5, stress)
                vowel = phones.VOWELS[rng.choice(len(phones.VOWELS), p=vowel_p)]
                length *= 0.6
            add(vowel, length, stress)
            add_all(coda, squeeze, stress * 0.9)
        add("sil", 1000 * voice.pause * rng.gamma(2.0, 0.5) + 60, 1.0)
    return np.array(rows), np.array(lengths), np.array(stresses)


def _shut_curve(rows: np.ndarray, lengths: np.ndarray, total: int, ramp: float) -> np.ndarray:
    """(total,) 1 while a bilabial holds the lips shut, easing to 0 within `ramp` ms around it."""
    curve = np.zeros(total)
    ends = np.cumsum(lengths)
    grid = np.arange(total)
    for row, length, end in zip(rows, lengths, ends, strict=True):
        if phones.NAMES[row] not in phones.SHUT or end - length >= total:
            continue
        lo, hi = max(0, int(end - length - ramp)), min(total, int(end + ramp) + 1)
        t = grid[lo:hi]
        gap = np.maximum(np.maximum(end - length - t, t - end), 0) / ramp
        curve[lo:hi] = np.maximum(curve[lo:hi], ease(1 - gap))
    return curve


def speak(rng: np.random.Generator, duration_s: float, voice: Voice) -> Speech:
    """Random speech of `duration_s` seconds (> 0) and the mouth movement behind it.

    The sound carries the voice alone: no room, no noise. Deterministic for a given `rng` state.
    """
    pad = round(_PAD_S * CONTROL_HZ)
    points = round(duration_s * CONTROL_HZ) + 1
    total = points + 2 * pad
    rows, lengths, stresses = _draw_score(rng, voice, total)
    which = np.repeat(np.arange(len(rows)), lengths)[:total]
    target = phones.TABLE[rows[which]]
    stress = _hann_smooth(stresses[which], 121)

    # The picture: targets blended by dominance over about a syllable, steered a little ahead.
    lead = round(voice.lead_s * CONTROL_HZ)
    ahead = np.minimum(np.arange(total) + lead, total - 1)
    speed = np.clip(4.5 / voice.rate_hz, 0.7, 1.5)
    reach = round(rng.uniform(95, 140) * speed**0.5)
    seen = target[ahead]
    silent = rows[which][ahead] == phones.INDEX["sil"]
    jaw_t = np.where(silent, 0.6 * voice.rest, seen[:, 0])
    open_t = np.where(silent, voice.rest, seen[:, 1])
    by_open, by_width = seen[:, 5], seen[:, 6]
    parts = [jaw_t * by_open, open_t * by_open, seen[:, 3] * by_open, by_open]
    parts += [seen[:, 2] * by_width, by_width]
    jaw, aperture, tongue, open_sum, width, width_sum = _hann_smooth(np.stack(parts, 1), reach).T
    push = voice.effort * (0.4 + 0.6 * stress)
    jaw = jaw / open_sum * push
    aperture = aperture / open_sum * push
    tongue = tongue / open_sum
    width = width / width_sum * (0.6 + 0.4 * voice.effort)
    tuck = _hann_smooth(seen[:, 4], 71)
    press = _shut_curve(rows, lengths, total, rng.uniform(50, 85) * speed**0.5)
    drift = 0.02 * smooth_noise(rng, total, 400)
    aperture = np.maximum(aperture + drift, 0) * (1 - press)
    jaw = np.maximum(jaw, 0) * (1 - 0.45 * press)

    kept = slice(pad, pad + points)
    sound = _synthesise(rng, voice, target, stress, aperture, kept)
    curves = zip(CURVES, (jaw, aperture, width, tongue, tuck, press), strict=True)
    return Speech(sound=sound, **{name: c[kept].astype(np.float32) for name, c in curves})


def _synthesise(
    rng: np.random.Generator,
    voice: Voice,
    target: np.ndarray,
    stress: np.ndarray,
    aperture: np.ndarray,
    kept: slice,
) -> np.ndarray:
    """Sound (samples,) float32 of the kept points, from the targets and the lips' real opening."""
    made = slice(kept.start - _GUARD, kept.stop + _GUARD)
    at = np.arange((made.stop - made.start) * _PER_POINT) / _PER_POINT
    grid = np.arange(made.stop - made.start)

    def fine(curve: np.ndarray) -> np.ndarray:
        return np.asarray(np.interp(at, grid, curve[made]))

    # How far the lips got towards what the vowel asked for scales F1 and loudness: an undershot
    # vowel is both smaller to the eye and duller to the ear.
    wanted = _hann_smooth(target[:, 1], 45)
    reached = np.clip((aperture + 0.1) / (wanted + 0.1), 0.5, 1.4)
    gain = 10 ** (9.0 * (stress - 1.0) / 20) * reached**0.6
    # Amplitudes move within about 12 ms, resonances within about 45 ms.
    loud = _hann_smooth(target[:, 7:10], 13)
    tract = _hann_smooth(target[:, 10:16], 45)

    cycle = _glottal_cycle(rng, voice, target, stress, fine)
    noise = rng.standard_normal(len(at))
    voiced = fine(loud[:, 0] * gain)
    breathy = fine(loud[:, 2] * gain) + voice.breath * voiced * (0.5 + 0.5 * (cycle < 0.6))
    through_tract = voiced * _glottal_flow(cycle) * 0.5 + breathy * noise * 0.5
    at_teeth = fine(loud[:, 1]) * noise * (0.85 + 0.15 * rng.random())

    # Window k is centred on sample k * hop.
    count = -(-len(at) // _HOP) + 1
    centre = np.minimum(made.start + np.arange(count) * _HOP // _PER_POINT, len(target) - 1)
    response, colour = _filters(voice, tract[centre], reached[centre])
    mixed = _spectra(through_tract, count) * response
    mixed += _spectra(at_teeth, count) * (colour * 1.6).astype(np.float32)
    out = _overlap_add(np.fft.irfft(mixed, _FFT))
    first = _HOP + _GUARD * _PER_POINT
    sound = out[first : first + (kept.stop - kept.start - 1) * _PER_POINT]
    return np.asarray(sound / 12.0, dtype=np.float32)


def _glottal_cycle(
    rng: np.random.Generator,
    voice: Voice,
    target: np.ndarray,
    stress: np.ndarray,
    fine: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """(samples,) place 0..1 within the vocal folds' cycle. Pitch falls along each phrase, rises
    with stress, and wanders."""
    quiet = _hann_smooth((target[:, 7] + target[:, 8] < 0.01).astype(np.float64), 301)
    pitch = voice.pitch_hz * (
        1.0
        + 0.25 * (stress - 1)
        + 0.06 * smooth_noise(rng, len(target), 300)
        + 0.12 * smooth_noise(rng, len(target), 1200)
        - 0.08 * quiet
    )
    phase = np.cumsum(fine(np.maximum(pitch, 55))) / SAMPLE_RATE_HZ
    phase *= 1 + 0.0005 * smooth_noise(rng, len(phase), 160)
    return np.asarray(phase - np.floor(phase))


def _glottal_flow(cycle: np.ndarray) -> np.ndarray:
    """Derivative of a Rosenberg-like glottal flow: slow rise, sharp closing."""
    open_share, close_share = 0.45, 0.15
    rise = np.sin(np.pi * cycle / open_share) * (cycle < open_share)
    past = (cycle - open_share) / close_share
    fall = (
        -np.pi * open_share / close_share * np.sin(0.5 * np.pi * np.clip(past, 0, 1)) * (past < 1)
    )
    glottal = np.where(cycle < open_share, rise, fall)
    return np.asarray(glottal - glottal.mean())


def _filters(voice: Voice, tract: np.ndarray, reached: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Response of the vocal tract, and colour of noise made at the teeth, for every window.

    Args:
        voice: whose tract it is.
        tract: (windows, 6) F1..F3, bandwidth factor, noise centre and width.
        reached: (windows,) how far the lips got.

    Returns:
        (windows, bins) complex64 and (windows, bins).
    """
    f = (np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE_HZ)).astype(np.float32)[None, :]
    count = len(tract)
    f1 = 220 + (np.maximum(tract[:, 0] - 220, 0)) * np.clip(reached, 0.6, 1.25)
    formants = (f1, tract[:, 1], tract[:, 2], np.full(count, 3450.0), np.full(count, 4400.0))
    widths = (70.0, 95.0, 140.0, 250.0, 320.0)
    response = np.ones((count, f.shape[1]), dtype=np.complex64)
    for hz, width_hz in zip(formants, widths, strict=True):
        hz = (hz * voice.tract).astype(np.float32)[:, None]
        bw = (width_hz * tract[:, 3]).astype(np.float32)[:, None]
        response *= (hz * hz) / ((hz * hz - f * f) + 1j * (f * bw))
    # Poles above the five that are modelled, and the speaker's own tilt, lift the highs again.
    response *= (1 + (f / 3000) ** 2) ** np.float32(voice.bright)
    colour = np.exp(-0.5 * ((f - tract[:, 4:5]) / np.maximum(tract[:, 5:6], 300)) ** 2)
    return response, colour


def _spectra(wave: np.ndarray, count: int) -> np.ndarray:
    """(count, bins) complex64 of windows half over each other, the first centred on sample 0."""
    window = np.hanning(_WINDOW + 1)[:_WINDOW]
    padded = np.zeros((count + 1) * _HOP)
    padded[_HOP : _HOP + len(wave)] = wave
    cuts = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][:count]
    return np.asarray(np.fft.rfft(cuts * window, _FFT), dtype=np.complex64)


def _overlap_add(pieces: np.ndarray) -> np.ndarray:
    """(count, `_FFT`) pieces, each `_HOP` samples after the one before, added up."""
    out = np.zeros(len(pieces) * _HOP + _FFT)
    # Every sixth piece: pieces of one lane lie end to end, so that a lane is a single addition.
    stride = _FFT // _HOP
    for lane in range(stride):
        rows = pieces[lane::stride]
        begin = lane * _HOP
        out[begin : begin + rows.size] += rows.reshape(-1)[: len(out) - begin]
    return out
