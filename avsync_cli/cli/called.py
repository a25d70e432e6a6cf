"""How the program was called, so that a command that it prints can be typed as it stands."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from avsync_cli.cli.flags_fix import FixFlags
from avsync_cli.cli.takes import words_for
from avsync_cli.config import DEFAULTS, Settings
from avsync_cli.judging import Excerpt

PROGRAM = "avsync"


def fix_words(settings: Settings, excerpt: Excerpt) -> tuple[str, ...]:
    """The start of a command that repairs a file as it was judged: program, `fix`, and every flag
    that changes the answer and is not as `fix` has it by itself."""
    return (
        *program_words(),
        "fix",
        *words_for(FixFlags, settings, DEFAULTS["score"]),
        *words_for(FixFlags, excerpt, Excerpt()),
    )


def program_words() -> tuple[str, ...]:
    """The words that started this program: its plain name only where a shell would find it."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return sys.orig_argv[0], "-m", "avsync_cli"
    if called.stem != PROGRAM:  # inside another program, whose user knows best
        return (PROGRAM,)
    found = shutil.which(PROGRAM)
    try:
        same = found is not None and called.samefile(found)
    except OSError:
        same = True  # called by its name, from a folder that is gone
    return (PROGRAM,) if same else (str(called),)
