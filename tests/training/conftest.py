"""Rendered clips that the tests of this room share."""

from __future__ import annotations

import pytest

from avsync_cli.corpus.cache import CachedClip
from avsync_cli.corpus.rendered import rendered_clips


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[CachedClip]:
    return rendered_clips(5, seed=7, cache_dir=tmp_path_factory.mktemp("crops"))
