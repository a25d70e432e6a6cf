"""A talking face around a drawn mouth: identity, skin, beard, pose.

Everything is in crop units: 1 is the side of the square crop (about 1.1 face widths), the origin
is the middle of the closed mouth, x points right and y down. A face is a texture drawn once an
identity; a frame is that texture bent by the jaw and seen through the head's pose, with the mouth
drawn over it from smooth contours, anti-aliased by their distance in pixels. Pictures are planar
(channels, frames, height, width) float32 of linear-ish grey 0..1, so that one painter serves grey
training crops and colour scenes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avsync_cli.corpus.synthetic_mouth import MouthLooks, jaw_drop, paint_mouth
from avsync_cli.corpus.synthetic_noise import F32, ease, value_noise

TEXTURE_SIDE = 168
TEXTURE_SPAN = 1.5
"""Pixels and crop units a side of a face texture, which is centred on the mouth."""

_BATCH = 8
"""Frames drawn at once: few enough for their arrays to stay in a core's cache."""


def draw_texture(rng: np.random.Generator, skin: float, looks: MouthLooks) -> np.ndarray:
    """(TEXTURE_SIDE, TEXTURE_SIDE) float32: one random face without its mouth."""
    axis = ((np.arange(TEXTURE_SIDE, dtype=F32) + 0.5) / TEXTURE_SIDE - 0.5) * F32(TEXTURE_SPAN)
    x, y = axis[None, :], axis[:, None]
    wide, chin = float(rng.uniform(0.38, 0.47)), float(rng.uniform(0.25, 0.38))
    face = _draw_features(rng, x, y, skin, wide, chin, looks)
    if rng.random() < 0.4:
        face = _draw_beard(rng, x, y, face, skin, looks)
    scene = _draw_surroundings(rng, x, y, face, wide, chin)
    square = float(rng.uniform(2.0, 3.2))
    down = np.clip((y + 0.25) / (chin + 0.25), 0, 2)
    jaw_shape = (np.abs(x) / wide) ** square + down ** F32(square)
    inside = ease((1 - jaw_shape) / 0.06 + 0.5)
    scene = scene * (1 - inside) + face * inside
    light = float(rng.normal(0, 0.35)) * x + float(rng.normal(0, 0.25)) * y
    return np.asarray(np.clip(scene * np.clip(1 + light, 0.35, 1.7), 0, 1.2), F32)


def _draw_features(
    rng: np.random.Generator,
    x: np.ndarray,
    y: np.ndarray,
    skin: float,
    wide: float,
    chin: float,
    looks: MouthLooks,
) -> np.ndarray:
    """Skin with nose, eyes, brows, folds and chin."""

    def blob(cx: float, cy: float, rx: float, ry: float) -> np.ndarray:
        return np.asarray(np.exp(-(((x - cx) / rx) ** 2) - ((y - cy) / ry) ** 2))

    face: np.ndarray = np.full((TEXTURE_SIDE, TEXTURE_SIDE), skin, F32)

    def darken(area: np.ndarray, amount: float) -> None:
        nonlocal face
        face = face * (1 - amount * area)

    face *= 1 + F32(rng.uniform(0.005, 0.03)) * value_noise(rng, TEXTURE_SIDE, 40)
    face *= 1 + F32(rng.uniform(0.01, 0.05)) * value_noise(rng, TEXTURE_SIDE, 7)
    face *= 1 - F32(rng.uniform(0.1, 0.55)) * np.clip((x / wide) ** 2, 0, 1.5) ** F32(1.4)

    turn = float(rng.normal(0, 0.03))
    nose_y, nose_w = float(rng.uniform(-0.15, -0.09)), float(rng.uniform(0.055, 0.09))
    hard = float(rng.uniform(0.3, 1.0))
    face *= 1 + 0.18 * hard * blob(turn, nose_y - 0.05, 0.035, 0.09)
    darken(blob(turn, nose_y + 0.02, nose_w * 1.3, 0.018), 0.35 * hard)
    for s in (-1, 1):
        darken(blob(turn + s * nose_w * 0.5, nose_y, 0.018, 0.012), 0.75 * hard)
        darken(blob(turn + s * nose_w * 1.15, nose_y - 0.02, 0.014, 0.04), 0.3 * hard)
        darken(blob(turn + s * 0.045, nose_y - 0.16, 0.02, 0.11), 0.2 * hard)
        eye_y = nose_y - float(rng.uniform(0.23, 0.3))
        darken(blob(turn * 0.5 + s * 0.175, eye_y, 0.085, 0.045), 0.35 * hard)
        darken(blob(turn * 0.5 + s * 0.175, eye_y, 0.06, 0.015), 0.6)
        darken(blob(turn * 0.5 + s * 0.18, eye_y - 0.1, 0.09, 0.02), 0.5)
        fold = (x - s * (0.12 + 0.35 * (y - nose_y))) / 0.028
        along = ease((y - nose_y + 0.04) / 0.06) * ease((0.07 - y) / 0.12)
        darken(np.exp(-fold * fold) * along, float(rng.uniform(0, 0.22)))
    darken(blob(0, (nose_y - 0.02) * 0.5, 0.012, 0.04), 0.12 * hard)
    face *= 1 + 0.1 * hard * blob(0, chin * 0.62, 0.09, 0.06)
    darken(blob(0, looks.lower + 0.035, 0.1, 0.02), 0.15 * hard)
    return face


