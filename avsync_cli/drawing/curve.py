"""The offset curve as a picture of its own, PNG or SVG."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from avsync_cli.drawing.canvas import (
    DARK,
    LIGHT,
    Canvas,
    PixelCanvas,
    SvgCanvas,
    palette_css,
    role_css,
)
from avsync_cli.drawing.figures import STATUS_ROLE, draw_curve
from avsync_cli.report.html_parts import curve_words
from avsync_cli.report.terminal import verdict_words
from avsync_cli.verdict.answer import Judgement
from avsync_cli.wording import safe_text

WIDTH, HEIGHT = 960.0, 400.0

_LETTERS = 150
"""Letters of a line that fit the picture's width."""


def curve_png(report: Judgement) -> bytes:
    """The curve as a PNG, twice the size in pixels."""
    canvas = PixelCanvas(WIDTH, HEIGHT, scale=2)
    _draw(canvas, report)
    return canvas.png()


def curve_svg(report: Judgement) -> bytes:
    """The curve as an SVG that follows the viewer's light or dark mode."""
    canvas = SvgCanvas(WIDTH, HEIGHT)
    canvas.rect((0.0, 0.0, WIDTH, HEIGHT), "paper")
    _draw(canvas, report)
    light, dark = palette_css(LIGHT), palette_css(DARK)
    style = (
        f"<style>:root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}{role_css()}"
        "text{font:12px system-ui,sans-serif}</style>"
    )
    size = f' width="{WIDTH:g}" height="{HEIGHT:g}"'
    title = f"Offset curve of {report.path}"
    svg = canvas.svg("curve", title, curve_words(report), size).replace(
        "</desc>", f"</desc>{style}"
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{svg}\n'.encode()


FORMATS: dict[str, Callable[[Judgement], bytes]] = {".png": curve_png, ".svg": curve_svg}
"""What writes a picture, by its ending in small letters."""


def _draw(canvas: Canvas, report: Judgement) -> None:
    name, words = safe_text(Path(report.path).name), safe_text(verdict_words(report))
    canvas.text(14, 22, _cut(name), "ink")
    role = STATUS_ROLE[report.verdict.status]
    canvas.text(14, 40, _cut(words[:1].upper() + words[1:]), role)
    draw_curve(canvas, report, top=54.0)


def _cut(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 3]}..."
