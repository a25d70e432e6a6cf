"""The phone recogniser's first layers: read from their file, and the same wherever sound is cut."""

from __future__ import annotations

import struct
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from avsync_cli.errors import ModelError  # noqa: E402
from avsync_cli.inference.sound import SoundStream  # noqa: E402
from avsync_cli.model.config import PHONE_EDGE_STEPS, ModelConfig  # noqa: E402
from avsync_cli.model.core import SyncModel  # noqa: E402
from avsync_cli.model.phones import PhoneEncoder, PhoneFront  # noqa: E402
from avsync_cli.model.recogniser import find_recogniser, load_recogniser, read_arrays  # noqa: E402
from avsync_cli.model.torch_engine import TorchEngine  # noqa: E402

EDGE, HOP = PHONE_EDGE_STEPS, 160

PUBLISHED = (
    (0.13226, 0.48126, -0.68202, 0.75707, 0.13974, 1.26242),
    (0.11197, 0.65254, -1.40470, 0.38359, -0.47818, 0.76915),
)


@pytest.fixture(scope="module")
def front() -> PhoneFront:
    made = PhoneFront().eval()
    made.load_state_dict({n: torch.tensor(a) for n, a in load_recogniser().items()})
    return made


def noise(steps: int, seed: int = 0) -> torch.Tensor:
    """(1, 160 steps) of noise whose loudness changes ten times a second."""
    generator = np.random.default_rng(seed)
    level = np.repeat(10.0 ** generator.uniform(-4, -0.5, steps // 10 + 1), 10 * HOP)
    sound = generator.normal(size=steps * HOP) * level[: steps * HOP]
    return torch.from_numpy(np.clip(sound, -1, 1).astype(np.float32))[None]


@torch.inference_mode()
def test_any_cut_gives_the_same_numbers(front: PhoneFront) -> None:
    sound = noise(780)
    whole = front(sound)[0]
    assert whole.shape == (780 - 2 * EDGE, 144)
    for first, end in ((0, 600), (7, 617), (131, 713), (250, 780)):
        part = front(sound[:, first * HOP : end * HOP])[0]
        assert len(part) == end - first - 2 * EDGE
        torch.testing.assert_close(part, whole[first : first + len(part)], rtol=0, atol=1e-4)


@torch.inference_mode()
def test_a_step_hears_no_more_than_its_context(front: PhoneFront) -> None:
    """Nor less: two seconds and a half away something is heard still, which attention carries."""
    sound = noise(600)
    whole = front(sound)[0]
    changed = sound.clone()
    changed[0, : 6 * HOP] = 0.3
    moved = (front(changed)[0] - whole).abs().amax(dim=1)
    assert moved[0] > 1e-6
    assert moved[6:].max() == 0


@torch.inference_mode()
def test_it_is_what_the_recogniser_hears(front: PhoneFront) -> None:
    """Numbers of a second, padded reading of the file, whose phones are the published engine's in
    every frame, with its attention cut to the same second; from sample 0 and from 10 ms on."""
    says = front(noise(600))[0, :2, :6]
    torch.testing.assert_close(says, torch.tensor(PUBLISHED), rtol=0, atol=1e-3)


def test_a_stream_does_not_depend_on_its_chunks(front: PhoneFront) -> None:
    """Whole pieces are the same to the last bit, and those that all at once would give."""
    model = SyncModel(ModelConfig.of("base", sound="phones")).eval()
    model.front.load_state_dict(front.state_dict())
    engine = TorchEngine(model)
    sound = noise(937)[0].numpy()

    def streamed(*cuts: int) -> np.ndarray:
        stream = SoundStream(engine, 37)
        for low, high in pairwise((0, *cuts, 937)):
            stream.push(sound[low * HOP : high * HOP])
        stream.finish()
        return stream.features(-450, 1500)

    whole = streamed()
    np.testing.assert_array_equal(streamed(1, 3, 332, 333, 900), whole)
    around = 500 + 16 + EDGE
    steps = engine.sound_steps(np.pad(sound, (around * HOP, (around + 3 + 26) * HOP)))
    np.testing.assert_allclose(engine.encode_sound(steps)[13 : 13 + 1950], whole, atol=1e-4)


def test_a_model_that_hears_too_far_is_refused(front: PhoneFront) -> None:
    engine = TorchEngine(SyncModel(ModelConfig.of("base", sound="phones")))
    engine.config = replace(engine.config, sound_context=(16, 540))
    with pytest.raises(ModelError, match="longer than"):
        SoundStream(engine)


@torch.inference_mode()
def test_the_tower_sees_its_context_and_is_of_length_one() -> None:
    config = ModelConfig.of("base", sound="phones")
    tower = PhoneEncoder(config).eval()
    steps = torch.randn(2, config.sound_hops(9), config.mel_bands)
    a = tower(steps)
    assert a.shape == (2, 9, config.channels)
    torch.testing.assert_close(a.norm(dim=2), torch.ones(2, 9))
    changed = steps.clone()
    changed[:, -1] = 0.0
    moved = (tower(changed) - a).abs().amax(dim=(0, 2))
    assert moved[-1] > 0 and moved[:-1].max() == 0


def test_the_recogniser_is_left_as_it_is() -> None:
    model = SyncModel(ModelConfig.of("base", sound="phones"))
    learnt = {n for n, p in model.named_parameters() if p.requires_grad}
    assert not any(name.startswith("sound.front.") for name in learnt)
    assert "sound.into.weight" in learnt and "visual.out.weight" in learnt


def test_older_models_hear_log_mel() -> None:
    values = ModelConfig().to_json()
    del values["sound"]
    assert ModelConfig.from_json(values).sound == "log-mel"
    phones = ModelConfig.of("base", sound="phones")
    assert ModelConfig.from_json(phones.to_json()) == phones
    for change in ({"sound": "words"}, {"sound": ["phones"]}, {"mel_bands": 80}):
        with pytest.raises(ModelError):
            ModelConfig.from_json(phones.to_json() | change)


def a_file(name: bytes = b"mel", kind: int = 1, shape: int = 3, place: int = 0) -> bytes:
    head = b"HAMAPK\x01\x02" + struct.pack("<IH", 1, len(name)) + name
    head += struct.pack("<BBIQQ", kind, 1, shape, place, 2 * shape)
    return head + bytes(-len(head) % 16) + np.arange(3, dtype="<f2").tobytes()


def test_the_file_is_read_and_a_broken_one_refused() -> None:
    np.testing.assert_array_equal(read_arrays(a_file())["mel"], [0, 1, 2])
    whole = find_recogniser().read_bytes()
    broken = [b"", b"HAMAPK\x01\x02", whole[:1000], whole[:-1], b"x" + whole[1:], a_file()[:-1]]
    broken += [
        a_file(kind=7),
        a_file(name=b"\xff\xfe"),
        a_file(shape=1 << 31),
        a_file(place=1 << 63),
    ]
    broken += [b"HAMAPK\x01\x02" + b"\xff" * 64]
    for data in broken:
        with pytest.raises(ModelError):
            read_arrays(data)


def test_another_recogniser_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = find_recogniser().read_bytes()
    wheel = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr("importlib.util.find_spec", lambda _: wheel)
    with pytest.raises(ModelError, match="not installed"):
        load_recogniser()
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "asr_waveform.hama").write_bytes(data[:-1] + b"\x00")
    with pytest.raises(ModelError, match="not the recogniser"):
        load_recogniser()
