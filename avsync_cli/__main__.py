"""The program: runs the command line and turns every end into a line and an exit code.

Exit codes: 0 all in sync, 1 at least one file out of sync, 2 usage, configuration or missing
ffmpeg, 3 a file undecided or unreadable (and none out of sync), 70 internal error, 129 hung up,
130 interrupted, 141 the reader of our output went away, 143 terminated.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Sequence

from avsync_cli.cli.streams import OutputClosed, make_safe
from avsync_cli.errors import EXIT_INTERNAL, EXIT_INTERRUPTED, EXIT_TERMINATED, AvsyncError
from avsync_cli.interrupt import Terminated, guarded, raise_again

EXIT_PIPE = 141
"""What a shell reports of a program that SIGPIPE ended; 1 would say "out of sync"."""

_ENDS_OF_THEIR_OWN = {"ray", "torch"}
"""Modules that have something to put away when the program ends."""

SIGNALLED = (129, EXIT_INTERRUPTED, EXIT_TERMINATED)


def main(argv: Sequence[str] | None = None) -> int:
    """Run avsync with `argv` (without the program's name) and return its exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    if argv is None:
        make_safe()
        # Threads of numpy's matrices spin while they wait, on the cores that decoder and model use.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        # What is made while modules load stays: looking for rubbish in it takes a while.
        gc.set_threshold(50_000)
    try:
        with guarded():
            code = _ended(args)
    except KeyboardInterrupt:  # in the few instructions around the work itself
        code = EXIT_INTERRUPTED
    except Terminated as signalled:
        code = signalled.exit_code
    if argv is None and (code in SIGNALLED or not _ENDS_OF_THEIR_OWN & sys.modules.keys()):
        # All is closed and written; taking apart what was loaded would only keep a person waiting.
        _flush()
        sys.stderr.flush()
        if code in SIGNALLED and "concurrent.futures.process" in sys.modules:
            gc.collect()  # a pool's semaphores, or a line of Python's says that they are left
        os._exit(code)
    return code


def _ended(args: list[str]) -> int:
    """Run, and turn whatever ended it into a line and an exit code."""
    try:
        try:
            return _run(args)
        except Exception:
            raise_again()
            raise
    except KeyboardInterrupt:
        _say("interrupted")
        _flush()
        return EXIT_INTERRUPTED
    except Terminated as signalled:
        _say("terminated")
        _flush()
        return signalled.exit_code
    except OutputClosed:
        return EXIT_PIPE
    except AvsyncError as error:
        from avsync_cli.cli.output import say_error

        say_error(error.message, error.hint)
        return error.exit_code
    except Exception as error:
        from avsync_cli.cli.output import say_internal

        say_internal(error, trace=_wants_trace(args))
        return EXIT_INTERNAL


def _run(args: list[str]) -> int:
    from avsync_cli.cli.app import run

    code = run(args)
    if code == EXIT_INTERRUPTED:
        _say("interrupted")
    sys.stdout.flush()
    return code


def _flush() -> None:
    """Write out what a signal held up, now: here a reader who never reads cannot hold up the end,
    as he could when Python itself flushes on its way out."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _wants_trace(args: Sequence[str]) -> bool:
    flags = args[: args.index("--")] if "--" in args else args
    short = sum(a.count("v") for a in flags if a.startswith("-v") and set(a[1:]) == {"v"})
    return short + list(flags).count("--verbose") >= 2


if __name__ == "__main__":
    sys.exit(main())
