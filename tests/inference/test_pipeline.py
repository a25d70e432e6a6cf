"""The whole road: a rendered clip in, the right lag out, whatever the chunks."""

from __future__ import annotations

import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest

from avsync_cli.errors import TooShortError, UsageError
from avsync_cli.inference.evidence import BlockResult, Evidence, MediaSummary
from avsync_cli.inference.pipeline import (
    NO_FACE,
    NO_REGION,
    AnalyseOptions,
    Analysis,
    analyse,
    analyse_tracks,
)
from avsync_cli.judging import judged
from avsync_cli.media.ffmpeg import find_ffmpeg
from avsync_cli.model.engine import OnnxEngine
from avsync_cli.regions.stream import RegionPiece
from avsync_cli.verdict.answer import ITU
from avsync_cli.verdict.decision import decide_verdict
from tests.toy_model import flash_clip, region_pieces

MEDIA = MediaSummary(
    duration_s=0.0, fps=25.0, vfr=False, width=0, height=0, audio_hz=16_000, audio_track=0
)


def write_clip(path: Path, frames: int, offset_ms: int, mute: bool = False) -> Path:
    """A film of a flashing sign and a hum, 160x120 at 25 fps, its sound late by `offset_ms`."""
    crops, sound = flash_clip(frames, offset_ms)
    if mute:
        sound = np.zeros_like(sound)
    picture = np.full((frames, 120, 160), 90, np.uint8)
    picture[:, 24:54, 10:50] = crops[:, :1, :1]  # too small to be taken for a cut
    raw = path.with_suffix(".grey")
    raw.write_bytes(picture.tobytes())
    wav = path.with_suffix(".wav")
    with wave.open(str(wav), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes((sound * 32_000).astype("<i2").tobytes())
    source = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", "160x120", "-r", "25", "-i", str(raw)]
    coded = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "pcm_s16le"]
    command = [str(find_ffmpeg()), "-nostdin", "-v", "error", "-y", *source, "-i", str(wav)]
    subprocess.run([*command, *coded, str(path)], check=True, timeout=60)
    return path


@pytest.mark.parametrize("offset_ms", [-200, 0, 120])
def test_the_lag_of_a_film(toy_engine: OnnxEngine, tmp_path: Path, offset_ms: int) -> None:
    path = write_clip(tmp_path / "clip.mkv", 260, offset_ms)
    calls: list[tuple[float, float]] = []
    evidence = analyse(
        path, AnalyseOptions(), toy_engine, lambda done, of: calls.append((done, of))
    )
    report = judged(path, evidence, ITU)
    assert report.verdict.offset_ms == pytest.approx(offset_ms, abs=10)
    assert report.verdict.status == ("in_sync" if -45 <= offset_ms <= 125 else "out_of_sync")
    assert report.path == str(path)
    media = report.evidence.media
    assert (media.fps, media.width, media.height, media.audio_hz) == (25.0, 160, 120, 16_000)
    assert report.evidence.reasons == [NO_FACE]
    assert {b.region.kind for b in report.evidence.blocks} == {"frame"}
    assert report.evidence.judged_s == pytest.approx(10.4, abs=0.4)
    assert calls[-1][0] == pytest.approx(10.4, abs=0.2)
    assert all(of == pytest.approx(10.4, abs=0.1) for _, of in calls)


