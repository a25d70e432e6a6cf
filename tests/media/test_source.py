"""The three names of a file."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsync_cli.media.source import Source
from avsync_cli.wording import safe_text

NAMES = st.binary(min_size=1, max_size=40).filter(lambda b: b"\0" not in b).map(os.fsdecode)


@given(NAMES)
def test_any_name_is_shown_on_one_printable_line(name: str) -> None:
    source = Source.of(name)
    assert source.path == name
    assert source.shown.isprintable()
    assert source.shown == safe_text(name)
    assert source.url.startswith("file:/")
    assert os.fspath(source) == name
    assert pickle.loads(pickle.dumps(source)) == source


def test_ffmpeg_is_given_the_file_where_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = Source.of("a.mp4")
    monkeypatch.chdir("/")
    assert source.url == f"file:{tmp_path / 'a.mp4'}"
