"""Clips with an offset of their own are found, and those without are left alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avsync_cli.corpus.cache import CachedClip
from avsync_cli.corpus.manifest import Clip
from avsync_cli.evaluation.own_offset import OwnOffset, own_offset
from avsync_cli.model.engine import OnnxEngine
from avsync_cli.training.dataset import WindowDataset, WindowSpec
from avsync_cli.training.realign import common_offset, realign
from tests.toy_model import build_toy_model, cached_flashes, toy_config

FRAMES = 110


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> OnnxEngine:
    return OnnxEngine(build_toy_model(tmp_path_factory.mktemp("models") / "toy"), threads=1)


def clip(
    folder: Path, source: str, offset_ms: int, seed: int, rendered: bool = False
) -> CachedClip:
    """A flashing clip whose sound is late by `offset_ms`, as the cache keeps it."""
    place = folder / f"{source}-{seed}"
    row = Clip(place, source=source, kind="talking")
    made = cached_flashes(place, row, FRAMES, offset_ms=offset_ms, seed=seed)
    return replace(made, rendered=rendered)


@pytest.mark.parametrize("offset_ms", [-120, 0, 80])
def test_a_clips_own_offset(tmp_path: Path, engine: OnnxEngine, offset_ms: int) -> None:
    found = own_offset(engine, clip(tmp_path, "a", offset_ms, seed=1))
    assert found.sure
    assert found.offset_ms == pytest.approx(offset_ms, abs=20)


def test_silence_is_not_sure(tmp_path: Path, engine: OnnxEngine) -> None:
    silent = clip(tmp_path, "a", 0, seed=1)
    np.save(silent.folder / "sound.npy", np.zeros(FRAMES * 640, np.int16))
    assert not own_offset(engine, silent).sure


def test_every_clip_gets_its_own_offset(tmp_path: Path, engine: OnnxEngine) -> None:
    shared = [clip(tmp_path, "shared", 80, seed=i) for i in range(4)]
    mixed = [clip(tmp_path, "mixed", ms, seed=i) for i, ms in enumerate((-240, 0, 200, 400))]
    right = [clip(tmp_path, "right", 0, seed=i) for i in range(4)]
    drawn = [clip(tmp_path, "drawn", 160, seed=i, rendered=True) for i in range(4)]
    undo = realign(engine, [*shared, *mixed, *right, *drawn])
    assert [undo[c.clip.key] for c in shared] == pytest.approx([8] * 4, abs=2)
    own = [undo.get(c.clip.key, 0) for c in mixed]
    assert own == pytest.approx([-24, 0, 20, 40], abs=2)
    assert not {c.clip.key for c in [*right, *drawn]} & set(undo)


def test_who_is_not_sure_gets_what_the_sources_others_share(
    tmp_path: Path, engine: OnnxEngine
) -> None:
    shared = [clip(tmp_path, "shared", 80, seed=i) for i in range(4)]
    np.save(shared[3].folder / "sound.npy", np.zeros(FRAMES * 640, np.int16))
    alone = clip(tmp_path, "alone", 80, seed=9)
    np.save(alone.folder / "sound.npy", np.zeros(FRAMES * 640, np.int16))
    undo = realign(engine, [*shared, alone])
    assert undo[shared[3].clip.key] == pytest.approx(8, abs=2)
    assert alone.clip.key not in undo


def test_what_counts_as_common() -> None:
    sure = [OwnOffset(ms, True) for ms in (70.0, 80.0, 90.0, 400.0)]
    assert common_offset(sure) == pytest.approx(85.0)
    assert common_offset(sure[:2]) is None
    assert common_offset([OwnOffset(80.0, False)] * 9) is None
    assert common_offset([OwnOffset(ms, True) for ms in (-200.0, 0.0, 200.0, 400.0)]) is None


def test_clips_of_one_shard_keep_offsets_of_their_own(tmp_path: Path, engine: OnnxEngine) -> None:
    shard = tmp_path / "shard.tar"
    members = []
    for number, offset_ms in enumerate((-200, 240)):
        row = Clip(shard, source="s", kind="talking", member=f"{number}.mp4")
        members.append(replace(clip(tmp_path, "s", offset_ms, seed=number), clip=row))
    undo = realign(engine, members)
    assert undo == pytest.approx({f"{shard}/0.mp4": -20, f"{shard}/1.mp4": 24}, abs=2)
    data = WindowDataset(members, toy_config(), WindowSpec(), 0, 1, undo, augment=False)
    plain = WindowDataset(members, toy_config(), WindowSpec(), 0, 1, augment=False)
    for item, hops in enumerate((-20, 24)):
        moved = data.sample(item, np.random.default_rng(4))["mel"].numpy()
        still = plain.sample(item, np.random.default_rng(4))["mel"].numpy()
        shift = undo[members[item].clip.key]
        assert shift == pytest.approx(hops, abs=2)
        inner = slice(60, 200)
        np.testing.assert_allclose(moved[inner], still[60 + shift : 200 + shift], atol=1e-3)


def test_stretches_of_one_file_are_clips_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "long.mp4"
    keys = [
        Clip(file, start_s=start, end_s=end).key
        for start, end in ((None, None), (0.0, 4.0), (4.0, None), (1234.567, 1240.0))
    ]
    assert len(set(keys)) == 4
    assert keys[0] == str(file)
    assert keys[3].endswith("#t=1234.567,1240.0")
