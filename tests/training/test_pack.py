"""Clips in one small file, and windows drawn where they are learnt from."""

from __future__ import annotations

import dataclasses
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from avsync_cli.corpus.cache import CachedClip  # noqa: E402
from avsync_cli.corpus.pack import read_pack, write_pack  # noqa: E402
from avsync_cli.errors import DataError, UsageError  # noqa: E402
from avsync_cli.model.checkpoint import load_model  # noqa: E402
from avsync_cli.model.config import ModelConfig  # noqa: E402
from avsync_cli.training import loop  # noqa: E402
from avsync_cli.training.dataset import WindowDataset, WindowSpec  # noqa: E402
from avsync_cli.training.heard import hear_clips  # noqa: E402
from avsync_cli.training.on_device import DeviceWindows, Drawn  # noqa: E402
from avsync_cli.training.options import TrainOptions  # noqa: E402
from tests.training.conftest import copied  # noqa: E402
from tests.training.test_heard import PHONES, _engine  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pack(clips: list[CachedClip], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pack") / "clips.avpack"
    write_pack(clips, path, 8 << 20)
    return path


def test_a_pack_comes_out_as_it_went_in(
    pack: Path, clips: list[CachedClip], tmp_path: Path
) -> None:
    found = read_pack(pack, tmp_path)
    assert len(found) == len(clips)
    assert pack.stat().st_size < 0.2 * sum(c.crops().nbytes + c.sound().nbytes for c in clips)
    for one, other in zip(clips, found, strict=True):
        assert (other.frames, other.tracks, other.rendered) == (
            one.frames,
            one.tracks,
            one.rendered,
        )
        assert other.clip.group == one.clip.group
        np.testing.assert_array_equal(other.valid(), one.valid())
        change = np.abs(other.crops().astype(float) - one.crops())
        assert change.mean() < 2.5
        # Not a sample earlier or later: what is learnt is when sound comes.
        wave, was = other.wave(), one.wave()
        sums = [float((np.roll(wave, shift) * was).sum()) for shift in range(-40, 41)]
        assert abs(int(np.argmax(sums)) - 40) <= 1
        assert max(sums) > 0.8 * float((was * was).sum())
    again = read_pack(pack, tmp_path)
    assert [c.folder for c in again] == [c.folder for c in found]


def test_a_pack_keeps_to_its_limit(clips: list[CachedClip], tmp_path: Path) -> None:
    path = tmp_path / "clips.avpack"
    qualities = [write_pack(clips[:2], path, most) for most in (8 << 20, 64_000)]
    sizes = path.stat().st_size
    assert qualities[0] < qualities[1]
    assert sizes <= 64_000
    with pytest.raises(DataError, match="are allowed"):
        write_pack(clips[:2], path, 15_000)
    assert path.stat().st_size == sizes


@pytest.mark.parametrize(
    "change",
    [
        {"frames": 10**9},
        {"frames": "many"},
        {"offset_ms": float("nan")},
        {"source": None},
        {"tracks": [{"kind": "face", "first_frame": 0, "start": 0, "count": -3, "size": 0.5}]},
        {"tracks": [{"kind": "face", "first_frame": 0, "start": 7, "count": 3, "size": 0.5}]},
    ],
)
def test_what_a_pack_says_is_checked(pack: Path, tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "other.avpack"
    with tarfile.open(pack) as old, tarfile.open(path, "w") as new:
        for member in old:
            data = old.extractfile(member).read()  # type: ignore[union-attr]
            if member.name == "000.json":
                rows = json.loads(data)
                rows[1].update(change)
                data = json.dumps(rows).encode()
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    with pytest.raises(DataError, match="no whole pack"):
        read_pack(path, tmp_path / "cache")


@pytest.mark.parametrize("kept", [0, 500, 0.5])
def test_half_a_pack_is_no_pack(pack: Path, tmp_path: Path, kept: float) -> None:
    data = pack.read_bytes()
    path = tmp_path / "half.avpack"
    path.write_bytes(data[: int(kept * len(data)) if isinstance(kept, float) else kept])
    with pytest.raises(DataError, match=r"half\.avpack is no whole pack"):
        read_pack(path, tmp_path / "cache")
    with pytest.raises(DataError, match="no such file"):
        read_pack(tmp_path / "none.avpack", tmp_path / "cache")


class _Placed:
    """A generator that places every window at one frame."""

    def __init__(self, frame: int) -> None:
        self.frame = frame

    def uniform(self, low: float, high: float, size: int) -> np.ndarray:
        return np.full(size, float(self.frame))


@pytest.mark.parametrize("late_ms", [0.0, 70.0])
def test_the_device_gives_the_windows_that_the_processor_does(
    clips: list[CachedClip], tmp_path: Path, late_ms: float
) -> None:
    own = copied(clips[:3], tmp_path)
    own[2] = dataclasses.replace(own[2], clip=dataclasses.replace(own[2].clip, offset_ms=late_ms))
    hear_clips(_engine(), own, seed=0)
    hops = {own[1].clip.key: 5}
    plain = WindowDataset(own, PHONES, WindowSpec(30), 0, 1, hops, augment=False)
    there = DeviceWindows(own, PHONES, WindowSpec(30), 0, CPU, hops, augment=False)
    items, starts = [0, 1, 2, 2], [0, 20, 90, 33]
    drawn = Drawn(
        torch.tensor(items),
        torch.tensor(starts, dtype=torch.float64),
        torch.ones(4, dtype=torch.float64),
        torch.zeros(4, dtype=torch.long),
    )
    batch = there.at(drawn, torch.Generator())
    for row, (item, start) in enumerate(zip(items, starts, strict=True)):
        wanted = plain.sample(item, _Placed(start))  # type: ignore[arg-type]
        for name, values in wanted.items():
            np.testing.assert_allclose(batch[name][row].numpy(), values.numpy(), atol=1e-3)


def test_batches_depend_on_seed_and_step_alone(clips: list[CachedClip], tmp_path: Path) -> None:
    own = copied(clips[:2], tmp_path)
    hear_clips(_engine(), own, seed=0)
    windows = DeviceWindows(own, PHONES, WindowSpec(30), 3, CPU)
    first, second, third = windows.batches(0, 3, 4)
    (again,) = windows.batches(2, 3, 4)
    for name in first:
        torch.testing.assert_close(third[name], again[name])
    assert not torch.equal(first["crops"], second["crops"])
    drawn = windows.draw(400, torch.Generator().manual_seed(1))
    assert {0, 1} <= set(drawn.items.tolist())
    assert 0.2 < float((drawn.speeds != 1.0).double().mean()) < 0.5
    assert set(drawn.versions.tolist()) == {0, 1, 2, 3}
    last = windows._count[drawn.items] - 30 * drawn.speeds
    assert bool(((drawn.starts >= 0) & (drawn.starts <= last)).all())


def test_a_run_learns_from_a_pack(pack: Path, tmp_path: Path) -> None:
    options = TrainOptions(
        data=pack,
        cache=tmp_path / "cache",
        out=tmp_path / "run",
        sound="phones",
        on_device=True,
        frames=30,
        steps=2,
        batch=4,
        warmup=1,
        synthetic=0,
        val_share=0.0,
        realign_at=0,
        workers=0,
    )
    model, _ = load_model(loop.train(options))
    assert model.config == ModelConfig.of("base", sound="phones")
    log = (options.out / "log.jsonl").read_text().splitlines()
    assert json.loads(log[-1])["step"] == 2
    assert np.isfinite(json.loads(log[-1])["loss"])
    with pytest.raises(UsageError, match="--on-device needs --sound phones"):
        loop.train(dataclasses.replace(options, sound="log-mel"))
