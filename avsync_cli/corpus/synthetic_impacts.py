"""Things that hit things, seen as a whole small frame, with the sound of each contact.

Three families: balls that bounce, sticks and hammers that strike, objects that collide. Each is a
list of exact contact times and a distance to contact as a function of time that is zero at those
times; the sound of a contact starts within one sample (1/16000 s) of it. Silent wanderers share
the scene, so that movement alone says nothing.

Source for the sound: struck objects as sums of decaying modes with material-dependent decay,
Gaver, "How do we hear in the world?" (Ecological Psychology, 1993).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avsync_cli.corpus.synthetic_noise import F32, smooth_noise, value_noise
from avsync_cli.timebase import FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

_RUN_IN_S = 1.5
"""Events begin this long before the clip, so that old resonances ring into it."""


@dataclass(frozen=True)
class Contacts:
    """Contact times and how the gap between the bodies behaves around them.

    Attributes:
        times_s: (n,) rising; from before the clip's start to after its end.
        strengths: (n,) 0..1.
        kind: "bounce", "strike" or "collide".
    """

    times_s: np.ndarray
    strengths: np.ndarray
    kind: str


@dataclass(frozen=True)
class ImpactScene:
    """A drawn scene.

    Attributes:
        picture: (frames, size, size) float32 about 0..1.
        sound: (frames * 640,) float32, clean.
        contacts: what happened when.
    """

    picture: np.ndarray
    sound: np.ndarray
    contacts: Contacts


def draw_contacts(rng: np.random.Generator, duration_s: float) -> Contacts:
    """Random contact times, at most about six a second, for a clip of `duration_s`."""
    kind = ("bounce", "strike", "collide")[int(rng.integers(3))]
    t, end = -_RUN_IN_S, duration_s + 1.0
    times: list[float] = []
    strengths: list[float] = []
    if kind == "bounce" and rng.random() < 0.6:  # dropped, left to bounce out, thrown again
        while t < end:
            t += float(rng.uniform(0.15, 0.7))
            gap, keep = float(rng.uniform(0.4, 0.9)), float(rng.uniform(0.6, 0.85))
            first = gap
            t += gap
            while gap > 0.12 and t < end:
                times.append(t)
                strengths.append((gap / first) ** 1.5)
                gap *= keep
                t += gap
    else:
        pace = float(rng.uniform(0.25, 1.2))
        steady = float(rng.uniform(0.0, 0.6))
        while t < end:
            t += max(0.16, pace * float(np.exp(steady * rng.standard_normal())))
            if rng.random() < 0.1:
                t += float(rng.uniform(0.5, 1.5))
            times.append(t)
            strengths.append(float(rng.uniform(0.35, 1.0)))
    return Contacts(np.array(times), np.array(strengths), kind)


def gap_at(contacts: Contacts, times_s: np.ndarray) -> np.ndarray:
    """(n,) distance between the bodies, 0 at a contact and at most 1, at `times_s` (n,).

    Bounces are parabolas; strikes and collisions draw back, wait and come down ever faster, so
    that speed is greatest at contact.
    """
    edges = contacts.times_s
    k = np.clip(np.searchsorted(edges, times_s, side="right"), 1, len(edges) - 1)
    since, until = times_s - edges[k - 1], edges[k] - times_s
    span = edges[k] - edges[k - 1]
    p = np.clip(since / span, 0, 1)
    if contacts.kind == "bounce":
        height = np.minimum(1.0, (span / 0.85) ** 2)
        return np.asarray(4 * p * (1 - p) * height)
    reach = np.minimum(1.0, 0.35 + span * 0.9)
    swing = np.minimum(0.18, 0.45 * span)
    back = np.minimum(0.3, 0.5 * span)
    rise = np.clip(since / back, 0, 1)
    rise = rise * (2 - rise)
    fall = 1 - np.clip(1 - until / swing, 0, 1) ** 2
    return np.asarray(reach * np.minimum(rise, fall))


def impact_sound(rng: np.random.Generator, contacts: Contacts, samples: int) -> np.ndarray:
    """(samples,) float32: each contact rings in decaying modes after a short burst of noise.

    Sample j of an event is its waveform at exactly j / 16000 s minus the contact time, so that
    contacts between samples stay exact.
    """
    modes = int(rng.integers(3, 9))
    base = float(np.exp(rng.uniform(np.log(120), np.log(1500))))
    ratios = np.cumsum(rng.uniform(0.4, 1.6, modes)) + 0.6
    hz = np.minimum(base * ratios / ratios[0], 7000)
    hardness = float(np.exp(rng.uniform(np.log(0.012), np.log(0.3))))
    decay_s = hardness / (1 + hz / rng.uniform(600, 5000))
    weights = rng.uniform(0.2, 1.0, modes) * (hz / hz[0]) ** -rng.uniform(0.0, 1.0)
    burst_s = float(rng.uniform(0.001, 0.02))
    burst_level = float(rng.uniform(0.2, 2.0))
    dull = int(rng.integers(1, 12))
    out = np.zeros(samples + 1)
    length = int(min(0.8, 7 * max(float(decay_s.max()), burst_s)) * SAMPLE_RATE_HZ)
    for time_s, strength in zip(contacts.times_s, contacts.strengths, strict=True):
        first = int(np.ceil(time_s * SAMPLE_RATE_HZ))
        lo, hi = max(first, 0), min(first + length, samples)
        t = np.arange(lo, hi) / SAMPLE_RATE_HZ - time_s
        detune = 1 + 0.01 * rng.standard_normal()
        mix = weights * rng.uniform(0.6, 1.4, modes)
        crackle = rng.standard_normal(length + dull)
        if hi <= lo:
            continue
        ring = np.sin(2 * np.pi * detune * hz[:, None] * t) * np.exp(-t / decay_s[:, None])
        soft = np.convolve(crackle, np.ones(dull) / np.sqrt(dull), mode="valid")
        noise = soft[lo - first : hi - first] * np.exp(-t / burst_s)
        out[lo:hi] += strength**1.3 * (mix @ ring + burst_level * noise)
    peak = float(np.abs(out).max())
    return np.asarray(out[:samples] / (peak * 1.5 if peak > 0 else 1.0), F32)


def _disc(x: np.ndarray, y: np.ndarray, r: float, px: float) -> tuple[np.ndarray, np.ndarray]:
    """Cover and light of a ball around 0."""
    square = x * x + y * y
    cover = np.clip((r - np.sqrt(square)) * (1 / px) + 0.5, 0, 1)
    return cover, 1.15 - 0.35 * (x + 1.3 * y) * (1 / r) * 0.6 - 0.25 * square * (1 / (r * r))


def _bar(
    x: np.ndarray, y: np.ndarray, half: float, thick: float, px: float
) -> tuple[np.ndarray, np.ndarray]:
    """Cover and light of a bar of half length `half` along x around 0."""
    away = np.maximum(np.abs(x) - half, np.abs(y) - thick)
    return np.clip(0.5 - away * (1 / px), 0, 1), 1 - 0.25 * y * (1 / thick)


def _draw_background(rng: np.random.Generator, size: int, floor: float) -> np.ndarray:
    """(2 * size, 2 * size) a room with a floor at `floor` (frame units, 0 top .. 1 bottom)."""
    side = 2 * size
    wall = float(rng.uniform(0.1, 0.9)) * (1 + 0.2 * value_noise(rng, side, rng.uniform(2, 12)))
    wall += 0.05 * value_noise(rng, side, rng.uniform(20, 60))
    ground = float(rng.uniform(0.1, 0.9)) * (1 + 0.2 * value_noise(rng, side, rng.uniform(2, 40)))
    rows = (np.arange(side, dtype=F32)[:, None] + 0.5) / size - 0.5
    mask = np.clip((rows - F32(floor)) * size + 0.5, 0, 1)
    scene = wall * (1 - mask) + ground * mask
    for _ in range(int(rng.integers(0, 5))):  # furniture
        x0, y0 = rng.integers(0, side, 2)
        w, h = rng.integers(side // 16, side // 3, 2)
        scene[y0 : y0 + h, x0 : x0 + w] *= rng.uniform(0.4, 1.5)
    return np.asarray(np.clip(scene, 0, 1.1), F32)


class _Stage:
    """A scene in the making: its picture, seen by a camera that may shake, and its pixels' places.

    Args:
        rng: of background, shaking and wanderers.
        frames, size: of the picture.
        floor: where the floor begins, 0 top .. 1 bottom.
    """

    def __init__(self, rng: np.random.Generator, frames: int, size: int, floor: float) -> None:
        self.px = 1 / size
        wide = _draw_background(rng, size, floor)
        shake = rng.uniform(0, 0.012) if rng.random() < 0.6 else 0.0
        cam_x = shake * smooth_noise(rng, frames, 8)
        cam_y = shake * smooth_noise(rng, frames, 8)
        self.picture = np.empty((frames, size, size), F32)
        for k in range(frames):
            dx = int(np.clip(size / 2 + cam_x[k] * size, 0, size))
            dy = int(np.clip(size / 2 + cam_y[k] * size, 0, size))
            self.picture[k] = wide[dy : dy + size, dx : dx + size]
        axis = (np.arange(size, dtype=F32) + F32(0.5)) / size
        self.x = axis[None, None, :] + np.round(cam_x * size)[:, None, None].astype(F32) / size
        self.y = axis[None, :, None] + np.round(cam_y * size)[:, None, None].astype(F32) / size

    def lay(self, shape: tuple[np.ndarray, np.ndarray], tone: float) -> None:
        """Paint a shape, given as cover and light, over what is there."""
        cover, light = shape
        self.picture += cover * (F32(tone) * light - self.picture)

    def disc(self, x: np.ndarray, y: np.ndarray, r: float, tone: float) -> None:
        """Paint a ball around (x, y)."""
        self.lay(_disc(self.x - x, self.y - y, r, self.px), tone)


def _column(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, F32)[:, None, None]


def draw_impact_scene(rng: np.random.Generator, frames: int, size: int) -> ImpactScene:
    """A random scene of `frames` frames at 25 a second, `size` pixels a side, in sync."""
    lasts_s, inside = frames / FPS, 0
    # A clip in which next to nothing happens teaches nothing: at least one contact in two seconds.
    while inside < lasts_s / 2:
        contacts = draw_contacts(rng, lasts_s)
        inside = int(((contacts.times_s >= 0) & (contacts.times_s < lasts_s)).sum())
    sound = impact_sound(rng, contacts, frames * SAMPLES_PER_FRAME)
    times = np.arange(frames) / FPS
    floor = float(rng.uniform(0.55, 0.9))
    stage = _Stage(rng, frames, size, floor)
    for _ in range(int(rng.integers(0, 3))):  # silent wanderers
        x = _column(rng.uniform(0.1, 0.9) + 0.2 * smooth_noise(rng, frames, rng.uniform(6, 30)))
        y = _column(rng.uniform(0.1, 0.9) + 0.15 * smooth_noise(rng, frames, rng.uniform(6, 30)))
        stage.disc(x, y, float(rng.uniform(0.03, 0.12)), float(rng.uniform(0.1, 0.9)))

    tones = float(rng.uniform(0.05, 0.95)), float(rng.uniform(0.05, 0.95))
    gap = gap_at(contacts, times)
    # What is struck shivers after the blow: a movement of a few pixels that dies away.
    last = np.clip(np.searchsorted(contacts.times_s, times, side="right") - 1, 0, None)
    since = np.maximum(times - contacts.times_s[last], 0)
    jolt = float(rng.uniform(0, 0.02)) * contacts.strengths[last]
    shiver = jolt * np.exp(-since / 0.06) * np.cos(since * 2 * np.pi * 9)
    if contacts.kind == "bounce":
        _draw_bounce(rng, stage, gap, times, floor, tones[0])
    elif contacts.kind == "strike":
        _draw_strike(rng, stage, gap, shiver, floor, tones)
    else:
        _draw_collision(rng, stage, gap, shiver, tones)
    return ImpactScene(stage.picture, sound, contacts)


def _draw_bounce(
    rng: np.random.Generator,
    stage: _Stage,
    gap: np.ndarray,
    times: np.ndarray,
    floor: float,
    tone: float,
) -> None:
    """A ball that bounces along the floor, with its shadow."""
    r = float(rng.uniform(0.04, 0.13))
    travel = rng.uniform(0.2, 0.8) + rng.uniform(-0.3, 0.3) * times / max(times[-1], 1)
    x = _column(travel + 0.05 * smooth_noise(rng, len(times), 20))
    reach = floor - r - float(rng.uniform(0.0, 0.25))
    y = _column(floor - r - reach * gap)
    shadow = np.exp(-(((stage.x - x) / (r * 1.2)) ** 2) - ((stage.y - floor) / 0.015) ** 2)
    stage.picture *= 1 - 0.4 * shadow * np.exp(-3 * _column(gap))
    stage.disc(x, y, r, tone)


def _draw_strike(
    rng: np.random.Generator,
    stage: _Stage,
    gap: np.ndarray,
    shiver: np.ndarray,
    floor: float,
    tones: tuple[float, float],
) -> None:
    """A stick that turns around a hand; at gap 0 its tip touches the top of the target."""
    (tone, other), px = tones, stage.px
    length, thick = float(rng.uniform(0.25, 0.5)), float(rng.uniform(0.012, 0.04))
    side = 1.0 if rng.random() < 0.5 else -1.0
    hit_x, rest = float(rng.uniform(0.35, 0.65)), float(rng.uniform(-0.3, 0.4))
    top = floor - float(rng.uniform(0.0, 0.15))
    half_w = float(rng.uniform(0.08, 0.25))
    target_y = stage.y - _column(top + 0.08 + shiver)
    stage.lay(_bar(stage.x - hit_x, target_y, half_w, 0.08, px), other)
    # From hand to tip, y down: at gap 0 the angle is `rest`, drawn back it points up.
    angle = _column(rest - rng.uniform(0.5, 1.2) * gap)
    hand_x = hit_x + side * length * np.cos(rest)
    hand_y = top - thick - length * np.sin(rest) - 0.12 * length * _column(gap)
    ax, ay = -side * np.cos(angle), np.sin(angle)
    mid_x, mid_y = hand_x + ax * length / 2, hand_y + ay * length / 2
    along = (stage.x - mid_x) * ax + (stage.y - mid_y) * ay
    across = (stage.y - mid_y) * ax - (stage.x - mid_x) * ay
    stage.lay(_bar(along, across, length / 2, thick, px), tone)
    if rng.random() < 0.6:  # a head on it
        head = float(rng.uniform(0.03, 0.07))
        stage.lay(_bar(along - length / 2 + head / 2, across, head / 2, head, px), tone * 0.7)
    stage.disc(hand_x, hand_y, 0.06, float(rng.uniform(0.2, 0.9)))


def _draw_collision(
    rng: np.random.Generator,
    stage: _Stage,
    gap: np.ndarray,
    shiver: np.ndarray,
    tones: tuple[float, float],
) -> None:
    """Two balls that meet in mid-air."""
    frames = len(gap)
    r1, r2 = float(rng.uniform(0.05, 0.14)), float(rng.uniform(0.05, 0.14))
    share = float(rng.uniform(0, 1))
    tilt = float(rng.uniform(-0.5, 0.5)) + (np.pi / 2 if rng.random() < 0.3 else 0.0)
    cx = _column(rng.uniform(0.4, 0.6) + 0.04 * smooth_noise(rng, frames, 25) + shiver)
    cy = _column(rng.uniform(0.35, 0.65) + 0.04 * smooth_noise(rng, frames, 25))
    reach = float(rng.uniform(0.15, 0.45))
    one, two = _column(r1 + share * reach * gap), _column(r2 + (1 - share) * reach * gap)
    cos, sin = F32(np.cos(tilt)), F32(np.sin(tilt))
    x, y = stage.x - cx, stage.y - cy
    stage.lay(_disc(x + one * cos, y + one * sin, r1, stage.px), tones[0])
    stage.lay(_disc(x - two * cos, y - two * sin, r2, stage.px), tones[1])
