"""Motion that stops: found where and when it does, and not in what a camera or a cut does."""

from __future__ import annotations

import numpy as np
import pytest

from avsync_cli.regions.motion import contact_strength, squares

HEIGHT, WIDTH = 72, 128
STOP_S = 1.0


def falling(rate: float, *, shake: int = 0, held: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """A block that falls ever faster and lies still from `STOP_S` on, before a textured wall.

    Args:
        rate: pictures a second.
        shake: pixels by which a hand-held camera may be off in each picture.
        held: pictures that each new one is shown for.
    """
    rng = np.random.default_rng(5)
    wall = rng.integers(40, 200, (HEIGHT // 4 + 8, WIDTH // 4 + 8)).repeat(4, 0).repeat(4, 1)
    wall = np.mean([np.roll(wall, (n // 4, n % 4), (0, 1)) for n in range(16)], axis=0)
    times_s = np.arange(round(2.0 * rate)) / rate
    pictures = []
    down = across = 0
    for n in range(len(times_s)):
        scene = wall.copy()
        fallen = min(times_s[n // held * held] / STOP_S, 1.0) ** 2
        top = 16 + round(36 * fallen)
        scene[top : top + 12, 76:92] = 255
        if n % held == 0:
            down, across = rng.integers(-shake, shake + 1, 2)
        pictures.append(scene[16 + down :, 16 + across :][:HEIGHT, :WIDTH])
    return np.stack(pictures).astype(np.uint8), times_s


@pytest.mark.parametrize(
    ("rate", "shake"), [(15.0, 0), (25.0, 0), (30.0, 0), (60.0, 0), (15.0, 3), (25.0, 3), (30.0, 3)]
)
def test_the_square_in_which_a_block_lands_says_when(rate: float, shake: int) -> None:
    pictures, times_s = falling(rate, shake=shake)
    left, top, across, down = squares(HEIGHT, WIDTH).T
    holds = (left <= 68) & (left + across > 68) & (top < 48) & (top + down > 48)
    landing = contact_strength(pictures, times_s, 0.0)[:, :, holds].sum(axis=1).max(axis=1)
    assert int(landing.argmax()) / 100 == pytest.approx(STOP_S - 1 / rate, abs=1 / rate + 0.01)


def test_what_is_faster_than_before_and_after_swings_most() -> None:
    """A flicker that goes on moves as much as a single flash, and swings less."""
    bright = np.full(100, 100)
    bright[:30:2] = bright[60:] = 140
    wall = np.random.default_rng(5).integers(0, 60, (HEIGHT, WIDTH))
    noise = np.random.default_rng(6).integers(0, 3, (100, HEIGHT, WIDTH))
    pictures = wall + noise
    pictures[:, 24:48, 40:64] += bright[:, None, None] - 100
    strength = contact_strength(pictures.astype(np.uint8), np.arange(100) / 25, 0.0)
    left, top, _, _ = squares(HEIGHT, WIDTH).T
    stop, swing = strength[:, :, (left == 48) & (top == 30)][..., 0].T
    assert swing[230:245].max() > swing[30:90].max() + 1.0
    assert abs(int(swing.argmax()) / 100 - 2.38) < 0.05
    assert stop[230:245].max() == pytest.approx(stop[:125].max(), abs=0.5)


def test_held_pictures_are_no_stops() -> None:
    pictures, times_s = falling(50.0, held=2)
    assert np.allclose(
        contact_strength(pictures, times_s, 0.0)[20:150],
        contact_strength(pictures[::2], times_s[::2], 0.0)[20:150],
        atol=1e-5,
    )


def test_a_cut_is_no_blow() -> None:
    pictures, times_s = falling(25.0)
    still = np.repeat(pictures[-1:], 50, axis=0)
    still[25:] = 255 - still[25:]
    noise = np.random.default_rng(0).integers(0, 2, still.shape).astype(np.uint8)
    assert contact_strength(still // 2 + noise, times_s, 0.0)[:, 0].max() < 1.0


def test_squares_lie_in_the_picture_and_cover_it() -> None:
    for height, width in ((72, 128), (31, 288), (5, 3), (64, 64)):
        left, top, across, down = squares(height, width).T
        assert left.min() == top.min() == 0
        assert (left + across).max() <= width
        assert (top + down).max() <= height
        assert (left + across).max() > 0.8 * width


def test_too_few_pictures_show_nothing() -> None:
    pictures, times_s = falling(25.0)
    nothing = contact_strength(pictures[:3], times_s[:3], 0.0)
    assert nothing.shape == (9, 2, len(squares(HEIGHT, WIDTH)))
    assert not nothing.any()
    assert len(contact_strength(pictures[:0], times_s[:0], 0.0)) == 0
