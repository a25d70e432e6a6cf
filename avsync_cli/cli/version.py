"""What `avsync --version` says: every part that an answer depends on."""

from __future__ import annotations

from importlib import metadata

from avsync_cli._version import __version__
from avsync_cli.config import DEFAULTS, models_dir
from avsync_cli.errors import AvsyncError, ModelError
from avsync_cli.media.ffmpeg import ffmpeg_version, find_ffmpeg
from avsync_cli.model.folder import read_bundle


def version_lines() -> list[str]:
    """Lines for avsync, ffmpeg, the default model and the backend; a missing part says so."""
    return [f"avsync {__version__}", _ffmpeg(), _model(), _backend()]


def _ffmpeg() -> str:
    try:
        return f"ffmpeg {ffmpeg_version()} ({find_ffmpeg()})"
    except AvsyncError as error:
        return f"ffmpeg missing: {error.hint or error.message}"


def _model() -> str:
    name = DEFAULTS["score"].model
    try:
        about, config = read_bundle(models_dir() / name)
    except ModelError:
        return f"model {name}: missing from {models_dir()}"
    return f"model {name} {about.version} ({config.attention} attention)"


def _backend() -> str:
    try:
        return f"backend onnxruntime {metadata.version('onnxruntime')}"
    except metadata.PackageNotFoundError:
        return "backend onnxruntime: missing"
