"""Whatever is written is there whole, or what was there before is: also where the disk is full."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from avsync_cli import files
from avsync_cli.errors import WriteError
from avsync_cli.files import (
    append_line,
    append_whole,
    file_beside,
    folder_beside,
    open_whole,
    replace_folder,
    scratch_folder,
    settle_folder,
    write_whole,
)
from avsync_cli.interrupt import undo_all
from tests.writers import MUCH, WRITERS, names

pytestmark = pytest.mark.skipif(os.name == "nt", reason="devices and limits of Unix")


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """Within the block the system takes no more than that for one file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("write", WRITERS)
def test_a_file_appears_whole(tmp_path: Path, write: Callable[[Path, bytes], None]) -> None:
    path = tmp_path / "a.bin"
    for data in (b"", b"first", MUCH):
        write(path, data)
        assert path.read_bytes() == data
        assert names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("write", WRITERS)
def test_a_limit_leaves_what_was_there(
    tmp_path: Path, write: Callable[[Path, bytes], None]
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with no_file_beyond(100_000), pytest.raises(WriteError, match=r"cannot write .*a\.bin: File"):
        write(path, MUCH)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("write", WRITERS)
def test_a_full_disk_leaves_what_was_there(
    small_disk: Path, write: Callable[[Path, bytes], None]
) -> None:
    path = small_disk / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(WriteError, match=r"cannot write .*a\.bin: No space left") as caught:
        write(path, MUCH)
    assert "make room" in caught.value.hint
    assert path.read_bytes() == b"old"
    assert names(small_disk) == ["a.bin"]


def test_a_sync_that_fails_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(files.os, "fsync", fails)
    (tmp_path / "a").write_text("old")
    for write in WRITERS:
        with pytest.raises(WriteError, match="Input/output error"):
            write(tmp_path / "a", b"new")
        assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_what_is_there_is_replaced_only_if_asked(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_whole(path, "mine", overwrite=False)
    with pytest.raises(WriteError, match="exists already"):
        write_whole(path, "other", overwrite=False)
    with (
        pytest.raises(WriteError, match="exists already"),
        file_beside(tmp_path / "b", overwrite=False) as part,
    ):
        part.write_text("mine")
        (tmp_path / "b").write_text("theirs, meanwhile")
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(WriteError, match="exists already"):
        write_whole(tmp_path / "link", "other", overwrite=False)
    assert path.read_text() == "mine"
    assert (tmp_path / "b").read_text() == "theirs, meanwhile"
    assert names(tmp_path) == ["a", "b", "link"]


def test_rights_and_links_stay(tmp_path: Path) -> None:
    path, link = tmp_path / "a", tmp_path / "link"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to("a")
    with file_beside(link) as part:
        assert stat.S_IMODE(part.stat().st_mode) == 0o600
        part.write_text("new")
    assert link.is_symlink() and path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    umask = os.umask(0o022)
    try:
        write_whole(tmp_path / "b", "new")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o644


def test_the_longest_name_has_room(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 251 + ".txt")
    write_whole(path, "long")
    assert path.read_text() == "long"


@pytest.mark.parametrize("made", [file_beside, folder_beside, open_whole])
def test_errors_and_signals_leave_nothing(tmp_path: Path, made: Callable[..., object]) -> None:
    with pytest.raises(KeyboardInterrupt), made(tmp_path / "a"):  # type: ignore[attr-defined]
        assert len(names(tmp_path)) == 1
        raise KeyboardInterrupt
    assert names(tmp_path) == []
    with pytest.raises(WriteError), made(tmp_path / "a"):  # type: ignore[attr-defined]
        undo_all()  # as the last resort does it, from another thread
        assert names(tmp_path) == []
    with pytest.raises(ZeroDivisionError), made(tmp_path / "a"):  # type: ignore[attr-defined]
        raise ZeroDivisionError
    with pytest.raises(BrokenPipeError), made(tmp_path / "a"):  # type: ignore[attr-defined]
        raise BrokenPipeError(32, "somebody else's")
    assert names(tmp_path) == []


@pytest.mark.parametrize("place", ["none/a", "file/a", "folder"])
def test_places_that_cannot_be(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    for write in WRITERS:
        with pytest.raises(WriteError, match="cannot write"):
            write(tmp_path / place, b"new")
    assert names(tmp_path) == ["file", "folder"]
    with pytest.raises(WriteError, match="cannot write"), folder_beside(tmp_path / "file/x/y"):
        pass


# --- Folders --------------------------------------------------------------------------------------


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "run"
    replace_folder(target, lambda f: (f / "a").write_text("1") and None)
    seen = []

    def fails(folder: Path) -> None:
        (folder / "a").write_text("2")
        seen.append((target / "a").read_text())
        raise OSError("disk full")

    with pytest.raises(WriteError, match="disk full"):
        replace_folder(target, fails)
    assert seen == ["1"]
    assert (target / "a").read_text() == "1"
    assert names(tmp_path) == ["run"]
    target.rename(files._aside(target))  # as a kill between the two renames leaves it
    assert settle_folder(target)
    assert (target / "a").read_text() == "1"
    replace_folder(target, lambda f: (f / "b").write_text("3") and None)
    assert names(target) == ["b"] and names(tmp_path) == ["run"]


def test_a_folder_of_ones_own_called_old_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / "run.old").mkdir()
    (tmp_path / "run.old" / "kept").touch()
    for _ in range(2):
        replace_folder(tmp_path / "run", lambda f: (f / "a").touch())
    assert names(tmp_path / "run.old") == ["kept"]


def test_a_rename_that_fails_brings_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "run"
    replace_folder(target, lambda f: (f / "a").touch())
    rename = Path.rename

    def fails(self: Path, to: Path) -> Path:
        if self.name.startswith(".avsync-"):
            raise OSError(5, "Input/output error", str(self))
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(WriteError, match="Input/output"):
        replace_folder(target, lambda f: (f / "b").touch())
    assert names(target) == ["a"] and names(tmp_path) == ["run"]


def test_a_folder_that_another_was_quicker_with(tmp_path: Path) -> None:
    with (
        pytest.raises(WriteError, match="exists already"),
        folder_beside(tmp_path / "entry", overwrite=False) as beside,
    ):
        (beside / "a").write_text("mine")
        (tmp_path / "entry").mkdir()
        (tmp_path / "entry" / "a").write_text("theirs")
    assert (tmp_path / "entry" / "a").read_text() == "theirs"
    assert names(tmp_path) == ["entry"]


def test_a_full_disk_leaves_the_old_folder(small_disk: Path) -> None:
    target = small_disk / "entry"
    replace_folder(target, lambda f: np.save(f / "a.npy", np.zeros(10)))
    for size in (100_000, 1_000_000):
        with pytest.raises(WriteError, match=r"cannot write .*entry"):
            replace_folder(target, lambda f, n=size: np.save(f / "a.npy", np.zeros(n)))
        assert len(np.load(target / "a.npy")) == 10
    assert names(small_disk) == ["entry"]


def test_a_scratch_folder_goes() -> None:
    with scratch_folder() as folder:
        (folder / "a").touch()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()
    with scratch_folder() as folder:
        undo_all()
        assert not folder.exists()


# --- Journals -------------------------------------------------------------------------------------


def test_a_line_is_added_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "log"
    append_line(path, "first")
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        with no_file_beyond(100_000), pytest.raises(WriteError, match=r"cannot write .*log: File"):
            append_whole(fd, MUCH + b"\n", path)
        append_whole(fd, b"second\n", path)
    finally:
        os.close(fd)
    append_line(path, "third")
    assert path.read_text() == "first\nsecond\nthird\n"
    with pytest.raises(WriteError, match="No space left"):
        append_line(Path("/dev/full"), "lost")
    append_line(Path("/dev/null"), "gone")


WRITES = """
import os, signal, sys, time
from pathlib import Path
from avsync_cli.files import file_beside, folder_beside
with file_beside(Path("a.mp4")) as part, folder_beside(Path("run")) as folder:
    part.write_bytes(b"half"); (folder / "b").touch()
    print("ready", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITES], cwd=tmp_path, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    try:
        for writer in writers:
            assert writer.stdout is not None and writer.stdout.readline() == b"ready\n"
        (tmp_path / ".avsync-of-somebody.mp4").touch()
        assert len(names(tmp_path)) == 5
        writers[0].kill()
        writers[0].wait()
        write_whole(tmp_path / "c", b"")
        left = [name for name in names(tmp_path) if name.startswith(".avsync-")]
        assert len(left) == 3, "what is being written, and what is not ours, stays"
        assert sum(f"-{writers[1].pid}-" in name for name in left) == 2
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
