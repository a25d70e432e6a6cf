"""The maths of the paper's method, held to what it says on paper."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from avsync_cli.model.attention import pool  # noqa: E402
from avsync_cli.model.config import ModelConfig  # noqa: E402
from avsync_cli.model.core import Joint, SyncModel  # noqa: E402
from avsync_cli.model.features import log_mel  # noqa: E402
from avsync_cli.model.joint import JointLayers  # noqa: E402
from avsync_cli.timebase import BLOCK_FRAMES, HOPS_PER_FRAME, SAMPLES_PER_FRAME  # noqa: E402


def make(attention: str = "spatio-temporal", seed: int = 0, **changes: object) -> SyncModel:
    torch.manual_seed(seed)
    config = dataclasses.replace(ModelConfig(), attention=attention, **changes)  # type: ignore[arg-type]
    model = SyncModel(config).eval()
    # Confidences start at zero on purpose; tests need some that differ.
    torch.nn.init.normal_(model.confidence.out.weight, std=2.0)
    return model


def window(model: SyncModel, joint: Joint) -> tuple[torch.Tensor, torch.Tensor]:
    """Decide windows whose blocks are the N entries of `joint`: logits (O, 2) and weights."""
    offsets = joint.z.shape[1]
    z = joint.z.transpose(0, 1).reshape(offsets, -1, joint.z.shape[-1])
    confidence = joint.confidence.transpose(0, 1).reshape(offsets, -1)
    similarity = joint.similarity.transpose(0, 1).reshape(offsets, -1)
    return model.decide(z, confidence, similarity)


def features(config: ModelConfig, blocks: int, offsets: int, grid: int | None = None) -> tuple:
    side = grid or config.grid
    v = torch.randn(blocks, BLOCK_FRAMES, config.channels, side, side)
    a = torch.nn.functional.normalize(
        torch.randn(blocks, offsets, BLOCK_FRAMES, config.channels), dim=-1
    )
    return v, a


@pytest.mark.parametrize("attention", ["none", "temporal", "spatio-temporal"])
def test_weights_sum_to_one_and_units_are_as_configured(attention: str) -> None:
    model = make(attention)
    joint = model.relate(*features(model.config, blocks=3, offsets=2))
    assert joint.z.shape == (3, 2, model.config.cells, model.config.joint_width)
    logits, weights = window(model, joint)
    assert logits.shape == (2, 2)
    assert weights.shape == (2, 3 * model.config.cells)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2))
    if attention == "none":
        torch.testing.assert_close(weights, torch.full_like(weights, 1 / 3))
    else:
        assert float(weights.detach().std()) > 1e-3


def test_uniform_attention_is_the_plain_mean() -> None:
    values = torch.randn(4, 7, 5)
    mean, weights = pool(values, torch.full((4, 7), 3.25))
    torch.testing.assert_close(mean, values.mean(dim=1))
    torch.testing.assert_close(weights, torch.full((4, 7), 1 / 7))


def test_an_absent_unit_changes_nothing() -> None:
    values, confidence = torch.randn(2, 6, 5), torch.randn(2, 6)
    confidence[:, 4] = -1e9
    kept = [0, 1, 2, 3, 5]
    torch.testing.assert_close(
        pool(values, confidence)[0], pool(values[:, kept], confidence[:, kept])[0]
    )


def test_temporal_equals_spatio_temporal_on_a_grid_of_one_cell() -> None:
    spatial, temporal = make("spatio-temporal"), make("temporal")
    temporal.load_state_dict(spatial.state_dict())
    v, a = features(spatial.config, blocks=4, offsets=3, grid=1)
    for ours, theirs in zip(
        window(spatial, spatial.relate(v, a)), window(temporal, temporal.relate(v, a)), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_a_blocks_confidence_does_not_depend_on_its_company() -> None:
    model = make()
    v, a = features(model.config, blocks=5, offsets=2)
    order = torch.tensor([3, 0, 4, 1, 2])
    straight, shuffled = model.relate(v, a), model.relate(v[order], a[order])
    alone = model.relate(v[2:3], a[2:3])
    torch.testing.assert_close(straight.confidence[order], shuffled.confidence)
    torch.testing.assert_close(straight.confidence[2:3], alone.confidence)


def test_the_order_of_blocks_does_not_change_the_decision() -> None:
    model = make()
    v, a = features(model.config, blocks=5, offsets=2)
    order = torch.tensor([3, 0, 4, 1, 2])
    joint = model.relate(v, a)
    moved = Joint(*(x[order] for x in joint))
    torch.testing.assert_close(window(model, joint)[0], window(model, moved)[0])


def _concatenated(joint: JointLayers, v: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    """The first joint layer as the paper has it: on concatenated channels, sound tiled."""
    shape = (*a.shape[:3], v.shape[2], a.shape[3])
    tiled_v = (v * joint.scale).unsqueeze(1).expand(shape)
    tiled_a = (a * joint.scale).unsqueeze(3).expand(shape)
    parts, weights = [tiled_v, tiled_a], [joint.from_visual.weight, joint.from_sound.weight]
    if joint.from_product is not None:
        parts.append(tiled_v * tiled_a)
        weights.append(joint.from_product.weight)
    joined = torch.cat(parts, dim=-1)
    return torch.nn.functional.linear(joined, torch.cat(weights, dim=1), joint.from_visual.bias)


@pytest.mark.parametrize("product", [False, True])
def test_the_split_first_layer_is_the_layer_on_concatenated_channels(product: bool) -> None:
    model = make(product=product)
    v, a = features(model.config, blocks=2, offsets=3)
    cells = v.flatten(3).transpose(2, 3)
    torch.testing.assert_close(
        model.joint.first(cells, a), _concatenated(model.joint, cells, a), rtol=1e-4, atol=1e-4
    )


def test_shifting_sound_features_is_decoding_shifted_sound() -> None:
    model = make()
    rng = np.random.default_rng(3)
    shift, frames = 7, 60
    wave = rng.normal(0, 0.1, (frames + shift) * SAMPLES_PER_FRAME).astype(np.float32)

    def encode(sound: np.ndarray) -> torch.Tensor:
        with torch.inference_mode():
            return model.sound(torch.from_numpy(log_mel(sound))[None])[0]

    whole = encode(wave)
    late = encode(wave[shift * SAMPLES_PER_FRAME :])
    # The first log-mel step of the cut sound sees its edge; beyond it they must agree.
    torch.testing.assert_close(whole[shift + 1 :], late[1:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layers", [0, 3])
def test_encoders_see_no_more_than_their_context(layers: int) -> None:
    model = lively(layers) if layers else make()
    config = model.config
    frames, side, r = 12, config.input_px, config.visual_context
    crops = torch.rand(1, frames + 2 * r, side, side) * 255
    with torch.inference_mode():
        v = model.visual(crops)
        changed = crops.clone()
        changed[0, 0] = 0.0
        touched = (model.visual(changed) - v).abs().amax(dim=(2, 3, 4))[0]
        assert v.shape == (1, frames, config.channels, config.grid, config.grid)
        assert float(touched[0]) > 0.0
        assert float(touched[1:].max()) == 0.0

        mel = torch.randn(1, config.sound_hops(frames), config.mel_bands)
        a = model.sound(mel)
        changed = mel.clone()
        changed[0, -1] = 0.0
        touched = (model.sound(changed) - a).abs().amax(dim=2)[0]
    assert a.shape == (1, frames, config.channels)
    assert float(touched[-1]) > 0.0
    assert float(touched[:-1].max()) == 0.0
    before, after = config.sound_context
    assert before + after + HOPS_PER_FRAME == config.sound_hops(1)


def lively(layers: int) -> SyncModel:
    """A model whose layers over time have learnt something."""
    torch.manual_seed(0)
    model = SyncModel(ModelConfig.of("base", visual_layers=layers, sound_layers=layers)).eval()
    for layer in [*model.visual.over_time, *model.sound.over_time]:
        torch.nn.init.normal_(layer.out.weight, std=0.3)
    return model


def test_layers_over_time_begin_as_nothing() -> None:
    old = make()
    new = SyncModel(ModelConfig.of("base", visual_layers=3, sound_layers=3)).eval()
    missing, unexpected = new.load_state_dict(old.state_dict(), strict=False)
    assert not unexpected and all(".over_time." in name for name in missing)
    crops, mel = torch.rand(2, 30, 64, 64) * 255, torch.randn(2, 27 + 80 + 56, 80)
    with torch.inference_mode():
        heard = old.sound(mel[:, 28:-28])
        assert new.config.sound_context == (13 + 28, 14 + 28)
        torch.testing.assert_close(new.sound(mel), heard, rtol=1e-4, atol=1e-5)
        assert float((lively(3).sound(mel) - heard).abs().max()) > 0.01
        ours, theirs = new.visual(crops), old.visual(crops[:, 7:-7])
        assert new.config.visual_context == 11
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
        assert float((lively(3).visual(crops) - theirs).abs().max()) > 0.01


def test_the_mean_of_the_cells_similarities_is_the_cosine_of_the_pooled_features() -> None:
    model = make("none")
    config = model.config
    crops = torch.rand(1, BLOCK_FRAMES + 8, config.input_px, config.input_px) * 255
    _, a = features(config, 1, 1)
    with torch.inference_mode():
        v = model.visual(crops)
        similarity = model.relate(v, a).similarity
        pooled = v.mean(dim=(3, 4))
        norms = pooled.norm(dim=2)
        torch.testing.assert_close(norms, torch.ones_like(norms), rtol=1e-3, atol=1e-3)
        cosine = (pooled * a[:, 0]).sum(dim=2).mean()
    torch.testing.assert_close(similarity[0, 0, 0], cosine)


def test_brightness_and_contrast_of_the_picture_change_little() -> None:
    model = make()
    crops = torch.rand(1, BLOCK_FRAMES + 8, 64, 64) * 120 + 40
    with torch.inference_mode():
        plain, other = model.visual(crops), model.visual(crops * 1.3 + 20)
    assert float((plain - other).abs().max()) < 0.05 * float(plain.abs().max())
