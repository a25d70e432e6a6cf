"""Every file and folder that avsync writes: whole, or not at all.

What is new stands beside its place until it is complete: written, brought to the disk with the
result looked at, compared in size with what was meant, and only then renamed. The old one is there
until that moment; what an error or a signal interrupts is removed. A device, pipe or socket is
written to and never renamed over.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from avsync_cli.devices import HINT, cannot, is_special, open_special, stream_to, telling
from avsync_cli.errors import WriteError
from avsync_cli.interrupt import held_back, on_exit
from avsync_cli.leftovers import remove, sweep, unfinished_name

_LEAST_ROOM_BYTES = 1 << 18

_NO_SYNC = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EBADF, errno.EACCES})
"""What file systems answer that know no fsync, or none of folders; all else is a failure."""


def write_whole(path: Path, data: bytes | str, *, overwrite: bool = True) -> None:
    """Write bytes, or text as UTF-8, to `path`.

    Args:
        path: links are followed.
        data: all of it.
        overwrite: whether what is there already may be replaced.

    Raises:
        WriteError: it cannot be written; what was there still is.
    """
    with open_whole(path, overwrite=overwrite) as stream:
        stream.write(data.encode("utf-8") if isinstance(data, str) else data)


@contextmanager
def open_whole(path: Path, *, overwrite: bool = True) -> Iterator[BinaryIO]:
    """A stream of bytes that becomes `path` when the block ends without an exception.

    Raises:
        WriteError: as `write_whole`; also from the stream's own methods.
    """
    if is_special(path):
        if not overwrite:
            raise _taken(path)
        with open_special(path) as stream:
            yield stream
        return
    with file_beside(path, overwrite=overwrite) as part:
        with stream_to(os.open(part, os.O_WRONLY), path) as stream:
            yield stream
            stream.flush()
            wrote = stream.tell()
        if part.stat().st_size != wrote:
            raise WriteError(f"cannot write {path}: the disk kept a part of it only", HINT)


@contextmanager
def file_beside(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """An empty file beside `path`, of the same extension, for a program to write into.

    It takes the place of `path` when the block ends without an exception. Whoever has the program
    write must look at its result: an fsync cannot tell what the program did not write.

    Raises:
        WriteError: as `write_whole`.
    """
    if not overwrite and os.path.lexists(path):
        raise _taken(path)
    special = is_special(path)
    place = Path(os.path.realpath(path)) if overwrite else path.absolute()
    part = _beside(Path(tempfile.gettempdir()) / "x" if special else place, path.suffix.lower())
    withdraw = on_exit(functools.partial(remove, part))
    try:
        with telling(path, part):
            # Nobody may read it earlier than what it takes the place of.
            private = special or place.exists()
            os.close(os.open(part, os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666))
            yield part
            _sync(part)
            if special:
                _pour(part, path)
                return
            if overwrite:
                _keep_rights(place, part)
                part.replace(place)
            else:
                _name(part, path)
            _sync(place.parent)
    finally:
        remove(part)
        withdraw()


@contextmanager
def folder_beside(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """An empty folder beside `path` that takes its place when the block ends without an exception.

    Between the two renames that this takes, the old folder has another name, under which
    `settle_folder` finds it should the machine stop there.

    Raises:
        WriteError: it cannot be written, or may not replace what is there.
    """
    place = Path(os.path.realpath(path))
    beside = _beside(place)
    withdraw = on_exit(functools.partial(remove, beside))
    try:
        with telling(path, beside):
            place.parent.mkdir(parents=True, exist_ok=True)
            beside.mkdir()
            yield beside
            for folder, _, names in os.walk(beside, topdown=False):
                for name in names:
                    _sync(Path(folder, name))
                _sync(Path(folder))
            with held_back():
                _put_folder(beside, place, path, overwrite)
            _sync(place.parent)
    finally:
        remove(beside)
        withdraw()


def replace_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Have `fill` write into a folder beside `path`, which then takes its place.

    Raises:
        WriteError: as `folder_beside`.
    """
    with folder_beside(path) as beside:
        fill(beside)


