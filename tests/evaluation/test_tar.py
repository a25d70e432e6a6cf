"""Clips in a tar shard are measured as those in a folder are, each as a clip of its own."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from avsync_cli.evaluation.protocol import EvalOptions, evaluate
from tests.conftest import REPO

SAMPLE = REPO / "docs" / "sample" / "talker.mp4"


def test_a_shard_is_measured_as_its_files_are(tmp_path: Path, toy_folder: Path) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs ffmpeg on PATH to cut the sample")
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, start in (("a", "0"), ("b", "6")):
        cut = ["ffmpeg", "-v", "error", "-ss", start, "-i", str(SAMPLE), "-t", "5"]
        subprocess.run([*cut, str(folder / f"{name}.mp4")], check=True)
    shard = tmp_path / "shard.tar"
    with tarfile.open(shard, "w") as tar:
        for name, data in (
            ("a.mp4", (folder / "a.mp4").read_bytes()),
            ("b.mp4", (folder / "b.mp4").read_bytes()),
            ("broken.mp4", b"no film"),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))

    def measured(data: Path) -> tuple[list[object], list[tuple[str, int, float]], list[str]]:
        report = evaluate(
            EvalOptions(
                data=data,
                cache=tmp_path / "cache",
                model=str(toy_folder),
                contexts=(15, 25),
                windows_a_clip=2,
                shifts_ms=(120,),
                workers=1,
            )
        )
        shifts = [(r.path, r.shift_ms, r.moved_ms) for r in report.shifts]
        return [r for r in report.placement if r.source == "all"], shifts, report.failed

    placed, moved, failed = measured(shard)
    plain, moved_plain, none = measured(folder)
    assert placed == plain
    assert [m[1:] for m in moved] == [m[1:] for m in moved_plain]
    assert [m[0] for m in moved] == [f"{shard}/a.mp4", f"{shard}/b.mp4"]
    assert none == []
    # It cannot be cached, and cannot be judged from the file.
    assert [name for name, _ in failed] == [f"{shard}/broken.mp4"] * 2
