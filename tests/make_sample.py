"""Renders the project's own sample clips: a drawn talker or an impact, with a known lag.

    python tests/make_sample.py                         # docs/sample/talker.mp4, sound 120 ms late
    python tests/make_sample.py --lag-ms -80 --out early.mp4 --kind impact --seed 5

Picture and sound come from one set of curves (see `avsync_cli.corpus.synthetic_voice`), so the
lag of the finished clip is the one asked for. Nothing recorded is used. The same seed gives the
same picture and sound; the bytes of the file depend on the ffmpeg that encodes them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np

from avsync_cli.corpus.synthetic_face import look_up
from avsync_cli.corpus.synthetic_impacts import draw_impact_scene
from avsync_cli.corpus.synthetic_mouth import MouthLooks, jaw_drop, paint_mouth
from avsync_cli.corpus.synthetic_noise import ease, smooth_noise, value_noise
from avsync_cli.corpus.synthetic_voice import CONTROL_HZ, Voice, speak
from avsync_cli.media.ffmpeg import find_ffmpeg
from avsync_cli.timebase import FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

F32 = np.float32
WIDTH, HEIGHT = 640, 360
UNIT_PX = 172.0
"""Pixels a crop unit (about 1.1 face widths) takes in the scene."""

MOUTH_XY = (318.0, 232.0)
HEAD_SIDE, HEAD_SPAN = 620, 2.6
MARGIN_FRAMES = 2 * FPS
"""Scene made before and after the clip, so that a shifted sound has no silence at its ends."""

VOICE = Voice(
    pitch_hz=122.0,
    tract=0.98,
    breath=0.03,
    bright=1.0,
    rate_hz=4.2,
    effort=1.05,
    rest=0.02,
    lead_s=0.008,
    pause=0.3,
)
LOOKS = MouthLooks(
    half_width=0.178,
    upper=0.03,
    lower=0.046,
    opening=0.135,
    bow=0.35,
    smile=0.008,
    roundness=0.7,
    teeth_line=0.012,
    line_dark=0.55,
    shade=0.14,
    gloss=0.1,
    lip_tone=np.array([0.86, 0.62, 0.64], F32),
    tooth_tone=np.array([0.90, 0.88, 0.83], F32),
    tongue_tone=np.array([0.58, 0.28, 0.28], F32),
    dark_tone=np.array([0.12, 0.05, 0.05], F32),
    skew=0.03,
)
SKIN = (0.86, 0.67, 0.56)
NECK = (0.67, 0.52, 0.44)
HAIR = (0.20, 0.13, 0.09)


class Canvas:
    """A colour picture in crop units with soft-edged painting; y down, origin at the mouth."""

    def __init__(self, x: np.ndarray, y: np.ndarray, pixel: float) -> None:
        self.x, self.y, self.pixel = x, y, pixel
        self.rgb = np.zeros((3, *x.shape), F32)
        self.alpha = np.zeros(x.shape, F32)

    def paint(self, mask: np.ndarray, tone: tuple[float, float, float] | np.ndarray) -> None:
        colour = np.asarray(tone, F32)
        colour = colour.reshape(3, 1, 1) if colour.ndim == 1 else colour
        self.rgb += mask * (colour - self.rgb)
        self.alpha = np.maximum(self.alpha, mask)

    def shade(self, mask: np.ndarray, by: tuple[float, float, float] | float) -> None:
        """Multiply by `by` where the mask is 1."""
        self.rgb *= 1 + mask * (np.asarray(by, F32).reshape(-1, 1, 1) - 1)

    def blob(self, cx: float, cy: float, rx: float, ry: float) -> np.ndarray:
        return np.asarray(np.exp(-(((self.x - cx) / rx) ** 2) - ((self.y - cy) / ry) ** 2))

    def oval(self, cx: float, cy: float, rx: float, ry: float, power: float = 2.0) -> np.ndarray:
        far = (np.abs((self.x - cx) / rx) ** power + np.abs((self.y - cy) / ry) ** power) ** (
            1 / power
        )
        return np.asarray(np.clip((1 - far) * min(rx, ry) / self.pixel + 0.5, 0, 1))


def draw_head(rng: np.random.Generator) -> np.ndarray:
    """(4, side, side) float32: colour and cover of a head without eyes and mouth."""
    axis = ((np.arange(HEAD_SIDE, dtype=F32) + 0.5) / HEAD_SIDE - 0.5) * F32(HEAD_SPAN)
    x, y = np.meshgrid(axis, axis)
    c = Canvas(x, y, 1.6 * HEAD_SPAN / HEAD_SIDE)
    # Nothing is black beyond the outline, so that its soft edge has no dark seam.
    c.rgb += np.where(y < -0.3, *(np.asarray(t, F32).reshape(3, 1, 1) for t in (HAIR, NECK)))
    strands = value_noise(rng, HEAD_SIDE, 90) * 0.5 + value_noise(rng, HEAD_SIDE, 30) * 0.5
    hair = np.asarray(HAIR, F32).reshape(3, 1, 1) * (1 + 0.22 * strands)
    hair = hair * (1.25 - 0.5 * np.abs(x + 0.15))
    c.paint(c.oval(0, -0.5, 0.53, 0.56, 2.2), hair)
    for s in (-1, 1):
        c.paint(c.oval(s * 0.475, -0.27, 0.055, 0.12), np.asarray(SKIN) * 0.88)
        c.shade(c.blob(s * 0.475, -0.27, 0.025, 0.07), (0.78, 0.7, 0.68))

    brow_side = c.oval(0, -0.36, 0.46, 0.56, 2.3)
    chin_side = c.oval(0, -0.25, 0.455, 0.59, 2.35)
    face = np.where(y < -0.3, brow_side, chin_side)
    skin = np.asarray(SKIN, F32).reshape(3, 1, 1) * (
        1 + 0.012 * value_noise(rng, HEAD_SIDE, 60) + 0.02 * value_noise(rng, HEAD_SIDE, 9)
    )
    skin = skin * np.array([1.0, 0.985, 0.97], F32).reshape(3, 1, 1)
    c.paint(face, skin)
    # Round form under a key light from the upper left.
    side = np.clip(np.abs(x) / 0.46, 0, 1.2)
    c.shade(face * side**2.4, (0.74, 0.66, 0.62))
    c.shade(face * np.clip(x / 0.46, 0, 1), 0.86)
    c.shade(face * ease((y - 0.05) / 0.3), (0.85, 0.8, 0.78))
    c.shade(c.blob(-0.08, -0.68, 0.25, 0.14), 1.09)
    for s in (-1, 1):
        c.shade(c.blob(s * 0.26, -0.13, 0.11, 0.09), (1.03, 0.93, 0.92))
        c.shade(c.blob(s * 0.24, -0.2, 0.09, 0.04), 1.05)
        c.shade(c.blob(s * 0.185, -0.42, 0.12, 0.07), (0.76, 0.69, 0.67))
        fold = (x - s * (0.115 + 0.42 * (y + 0.12))) / 0.022
        span = ease((y + 0.15) / 0.07) * ease((0.05 - y) / 0.1)
        c.shade(np.exp(-fold * fold) * span, 0.88)
        arch = y + 0.515 - 0.9 * (x - s * 0.17) ** 2 - 0.05 * (s * x - 0.17)
        brow = np.exp(-((arch / 0.025) ** 2)) * ease((np.abs(x) - 0.065) / 0.03)
        brow = brow * ease((0.315 - np.abs(x)) / 0.08) * (s * x > 0)
        c.paint(0.85 * brow * (1 + 0.1 * strands), HAIR)

    # Nose: bridge, sides, tip, wings, nostrils, shadow below.
    c.shade(c.blob(-0.012, -0.3, 0.028, 0.14), 1.1)
    c.shade(c.blob(0.055, -0.27, 0.03, 0.15), 0.86)
    c.shade(c.blob(-0.06, -0.29, 0.022, 0.13), 0.94)
    c.shade(c.blob(-0.01, -0.165, 0.04, 0.032), 1.12)
    c.shade(c.blob(0.01, -0.108, 0.085, 0.016), (0.62, 0.52, 0.5))
    for s in (-1, 1):
        c.shade(c.blob(s * 0.085, -0.145, 0.016, 0.032), 0.82)
        c.shade(c.blob(s * 0.038, -0.122, 0.024, 0.013), (0.33, 0.25, 0.25))
    c.shade(c.blob(0, -0.07, 0.014, 0.03), 0.9)
    c.shade(c.blob(0, 0.095, 0.11, 0.022), 0.88)
    c.shade(c.blob(-0.01, 0.2, 0.09, 0.06), 1.06)

    # The hairline falls from a side parting.
    line = -0.73 + 0.55 * x * x + 0.05 * np.sin(6 * x + 1) + 0.012 * strands
    front = np.clip((line - y) / c.pixel * 0.5 + 0.5, 0, 1) * c.oval(0, -0.5, 0.53, 0.56, 2.2)
    temple = np.clip((np.abs(x) - 0.435) / 0.015, 0, 1) * ease((-0.38 - y) / 0.08)
    c.shade(c.blob(0.0, -0.7, 0.4, 0.05) * face, 0.9)
    c.paint(np.maximum(front, temple * c.oval(0, -0.5, 0.53, 0.56, 2.2)), hair)
    return np.concatenate([np.clip(c.rgb, 0, 1), c.alpha[None]])


def draw_room(rng: np.random.Generator) -> np.ndarray:
    """(3, HEIGHT, WIDTH) float32: an out-of-focus room."""
    x, y = np.meshgrid(np.arange(WIDTH, dtype=F32), np.arange(HEIGHT, dtype=F32))
    c = Canvas(x, y, 14.0)
    c.rgb += np.array([0.46, 0.53, 0.57], F32).reshape(3, 1, 1) * (1.15 - 0.4 * x / WIDTH)
    c.paint(c.oval(95, 110, 105, 130, 12), (0.80, 0.84, 0.86))
    c.paint(c.oval(95, 110, 5, 128, 12), (0.55, 0.57, 0.58))
    c.paint(c.oval(555, 250, 130, 10, 10), (0.35, 0.26, 0.19))
    for k in range(9):
        tone = rng.uniform(0.15, 0.6, 3)
        tall = float(rng.uniform(38, 62))
        c.paint(0.9 * c.oval(455 + 21 * k, 240 - tall, 9, tall, 8), tone)
    return c.rgb


def paint_body(c: Canvas) -> None:
    """Neck, shirt and jacket over whatever is there."""
    x, y = c.x, c.y
    neck = np.clip((0.235 + 0.5 * np.clip(y - 0.5, 0, 1) ** 2 - np.abs(x)) / c.pixel + 0.5, 0, 1)
    neck = neck * ease((y + 0.1) / 0.1)
    c.paint(neck, NECK)
    c.shade(neck * ease((0.62 - y) / 0.25), (0.72, 0.66, 0.64))
    slope = 0.60 + 0.55 * np.clip(np.abs(x) - 0.2, 0, None) ** 1.25
    body = np.clip((y - slope) / c.pixel + 0.5, 0, 1) * np.clip((1.15 - np.abs(x)) / c.pixel, 0, 1)
    opening = np.clip((0.25 - 0.75 * (y - 0.5) - np.abs(x)) / c.pixel + 0.5, 0, 1)
    shirt = np.clip((0.34 - 0.5 * (y - 0.5) - np.abs(x)) / c.pixel + 0.5, 0, 1)
    c.paint(body * (1 - opening), (0.16, 0.21, 0.30))
    c.paint(body * shirt * (1 - opening), (0.84, 0.86, 0.88))
    c.shade(body * np.clip(x, 0, 1), 0.75)


def paint_eye(c: Canvas, side: int, lids: float, gaze: tuple[float, float]) -> None:
    """One eye: lids 1 open .. 0 shut; gaze in crop units."""
    cx, cy, w = side * 0.185, -0.395, 0.084
    xn = (c.x - cx) / w
    arch = np.clip(1 - xn * xn, 0, 1)
    top = cy + 0.012 - 0.05 * lids * arch**0.8
    bottom = cy + 0.012 + 0.018 * arch
    inside = np.clip(np.minimum(c.y - top, bottom - c.y) / c.pixel + 0.5, 0, 1) * (np.abs(xn) < 1)
    c.paint(inside, (0.90, 0.88, 0.86))
    ix, iy = cx + gaze[0], cy - 0.002 + gaze[1]
    c.paint(inside * c.oval(ix, iy, 0.036, 0.036), (0.22, 0.27, 0.28))
    c.paint(inside * c.oval(ix, iy, 0.017, 0.017), (0.03, 0.03, 0.04))
    c.shade(inside * np.exp(-(((c.y - top) / 0.012) ** 2)), 0.6)
    c.paint(inside * 0.9 * c.oval(ix - 0.011, iy - 0.011, 0.006, 0.006), (1.0, 1.0, 1.0))
    lash = np.exp(-(((c.y - top) / 0.0075) ** 2)) * (np.abs(xn) < 1.02)
    c.paint(0.8 * lash, (0.10, 0.06, 0.05))
    c.shade(np.exp(-(((c.y - bottom) / 0.006) ** 2)) * (np.abs(xn) < 1), 0.82)
    crease = np.exp(-(((c.y - top + 0.022) / 0.007) ** 2)) * (np.abs(xn) < 1)
    c.shade(crease, 0.84)


def blink_curve(rng: np.random.Generator, frames: int) -> np.ndarray:
    """(frames,) 1 open .. 0 shut, a blink every few seconds."""
    lids = np.ones(frames)
    at = float(rng.uniform(10, 50))
    while at < frames:
        near = np.abs(np.arange(frames) - at) / 3.5
        lids = np.minimum(lids, np.clip(near, 0, 1) ** 1.5)
        at += float(rng.uniform(45, 130))
    return lids


def render_talker(rng: np.random.Generator, mouth: np.ndarray) -> np.ndarray:
    """(n, HEIGHT, WIDTH, 3) uint8 for the mouth (6, n) of `Speech.mouth_at`."""
    frames = mouth.shape[1]
    head, room = draw_head(rng), draw_room(rng)
    lids = blink_curve(rng, frames)
    # Articulation moves the head a little; the rest is idle sway.
    nod = np.convolve(mouth[0], np.hanning(15) / np.hanning(15).sum(), mode="same")
    shift_x = 5.0 * smooth_noise(rng, frames, 45)
    shift_y = 3.0 * smooth_noise(rng, frames, 38) + 4.0 * (nod - nod.mean())
    turn = 0.02 * smooth_noise(rng, frames, 50)
    yaw = 0.12 * smooth_noise(rng, frames, 60)
    gaze_x, gaze_y = (0.004 * smooth_noise(rng, frames, 30) for _ in range(2))
    drop = jaw_drop(mouth, LOOKS)
    column, row = np.meshgrid(np.arange(WIDTH, dtype=F32), np.arange(HEIGHT, dtype=F32))
    grain = rng.standard_normal((3, HEIGHT, WIDTH), dtype=F32) * F32(0.006)
    pixel = 1.0 / UNIT_PX
    out = np.empty((frames, HEIGHT, WIDTH, 3), np.uint8)
    for k in range(frames):
        calm = 0.35
        body_x = (column - MOUTH_XY[0] - calm * shift_x[k]) * F32(pixel)
        body_y = (row - MOUTH_XY[1] - calm * shift_y[k]) * F32(pixel)
        scene = Canvas(body_x, body_y, pixel)
        scene.rgb[:] = room
        paint_body(scene)

        dx = (column - MOUTH_XY[0] - shift_x[k]) * F32(pixel)
        dy = (row - MOUTH_XY[1] - shift_y[k]) * F32(pixel)
        cos, sin = F32(np.cos(turn[k])), F32(np.sin(turn[k]))
        x, y = cos * dx + sin * dy, cos * dy - sin * dx
        x = x + F32(yaw[k]) * x * x * np.exp(-x * x)
        weight = ease((y + 0.02) / 0.12) * np.clip(1 - (x / 0.6) ** 2, 0, 1)
        bent = (y - drop[k] * weight).astype(F32)
        cover = look_up(head[3], x, bent, HEAD_SPAN)
        paint = Canvas(x, y, pixel)
        paint.rgb = np.stack([look_up(head[ch], x, bent, HEAD_SPAN) for ch in range(3)])
        for s in (-1, 1):
            paint_eye(paint, s, float(lids[k]), (float(gaze_x[k]), float(gaze_y[k])))
        near = (slice(120, HEIGHT), slice(200, 440))
        window = np.ascontiguousarray(paint.rgb[(slice(None), *near)])[:, None]
        paint_mouth(window, x[near][None], y[near][None], mouth[:, k : k + 1], LOOKS, pixel)
        paint.rgb[(slice(None), *near)] = window[:, 0]
        scene.rgb += cover * (paint.rgb - scene.rgb)
        picture = np.clip(scene.rgb + np.roll(grain, (17 * k, 31 * k), (1, 2)), 0, 1)
        out[k] = (picture.transpose(1, 2, 0) * 255 + 0.5).astype(np.uint8)
    return out


def make_talker(seed: int, frames: int, lag_ms: float) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (n, HEIGHT, WIDTH, 3) uint8 and sound (n * 640,) float32, `lag_ms` late."""
    rng = np.random.default_rng(seed)
    margin_s = MARGIN_FRAMES / FPS
    speech = speak(rng, frames / FPS + 2 * margin_s, VOICE)
    assert len(speech.jaw) / CONTROL_HZ >= frames / FPS + 2 * margin_s
    pictures = render_talker(rng, speech.mouth_at(margin_s + np.arange(frames) / FPS))
    # A trace of room noise: digital silence between words would be unlike any recording.
    voice = speech.sound / np.abs(speech.sound).max() * 0.7
    voice = voice + 0.0008 * rng.standard_normal(len(voice))
    return pictures, cut_sound(voice, frames, lag_ms)


