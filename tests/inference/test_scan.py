"""The scan: curves move with the sound, units compete fairly, the ends of a file do not decide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avsync_cli.inference import traces
from avsync_cli.inference import window as judged
from avsync_cli.inference.blocks import SILENCE, BlockBuilder
from avsync_cli.inference.evidence import BlockResult, Evidence, MediaSummary
from avsync_cli.inference.scan import WindowScanner, offset_grid
from avsync_cli.inference.sound import SoundStream
from avsync_cli.model.engine import OnnxEngine
from avsync_cli.verdict.answer import ITU, Tolerance
from avsync_cli.verdict.blocks import shown_blocks
from avsync_cli.verdict.decision import decide_verdict
from tests.toy_model import build_toy_model, flash_clip, region_pieces


def scanned(
    engine: OnnxEngine,
    crops: list[np.ndarray],
    sound: np.ndarray,
    range_ms: int = 1000,
    step_ms: int = 10,
    first_sound_step: int = 0,
    thorough: bool = True,
) -> WindowScanner:
    stream = SoundStream(engine, first_sound_step)
    stream.push(sound)
    stream.finish()
    scanner = WindowScanner(engine, stream, offset_grid(range_ms, step_ms), thorough)
    builder = BlockBuilder(engine)
    for track, own in enumerate(crops):
        for piece in region_pieces(own, track=track):
            scanner.add(builder.push(piece))
    scanner.finish()
    return scanner


def results(
    scanner: WindowScanner, offset_ms: float, tolerance: Tolerance = ITU
) -> list[BlockResult]:
    """The blocks as a report shows them, of a file whose lag is `offset_ms` throughout."""
    evidence = Evidence(
        offsets_ms=scanner.offsets_ms,
        windows=scanner.windows,
        traces=scanner.traces,
        media=MediaSummary(
            duration_s=0.0, fps=25.0, vfr=False, width=0, height=0, audio_hz=16_000, audio_track=0
        ),
    )
    curve = (np.abs(scanner.offsets_ms - offset_ms) < 1e-6).astype(float)
    verdict = replace(decide_verdict(evidence, tolerance), curve=curve, segments=[])
    return shown_blocks(evidence, verdict, tolerance)


def test_offset_grid() -> None:
    assert offset_grid(1000, 10).tolist() == list(range(-1000, 1001, 10))
    assert offset_grid(95, 40).tolist() == [-80, -40, 0, 40, 80]
    for range_ms, step_ms in ((1000, 15), (1000, 0), (1000, -10), (30, 40)):
        with pytest.raises(ValueError, match="must be"):
            offset_grid(range_ms, step_ms)


@settings(max_examples=10, deadline=None)
@given(shift=st.integers(-30, 30))
def test_shifting_the_sound_shifts_every_curve(toy_engine: OnnxEngine, shift: int) -> None:
    crops, sound = flash_clip(450, 0)
    plain = scanned(toy_engine, [crops], sound)
    moved = scanned(toy_engine, [crops], sound, first_sound_step=shift)
    assert len(plain.windows) == len(moved.windows) == 3
    inner = slice(40, -40)
    one, other = plain.windows[1].logits, moved.windows[1].logits
    np.testing.assert_allclose(np.roll(one, shift)[inner], other[inner], atol=2e-3)
    assert int(np.argmax(other)) - int(np.argmax(one)) == shift


@pytest.mark.parametrize("offset_ms", [-630, -120, 0, 40, 250, 800])
@pytest.mark.parametrize("step_ms", [10, 40])
def test_the_peak_is_the_lag(toy_engine: OnnxEngine, offset_ms: int, step_ms: int) -> None:
    crops, sound = flash_clip(250, offset_ms, seed=offset_ms + 700)
    scanner = scanned(toy_engine, [crops], sound, step_ms=step_ms)
    for window in scanner.windows:
        peak = int(scanner.offsets_ms[int(np.argmax(window.logits))])
        assert abs(peak - offset_ms) <= 10 + step_ms / 2
        assert window.logits.max() > 3


@settings(max_examples=10, deadline=None)
@given(frames=st.integers(25, 420), offset_ms=st.integers(-300, 300), seed=st.integers(0, 99))
def test_weights_sum_to_one(toy_engine: OnnxEngine, frames: int, offset_ms: int, seed: int) -> None:
    crops, sound = flash_clip(frames, 0, seed)
    scanner = scanned(toy_engine, [crops], sound, range_ms=400, step_ms=20)
    blocks = results(scanner, offset_ms)
    used = [b for b in blocks if b.used]
    assert sum(b.weight for b in blocks) == pytest.approx(1.0)
    assert all(b.weight == 0 for b in blocks if not b.used)
    for block in used:
        assert block.cells is not None and block.cells.shape == (2, 2)
        assert block.cells.sum() == pytest.approx(1.0, abs=1e-5)
        assert 0 <= block.p_sync <= 1
    levels = np.array([b.confidence for b in used])
    weights = np.array([b.weight for b in used])
    expected = np.exp(levels - levels.max())
    np.testing.assert_allclose(weights, expected / expected.sum(), atol=1e-9)


def test_regions_compete_in_one_softmax(toy_engine: OnnxEngine) -> None:
    """A listener who stays still takes weight from nobody, and the speaker is found."""
    crops, sound = flash_clip(200)
    listener = (crops.astype(int) // 40 + 100).astype(np.uint8)[::-1].copy()
    both = scanned(toy_engine, [listener, crops], sound)
    assert int(both.offsets_ms[int(np.argmax(both.windows[0].logits))]) in range(-10, 11)
    assert both.windows[0].blocks == 8
    blocks = results(both, 0)
    speaking = sum(b.weight for b in blocks if b.region.track == 1)
    assert 0.9 < speaking < 1.0
    # The order in which the regions come is not evidence.
    turned = scanned(toy_engine, [crops, listener], sound)
    np.testing.assert_allclose(turned.windows[0].logits, both.windows[0].logits, atol=1e-4)


def test_one_voice_among_four_talkers_is_found(toy_engine: OnnxEngine) -> None:
    """Mouths that move to words nobody hears must not drown the one that is heard."""
    talkers = [flash_clip(200, 0, seed)[0] for seed in range(4)]
    _, sound = flash_clip(200, 80, 2)
    alone = scanned(toy_engine, [talkers[2]], sound, step_ms=40).windows[0]
    grid = scanned(toy_engine, talkers, sound, step_ms=40).windows[0]
    assert int(np.argmax(grid.logits)) == int(np.argmax(alone.logits))
    assert grid.logits.max() > alone.logits.max() - np.log(5.0) - 0.01  # one of five rivals


def shots(
    engine: OnnxEngine, tracks: list[tuple[int, np.ndarray]], sound: np.ndarray
) -> WindowScanner:
    """A scan of tracks that begin at a frame each."""
    stream = SoundStream(engine, 0)
    stream.push(sound)
    stream.finish()
    scanner = WindowScanner(engine, stream, offset_grid(400, 40))
    builder = BlockBuilder(engine)
    for track, (first, crops) in enumerate(tracks):
        for piece in region_pieces(crops, first, track=track):
            scanner.add(builder.push(piece))
    scanner.finish()
    return scanner


def test_what_lies_between_two_cuts_is_a_window_of_its_own(toy_engine: OnnxEngine) -> None:
    """Who listens in one shot does not water down what the speaker's says in another."""
    speaker, sound = flash_clip(200, 80)
    listener = flash_clip(200, 0, 5)[0]
    cuts = [(0, speaker[:78]), (78, listener[78:125]), (125, speaker[125:])]
    scanner = shots(toy_engine, cuts, sound)
    assert [(w.start_s, w.end_s) for w in scanner.windows] == [(0.0, 3.0), (3.0, 5.0), (5.0, 8.0)]
    peaks = [int(scanner.offsets_ms[int(np.argmax(w.logits))]) for w in scanner.windows]
    assert peaks[0] == peaks[2] == 80
    assert scanner.seconds is not None and scanner.seconds.anew is not None
    starts = scanner.seconds.start_s[scanner.seconds.anew]
    assert starts.tolist() == [0.0, 3.0, 5.0]
    # As long as one of them stays in the picture, it is one shot.
    together = shots(toy_engine, [*cuts, (0, flash_clip(200, 0, 6)[0])], sound)
    assert [(w.start_s, w.end_s) for w in together.windows] == [(0.0, 8.0)]
    assert together.seconds is not None and together.seconds.anew is not None
    assert together.seconds.anew.tolist() == [True] + [False] * 7