def settle_folder(path: Path) -> bool:
    """Whether there is such a folder, bringing back what a stopped `folder_beside` set aside."""
    place = Path(os.path.realpath(path))
    if not place.exists() and _aside(place).exists():
        _aside(place).rename(place)
    return place.exists()


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for what is needed for a while, in the system's place for that."""
    folder = _beside(Path(tempfile.gettempdir()) / "x")
    withdraw = on_exit(functools.partial(remove, folder))
    try:
        with telling(folder, folder):
            folder.mkdir(mode=0o700)
        yield folder
    finally:
        remove(folder)
        withdraw()


def append_whole(fd: int, data: bytes, path: Path) -> None:
    """Write `data` to the end of an open file and bring it to the disk.

    Args:
        fd: opened with O_APPEND.
        data: a line of a journal with its newline, as a rule.
        path: its name, for messages.

    Raises:
        WriteError: the disk is full or gone; of a regular file's `data` nothing stays.
    """
    before = os.fstat(fd)
    rest = data
    try:
        while rest:
            rest = rest[os.write(fd, rest) :]
        _fsync(fd)
    except OSError as error:
        if stat.S_ISREG(before.st_mode):
            with contextlib.suppress(OSError):
                os.ftruncate(fd, before.st_size)
        raise cannot(path, error) from None


def append_line(path: Path, line: str) -> None:
    """Add one line to a text file, made where it is missing.

    Raises:
        WriteError: as `append_whole`.
    """
    with telling(path, path):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            append_whole(fd, f"{line}\n".encode(), path)
        finally:
            os.close(fd)


def has_no_room(folder: Path) -> bool:
    """Whether a disk is as good as full: what a program wrote last may not be on it."""
    try:
        return shutil.disk_usage(folder).free < _LEAST_ROOM_BYTES
    except OSError:
        return False


def no_room(path: Path) -> WriteError:
    """The error for a full disk, where a program met it that cannot say so."""
    return cannot(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))


# --- Steps ----------------------------------------------------------------------------------------


def _taken(path: Path) -> WriteError:
    return WriteError(f"{path} exists already; nothing is overwritten", "name another")


def _pour(part: Path, path: Path) -> None:
    with open_special(path) as stream, part.open("rb") as ready:
        shutil.copyfileobj(ready, stream)


def _beside(place: Path, suffix: str = "") -> Path:
    sweep(place.parent)
    return place.with_name(unfinished_name(suffix))


def _aside(place: Path) -> Path:
    return place.with_name(f".{place.name}.old")


def _sync(path: Path) -> None:
    """Have the system write down a file, or a folder's names.

    Raises:
        OSError: it could not.
    """
    try:
        fd = os.open(path, os.O_RDONLY)
    except PermissionError:  # a folder without the right to list it, and every one on Windows
        return
    try:
        _fsync(fd)
    finally:
        os.close(fd)


def _fsync(fd: int) -> None:
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def _keep_rights(place: Path, part: Path) -> None:
    """Give `part` the owner and mode of what it takes the place of, as far as we may."""
    try:
        old = place.stat()
    except OSError:
        return
    with contextlib.suppress(OSError):
        os.chown(part, old.st_uid, old.st_gid)
    with contextlib.suppress(OSError):
        part.chmod(stat.S_IMODE(old.st_mode))


def _name(part: Path, path: Path) -> None:
    """Rename a file, but never over another; a link, unlike a rename, cannot be."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise _taken(path) from None
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise _taken(path) from None
        part.rename(path)


def _put_folder(beside: Path, place: Path, path: Path, overwrite: bool) -> None:
    there = settle_folder(place)
    if there and not overwrite:
        raise _taken(path)
    old = _aside(place)
    remove(old)
    if there:
        place.rename(old)
    try:
        beside.rename(place)
    except OSError:
        if there:
            old.rename(place)
        elif place.exists():  # somebody else was quicker
            raise _taken(path) from None
        raise
    remove(old)