def make_impact(seed: int, frames: int, lag_ms: float) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (n, 240, 240, 3) uint8 and sound (n * 640,) float32, `lag_ms` late."""
    rng = np.random.default_rng(seed)
    scene = draw_impact_scene(rng, frames + 2 * MARGIN_FRAMES, 240)
    grey = np.clip(scene.picture[MARGIN_FRAMES : MARGIN_FRAMES + frames], 0, 1)
    tint = np.array([255, 244, 226], F32)
    pictures = (grey[..., None] * tint + 0.5).astype(np.uint8)
    sound = scene.sound + 0.0008 * rng.standard_normal(len(scene.sound))
    return pictures, cut_sound(sound, frames, lag_ms)


def cut_sound(sound: np.ndarray, frames: int, lag_ms: float) -> np.ndarray:
    """The clip's part of a sound that has `MARGIN_FRAMES` more at both ends, made `lag_ms` late."""
    first = MARGIN_FRAMES * SAMPLES_PER_FRAME - round(lag_ms * SAMPLE_RATE_HZ / 1000)
    return np.asarray(sound[first : first + frames * SAMPLES_PER_FRAME], F32)


def encode(path: Path, pictures: np.ndarray, sound: np.ndarray, crf: int) -> None:
    """H.264 and AAC in mp4, both from time 0; one thread and no dates, so that it repeats."""
    _, height, width, _ = pictures.shape
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "sound.wav"
        with wave.open(str(wav), "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
            file.writeframes((np.clip(sound, -1, 1) * 32767).round().astype("<i2").tobytes())
        command = [str(find_ffmpeg()), "-v", "error", "-y"]
        command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
        command += ["-r", str(FPS), "-i", "pipe:0", "-i", str(wav)]
        command += ["-c:v", "libx264", "-preset", "slow", "-crf", str(crf), "-pix_fmt", "yuv420p"]
        command += ["-threads", "1", "-c:a", "aac", "-b:a", "96k", "-ar", "48000"]
        command += ["-map_metadata", "-1", "-fflags", "+bitexact", "-flags", "+bitexact"]
        command += ["-movflags", "+faststart", "-f", "mp4", str(path)]
        subprocess.run(command, input=pictures.tobytes(), check=True)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Render a sample clip whose lag is known.")
    parser.add_argument("--kind", choices=("talker", "impact"), default="talker")
    parser.add_argument("--lag-ms", type=float, default=120.0, help="> 0: the sound is late")
    parser.add_argument("--seconds", type=float, default=14.0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--crf", type=int, default=21, help="x264 quality, lower is larger")
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args(argv)
    if abs(args.lag_ms) > 1000 * MARGIN_FRAMES / FPS or not 1 <= args.seconds <= 60:
        parser.error("a lag of up to 2000 ms either way, and 1 to 60 seconds")
    out = args.out or Path(__file__).parents[1] / "docs" / "sample" / f"{args.kind}.mp4"
    out.parent.mkdir(parents=True, exist_ok=True)
    make = make_talker if args.kind == "talker" else make_impact
    pictures, sound = make(args.seed, round(args.seconds * FPS), args.lag_ms)
    encode(out, pictures, sound, args.crf)
    print(f"{out}: {len(pictures)} frames, sound {args.lag_ms:+g} ms, {out.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
