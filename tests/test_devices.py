"""Devices, pipes, sockets and open files are written to, and stay what they are."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from avsync_cli.errors import WriteError
from avsync_cli.files import write_whole
from tests.writers import MUCH, WRITERS, names

pytestmark = pytest.mark.skipif(os.name == "nt", reason="devices and limits of Unix")


@pytest.mark.parametrize("write", WRITERS)
def test_a_device_stays_one(tmp_path: Path, write: Callable[[Path, bytes], None]) -> None:
    place = tmp_path / "null"
    try:
        os.mknod(place, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        place.symlink_to("/dev/null")
    for path in (place, Path("/dev/null")):
        write(path, MUCH)
        assert stat.S_ISCHR(path.stat().st_mode)
    assert names(tmp_path) == ["null"]
    with pytest.raises(WriteError, match="No space left"):
        write(Path("/dev/full"), MUCH)
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


@pytest.mark.parametrize("write", WRITERS)
def test_a_pipe_is_written_to(tmp_path: Path, write: Callable[[Path, bytes], None]) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()), daemon=True)
    reader.start()
    write(path, MUCH)
    reader.join(timeout=30)
    assert got == [MUCH]
    assert stat.S_ISFIFO(path.stat().st_mode) and names(tmp_path) == ["pipe"]


@pytest.mark.parametrize("write", WRITERS)
def test_a_socket_is_written_to(tmp_path: Path, write: Callable[[Path, bytes], None]) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        got: list[bytes] = []

        def read() -> None:
            line, _ = server.accept()
            with line, line.makefile("rb") as stream:
                got.append(stream.read())

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        write(path, MUCH)
        reader.join(timeout=30)
    assert got == [MUCH]
    with pytest.raises(WriteError, match=r"cannot write .*socket"):  # nobody listens any more
        write(path, MUCH)
    assert stat.S_ISSOCK(path.stat().st_mode) and names(tmp_path) == ["socket"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_an_open_file_without_a_name_is_written_to(tmp_path: Path) -> None:
    with (tmp_path / "gone").open("w+b") as file:
        (tmp_path / "gone").unlink()
        write_whole(Path(f"/proc/self/fd/{file.fileno()}"), "kept")
        file.seek(0)
        assert file.read() == b"kept"
    assert names(tmp_path) == []


def test_a_file_opened_for_us_is_gone_on_with(tmp_path: Path) -> None:
    """Its earlier lines stay, and it stays the file that its opener knows."""
    log = tmp_path / "log"
    for place in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
        log.write_bytes(b"first\n")
        code = "from pathlib import Path; from avsync_cli.files import write_whole\n"
        code += f"write_whole(Path({place!r}), b'second\\n')"
        with log.open("ab") as opened:
            subprocess.run([sys.executable, "-c", code], stdout=opened, check=True, timeout=60)
            opened.write(b"third\n")
        assert log.read_bytes() == b"first\nsecond\nthird\n"
    with pytest.raises(WriteError, match="Bad file descriptor"):
        write_whole(Path("/dev/fd/987"), b"")
    assert names(tmp_path) == ["log"]
