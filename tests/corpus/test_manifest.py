"""Manifests and splits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avsync_cli.corpus.manifest import Clip, hold_out, load_manifest
from avsync_cli.errors import DataError


def test_csv_and_jsonl_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "path,speaker,source,split,start,end\nx/1.mp4,ann,one,train,,\n2.mp4,bob,two,val,1.5,3\n"
    )
    rows = [
        {"file": "x/1.mp4", "speaker": "ann", "source": "one", "split": "train"},
        {
            "path": "2.mp4",
            "speaker": "bob",
            "source": "two",
            "split": "val",
            "start_s": 1.5,
            "end_s": 3,
        },
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(r) for r in rows) + "\n\n")
    csv_clips, json_clips = load_manifest(tmp_path / "a.csv"), load_manifest(tmp_path / "a.jsonl")
    assert csv_clips == json_clips
    assert csv_clips[1] == Clip(
        tmp_path / "2.mp4", start_s=1.5, end_s=3.0, speaker="bob", source="two", split="val"
    )


def test_a_folder_is_all_its_media_files(tmp_path: Path) -> None:
    (tmp_path / "news").mkdir()
    for name in ("news/b.MP4", "a.mkv", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    found = load_manifest(tmp_path)
    assert [(c.path.name, c.source) for c in found] == [("a.mkv", ""), ("b.MP4", "news")]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.csv", "title\nx\n", "names no file"),
        ("a.csv", "path,start\nx.mp4,soon\n", "no number"),
        ("a.jsonl", "{broken\n", "line 1"),
        ("a.jsonl", "[1]\n", "no JSON object"),
        ("a.jsonl", "\n", "no clips"),
        ("a.txt", "x", "neither"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, name: str, text: str, says: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=says):
        load_manifest(tmp_path / name)


def test_a_missing_manifest_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        load_manifest(tmp_path / "none.csv")


def many() -> list[Clip]:
    return [
        Clip(Path(f"{s}{i}.mp4"), speaker=f"p{s}", source=f"s{s % 4}")
        for s in range(20)
        for i in range(5)
    ]


def test_held_out_speakers_are_not_learnt_from() -> None:
    train, val = hold_out(many(), 0.2, seed=1)
    assert len(train) + len(val) == 100
    assert 15 <= len(val) <= 30
    assert not {c.group for c in train} & {c.group for c in val}
    assert (train, val) == hold_out(many(), 0.2, seed=1)
    assert val != hold_out(many(), 0.2, seed=2)[1]


def test_a_marked_split_is_kept() -> None:
    clips = [*many(), Clip(Path("v.mp4"), source="v", split="val")]
    train, val = hold_out(clips, 0.5, seed=0)
    assert [c.path.name for c in val] == ["v.mp4"]
    assert len(train) == 100


def test_one_large_speaker_stays_in_training() -> None:
    clips = [Clip(Path(f"{i}.mp4"), speaker="big", source="x") for i in range(80)]
    clips += [Clip(Path(f"s{i}.mp4"), speaker=f"p{i}", source="x") for i in range(20)]
    _, val = hold_out(clips, 0.1, seed=0)
    assert all(c.speaker != "big" for c in val)
