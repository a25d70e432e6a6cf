"""Pixels and PNG: what is drawn is where it should be, and others read the file alike."""

from __future__ import annotations

import struct
import subprocess

import numpy as np
import pytest

from avsync_cli.drawing.canvas import DASHED, Anchor
from avsync_cli.drawing.palette import DARK, HEAT, LIGHT, rgb
from avsync_cli.drawing.pixels import PixelCanvas, _strokes, font, plain, png_bytes
from avsync_cli.media.ffmpeg import find_ffmpeg

RED = rgb(LIGHT["bad"])


def _decoded(png: bytes, channels: int) -> np.ndarray:
    """The picture as ffmpeg reads it."""
    form = {1: "gray", 3: "rgb24", 4: "rgba"}[channels]
    command = [str(find_ffmpeg()), "-v", "error", "-f", "png_pipe", "-i", "pipe:0"]
    command += ["-f", "rawvideo", "-pix_fmt", form, "pipe:1"]
    done = subprocess.run(command, input=png, capture_output=True, check=True, timeout=60)
    width, height = struct.unpack(">II", png[16:24])
    return np.frombuffer(done.stdout, np.uint8).reshape(height, width, channels)


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 7, 3), (33, 20, 4), (7, 5, 1)])
def test_another_decoder_sees_the_same_pixels(shape: tuple[int, int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    assert (
        _decoded(png_bytes(pixels if shape[2] > 1 else pixels[..., 0]), shape[2]) == pixels
    ).all()


def _canvas() -> PixelCanvas:
    """Thirty by twenty pixels of white paper."""
    return PixelCanvas(30.0, 20.0, scale=1)


def test_a_rectangle_covers_parts_of_pixels() -> None:
    canvas = _canvas()
    canvas.rect((2.5, 3.0, 4.0, 2.0), "bad")
    paper = canvas.pixels
    assert (paper[3:5, 3:6] == RED).all()
    half = (255 + RED[1]) / 2
    assert abs(int(paper[3, 2, 1]) - half) <= 1
    assert abs(int(paper[3, 6, 1]) - half) <= 1
    assert (paper != 255).any(axis=2).sum() == 2 * 5


def test_an_opacity_lets_the_paper_through() -> None:
    canvas = _canvas()
    canvas.rect((0.0, 0.0, 30.0, 20.0), "bad", 0.5)
    expected = (255 + np.array(RED)) / 2
    assert np.abs(canvas.pixels.astype(float) - expected).max() <= 1


@pytest.mark.parametrize(
    "box", [(-5.0, -5.0, 3.0, 3.0), (40.0, 2.0, 5.0, 5.0), (-9.0, -9.0, 90.0, 90.0)]
)
def test_nothing_is_drawn_outside(box: tuple[float, float, float, float]) -> None:
    canvas = _canvas()
    canvas.rect(box, "bad")
    canvas.line([(box[0], box[1]), (box[0] + 9, box[1] + 90)], "bad", 3.0)
    canvas.text((box[0], box[1]), "away", "bad")
    canvas.text((box[0], box[1]), "away", "bad", upwards=True)
    canvas.heat(box, np.ones((2, 2)))
    assert canvas.pixels.shape == (20, 30, 3)


def test_a_line_is_as_wide_as_asked_and_dashes_leave_gaps() -> None:
    canvas, dashed = _canvas(), _canvas()
    canvas.line([(2.0, 10.0), (28.0, 10.0)], "ink", 2.0)
    ink = (255.0 - canvas.pixels[:, 15, 1]) / (255 - rgb(LIGHT["ink"])[1])
    assert abs(ink.sum() - 2.0) < 0.3
    dashed.line([(2.0, 10.0), (28.0, 10.0)], "ink", 2.0, DASHED)
    row = dashed.pixels[10, 2:28, 1] < 128
    assert 10 <= row.sum() <= 16
    assert np.abs(np.diff(row.astype(int))).sum() >= 5


def test_dashes_go_on_round_a_corner() -> None:
    strokes = list(_strokes([(0.0, 0.0), (6.0, 0.0), (6.0, 10.0)], (4.0, 4.0)))
    assert strokes == [[(0.0, 0.0), (4.0, 0.0)], [(6.0, 2.0), (6.0, 6.0)]]


def test_an_area_is_its_inside() -> None:
    canvas = _canvas()
    canvas.area([(0.0, 5.0), (30.0, 15.0), (30.0, 18.0), (0.0, 18.0)], "bad", 1.0)
    paper = canvas.pixels
    assert (paper[19:] == 255).all()
    assert (paper[:4] == 255).all()
    assert (paper[16, :] == RED).all()
    assert (paper[8, 2] == RED).all()
    assert (paper[8, 28] == 255).all()


def test_a_dot_lies_round_its_point() -> None:
    canvas = _canvas()
    canvas.dot(15.0, 10.0, "bad")
    rows, columns = np.nonzero((canvas.pixels == RED).all(axis=2))
    assert (rows.mean() + 0.5, columns.mean() + 0.5) == pytest.approx((10.0, 15.0), abs=0.5)
    assert 5 <= np.ptp(rows) + 1 <= 7


def test_a_heat_map_has_its_cells_where_they_belong() -> None:
    canvas = _canvas()
    canvas.heat((10.0, 0.0, 20.0, 20.0), np.array([[0.0, 1.0], [0.5, 0.0]]))
    paper = canvas.pixels
    assert (paper[5, 15] == 255).all()
    assert (paper[5, 25] == rgb(HEAT)).all()
    assert 0 < int(paper[15, 15, 0]) - rgb(HEAT)[0] < 255 - rgb(HEAT)[0]
    assert (paper[:, :10] == 255).all()


@pytest.mark.parametrize("anchor", ["start", "middle", "end"])
@pytest.mark.parametrize("upwards", [False, True])
def test_words_stand_where_they_are_put(anchor: Anchor, upwards: bool) -> None:
    canvas = PixelCanvas(200.0, 200.0, scale=2)
    canvas.text((100.0, 100.0), "±20 ms H", "ink", anchor, upwards=upwards)
    rows, columns = np.nonzero((canvas.pixels < 128).all(axis=2))
    across, feet = (columns, rows) if not upwards else (400 - rows, columns)
    length = font(24).getlength("±20 ms H")
    begin = 200 - {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor] * length
    assert abs(across.min() - begin) <= 4
    assert abs(across.max() - begin - length) <= 4
    assert abs(feet.max() - 200) <= 2
    assert 200 - feet.min() >= 14


def test_every_sign_of_ours_has_a_letter() -> None:
    box = bytes(font(24).getmask("\uffff"))
    ours = {*map(chr, range(33, 127)), *"±·…’–×"}
    assert not [sign for sign in ours if bytes(font(24).getmask(plain(sign))) == box]


def test_words_can_be_read_on_either_paper() -> None:
    """WCAG 2.2, contrast (minimum): 4.5 to 1 for every colour that words are set in."""

    def luminance(color: str) -> float:
        parts = np.array(rgb(color)) / 255.0
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    def contrast(a: str, b: str) -> float:
        low, high = sorted((luminance(a), luminance(b)))
        return (high + 0.05) / (low + 0.05)

    for palette in (LIGHT, DARK):
        for role in ("ink", "muted", "accent", "ok", "bad", "open"):
            assert contrast(palette[role], palette["paper"]) >= 4.5, role
        for role in ("ink", "muted", "bad", "ok", "open"):
            assert contrast(palette[role], palette["panel"]) >= 4.5, role


def test_a_canvas_of_pixels_has_its_scale() -> None:
    canvas = PixelCanvas(10, 5, scale=2)
    canvas.rect((2.0, 1.0, 1.0, 1.0), "bad")
    assert canvas.pixels.shape == (10, 20, 3)
    assert (canvas.pixels[2:4, 4:6] == rgb(LIGHT["bad"])).all()