def _draw_beard(
    rng: np.random.Generator,
    x: np.ndarray,
    y: np.ndarray,
    face: np.ndarray,
    skin: float,
    looks: MouthLooks,
) -> np.ndarray:
    """The face with beard, moustache or stubble."""
    dark = float(rng.uniform(0.12, 0.5)) / max(skin, 0.2)
    amount = float(rng.uniform(0.25, 0.95))
    hairs = 1 + F32(0.25) * value_noise(rng, TEXTURE_SIDE, 70)
    upper = np.exp(-(((y + 0.065) / 0.03) ** 4) - (x / (looks.half_width * 1.15)) ** 4)
    ring = 1 - ease((0.07 - np.hypot(x / 2.1, y - 0.01)) / 0.02)
    low = ease((y + 0.12 * rng.uniform(-1, 1) - 0.1 + 0.5 * np.abs(x)) / 0.08) * ring
    style = int(rng.integers(3))
    mask = np.maximum(upper * (style != 1), low * (style != 0))
    return np.asarray(
        face * (1 - mask * amount) + np.clip(skin * dark * hairs, 0, 1) * mask * amount
    )


def _draw_surroundings(
    rng: np.random.Generator,
    x: np.ndarray,
    y: np.ndarray,
    face: np.ndarray,
    wide: float,
    chin: float,
) -> np.ndarray:
    """Neck, clothes, hair and what is behind."""
    side = TEXTURE_SIDE
    behind = float(rng.uniform(0.03, 0.9)) * (1 + 0.25 * value_noise(rng, side, rng.uniform(1, 9)))
    cloth = float(rng.uniform(0.03, 0.95)) * (1 + 0.12 * value_noise(rng, side, rng.uniform(3, 30)))
    hair = float(rng.uniform(0.02, 0.5)) * (1 + 0.3 * value_noise(rng, side, 16))
    neck = face * float(rng.uniform(0.45, 0.85))
    edge = np.abs(x) + 0.02 * value_noise(rng, side, 3)
    neck_w = float(rng.uniform(0.22, 0.36))
    collar = float(rng.uniform(chin + 0.08, 0.75))
    body = ease((y - collar - float(rng.uniform(-0.4, 0.5)) * np.abs(x)) / 0.015 + 0.5)
    scene: np.ndarray = behind
    if rng.random() < 0.55:
        reach = float(rng.uniform(-0.2, 0.8))
        strands = ease((wide + float(rng.uniform(0.05, 0.25)) - edge) / 0.03)
        mask = strands * ease((reach - y) / 0.05)
        scene = scene * (1 - mask) + hair * mask
    neck_mask = ease((neck_w - edge) / 0.02) * (y > 0)
    scene = scene * (1 - neck_mask) + neck * neck_mask
    return np.asarray(scene * (1 - body) + cloth * body)


