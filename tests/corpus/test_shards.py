"""Clips in tar shards: found, described, decoded, and refused when they are none."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest

from avsync_cli.corpus.cache import cache_clip
from avsync_cli.corpus.manifest import Clip, load_manifest
from avsync_cli.corpus.shards import expand, media_file
from avsync_cli.errors import DataError

SAMPLE = Path(__file__).parents[2] / "docs" / "sample" / "talker.mp4"


def write_shard(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def test_rows_come_from_media_and_the_json_beside(tmp_path: Path) -> None:
    about = json.dumps({"speaker": "ann", "source": "news", "split": "val", "offset_ms": 40})
    shard = write_shard(
        tmp_path / "a-0.tar",
        {
            "x/1.json": about.encode(),
            "x/1.mp4": b"11",
            "2.MKV": b"2",
            "2.json": b"no",
            "3.txt": b"3",
        },
    )
    first, second = sorted(load_manifest(shard), key=lambda c: c.member, reverse=True)
    assert (first.path, first.member) == (shard, "x/1.mp4")
    assert (first.speaker, first.source, first.split) == ("ann", "news", "val")
    assert first.offset_ms == 40.0
    assert first.key == f"{shard}/x/1.mp4"
    assert (second.member, second.speaker) == ("2.MKV", "")
    for clip, content in ((first, b"11"), (second, b"2")):
        with media_file(clip.path, clip.member, clip.at, clip.size) as copy:
            assert copy.read_bytes() == content
            assert copy.suffix == Path(clip.member).suffix
        assert not copy.exists()


def test_ranges_name_many_shards(tmp_path: Path) -> None:
    for n in range(9, 12):
        write_shard(tmp_path / f"s{n:03d}.tar", {f"{n}.mp4": b"x"})
    found = load_manifest(tmp_path / "s{009..011}.tar")
    assert [c.member for c in found] == ["9.mp4", "10.mp4", "11.mp4"]
    assert len(expand(Path("{0..1}-{0..2}.tar"))) == 6
    for wrong in ("s{5..3}.tar", "s{0..99999999}.tar"):
        with pytest.raises(DataError, match="no range"):
            expand(Path(wrong))


def test_what_is_no_tar_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"not a tar" * 100)
    for path in (tmp_path / "a.tar", tmp_path / "gone.tar"):
        with pytest.raises(DataError, match="cannot read the shard"):
            load_manifest(path)


def test_links_out_of_the_shard_are_not_followed(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        link = tarfile.TarInfo("1.mp4")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(DataError, match="no clips"):
        load_manifest(tmp_path / "a.tar")


def test_a_shards_clip_is_cached_as_the_file_is(tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs ffmpeg on PATH to cut the sample")
    short = tmp_path / "short.mp4"
    cut = ["ffmpeg", "-v", "error", "-i", str(SAMPLE), "-t", "2", "-c", "copy", str(short)]
    subprocess.run(cut, check=True)
    shard = write_shard(tmp_path / "a.tar", {"k.mp4": short.read_bytes()})
    (clip,) = load_manifest(shard)
    inside = cache_clip(clip, tmp_path / "cache")
    outside = cache_clip(Clip(short), tmp_path / "cache")
    assert inside.folder == outside.folder  # the key is the content
    assert inside.frames >= 45
    np.testing.assert_array_equal(inside.sound(), outside.sound())


def test_a_known_lag_is_undone(tmp_path: Path) -> None:
    from avsync_cli.corpus.cache import CachedClip, CachedTrack

    np.save(tmp_path / "sound.npy", np.arange(16000, dtype=np.int16))
    track = (CachedTrack("face", 0, 0, 25, 0.5),)
    for offset_ms, first in ((40.0, 640), (-20.0, 0), (0.0, 0)):
        clip = CachedClip(Clip(tmp_path, offset_ms=offset_ms), tmp_path, 25, track)
        sound = clip.sound()
        assert len(sound) == 16000
        assert sound[0] == first
    late = CachedClip(Clip(tmp_path, offset_ms=-20.0), tmp_path, 25, track).sound()
    assert late[320] == 0
    assert late[321] == 1
