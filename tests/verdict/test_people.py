"""Every face by itself, on made-up blocks: whose the sound is, at which lag, and when it speaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from avsync_cli.inference.evidence import BlockTrace, Evidence, Region, TrackPath
from avsync_cli.inference.stretches import pooled
from avsync_cli.judging import judged
from avsync_cli.verdict.answer import TrackResult
from avsync_cli.verdict.people import SHORT
from avsync_cli.verdict.reasons import NO_SOURCE
from tests.verdict.test_decision import ITU, MEDIA, OFFSETS, window

KEPT_MS = np.arange(-1000, 1001, 40)


def block(
    number: int, at_s: float, lag_ms: float | None, *, height: float = 8.0, reason: str = ""
) -> BlockTrace:
    """A second of a face that speaks with a lag, or moves to words nobody hears."""
    logits = np.full(len(KEPT_MS), -3.0)
    if lag_ms is not None:
        logits = height * np.exp(-0.5 * ((KEPT_MS - lag_ms) / 60.0) ** 2) - 4.0
    kept = KEPT_MS[:0] if reason else KEPT_MS
    return BlockTrace(
        first_frame=round(at_s * 25),
        track=number,
        region=Region("face", number, (0.1, 0.1, 0.2, 0.3)),
        reason=reason,
        kept_ms=kept,
        logits=logits[: len(kept)].astype(np.float16),
        confidence=np.zeros(len(kept), np.float16),
        cells=None,
    )


def path(first: int, frames: int) -> TrackPath:
    """A face that moves from the left to the right."""
    boxes = np.tile(np.array([0, 6554, 13107, 19661], np.uint16), (frames, 1))
    boxes[:, 0] = np.linspace(0, 52428, frames)
    return TrackPath(first, boxes)


def found(
    traces: list[BlockTrace], paths: dict[int, TrackPath], lag_ms: float = 80.0
) -> list[TrackResult]:
    evidence = Evidence(
        offsets_ms=OFFSETS,
        windows=[replace(window(lag_ms), start_s=0.0, end_s=8.0)],
        media=MEDIA,
        traces=sorted(traces, key=lambda t: t.first_frame),
        paths=paths,
    )
    return list(judged("film.mp4", evidence, ITU).tracks)


@pytest.mark.parametrize("lag_ms", [-300.0, 0.0, 95.0, 400.0])
def test_a_talker_is_kept_with_its_own_lag(lag_ms: float) -> None:
    """The blocks are known at offsets a frame apart; the lag is read between them."""
    (face,) = found([block(0, t, lag_ms) for t in range(8)], {0: path(0, 200)}, lag_ms)
    assert face.kept and face.reason == ""
    assert face.offset_ms == pytest.approx(lag_ms, abs=6.0)
    assert face.offset_ci_ms is not None
    assert face.offset_ci_ms[0] < lag_ms < face.offset_ci_ms[1]
    assert (face.start_s, face.end_s, face.judged_s, face.speaking) == (0.0, 8.0, 8.0, 1.0)
    assert face.height > 3.0 and face.margin > 3.0


def test_of_two_faces_the_one_that_is_heard_speaks() -> None:
    traces = [block(0, t, 80.0) for t in range(4)] + [block(0, t, None) for t in range(4, 8)]
    traces += [block(1, t, 80.0, height=5.0) for t in range(4)]  # moves along, less clearly
    traces += [block(1, t, 80.0) for t in range(4, 6)] + [block(1, t, None) for t in range(6, 8)]
    traces += [block(2, t, None) for t in range(8)]
    one, two, mute = found(traces, {n: path(0, 200) for n in range(3)})
    assert (one.speaking, two.speaking, mute.speaking) == (0.5, 0.25, 0.0)
    assert one.kept and not mute.kept
    assert mute.reason == NO_SOURCE
    assert mute.margin == pytest.approx(0.0, abs=0.1)


def test_a_face_with_another_lag_than_the_film_does_not_speak_in_sync() -> None:
    (face,) = found([block(0, t, -400.0) for t in range(8)], {0: path(0, 200)}, 80.0)
    assert face.kept and face.offset_ms == pytest.approx(-400.0, abs=6.0)
    assert face.speaking == 0.0


def test_why_a_face_is_not_kept() -> None:
    traces = [block(0, t, 0.0, reason="silence") for t in range(3)]
    silent, short = found(traces, {0: path(0, 75), 1: path(75, 12)})
    assert (silent.reason, silent.offset_ms, silent.kept) == ("silence", None, False)
    assert (short.reason, short.judged_s) == (SHORT, 0.0)
    assert short.end_s == pytest.approx(87 / 25)


def test_time_that_two_blocks_share_counts_once() -> None:
    traces = [block(0, 0.0, 80.0), block(0, 0.6, 80.0)]
    (face,) = found(traces, {0: path(0, 40)})
    assert face.judged_s == pytest.approx(1.6)
    assert face.speaking == 1.0


def test_the_way_of_a_face_is_told_at_five_moments() -> None:
    (face,) = found([block(0, t, 80.0) for t in range(8)], {0: path(0, 200)})
    assert face.boxes.shape == (5, 4)
    assert face.boxes[:, 0] == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8], abs=0.003)
    assert face.boxes[0, 1:] == pytest.approx([0.1, 0.2, 0.3], abs=1e-3)


def test_a_lower_bar_keeps_more() -> None:
    traces = [block(0, t, 80.0, height=5.2) for t in range(2)]
    evidence = Evidence(
        offsets_ms=OFFSETS,
        windows=[window(80.0)],
        media=MEDIA,
        traces=traces,
        paths={0: path(0, 50)},
        calibration={
            "match_scale": 0.4, "match_growth": 1.5, "match_level": 1.0, "match_doubt": 0.0,
        },
    )  # fmt: skip
    kept = [judged("a", evidence, ITU, bar).tracks[0].kept for bar in (None, 0.5, 0.99)]
    assert kept == [False, True, False]


def test_faces_of_two_stretches_are_two_faces() -> None:
    """Each stretch counts its faces from 0."""
    parts = [
        Evidence(
            offsets_ms=OFFSETS,
            windows=[replace(window(80.0), start_s=at_s, end_s=at_s + 8.0)],
            media=MEDIA,
            traces=[block(0, at_s + t, 80.0) for t in range(8)],
            paths={0: path(round(at_s * 25), 200)},
        )
        for at_s in (0.0, 40.0)
    ]
    faces = judged("film.mp4", pooled(parts, 16.0), ITU).tracks
    assert [(face.track, face.start_s, face.judged_s) for face in faces] == [
        (0, 0.0, 8.0), (1, 40.0, 8.0),
    ]  # fmt: skip
    assert all(face.kept for face in faces)