def look_up(
    texture: np.ndarray, x: np.ndarray, y: np.ndarray, span: float = TEXTURE_SPAN
) -> np.ndarray:
    """Bilinear samples of a square plane that is `span` crop units a side and centred on 0.

    Args:
        texture: (side, side) float32.
        x, y: any equal shape, float32 crop units; beyond the border the border repeats.
        span: size of the plane.

    Returns:
        float32 of the shape of `x`.
    """
    side = texture.shape[0]
    scale = F32(side / span)
    tx = np.clip(x * scale + F32(side / 2 - 0.5), 0, F32(side - 1.001))
    ty = np.clip(y * scale + F32(side / 2 - 0.5), 0, F32(side - 1.001))
    ix, iy = tx.astype(np.int32), ty.astype(np.int32)
    tx -= ix
    ty -= iy
    at = iy * side + ix
    flat = texture.reshape(-1)
    top = flat.take(at)
    top += tx * (flat.take(at + 1) - top)
    low = flat.take(at + side)
    low += tx * (flat.take(at + side + 1) - low)
    return np.asarray(top + ty * (low - top), F32)


@dataclass(frozen=True)
class Pose:
    """How the head lies in the crop, per frame, (n,) float32 each.

    Attributes:
        x, y: where the mouth is, crop units from the middle.
        turn: in-plane angle in radians. zoom: size of the face, 1 is plain.
        yaw: -0.7..0.7, side the head turns to (shortening the far half of the face).
    """

    x: np.ndarray
    y: np.ndarray
    turn: np.ndarray
    zoom: np.ndarray
    yaw: np.ndarray


def render_crops(
    texture: np.ndarray, looks: MouthLooks, mouth: np.ndarray, pose: Pose, size: int
) -> np.ndarray:
    """The talking face seen through its pose.

    Args:
        texture: from `draw_texture`.
        mouth: (6, n) float32 as `Speech.mouth_at` gives.
        pose: n frames of it.
        size: pixels a side.

    Returns:
        (n, size, size) float32, about 0..1.
    """
    n = mouth.shape[1]
    out = np.empty((n, size, size), F32)
    axis = ((np.arange(size, dtype=F32) + F32(0.5)) / size - F32(0.5))[None]
    px = 1.0 / size
    drop = jaw_drop(mouth, looks)
    for start in range(0, n, _BATCH):
        cut = slice(start, min(start + _BATCH, n))

        def bit(values: np.ndarray, cut: slice = cut) -> np.ndarray:
            return np.asarray(values[cut], F32)[:, None, None]

        cos, sin = np.cos(bit(pose.turn)) / bit(pose.zoom), np.sin(bit(pose.turn)) / bit(pose.zoom)
        dx = axis[:, None, :] - bit(pose.x)
        dy = axis[:, :, None] - bit(pose.y)
        x = cos * dx + sin * dy
        y = cos * dy - sin * dx
        # Turning away: one half of the face grows, the other shrinks, the middle stays.
        x = x + bit(pose.yaw) * x * np.abs(x) * 0.4 + bit(pose.yaw) * x * x * 0.9
        # The jaw takes the skin below the mouth along; cheeks and neck yield less.
        weight = ease((y + F32(0.02)) * F32(1 / 0.12)) * ease((F32(0.72) - y) * F32(1 / 0.35))
        weight = weight * np.maximum(1 - (x * F32(1 / 0.5)) ** 2, 0)
        spread = bit(mouth[2]) * F32(0.025) * np.exp(-((y * 6) ** 2))
        image = look_up(texture, x - spread * np.clip(x * 6, -1, 1), y - bit(drop) * weight)

        # Only the window around the mouth is painted.
        reach_x = 0.31 * float(pose.zoom[cut].max())
        reach_y = (0.1 + 1.2 * looks.opening) * float(pose.zoom[cut].max())
        lo_x = max(0, int((0.5 + pose.x[cut].min() - reach_x) * size))
        hi_x = min(size, int((0.5 + pose.x[cut].max() + reach_x) * size) + 1)
        lo_y = max(0, int((0.5 + pose.y[cut].min() - reach_y) * size))
        hi_y = min(size, int((0.5 + pose.y[cut].max() + reach_y) * size) + 1)
        box = (slice(None), slice(lo_y, hi_y), slice(lo_x, hi_x))
        window = np.ascontiguousarray(image[box])[None]
        paint_mouth(window, x[box], y[box], mouth[:, cut], looks, px)
        image[box] = window[0]
        out[cut] = image
    return out
