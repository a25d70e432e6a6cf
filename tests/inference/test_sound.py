"""The sound stream: exact whatever the chunks, silent beyond its ends, forgetful on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avsync_cli.inference.sound import SoundStream
from avsync_cli.model.engine import OnnxEngine
from avsync_cli.model.features import log_mel

SOUND = np.random.default_rng(3).normal(0, 0.1, 160 * 1150).astype(np.float32)


def reference(engine: OnnxEngine, sound: np.ndarray, pad_steps: int) -> np.ndarray:
    """Features of the steps -pad .. len + pad, all computed at once."""
    extra = pad_steps + 40
    mel = log_mel(np.pad(sound, (extra * 160, extra * 160)))
    features = engine.encode_sound(mel)
    first = extra - 13 - pad_steps
    return features[first : first + len(sound) // 160 + 2 * pad_steps]


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(0, 1150), max_size=6), first=st.sampled_from([0, 100, 1237]))
def test_features_do_not_depend_on_the_chunks(
    toy_engine: OnnxEngine, cuts: list[int], first: int
) -> None:
    whole = SoundStream(toy_engine, first)
    whole.push(SOUND)
    whole.finish()
    stream = SoundStream(toy_engine, first)
    edges = [0, *sorted(cuts), 1150]
    for low, high in pairwise(edges):
        stream.push(SOUND[low * 160 : high * 160])
    stream.finish()
    reach = (first - 600, first + 1150 + 600)
    np.testing.assert_array_equal(stream.features(*reach), whole.features(*reach))
    np.testing.assert_array_equal(stream.power(*reach), whole.power(*reach))
    np.testing.assert_allclose(whole.features(*reach), reference(toy_engine, SOUND, 600), atol=2e-5)


def test_ends_are_silent_and_not_valid(toy_engine: OnnxEngine) -> None:
    stream = SoundStream(toy_engine, 50)
    valid = np.ones(200, bool)
    valid[20:30] = False
    stream.push(SOUND[: 160 * 200], valid)
    assert stream.valid_steps == 190
    stream.finish()
    known = stream.valid(0, 300)
    assert not known[:50].any() and not known[250:].any() and not known[70:80].any()
    assert known.sum() == 190
    assert (stream.power(0, 300)[~known] == 0).all()
    silent = toy_engine.encode_sound(log_mel(np.zeros(160 * 31, np.float32)))[0]
    np.testing.assert_allclose(stream.features(-5000, -4990), np.tile(silent, (10, 1)), atol=1e-6)


def test_what_is_not_ready_is_refused(toy_engine: OnnxEngine) -> None:
    stream = SoundStream(toy_engine)
    stream.push(SOUND)
    assert 0 <= stream.ready <= 1150
    with pytest.raises(ValueError, match="asked for"):
        stream.features(0, stream.ready + 1)
    with pytest.raises(ValueError, match="samples"):
        stream.push(SOUND[:100])
    with pytest.raises(ValueError, match="samples"):
        stream.push(SOUND[:160], np.ones(2, bool))


@pytest.mark.parametrize("seconds", [1.5, 11.5, 40.0])
def test_silence_around_a_file_is_not_listened_to(
    toy_engine: OnnxEngine, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    asked: list[int] = []
    steps = toy_engine.sound_steps

    def count(sound: np.ndarray) -> np.ndarray:
        asked.append(len(sound) // 160)
        return steps(sound)

    sound = np.resize(SOUND, int(seconds * 16_000))
    edge = toy_engine.config.edge_steps
    stream = SoundStream(toy_engine)
    monkeypatch.setattr(toy_engine, "sound_steps", count)
    stream.push(sound)
    stream.finish()
    pieces = len(asked)
    assert sum(asked) <= 100 * seconds + 2 * edge + pieces * 2 * edge
    whole = reference(toy_engine, sound, 600)
    np.testing.assert_allclose(stream.features(-600, len(sound) // 160 + 600), whole, atol=2e-5)


def test_memory_is_bounded(toy_engine: OnnxEngine) -> None:
    stream = SoundStream(toy_engine)
    for step in range(0, 6000, 500):
        stream.push(SOUND[: 160 * 500])
        stream.drop_before(step - 500)
        held = sum(
            x.nbytes for x in (stream._features, stream._mel, stream._samples, stream._power)
        )
        assert held < 3_000_000
    stream.finish()
    assert stream.features(5000, 5010).shape == (10, 8)
    with pytest.raises(ValueError, match="dropped"):
        stream.features(1000, 1010)


def test_a_piece_is_made_beside_what_else_is_done(toy_engine: OnnxEngine) -> None:
    asked: list[Callable[[], object]] = []

    class Waiting:
        """An engine that makes nothing until it is waited for."""

        def __getattr__(self, name: str) -> object:
            return getattr(toy_engine, name)

        def each(self, ask: Callable[..., object], about: list[object]) -> Iterable[object]:
            return map(ask, about)

        def later(self, ask: Callable[[], object]) -> Callable[[], object]:
            asked.append(ask)
            return ask

    stream, plain = SoundStream(Waiting()), SoundStream(toy_engine)  # type: ignore[arg-type]
    for sound in (SOUND[: 160 * 700], SOUND[160 * 700 :]):
        plain.push(sound)
        before = len(asked)
        stream.push(sound)
        assert len(asked) > before
        assert stream.ready == plain.ready  # waits for it
    stream.finish()
    plain.finish()
    np.testing.assert_array_equal(stream.features(0, 1150), plain.features(0, 1150))