def test_a_shot_that_goes_on_in_the_next_window_is_the_same(toy_engine: OnnxEngine) -> None:
    crops, sound = flash_clip(400, 0)
    scanner = scanned(toy_engine, [crops], sound, step_ms=40)
    assert len(scanner.windows) == 2
    assert scanner.seconds is not None and scanner.seconds.anew is not None
    assert np.flatnonzero(scanner.seconds.anew).tolist() == [0]


def test_portions_do_not_matter(toy_engine: OnnxEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    crops, sound = flash_clip(150, 80)
    whole = scanned(toy_engine, [crops, crops[::-1].copy()], sound, step_ms=20)
    monkeypatch.setattr(judged, "_PAIR_BLOCKS", 1)
    monkeypatch.setattr(judged, "_PAIR_OFFSETS", 3)
    monkeypatch.setattr(judged, "_OFFSETS_AT_ONCE", 7)
    small = scanned(toy_engine, [crops, crops[::-1].copy()], sound, step_ms=20)
    np.testing.assert_allclose(small.windows[0].logits, whole.windows[0].logits, atol=1e-4)
    for one, other in zip(whole.traces, small.traces, strict=True):
        np.testing.assert_allclose(one.confidence, other.confidence, atol=1e-2)
        np.testing.assert_allclose(one.logits, other.logits, atol=1e-2)


def test_missing_sound_is_no_evidence(toy_engine: OnnxEngine) -> None:
    """Offsets that ask for sound beyond the ends are marked, and level with the rest."""
    crops, sound = flash_clip(25)
    window = scanned(toy_engine, [crops], sound).windows[0]
    assert window.support is not None
    offsets = offset_grid(1000, 10)
    np.testing.assert_array_equal(window.support, (np.abs(offsets) <= 400).astype(np.float32))
    outside = window.logits[np.abs(offsets) > 400]
    assert (outside == np.median(window.logits[np.abs(offsets) <= 400])).all()
    three = scanned(toy_engine, *_listed(flash_clip(75))).windows[0]
    assert three.support is not None
    assert set(np.round(three.support, 3)) == {np.float32(0.667), np.float32(1.0)}


def _listed(clip: tuple[np.ndarray, np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    return [clip[0]], clip[1]


def test_silent_blocks_are_left_out(toy_engine: OnnxEngine) -> None:
    crops, sound = flash_clip(500)
    sound[640 * 100 : 640 * 350] = 1e-4
    scanner = scanned(toy_engine, [crops], sound, range_ms=1000)
    reasons = [t.reason for t in scanner.traces]
    # Blocks within a second of sound can still be matched with it at some offset.
    assert reasons == [""] * 5 + [SILENCE] * 8 + [""] * 7
    assert scanner.judged_frames == 12 * 25
    assert results(scanner, 0)[6].reason == SILENCE


def test_a_wide_range_keeps_little(toy_engine: OnnxEngine) -> None:
    crops, sound = flash_clip(100, 3000)
    scanner = scanned(toy_engine, [crops], sound, range_ms=5000, step_ms=20)
    for trace in scanner.traces:
        assert len(trace.kept_ms) == len(trace.confidence) == traces.KEPT_OFFSETS
    best = float(scanner.offsets_ms[int(np.argmax(scanner.windows[0].logits))])
    assert min(abs(scanner.traces[0].kept_ms - best)) <= 20


@pytest.mark.parametrize("attention", ["none", "temporal"])
def test_other_attentions(tmp_path_factory: pytest.TempPathFactory, attention: str) -> None:
    folder = build_toy_model(tmp_path_factory.mktemp("toy"), attention)  # type: ignore[arg-type]
    engine = OnnxEngine(folder)
    crops, sound = flash_clip(200, 120)
    scanner = scanned(engine, [crops], sound)
    assert abs(int(scanner.offsets_ms[int(np.argmax(scanner.windows[0].logits))]) - 120) <= 10
    blocks = results(scanner, 120)
    assert all(b.cells is None for b in blocks)
    if attention == "none":
        np.testing.assert_allclose([b.weight for b in blocks], 1 / 8)


def test_p_sync_is_the_share_of_the_blocks_own_lag_within_the_tolerance(
    toy_engine: OnnxEngine,
) -> None:
    good, late = (scanned(toy_engine, *_listed(flash_clip(200, o))) for o in (0, 100))
    strict, wide = Tolerance("film", 22.0, 22.0), Tolerance("wide", 900.0, 900.0)

    def mean(scanner: WindowScanner, offset_ms: float, tolerance: Tolerance = ITU) -> float:
        return float(np.mean([b.p_sync for b in results(scanner, offset_ms, tolerance)]))

    assert mean(good, 0) > 0.7
    assert mean(late, 100) > 0.5  # 100 ms late is tolerated by ITU
    assert mean(late, 100, strict) < 0.2
    assert mean(late, 100, wide) > 0.9


@pytest.mark.parametrize("offset_ms", [-630, -110, 30, 250, 790])
def test_the_quick_way_finds_the_same_peak(toy_engine: OnnxEngine, offset_ms: int) -> None:
    crops, sound = flash_clip(450, offset_ms, seed=offset_ms + 700)
    calls = []

    class Counting:
        def __getattr__(self, name: str) -> object:
            return getattr(toy_engine, name)

        def joint(self, v: np.ndarray, a: np.ndarray) -> object:
            calls.append(a.shape[0] * a.shape[1])
            return toy_engine.joint(v, a)

    full = scanned(Counting(), [crops], sound)  # type: ignore[arg-type]
    all_calls = sum(calls)
    calls.clear()
    quick = scanned(Counting(), [crops], sound, thorough=False)  # type: ignore[arg-type]
    assert sum(calls) < 0.5 * all_calls
    for one, other in zip(full.windows, quick.windows, strict=True):
        peak = int(np.argmax(one.logits))
        assert int(np.argmax(other.logits)) == peak
        near = slice(max(0, peak - 4), peak + 5)
        np.testing.assert_allclose(other.logits[near], one.logits[near], atol=1e-4)
        assert np.abs(other.logits - one.logits).mean() < 0.5
    for a, b in zip(full.traces, quick.traces, strict=True):
        np.testing.assert_allclose(a.logits, b.logits, atol=1e-2)
        np.testing.assert_allclose(a.confidence, b.confidence, atol=1e-2)
