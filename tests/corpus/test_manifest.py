"""Manifests and splits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avsync_cli.corpus.manifest import Clip, hold_out, load_manifest, to_learn_from
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
        ("a.csv", "title\nx\n", r"has no column `path` or `file`: \['title'\]"),
        ("a.csv", "path;split\nx.mp4;val\n", r"no column `path` or `file`: \['path;split'\]"),
        ("a.csv", "path,split\n,val\n", "row 1, names no file"),
        ("a.csv", f"path\n{'x' * 200_000}\n", "line 2, is no CSV: field larger"),
        ("a.csv", "path,start\nx.mp4,soon\n", "no number"),
        ("a.csv", "path,start,end\nx.mp4,nan,2\n", "row 1: from nan to 2 s there is nothing"),
        ("a.csv", "path,start,end\nx.mp4,5,2\n", "row 1: from 5 to 2 s there is nothing"),
        ("a.jsonl", '{"path": "x.mp4", "start": -1}', "row 1: from -1 s on there is nothing"),
        ("a.jsonl", '{"path": "x.mp4", "start": {}}', "no number"),
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


def test_a_csv_as_a_spreadsheet_writes_it(tmp_path: Path) -> None:
    (tmp_path / "A.CSV").write_bytes("\ufeffpath , speaker\r\nJosé.mp4,ann\r\n".encode())
    assert load_manifest(tmp_path / "A.CSV") == [Clip(tmp_path / "José.mp4", speaker="ann")]
    (tmp_path / "b.csv").write_bytes("path\nJosé.mp4\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"b\.csv is not UTF-8"):
        load_manifest(tmp_path / "b.csv")


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


def test_the_split_test_is_not_learnt_from(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("path,split\na.mp4,\nb.mp4,test\nc.mp4,val\nd.mp4,train\n")
    assert [c.path.name for c in to_learn_from(tmp_path / "a.csv")] == ["a.mp4", "c.mp4", "d.mp4"]
    (tmp_path / "b.csv").write_text("path,split\na.mp4,test\n")
    with pytest.raises(DataError, match=r"no clip of .*b\.csv may be learnt from"):
        to_learn_from(tmp_path / "b.csv")


def test_a_split_nobody_knows_is_not_learnt_from_unasked(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("path,split\na.mp4,\nb.mp4,validation\n")
    with pytest.raises(DataError, match="whether split 'validation' may be learnt from"):
        to_learn_from(tmp_path / "a.csv")


def test_one_large_speaker_stays_in_training() -> None:
    clips = [Clip(Path(f"{i}.mp4"), speaker="big", source="x") for i in range(80)]
    clips += [Clip(Path(f"s{i}.mp4"), speaker=f"p{i}", source="x") for i in range(20)]
    _, val = hold_out(clips, 0.1, seed=0)
    assert all(c.speaker != "big" for c in val)
