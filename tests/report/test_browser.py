"""The page in a browser: it lays out, its script runs, both modes are drawn, a phone can read it.

Needs `chromium` on the PATH and says so where there is none.
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avsync_cli.drawing.lanes import Extras
from avsync_cli.drawing.offset_curve import offset_curve_file
from avsync_cli.drawing.palette import DARK, LIGHT, rgb
from avsync_cli.media.ffmpeg import find_ffmpeg
from avsync_cli.report.html import HtmlReport
from avsync_cli.report.html_section import Illustrations
from avsync_cli.report.machine import Failure, Tool
from avsync_cli.verdict.answer import Judgement

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.skipif(
        CHROMIUM is None,
        reason="NO BROWSER: the HTML report was not rendered; install chromium to have it tested",
    ),
    pytest.mark.slow,
]

Make = Callable[..., Judgement]


@pytest.fixture
def page(tmp_path: Path, make_report: Make) -> Path:
    path = tmp_path / "report.html"
    html = HtmlReport(path, Tool("1", "default", "onnxruntime"), "score")
    for name in ("one.mp4", "a_name_" * 20 + ".mkv"):
        report = make_report(name)
        votes = np.full((1, len(report.evidence.offsets_ms)), 1e-3)
        html.add(report, Illustrations(Extras(votes, np.linspace(-60.0, 0.0, 100))))
    html.fail(Failure("gone.mp4", "gone.mp4: no such file", "check the name"))
    html.finish()
    return path


def _chromium(tmp_path: Path, *args: str) -> bytes:
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += ["--force-device-scale-factor=1", f"--user-data-dir={tmp_path / 'profile'}", *args]
    done = subprocess.run(command, capture_output=True, timeout=180, check=True)
    return done.stdout


def _screenshot(tmp_path: Path, page: Path, dark: bool) -> np.ndarray:
    """(H, W, 3) of what a window of 1280x800 shows."""
    shot = tmp_path / "shot.png"
    mode = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    _chromium(tmp_path, mode, "--window-size=1280,800", f"--screenshot={shot}", page.as_uri())
    width, height = struct.unpack(">II", shot.read_bytes()[16:24])
    command = [str(find_ffmpeg()), "-v", "error", "-i", str(shot)]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"]
    raw = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    return np.frombuffer(raw, np.uint8).reshape(height, width, 3)


@pytest.mark.parametrize("dark", [False, True])
def test_both_modes_are_drawn(tmp_path: Path, page: Path, dark: bool) -> None:
    pixels = _screenshot(tmp_path, page, dark)
    palette = DARK if dark else LIGHT
    assert tuple(pixels[2, 2]) == rgb(palette["paper"])
    drawn = {tuple(color) for color in pixels.reshape(-1, 3)[::7]}
    assert rgb(palette["ink"]) in drawn
    assert rgb(palette["bad"]) in drawn


def test_the_script_runs_and_complains_of_nothing(tmp_path: Path, page: Path) -> None:
    dom = _chromium(tmp_path, "--dump-dom", page.as_uri()).decode()
    # Hidden until the script takes over.
    assert not re.search(r'class="seek" hidden', dom)
    knobs = re.findall(r'<input type="range"[^>]*style="[^"]*width: ([\d.]+)px', dom)
    assert len(knobs) == 2
    assert all(float(width) > 200 for width in knobs)


def test_the_cursor_follows_the_keyboard(tmp_path: Path, page: Path) -> None:
    probe = (
        "<script>var k=document.querySelector('.seek input');k.value=2.5;"
        "k.dispatchEvent(new Event('input'));"
        "document.title=document.querySelector('.seek output').textContent+' at '+"
        "document.querySelector('.cursor').getAttribute('x1');</script></body>"
    )
    _append(page, probe)
    dom = _chromium(tmp_path, "--dump-dom", page.as_uri()).decode()
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title is not None
    assert re.match(r"0:02\.5: audio is 120 ms late, 98 % sure; face 0 weighs .* at \d", title[1])


def test_a_phone_scrolls_in_one_direction_only(tmp_path: Path, page: Path) -> None:
    probe = (
        "<script>document.body.style.width='360px';"
        "document.title=[innerWidth,document.documentElement.scrollWidth,"
        "getComputedStyle(document.querySelector('svg.wide')).display,"
        "getComputedStyle(document.querySelector('svg.narrow')).display].join(' ');"
        "</script></body>"
    )
    _append(page, probe)
    dom = _chromium(tmp_path, "--window-size=500,900", "--dump-dom", page.as_uri()).decode()
    title = re.search(r"<title>(\d+) (\d+) (\w+) (\w+)</title>", dom)
    assert title is not None
    inner, wide = int(title[1]), int(title[2])
    assert inner <= 640
    assert wide <= inner
    assert (title[3], title[4]) == ("none", "block")


def test_the_overview_is_sorted_and_filtered(tmp_path: Path, make_report: Make) -> None:
    path = tmp_path / "all.html"
    html = HtmlReport(path, Tool("1", "default", "onnxruntime"), "score")
    for name, offset_ms in (("b10.mp4", 120.0), ("b9.mp4", -300.0), ("a.mp4", 90.0)):
        html.add(make_report(name, offset_ms=offset_ms, ci_ms=None), Illustrations())
    html.add(make_report("c.mp4", status="undecided", offset_ms=None, ci_ms=None), Illustrations())
    html.fail(Failure("gone.mp4", "gone.mp4: no such file", "check the name"))
    html.finish()
    probe = (
        "<script>var said=[];function rows(){said.push(Array.from("
        "document.querySelectorAll('.overview tbody tr')).filter(r=>!r.hidden)"
        ".map(r=>r.dataset.path).join(','));}"
        "var heads=document.querySelectorAll('.overview th button');"
        "[0,0,2,2,1].forEach(function(k){heads[k].click();rows();});"
        "var form=document.querySelector('.filters');"
        "form.elements.name.value='B';form.dispatchEvent(new Event('input'));rows();"
        "form.elements.name.value='';document.querySelector('[value=out_of_sync]').click();rows();"
        "said.push(document.querySelectorAll('.file[hidden]').length);"
        "said.push(form.querySelector('output').textContent);"
        "document.title=said.join('|');</script></body>"
    )
    _append(path, probe)
    dom = _chromium(tmp_path, "--dump-dom", path.as_uri()).decode()
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title is not None
    assert title[1].split("|") == [
        "a.mp4,b9.mp4,b10.mp4,c.mp4,gone.mp4",
        "gone.mp4,c.mp4,b10.mp4,b9.mp4,a.mp4",
        "b9.mp4,a.mp4,b10.mp4,gone.mp4,c.mp4",  # by offset; those without one stay last
        "b10.mp4,a.mp4,b9.mp4,gone.mp4,c.mp4",
        "b10.mp4,a.mp4,b9.mp4,gone.mp4,c.mp4",  # the worst first
        "b10.mp4,b9.mp4",
        "gone.mp4,c.mp4",
        "3",
        "2 of 5 shown",
    ]


def test_the_curve_alone_is_drawn_too(tmp_path: Path, make_report: Make) -> None:
    path = tmp_path / "curve.svg"
    path.write_bytes(offset_curve_file(make_report(), ".svg", says="Late.", shows="A peak."))
    pixels = _screenshot(tmp_path, path, dark=False)
    drawn = {tuple(color) for color in pixels.reshape(-1, 3)[::3]}
    assert rgb(LIGHT["accent"]) in drawn
    assert rgb(LIGHT["panel"]) in drawn


def _append(page: Path, script: str) -> None:
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("</body>", script), encoding="utf-8")
