"""Models by name: found, opened, and told apart; and what is made ready beside them."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from avsync_cli.config import model_names, models_dir
from avsync_cli.errors import ModelError
from avsync_cli.wording import safe_text

if TYPE_CHECKING:
    from avsync_cli.model.engine import OnnxEngine

log = logging.getLogger(__name__)


@contextmanager
def timed(log: logging.Logger, words: str, what: str | os.PathLike[str]) -> Iterator[None]:
    """Log what the block did, and how long it took: `words` has a place for `what`."""
    began_s = time.perf_counter()
    yield
    log.info(f"{words} in %.2f s", safe_text(os.fspath(what)), time.perf_counter() - began_s)


def load_model(
    model: str | os.PathLike[str] = "default", attention: str | None = None, threads: int = 0
) -> OnnxEngine:
    """Load a model for `score` and `scan`.

    Args:
        model: name of a bundled model, or its folder.
        attention: "none", "temporal" or "spatio-temporal": that variant of the model.
        threads: threads for inference; 0 uses half the cores.

    Raises:
        ModelError: no such model or variant, or a damaged one.
    """
    from avsync_cli.model.engine import load_engine

    chosen = model if isinstance(model, str) else Path(model)
    if attention is not None:
        chosen = find_variant(chosen, attention)
    with timed(log, "model %s: loaded", chosen):
        return load_engine(chosen, threads)


@contextmanager
def prepared(threads: int = 0) -> Iterator[None]:
    """While the block runs, what the first file will want is made ready beside it: ffmpeg is found
    and the face detector loaded. What is wrong with either is told where it is wanted.

    Args:
        threads: of the detector; 0 uses half the cores.
    """

    def prepare() -> None:
        from avsync_cli.media.ffmpeg import find_ffmpeg
        from avsync_cli.regions.faces import CenterFace

        with suppress(Exception):
            find_ffmpeg()
        with suppress(Exception):
            CenterFace(threads=threads)

    beside = threading.Thread(target=prepare, daemon=True)
    beside.start()
    yield
    beside.join()


def model_digest(engine: OnnxEngine) -> str:
    """What differs between two models, also of one name: the digest of a model's description, which
    holds the sums of all its files."""
    return hashlib.sha256((engine.folder / "model.json").read_bytes()).hexdigest()


def find_variant(model: str | Path, attention: str) -> Path:
    """The folder of `model` if it has that attention, else of the bundled `<model>-<attention>`.

    Raises:
        ModelError: neither is there.
    """
    named = models_dir() / model
    folders = [named, named.with_name(f"{named.name}-{attention}")]
    if Path(model).is_dir() and not named.is_dir():
        folders = [Path(model)]
    for folder in folders:
        if _attention(folder) == attention:
            return folder
    have = [f"{name} ({_attention(models_dir() / name)})" for name in model_names()]
    hint = f"there are {', '.join(have)}" if have else "no model is bundled; give a folder"
    raise ModelError(f"model {str(model)!r} has no variant with {attention} attention", hint)


def _attention(folder: Path) -> str:
    """The attention of the model in a folder, "" where there is none that can be read."""
    from avsync_cli.model.folder import read_about

    try:
        config = read_about(folder).config
    except ModelError:
        return ""
    return config.attention if config else ""
