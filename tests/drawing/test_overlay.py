"""The film with attention drawn on it: as much in sync as before, whole or not at all."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avsync_cli.drawing import overlay
from avsync_cli.drawing.attention import seen_patch, shaded_cells, strongest
from avsync_cli.drawing.overlay import Painter, write_overlay
from avsync_cli.errors import DecodeError, UsageError
from avsync_cli.inference.evidence import BlockResult, Region, Strikes
from avsync_cli.judging import Excerpt
from avsync_cli.media import film_writer
from avsync_cli.media.ffmpeg import find_ffmpeg
from avsync_cli.media.probe import probe
from avsync_cli.regions.crops import CROP_PX, Square, cut_square, seen_part
from avsync_cli.timebase import SAMPLE_RATE_HZ
from avsync_cli.verdict.answer import Judgement, Segment
from tests.conftest import make_blocks
from tests.planes import as_planes
from tests.read_all import read_all

Make = Callable[..., Judgement]


def _film(path: Path, size: str = "128x96", seconds: int = 4, lag_ms: int = 200) -> Path:
    """Frames that are bright for some time and a tone that is loud then, `lag_ms` late."""
    bright = "lt(mod({t}*1.7+0.3*sin(3*{t}),1),0.4)"
    graph = (
        f"color=black:s={size}:r=25:d={seconds},format=gray,"
        f"geq=lum='40+180*{bright.format(t='T')}'[v];"
        f"aevalsrc='sin(1400*t)*{bright.format(t=f'(t-{lag_ms / 1000})')}':s=48000:d={seconds}[a]"
    )
    command = [str(find_ffmpeg()), "-v", "error", "-filter_complex", graph, "-map", "[v]"]
    command += ["-map", "[a]", "-c:v", "ffv1", "-c:a", "flac", str(path)]
    subprocess.run(command, check=True, timeout=120, stdin=subprocess.DEVNULL)
    return path


def _report(make: Make, film: Path, seconds: int = 4) -> Judgement:
    cells = np.array([[0.7, 0.1], [0.1, 0.1]])
    blocks = [
        dataclasses.replace(block, cells=cells) for block in make_blocks(seconds, unused=(2,))
    ]
    frame = BlockResult(
        start_s=0.0,
        end_s=1.0,
        region=Region("frame", None, (0.0, 0.0, 1.0, 1.0)),
        confidence=0.0,
        weight=0.1,
        p_sync=0.5,
    )
    return make(str(film), blocks=[frame, *blocks])


def _lag(a: np.ndarray, b: np.ndarray) -> int:
    """Samples by which `b` comes after `a`."""
    size = 1 << (len(a) + len(b)).bit_length()
    both = np.fft.irfft(np.fft.rfft(b, size) * np.conj(np.fft.rfft(a, size)), size)
    best = int(np.argmax(both))
    return best if best < size // 2 else best - size


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_and_picture_stay_where_they_were(
    tmp_path: Path, make_report: Make, suffix: str
) -> None:
    film = _film(tmp_path / "film.mkv")
    target = tmp_path / f"drawn{suffix}"
    write_overlay(_report(make_report, film), target)
    before, after = read_all(film), read_all(target)
    moved = _lag(np.abs(before.sound), np.abs(after.sound)) / SAMPLE_RATE_HZ
    assert abs(moved) <= 0.005
    # A corner on which nothing is drawn: the whole picture's frame is thinner than that.
    light = [chunk.frames[:, 12:20, -30:-20].mean(axis=(1, 2, 3)) for chunk in (before,)]
    high, wide = after.frames.shape[1:3]
    scale = wide / before.frames.shape[2]
    corner = after.frames[:, int(12 * scale) : int(20 * scale), int(-30 * scale) : int(-20 * scale)]
    light.append(corner.mean(axis=(1, 2, 3)))
    n = min(map(len, light))
    assert abs(n - len(before.frames)) <= 1
    bright = [values[:n] > 130 for values in light]
    assert (bright[0] == bright[1]).mean() > 0.98
    assert high % 2 == wide % 2 == 0
    assert [p.name for p in sorted(tmp_path.iterdir())] == sorted(["film.mkv", target.name])


@pytest.mark.parametrize("size", ["127x95", "322x181", "60x200"])
def test_odd_and_upright_pictures(tmp_path: Path, make_report: Make, size: str) -> None:
    film = _film(tmp_path / "film.mkv", size, seconds=2)
    target = tmp_path / "drawn.mp4"
    write_overlay(_report(make_report, film, 2), target)
    info = probe(target)
    assert info.video[0].width % 2 == info.video[0].height % 2 == 0
    assert info.video[0].height > info.video[0].width * 95 // 127 * 0.5
    assert abs(info.duration_s - 2.0) < 0.1


def test_an_excerpt_keeps_its_own_sound(tmp_path: Path, make_report: Make) -> None:
    film = _film(tmp_path / "film.mkv", seconds=6)
    target = tmp_path / "drawn.mkv"
    write_overlay(_report(make_report, film, 6), target, Excerpt(start_s=3.0, duration_s=2.0))
    before, after = read_all(film, start_s=3.0, duration_s=2.0), read_all(target)
    assert len(after.frames) == 50
    assert abs(_lag(np.abs(before.sound), np.abs(after.sound))) <= 0.005 * SAMPLE_RATE_HZ


def test_what_goes_wrong_leaves_nothing_behind(
    tmp_path: Path, make_report: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = _film(tmp_path / "film.mkv", seconds=2)
    report = _report(make_report, film, 2)
    old = tmp_path / "drawn.mp4"
    old.write_bytes(b"the old one")

    def broken(*_: object) -> np.ndarray:
        raise RuntimeError("cannot draw")

    with monkeypatch.context() as patch:
        patch.setattr(Painter, "paint", broken)
        with pytest.raises(RuntimeError):
            write_overlay(report, old)
    with monkeypatch.context() as patch:
        patch.setattr(film_writer, "_picture_codec", lambda: {"vcodec": "no-such-codec"})
        with pytest.raises(DecodeError, match=r"cannot write .*drawn\.mp4"):
            write_overlay(report, old)
    assert old.read_bytes() == b"the old one"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["drawn.mp4", "film.mkv"]


def test_the_film_itself_is_never_the_target(tmp_path: Path, make_report: Make) -> None:
    film = _film(tmp_path / "film.mkv", seconds=2)
    data = film.read_bytes()
    with pytest.raises(UsageError, match="the film itself"):
        write_overlay(_report(make_report, film, 2), film)
    with pytest.raises(UsageError, match="cannot write"):
        write_overlay(_report(make_report, film, 2), tmp_path / "drawn.webm")
    assert film.read_bytes() == data


def test_memory_does_not_grow_with_the_film(make_report: Make, tmp_path: Path) -> None:
    """One frame is drawn at a time: the reader is never asked for more than a handful."""
    asked: list[int] = []

    class Reader:
        def fill(self, frames: np.ndarray, valid: np.ndarray) -> int:
            asked.append(len(frames))
            return len(frames) if len(asked) < 50 else 3

    drawn = list(overlay.frames_between(Reader(), (4, 6), 7, None))  # type: ignore[arg-type]
    assert max(asked) <= 10
    assert len(drawn) == 49 * asked[0] + 3
    assert [number for number, _ in drawn] == list(range(7, 7 + len(drawn)))


def test_weight_shows_in_the_colour_and_the_playhead_moves(make_report: Make) -> None:
    segments = [
        Segment(
            start_s=0.0,
            end_s=4.0,
            offset_ms=120.0,
            offset_ci_ms=(110.0, 130.0),
            confidence=0.9,
            status="out_of_sync",
        )
    ]
    report = make_report(blocks=make_blocks(4, unused=(2,)), segments=segments)
    painter = Painter(report, (240, 480))
    frame = np.zeros((240, 480, 3), np.uint8)
    early, late = painter.paint(frame, 0.5), painter.paint(frame, 3.5)
    assert early.shape == (*painter.size, 3)
    strip = early[240:].astype(int) - late[240:]
    columns = np.flatnonzero(strip[20:45].any(axis=(0, 2)))
    assert columns.min() < 100 < 380 < columns.max()
    # The box of a block in use is amber at its left edge, that of one left out is grey.
    edge = early[100, 120].astype(int)
    assert edge[0] > edge[2] + 60
    grey = painter.paint(frame, 2.5)[100, 120].astype(int)
    assert abs(grey[0] - grey[2]) < 40


def test_the_square_of_strikes_is_bright_when_one_is_seen(make_report: Make) -> None:
    plain = make_report(blocks=[])
    strikes = Strikes(
        offset_ms=200.0, p=0.9, end_s=6.0, box=(0.25, 0.25, 0.5, 0.5), heard_s=(1.2, 3.0)
    )
    shown = dataclasses.replace(
        plain, evidence=dataclasses.replace(plain.evidence, strikes=strikes)
    )
    black = np.zeros((240, 480, 3), np.uint8)
    drawn = [
        Painter(shown, (240, 480)).paint(black, at_s)[:240].astype(int)
        for at_s in (0.96, 1.0, 1.08, 1.2, 2.8, 6.0)
    ]
    bright = [int((picture[..., 0] > 200).sum()) for picture in drawn]
    assert [b > 1000 for b in bright] == [False, True, True, False, True, False]
    assert drawn[0][60, 120:360].any() and not drawn[0][100:140, 200:280].any()
    assert not drawn[-1].any()


@pytest.mark.parametrize("left", [-3.0, -0.4, 0.8, 0.99, 2.5])
def test_what_reaches_beyond_the_picture_is_cut_off(make_report: Make, left: float) -> None:
    region = Region("face", 0, (left, left, 0.5, 0.5), (left, left, 0.3, 0.2, -0.2, 0.3))
    cells = np.array([[0.7, 0.1], [0.1, 0.1]])
    blocks = [dataclasses.replace(b, region=region, cells=cells) for b in make_blocks(2)]
    painter = Painter(make_report(blocks=blocks), (240, 480))
    assert painter.paint(np.zeros((240, 480, 3), np.uint8), 0.5).shape == (*painter.size, 3)


def test_boxes_glide_between_the_middles_of_blocks(make_report: Make) -> None:
    blocks = [
        dataclasses.replace(b, region=Region("face", 0, (0.1 * k, 0.2, 0.2, 0.4)))
        for k, b in enumerate(make_blocks(3))
    ]
    painter = Painter(make_report(blocks=blocks), (240, 480))
    lefts = [painter._region_at(blocks[1], at).box[0] for at in (1.0, 1.5, 1.9)]
    assert np.allclose(lefts, [0.05, 0.1, 0.14])


def test_the_strongest_blocks_are_not_neighbours() -> None:
    weights = [9.0, 8.0, 7.0, 1.0, 1.0, 1.0, 6.0, 1.0, 1.0, 5.0]
    blocks = [
        dataclasses.replace(b, weight=w / 40.0)
        for b, w in zip(make_blocks(10), weights, strict=True)
    ]
    assert [b.start_s for b in strongest(blocks, 3)] == [0.0, 2.0, 6.0]
    assert len(strongest(blocks, 20)) == 10
    assert strongest([dataclasses.replace(b, used=False) for b in blocks], 3) == []


def test_cells_lie_in_the_whole_picture_where_that_is_the_region() -> None:
    frame = Region("frame", None, (0.0, 0.0, 1.0, 1.0))
    assert seen_patch(frame, 160.0, 90.0) == ((0.0, 0.0), (160.0, 0.0), (0.0, 90.0))


@pytest.mark.parametrize("turn", [0.0, 0.4, -1.2])
@pytest.mark.parametrize("kept", [64, 96])
def test_cells_lie_where_the_crop_was_cut(turn: float, kept: int) -> None:
    """A bright dot in one cell of a crop is in that cell of the patch, however the face is
    turned and whatever the picture's shape."""
    width, height, square = 320, 180, Square(150.0, 100.0, 60.0, turn)
    seen = seen_part(square, kept / CROP_PX, width, height)
    region = Region("face", 0, (0.4, 0.2, 0.18, 0.4), tuple(map(float, seen)))  # type: ignore[arg-type]
    patch = seen_patch(region, width, height)
    for row, column in ((0, 0), (1, 3), (3, 2)):
        shades = np.zeros((4, 4))
        shades[row, column] = 1.0
        (corners,) = [c for c, shade in shaded_cells(patch, shades) if shade]
        x, y = np.mean(corners, axis=0)
        frame = np.zeros((height, width, 3), np.uint8)
        frame[round(y - 0.5) - 1 : round(y - 0.5) + 2, round(x - 0.5) - 1 : round(x - 0.5) + 2] = (
            255
        )
        crop = cut_square(as_planes(frame), square, kept=kept).reshape(4, kept // 4, 4, kept // 4)
        light = crop.astype(float).sum(axis=(1, 3))
        assert np.unravel_index(light.argmax(), light.shape) == (row, column)
