"""ffprobe's structured answer about a file, where there is an ffprobe beside the ffmpeg in use.

Nothing is read from text that a tag could imitate.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from typing import Any

from avsync_cli.media.child import ask
from avsync_cli.media.ffmpeg import find_ffprobe, input_args
from avsync_cli.media.source import Source

TIMEOUT_S = 60.0

Described = Mapping[str, Any]
"""What ffprobe's JSON holds: "format", "streams", "chapters", "programs"."""


def describe(path: str | os.PathLike[str]) -> Described | None:
    """Everything that ffprobe says of a file's head; None where there is no ffprobe, or no sense
    in its answer."""
    ffprobe = find_ffprobe()
    if ffprobe is None:
        return None
    shown = ["-show_format", "-show_streams", "-show_chapters", "-show_programs", "-of", "json"]
    guards = [word for key, value in input_args().items() for word in (f"-{key}", str(value))]
    argv = [str(ffprobe), "-v", "error", *shown, *guards, Source.of(path).url]
    try:
        code, out = ask(argv, TIMEOUT_S)
        said = json.loads(out)
    except (OSError, ValueError, RecursionError, subprocess.TimeoutExpired):
        return None
    return said if code == 0 and isinstance(said, dict) and "streams" in said else None
