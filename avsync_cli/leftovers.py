"""Names for what is not finished yet, and what a process that was killed has left of it.

No program can tidy up behind a SIGKILL or a crash of its own. So a name says who writes, and the
next of us to write into that folder removes what nobody finishes any more.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import secrets
import shutil
import sys
from pathlib import Path

_NOWHERE = "0" * 8
_NAME = re.compile(r"\.avsync-([0-9a-f]{8})-([1-9]\d{0,9})-[0-9a-f]{12}(\.\w+)?")


def unfinished_name(suffix: str = "") -> str:
    """A new name, hidden, that ends with `suffix`."""
    return f".avsync-{_machine()}-{os.getpid()}-{secrets.token_hex(6)}{suffix}"


@functools.cache
def sweep(folder: Path) -> None:
    """Remove what killed processes of this machine have left in `folder`; once a folder."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if match and match.group(1) == _machine() != _NOWHERE and _is_dead(int(match.group(2))):
                remove(Path(entry.path))


def remove(path: Path) -> None:
    """Remove a file, or a folder with all in it, as far as that can be done."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        path.unlink()


def _is_dead(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # somebody else's
        return False
    return False


@functools.cache
def _machine() -> str:
    """What numbers of processes are to be compared within: this machine since it was started, and
    within it the container; zeros where that cannot be told, of which nobody removes anything."""
    if sys.platform != "linux":
        return _NOWHERE
    try:
        boot, container = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
        said = f"{boot.read_text()}{container.readlink()}"
        return hashlib.sha256(said.encode()).hexdigest()[:8]
    except OSError:
        return _NOWHERE
