"""A mouth drawn from articulator curves: lips, teeth, tongue.

Units and pictures are those of `synthetic_face`; smooth contours are anti-aliased by their distance
in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avsync_cli.corpus.synthetic_noise import F32


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
