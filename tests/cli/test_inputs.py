"""From names, folders, globs and lists to files."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from avsync_cli.cli.inputs import expand_inputs, take_shard
from avsync_cli.errors import UsageError


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b.mp4", "a.MKV", "notes.txt", "._a.mp4", "sub/c.mov", "sub/.trash/d.mp4"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_files_stay_as_typed_even_when_missing(tree: Path) -> None:
    assert expand_inputs(["./b.mp4", "gone.mp4", "notes.txt"]) == [
        "./b.mp4", "gone.mp4", "notes.txt",
    ]  # fmt: skip


def test_a_folder_gives_its_media_files_by_name(tree: Path) -> None:
    assert expand_inputs(["."]) == ["./a.MKV", "./b.mp4"]


def test_recursive_descends_but_not_into_hidden_folders(tree: Path) -> None:
    assert expand_inputs(["."], recursive=True) == ["./a.MKV", "./b.mp4", "./sub/c.mov"]


def test_a_link_in_a_circle_ends(tree: Path) -> None:
    (tree / "sub" / "loop").symlink_to(tree, target_is_directory=True)
    assert len(expand_inputs(["."], recursive=True)) == 3


def test_globs(tree: Path) -> None:
    assert expand_inputs(["*.mp4"]) == ["b.mp4"]
    assert expand_inputs(["**/*.mov"]) == ["sub/c.mov"]


def test_a_file_whose_name_looks_like_a_glob(tree: Path) -> None:
    (tree / "take[1].mp4").touch()
    assert expand_inputs(["take[1].mp4"]) == ["take[1].mp4"]


def test_nothing_twice(tree: Path) -> None:
    assert expand_inputs(["b.mp4", "*.mp4", "b.mp4"]) == ["b.mp4"]


def test_a_list_by_lines_or_nul(tree: Path) -> None:
    (tree / "list").write_bytes(b"b.mp4\r\n\nsub/c.mov\n*.mp4\n")
    assert expand_inputs([], "list") == ["b.mp4", "sub/c.mov", "*.mp4"]
    (tree / "list0").write_bytes(b"two\nlines.mp4\0b.mp4\0")
    assert expand_inputs([], "list0") == ["two\nlines.mp4", "b.mp4"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16-le", "utf-16-be"])
def test_a_list_as_windows_writes_it(tree: Path, encoding: str) -> None:
    mark = "" if encoding == "utf-8-sig" else "\ufeff"
    (tree / "list").write_bytes(f"{mark}b.mp4\r\nété.mp4\r\n".encode(encoding))
    assert expand_inputs([], "list") == ["b.mp4", "été.mp4"]


def test_an_empty_folder_in_a_list_costs_only_itself(tree: Path) -> None:
    (tree / "film.mp4").mkdir()
    (tree / "list").write_text("film.mp4\nb.mp4\nsub\n")
    assert expand_inputs([], "list") == ["film.mp4", "b.mp4", "sub/c.mov"]


def test_a_list_on_stdin_keeps_undecodable_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(b"caf\xe9.mp4\n")

    monkeypatch.setattr(sys, "stdin", Stdin())
    (name,) = expand_inputs([], "-")
    assert os.fsencode(name) == b"caf\xe9.mp4"


@pytest.mark.parametrize(
    ("names", "listed", "words"),
    [
        ([], None, "no file named"),
        (["*.avi"], None, "nothing matches"),
        (["sub/.trash/../../empty"], None, "no media files directly in"),
        ([], "gone.txt", "cannot read gone.txt"),
        ([], "blank", "no names in blank"),
    ],
)
def test_nothing_to_judge_is_an_error(
    tree: Path, names: list[str], listed: str | None, words: str
) -> None:
    (tree / "empty").mkdir()
    (tree / "blank").write_text("\n\n")
    with pytest.raises(UsageError, match=words):
        expand_inputs(names, listed)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20])
def test_shards_hold_every_file_once(count: int) -> None:
    files = [f"{n:02}.mp4" for n in range(10)] + [os.fsdecode(b"caf\xe9.mp4")]
    shards = [take_shard(files, f"{n}/{count}") for n in range(1, count + 1)]
    assert sorted(name for shard in shards for name in shard) == sorted(files)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1
    # In whatever order the files were found.
    assert [take_shard(files[::-1], f"{n}/{count}") for n in range(1, count + 1)] == shards


@pytest.mark.parametrize("shard", ["0/4", "5/4", "1", "1/0", "a/b", "-1/4", "1/4/2", ""])
def test_what_is_no_shard(shard: str) -> None:
    with pytest.raises(UsageError, match="no shard"):
        take_shard(["a"], shard)
