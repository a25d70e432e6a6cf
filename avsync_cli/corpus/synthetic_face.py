"""A talking mouth drawn from articulator curves: identity, skin, lips, teeth, tongue.

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

F32 = np.float32
TEXTURE_SIDE = 168
TEXTURE_SPAN = 1.5
"""Pixels and crop units a side of a face texture, which is centred on the mouth."""

_BATCH = 8
"""Frames drawn at once: few enough for their arrays to stay in a core's cache."""


@dataclass(frozen=True, kw_only=True)
class MouthLooks:
    """What one mouth looks like, in crop units and tones.

    Attributes:
        half_width, upper, lower: of the closed mouth: half its width, the lips' thickness.
        opening: how far the lips part for an aperture of 1.
        bow: depth of the upper lip's notch, 0..0.5; smile: corners up (> 0) or down.
        roundness: power of the opening's arch: 0.45 (boxy) .. 1 (pointed corners).
        teeth_line: where the upper teeth end, below the closed lips' seam.
        line_dark, shade, gloss: strength of the seam, of the shadows, of the lower lip's shine.
        lip_tone: (channels,) share of the skin's light that the lips give back, 0..1.
        tooth_tone, tongue_tone, dark_tone: (channels,) tones 0..1.
        skew: slant of the mouth, + is down to the right.
    """

    half_width: float
    upper: float
    lower: float
    opening: float
    bow: float
    smile: float
    roundness: float
    teeth_line: float
    line_dark: float
    shade: float
    gloss: float
    lip_tone: np.ndarray
    tooth_tone: np.ndarray
    tongue_tone: np.ndarray
    dark_tone: np.ndarray
    skew: float


def draw_looks(rng: np.random.Generator, skin: float) -> MouthLooks:
    """A random grey mouth for skin of brightness `skin` (0..1)."""
    contrast = rng.uniform(0.52, 0.9)
    return MouthLooks(
        half_width=float(rng.uniform(0.155, 0.215)),
        upper=float(rng.uniform(0.018, 0.042)),
        lower=float(rng.uniform(0.028, 0.06)),
        opening=float(rng.uniform(0.09, 0.17)),
        bow=float(rng.uniform(0.0, 0.5)),
        smile=float(rng.normal(0.0, 0.018)),
        roundness=float(rng.uniform(0.45, 1.0)),
        teeth_line=float(rng.uniform(-0.004, 0.022)),
        line_dark=float(rng.uniform(0.3, 0.75)),
        shade=float(rng.uniform(0.05, 0.25)),
        gloss=float(max(0.0, rng.uniform(-0.08, 0.16))),
        lip_tone=np.array([contrast], F32),
        tooth_tone=np.array([min(0.95, skin * rng.uniform(0.75, 1.1) + 0.1)], F32),
        tongue_tone=np.array([skin * rng.uniform(0.35, 0.65)], F32),
        dark_tone=np.array([skin * rng.uniform(0.08, 0.3)], F32),
        skew=float(rng.normal(0.0, 0.08)),
    )


