"""Ctrl-C, SIGTERM and SIGHUP: whenever one comes, the program ends soon and leaves nothing behind.

The first signal becomes an exception in the main thread, which closes what is open on its way out.
Python can raise it only between two of its own instructions, and drops it inside a finaliser; so a
thread that hears of the signal by itself waits a moment, then undoes what is still registered and
ends the process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

GRACE_S = 1.2
"""Time for the orderly way out: with what ending a process costs, two seconds are kept."""

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
_undo: dict[object, Callable[[], object]] = {}
_caught: list[int] = []
_held_back: list[bool] = []
"""One entry for each `held_back` block that the main thread is in."""


class Terminated(BaseException):
    """SIGTERM or SIGHUP, as an exception; `exit_code` is what a shell reports of the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = exit_code(number)


def exit_code(number: int) -> int:
    """What a shell reports of a program that signal `number` ended."""
    return 128 + number


def on_exit(undo: Callable[[], object]) -> Callable[[], None]:
    """Have `undo` called at the program's end should it not have been withdrawn before.

    For what must not outlive us: a child process, half an output file. Registered before the
    thing exists, it leaves no moment at which a signal could lose it.

    Args:
        undo: must be harmless when there is nothing to undo, and callable from any thread.

    Returns:
        a function that withdraws it; may be called twice.
    """
    key = object()
    _undo[key] = undo
    return lambda: (_undo.pop(key, None), None)[1]


def undo_all() -> None:
    """Call everything that has not been withdrawn; one that fails does not stop the others."""
    while _undo:
        with contextlib.suppress(KeyError, Exception):
            _undo.popitem()[1]()


def end_at_once(code: int = 1) -> None:
    """End this process as it stands, but for what has to be undone."""
    undo_all()
    os._exit(code)


def end_with_starter() -> None:
    """Have this process, which another one started, end as soon as that one has."""
    threading.Thread(target=_await_starters_end, daemon=True).start()


def _await_starters_end() -> None:
    # Loaded here, since the program itself, which nobody started so, begins sooner without it.
    from multiprocessing import connection, parent_process

    starter = parent_process()
    if starter is not None:
        with contextlib.suppress(OSError):
            connection.wait([starter.sentinel])
        end_at_once()


@contextmanager
def held_back() -> Iterator[None]:
    """Within the block the exception of a first signal waits for the block's end.

    For the moment between a child's start and the note that it is there: nobody would end a child
    whose starter was interrupted before it had its number. Signals are not blocked, which the child
    would inherit; so the last resort still ends a block that takes too long. Outside of the main
    thread, which alone is interrupted, it does nothing.

    Raises:
        KeyboardInterrupt, Terminated: at the end of the block, if one came meanwhile.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught = len(_caught)
    _held_back.append(True)
    try:
        yield
    finally:
        _held_back.pop()
    if len(_caught) > caught and not _held_back:
        raise _exception(_caught[-1])


def raise_again() -> None:
    """Where an error was caught that may be a signal in disguise: an extension module that is
    interrupted while it is loaded, for one, makes an ImportError of it.

    Raises:
        KeyboardInterrupt, Terminated: a signal has come before.
    """
    if _caught and threading.current_thread() is threading.main_thread():
        raise _exception(_caught[-1]) from None


@contextmanager
def guarded() -> Iterator[None]:
    """Within the block the signals end the program as described above.

    Does nothing to signals outside of the main thread, nor to one that is ignored, as in
    `nohup avsync ...` or a shell script's `avsync ... &`.

    Raises:
        KeyboardInterrupt, Terminated: out of the block, at the first signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _caught.clear()
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    before = {n: signal.getsignal(n) for n in SIGNALS}
    wanted = [n for n, handler in before.items() if handler is not signal.SIG_IGN]
    # A signal to a whole group of processes ends workers, too; of those a finaliser on the way out
    # may complain, which nobody needs to read.
    hook_before = sys.unraisablehook
    sys.unraisablehook = lambda said: None if _caught else hook_before(said)
    fd_before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_last_resort, args=(ours,), daemon=True).start()
    try:
        for number in wanted:
            signal.signal(number, _raise_once)
        yield
    finally:
        undo_all()
        for number in wanted:
            # None stands for a handler that was not set from Python, and cannot be set back.
            signal.signal(number, before[number] or signal.SIG_DFL)
        signal.set_wakeup_fd(fd_before)
        sys.unraisablehook = hook_before
        theirs.close()
        _caught.clear()


def _raise_once(number: int, _: FrameType | None) -> None:
    if _caught:  # already on the way out, which a second exception would only cut short
        return
    _caught.append(number)
    if not _held_back:
        raise _exception(number)


def _exception(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else Terminated(number)


def _last_resort(signals: socket.socket) -> None:
    """Wait for a signal; if the program is still there after the grace, end it."""
    number = 0
    with signals:
        while number not in SIGNALS:
            heard = signals.recv(1)
            if not heard:
                return
            number = heard[0]
        signals.settimeout(GRACE_S)
        try:
            while signals.recv(64):  # further signals change nothing
                pass
            return
        except TimeoutError:
            pass
        end_at_once(exit_code(number))


def _forget() -> None:
    """In a forked child: its signals are not its parent's."""
    _undo.clear()
    with contextlib.suppress(ValueError, OSError):
        signal.set_wakeup_fd(-1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
