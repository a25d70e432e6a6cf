"""A run that would have nothing to validate on does not begin."""

from __future__ import annotations

from pathlib import Path

import pytest

from avsync_cli.corpus.cache import CachedClip
from avsync_cli.errors import DataError
from avsync_cli.training import loop
from avsync_cli.training.options import TrainOptions


def _options(folder: Path, **changes: object) -> TrainOptions:
    values: dict[str, object] = {"data": folder, "cache": folder, "out": folder, "synthetic": 0}
    return TrainOptions(**(values | changes))  # type: ignore[arg-type]


def test_one_speaker_cannot_be_held_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []

    def build_cache(clips: list[object], *_: object, **__: object) -> tuple[list[object], list]:
        decoded.append(len(clips))
        return [CachedClip(clip, tmp_path, None, ()) for clip in clips[:2]], []  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "build_cache", build_cache)
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match="all 3 clips count as one speaker of one source") as caught:
        loop.prepare(_options(tmp_path), None)
    assert "--val-share 0 trains without" in caught.value.hint
    assert decoded == []  # before any work
    train, held, _ = loop.prepare(_options(tmp_path, val_share=0.0), None)
    assert (len(train), held, decoded) == (2, [], [3])
    rows = "path,split\na.mp4,\nb.mp4,\nc.mp4,val\n"
    (tmp_path / "clips.csv").write_text(rows)
    with pytest.raises(DataError, match="none of the 1 clips held out can be used"):
        loop.prepare(_options(tmp_path / "clips.csv"), None)
