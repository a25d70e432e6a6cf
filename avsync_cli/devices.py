"""What can be written to and is no file: devices, pipes, sockets, and files that are open already.

Also what the system says against writing, in a person's words.
"""

from __future__ import annotations

import errno
import io
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from avsync_cli.errors import WriteError

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

HINT = "make room there, or name another place"


def cannot(path: Path, error: OSError) -> WriteError:
    """What the system says against writing `path`, and what to do about it."""
    full = error.errno is None or error.errno in NO_ROOM
    hint = HINT if full else "check its folder and its rights"
    return WriteError(f"cannot write {path}: {error.strerror or error}", hint)


@contextmanager
def telling(path: Path, part: Path) -> Iterator[None]:
    """Make WriteErrors of what the system says of `part`, and of a full disk; the block's other
    errors are somebody else's. NumPy gives no number for a full disk."""
    try:
        yield
    except OSError as error:
        name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
        below = name.startswith((os.fspath(part), os.fspath(path)))
        ours = below or (bool(name) and os.path.realpath(path).startswith(name))
        if ours or error.errno is None or error.errno in NO_ROOM | {errno.EIO, errno.EROFS}:
            raise cannot(path, error) from None
        raise


class _Raw(io.FileIO):
    """A file that raises WriteErrors, so that its user's other errors are not taken for them."""

    def __init__(self, fd: int, path: Path) -> None:
        super().__init__(fd, "wb")
        self._path = path

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise cannot(self._path, error) from None


def stream_to(fd: int, path: Path) -> BinaryIO:
    """A stream into an open file, which raises WriteErrors."""
    return cast(BinaryIO, io.BufferedWriter(_Raw(fd, path)))


def _descriptor(path: Path) -> int | None:
    """The number of the open file that `path` names, as /dev/stdout and /dev/fd/3 do; else None.

    Opened by its own name it would be written from its beginning on, or renamed over.
    """
    ours = (os.path.realpath("/dev/fd"), f"/proc/{os.getpid()}/fd")
    for _ in range(8):  # links as a rule: /dev/stdout, /proc/self/fd/1, the file itself
        name = path.name
        if name.isdecimal() and len(name) < 9 and os.path.realpath(path.parent) in ours:
            return int(name)
        if not path.is_symlink():
            break
        path = path.parent / path.readlink()
    return None


def open_special(path: Path) -> BinaryIO:
    """A stream into what is no file.

    Raises:
        WriteError: it cannot be opened; also from the stream's own methods.
    """
    return stream_to(_opened(path), path)


def _opened(path: Path) -> int:
    with telling(path, path):
        if (number := _descriptor(path)) is not None:
            try:
                return os.dup(number)
            except OSError as error:  # it is not open
                raise cannot(path, error) from None
        if not stat.S_ISSOCK(path.stat().st_mode):
            return os.open(path, os.O_WRONLY)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            try:
                line.connect(os.fspath(path))
            except OSError as error:  # it does not name the socket
                raise cannot(path, error) from None
            return line.detach()


def is_special(path: Path) -> bool:
    """Whether `path` leads to a device, pipe or socket, or to a file that somebody has opened for
    us: one without a name, or one named by its number, as /dev/stdout does."""
    if _descriptor(path) is not None:
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    if stat.S_ISDIR(mode):
        return False
    return not stat.S_ISREG(mode) or not Path(os.path.realpath(path)).exists()
