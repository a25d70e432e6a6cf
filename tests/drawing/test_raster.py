"""Pixels and PNG: what is drawn is where it should be, and others read the file alike."""

from __future__ import annotations

import struct
import subprocess
import zlib

import numpy as np
import pytest

from avsync_cli.drawing.canvas import DARK, LIGHT, PixelCanvas, rgb
from avsync_cli.drawing.lettering import _LETTERS, text_mask, text_width
from avsync_cli.drawing.raster import (
    blend,
    draw_area,
    draw_line,
    draw_rect,
    draw_text,
    encode_png,
)
from avsync_cli.media.ffmpeg import find_ffmpeg

RED = (255, 0, 0)


def _decoded(png: bytes, channels: int) -> np.ndarray:
    """The picture as ffmpeg reads it."""
    form = "rgb24" if channels == 3 else "rgba"
    command = [str(find_ffmpeg()), "-v", "error", "-f", "png_pipe", "-i", "pipe:0"]
    command += ["-f", "rawvideo", "-pix_fmt", form, "pipe:1"]
    done = subprocess.run(command, input=png, capture_output=True, check=True, timeout=60)
    width, height = struct.unpack(">II", png[16:24])
    return np.frombuffer(done.stdout, np.uint8).reshape(height, width, channels)


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 7, 3), (33, 20, 4)])
def test_another_decoder_sees_the_same_pixels(shape: tuple[int, int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    assert (_decoded(encode_png(pixels), shape[2]) == pixels).all()


def test_chunks_carry_their_checksums() -> None:
    png = encode_png(np.zeros((2, 2, 3), np.uint8))
    at, kinds = 8, []
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        body = png[at + 4 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length]) == (zlib.crc32(body),)
        kinds.append(body[:4])
        at += 12 + length
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]


@pytest.mark.parametrize("shape", [(2, 2), (2, 2, 2), (0, 3, 3)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="no picture"):
        encode_png(np.zeros(shape, np.uint8))


def _paper(height: int = 20, width: int = 30) -> np.ndarray:
    return np.full((height, width, 3), 255, np.uint8)


def test_a_rectangle_covers_parts_of_pixels() -> None:
    paper = _paper()
    draw_rect(paper, (2.5, 3.0, 4.0, 2.0), RED)
    assert (paper[3:5, 3:6] == RED).all()
    assert paper[3, 2, 1] == paper[3, 6, 1] == 128
    changed = (paper != 255).any(axis=2)
    assert changed.sum() == 2 * 5


@pytest.mark.parametrize(
    "box", [(-5.0, -5.0, 3.0, 3.0), (40.0, 2.0, 5.0, 5.0), (-9.0, -9.0, 90.0, 90.0)]
)
def test_nothing_is_drawn_outside(box: tuple[float, float, float, float]) -> None:
    paper = _paper()
    draw_rect(paper, box, RED)
    draw_line(paper, [(box[0], box[1]), (box[0] + 9, box[1] + 90)], RED, 3.0)
    draw_text(paper, box[0], box[1], "away", RED, 2)
    blend(paper, -3, -3, np.ones((4, 4)), RED)
    assert paper.shape == (20, 30, 3)
    assert (paper[0, 0] == RED).all()


def test_a_line_is_as_wide_as_asked_and_dashes_leave_gaps() -> None:
    paper, dashed = _paper(), _paper()
    draw_line(paper, [(2.0, 10.0), (28.0, 10.0)], RED, 2.0)
    ink = (255.0 - paper[:, 15, 1]) / 255.0
    assert abs(ink.sum() - 2.0) < 0.1
    draw_line(dashed, [(2.0, 10.0), (28.0, 10.0)], RED, 2.0, dash_px=4.0)
    row = dashed[10, 2:28, 1] < 128
    assert 10 <= row.sum() <= 16
    assert np.abs(np.diff(row.astype(int))).sum() >= 5


def test_an_area_lies_between_its_line_and_its_base() -> None:
    paper = _paper()
    draw_area(paper, [(0.0, 5.0), (30.0, 15.0)], 18.0, RED, 1.0)
    assert (paper[18:] == 255).all()
    assert (paper[:4] == 255).all()
    assert (paper[16, :] == RED).all()
    assert (paper[8, 2] == RED).all()
    assert (paper[8, 28] == 255).all()


def test_every_letter_is_its_own_and_seven_rows_high() -> None:
    assert {len(rows) for rows in _LETTERS.values()} == {7}
    # The dash of a span and the minus are one stroke, as are 0 and O.
    alike = {"–", "0"}
    shapes = [rows for char, rows in _LETTERS.items() if char not in alike]
    assert len(set(shapes)) == len(shapes)
    assert set(map(chr, range(32, 127))) <= set(_LETTERS)


@pytest.mark.parametrize("dot_px", [1, 2, 3])
def test_words_are_as_wide_as_said(dot_px: int) -> None:
    mask = text_mask("±20 ms", dot_px)
    assert mask.shape == (7 * dot_px, text_width("±20 ms", dot_px))
    assert 0.0 <= mask.min() <= mask.max() <= 1.0
    assert text_mask("", dot_px).shape == (7 * dot_px, 0)
    assert (text_mask("中", dot_px) == text_mask("\u0623", dot_px)).all()


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