def ease(t: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, smooth between."""
    t = np.clip(t, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def jaw_drop(mouth: np.ndarray, looks: MouthLooks) -> np.ndarray:
    """(n,) how far the chin sinks, in crop units, for a mouth (6, n) as `Speech.mouth_at` gives."""
    return np.asarray(looks.opening * (0.62 * mouth[0] + 0.1 * mouth[1]), F32)


@dataclass(frozen=True, kw_only=True)
class _Contours:
    """Outlines of mouths at every pixel, (n, h, w) or (n, 1, 1) each, in crop units.

    Attributes:
        half: half the mouth's width. height: of the opening. pout: factor on the lips' thickness.
        across: x in half widths. thin: 1 in the middle .. 0 at the corners.
        middle: y, straightened along the mouth's line.
        top, bottom: of the opening. outer_top, outer_bottom: of the lips.
    """

    half: np.ndarray
    height: np.ndarray
    pout: np.ndarray
    across: np.ndarray
    thin: np.ndarray
    middle: np.ndarray
    top: np.ndarray
    bottom: np.ndarray
    outer_top: np.ndarray
    outer_bottom: np.ndarray


def paint_mouth(
    image: np.ndarray, x: np.ndarray, y: np.ndarray, mouth: np.ndarray, looks: MouthLooks, px: float
) -> None:
    """Draw the mouth over a skin picture, in place.

    Args:
        image: (channels, n, h, w) float32 picture.
        x, y: (n, h, w) float32 crop units of every pixel.
        mouth: (6, n) float32: jaw, aperture, width, tongue, tuck, press.
        looks: the identity.
        px: size of a pixel in crop units: edges are one pixel soft.
    """
    shape = _contours(x, y, mouth, looks)
    ends = _cover((1 - np.abs(shape.across)) * shape.half, px)
    _paint_lips(image, shape, ends, looks, px)
    jaw, tongue = mouth[0][:, None, None], mouth[3][:, None, None]
    _paint_opening(image, x, shape, ends, (jaw, tongue), looks, px)
    # Where the lips meet there is a dark line; it stays at the corners of an open mouth.
    top, bottom, middle = shape.top, shape.bottom, shape.middle
    seam = np.exp(-(((middle - 0.5 * (top + bottom)) * (1 / (0.006 + 0.4 * px))) ** 2))
    seam *= ends * np.clip(1 - (bottom - top) * (1 / 0.012), 0, 1)
    image *= 1 - looks.line_dark * seam
    corner = np.exp(-(((np.abs(shape.across) - 1) * 9) ** 2) - (middle * 45) ** 2)
    image *= 1 - 0.25 * looks.line_dark * corner


def _contours(x: np.ndarray, y: np.ndarray, mouth: np.ndarray, looks: MouthLooks) -> _Contours:
    _, gap, wide, _, tuck, press = (row[:, None, None] for row in mouth)
    spread, rounded = np.maximum(wide, 0), np.maximum(-wide, 0)
    half = looks.half_width * (1 + 0.13 * spread - 0.33 * rounded - 0.05 * np.minimum(gap, 1.2))
    height = looks.opening * gap * (1 - 0.15 * rounded)
    pout = 1 + 0.35 * rounded - 0.18 * spread - 0.35 * press - 0.1 * np.minimum(gap, 1)

    xn = x * (1 / half)
    inside = np.clip(1 - xn * xn, 0, 1)
    arch = inside ** F32(looks.roundness)
    thin = np.sqrt(inside)
    curl = looks.smile + 0.02 * spread
    middle = y - curl * (inside - 0.7) - looks.skew * 0.1 * x
    top = -0.28 * height * arch
    bottom = 0.72 * height * arch - looks.lower * 0.25 * tuck * arch
    notch = 1 - looks.bow * np.exp(-((xn * 5) ** 2)) + 0.12 * looks.bow
    return _Contours(
        half=half,
        height=height,
        pout=pout,
        across=xn,
        thin=thin,
        middle=middle,
        top=top,
        bottom=bottom,
        outer_top=top - looks.upper * pout * thin * inside ** F32(0.3) * notch,
        outer_bottom=bottom + looks.lower * pout * (1 - 0.45 * tuck) * thin * inside ** F32(0.15),
    )


def _cover(distance: np.ndarray, px: float) -> np.ndarray:
    """How much of a pixel lies inside an edge at that distance, 0..1."""
    return np.asarray(np.clip(distance * F32(1 / px) + F32(0.5), 0, 1))


def _lay(
    image: np.ndarray, alpha: np.ndarray, tone: np.ndarray, light: np.ndarray | float = 1.0
) -> None:
    for channel in range(image.shape[0]):
        plane = image[channel]
        plane += alpha * (tone[channel] * light - plane)


def _paint_lips(
    image: np.ndarray, shape: _Contours, ends: np.ndarray, looks: MouthLooks, px: float
) -> None:
    """A soft shadow below the lower lip, then the lips, the upper one turned from the light."""
    top, bottom, middle = shape.top, shape.bottom, shape.middle
    below = (middle - shape.outer_bottom) * (1 / 0.035)
    image *= 1 - (0.22 * looks.shade / 0.15) * np.clip(shape.thin, 0.0, 1) * (
        np.clip(below, 0, 1) * np.exp(-below * below * 0.8)
    )
    is_upper = middle < 0.5 * (top + bottom)
    along = np.where(
        is_upper,
        (top - middle) / (looks.upper * shape.pout + 1e-4),
        (middle - bottom) / (looks.lower * shape.pout + 1e-4),
    )
    light = np.where(is_upper, 1 - looks.shade * (1.1 - along * 0.5), F32(1))
    shine = looks.gloss * np.exp(-(((along - 0.45) * 3.5) ** 2) - (shape.across * 1.8) ** 2)
    light += np.where(is_upper, 0.25 * shine, shine)
    inner = np.minimum(middle - shape.outer_top, shape.outer_bottom - middle)
    soft = np.clip(inner * (F32(1 / px) * 0.6) + 0.5, 0, 1)
    soft *= ends
    for channel in range(image.shape[0]):
        image[channel] *= 1 + soft * (looks.lip_tone[channel] * light - 1)


def _paint_opening(
    image: np.ndarray,
    x: np.ndarray,
    shape: _Contours,
    ends: np.ndarray,
    inner: tuple[np.ndarray, np.ndarray],
    looks: MouthLooks,
    px: float,
) -> None:
    """The opening: dark, then what stands in it from back to front; `inner` is jaw and tongue."""
    (jaw, tongue), middle, xn = inner, shape.middle, shape.across
    hole = _cover(np.minimum(middle - shape.top, shape.bottom - middle) - 0.25 * px, px) * ends
    deep = np.clip(shape.height * (1 / 0.03), 0, 1)
    _lay(image, hole, looks.dark_tone)
    drop_jaw = looks.opening * 0.75 * jaw
    tongue_y = drop_jaw * (1.05 - 0.75 * tongue) + 0.012 + looks.teeth_line
    bump = (
        1 - (x / (shape.half * 0.78)) ** 2 - ((middle - tongue_y) / (0.018 + 0.35 * drop_jaw)) ** 2
    )
    _lay(image, hole * np.clip(bump * 1.5, 0, 1) * deep * 0.8, looks.tongue_tone)
    curve = 0.02 * xn * xn
    tooth_fade = np.clip(1.15 - 0.55 * xn * xn, 0, 1)
    lower_edge = looks.teeth_line - 0.004 + drop_jaw + curve * 0.5
    lower_teeth = hole * _cover(middle - lower_edge, px) * 0.75 * deep
    _lay(image, lower_teeth, looks.tooth_tone, tooth_fade * 0.8)
    upper_edge = looks.teeth_line - curve * 0.6
    upper_teeth = hole * _cover(upper_edge - middle, px)
    shadow = np.clip(0.55 + (middle - shape.top) * 22, 0, 1)
    _lay(image, upper_teeth * (0.5 + 0.5 * deep), looks.tooth_tone, tooth_fade * shadow)


def value_noise(rng: np.random.Generator, side: int, cells: float) -> np.ndarray:
    """(side, side) float32 smooth noise of about unit variance with `cells` bumps a side."""
    n = int(cells) + 3
    knots = rng.standard_normal((n, n)).astype(F32)
    at = (np.arange(side) / side * cells + rng.random()).astype(F32)
    left = at.astype(np.int64)
    f = ease(at - left)[:, None]
    rows = knots[left] * (1 - f) + knots[left + 1] * f
    out = rows[:, left] * (1 - f[:, 0]) + rows[:, left + 1] * f[:, 0]
    return np.asarray(out * F32(1.3), F32)


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