def test_a_part_of_a_film(toy_engine: OnnxEngine, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mkv", 300, 80)
    options = AnalyseOptions(start_s=3.2, duration_s=5.0)
    report = judged(path, analyse(path, options, toy_engine), ITU)
    assert report.verdict.offset_ms == pytest.approx(80, abs=10)
    assert report.evidence.windows[0].start_s >= 3.0  # a block of the grid, 0.2 s of it held
    assert report.evidence.windows[-1].end_s <= 8.2 + 0.2


def test_a_mute_film_is_undecided(toy_engine: OnnxEngine, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "mute.mkv", 100, 0, True)
    report = judged(path, analyse(path, AnalyseOptions(), toy_engine), ITU)
    assert report.verdict.status == "undecided"
    assert report.verdict.reasons[0] == "silence"
    assert report.evidence.windows == []
    assert all(not b.used and b.weight == 0 for b in report.evidence.blocks)


def test_too_short(toy_engine: OnnxEngine, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "short.mkv", 20, 0)
    with pytest.raises(TooShortError, match=r"0\.80 s of picture") as caught:
        analyse(path, AnalyseOptions(), toy_engine)
    assert caught.value.path == str(path) and caught.value.hint


def test_options_out_of_range(toy_engine: OnnxEngine) -> None:
    for options in (AnalyseOptions(step_ms=15), AnalyseOptions(range_ms=5)):
        with pytest.raises(UsageError):
            Analysis(toy_engine, options)


def streamed(
    engine: OnnxEngine, crops: np.ndarray, sound: np.ndarray, chunk: int, lag: int = 15
) -> tuple[Evidence, int]:
    """The evidence when crops and sound come in chunks, the crops `lag` frames later."""
    analysis = Analysis(engine, AnalyseOptions(range_ms=600, step_ms=20))
    delivered, held = 0, 0
    for low in range(0, len(crops), chunk):
        high = min(low + chunk, len(crops))
        analysis.push_sound(sound[low * 640 : high * 640])
        goal = max(delivered, high - lag)
        if goal > delivered:
            analysis.push_pieces([piece_of(crops, delivered, goal, False)], goal)
            delivered = goal
        held = max(held, len(analysis._scanner._pending))
    analysis.push_pieces([piece_of(crops, delivered, len(crops), True)], len(crops))
    return analysis.finish(MEDIA), held


def shown(evidence: Evidence) -> list[BlockResult]:
    """The blocks as a report shows them."""
    return judged("made.mp4", evidence, ITU).evidence.blocks


def piece_of(crops: np.ndarray, low: int, high: int, last: bool) -> RegionPiece:
    (piece,) = region_pieces(crops[low:high], low, piece_frames=10**6)
    return RegionPiece("face", 0, low, piece.crops, piece.valid, piece.boxes, last)


def test_streaming_equals_whole(toy_engine: OnnxEngine) -> None:
    crops, sound = flash_clip(1310, 140)
    options = AnalyseOptions(range_ms=600, step_ms=20)
    whole = analyse_tracks(region_pieces(crops), sound, options, toy_engine, media=MEDIA)
    assert len(whole.windows) == 7
    for chunk in (50, 250, 1000):
        parts, _ = streamed(toy_engine, crops, sound, chunk)
        assert parts.judged_s == whole.judged_s
        assert parts.reasons == whole.reasons
        for one, other in zip(whole.windows, parts.windows, strict=True):
            assert (one.start_s, one.end_s, one.blocks) == (
                other.start_s,
                other.end_s,
                other.blocks,
            )
            np.testing.assert_array_equal(one.logits, other.logits)
        for a, b in zip(shown(whole), shown(parts), strict=True):
            assert (a.start_s, a.region, a.used, a.confidence, a.weight, a.p_sync) == (
                b.start_s,
                b.region,
                b.used,
                b.confidence,
                b.weight,
                b.p_sync,
            )


def test_windows_are_judged_while_the_film_runs(toy_engine: OnnxEngine) -> None:
    crops, sound = flash_clip(3000)
    _, held = streamed(toy_engine, crops, sound, 125)
    assert held <= 20


def test_attention_is_that_of_the_files_offset(toy_engine: OnnxEngine) -> None:
    crops, sound = flash_clip(250, 400)
    evidence = analyse_tracks(region_pieces(crops), sound, AnalyseOptions(), toy_engine)
    report = judged("made.mp4", evidence, ITU)
    assert report.verdict.offset_ms == pytest.approx(400, abs=10)
    blocks = report.evidence.blocks
    assert sum(b.weight for b in blocks) == pytest.approx(1.0)
    assert np.mean([b.p_sync for b in blocks]) < 0.2
    assert evidence.judged_s == 10.0


def test_no_region_is_undecided(toy_engine: OnnxEngine) -> None:
    _, sound = flash_clip(50)
    evidence = analyse_tracks([], sound, AnalyseOptions(), toy_engine)
    verdict = decide_verdict(evidence, ITU)
    assert (verdict.status, verdict.reasons) == ("undecided", [NO_REGION])


def test_mostly_unusable_blocks_are_told(toy_engine: OnnxEngine) -> None:
    crops, sound = flash_clip(250)
    crops[80:] = crops[80]
    evidence = analyse_tracks(region_pieces(crops), sound, AnalyseOptions(), toy_engine)
    assert evidence.reasons == ["frozen picture in 6 of 10 blocks"]
    assert evidence.judged_s == 4.0
