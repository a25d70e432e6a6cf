"""Who gets how many of the processor's cores."""

from __future__ import annotations

from pathlib import Path

import pytest

from avsync_cli import onnx_runtime
from avsync_cli.media import picture
from avsync_cli.media.decode import Timeline
from avsync_cli.onnx_runtime import session_options
from tests.conftest import REPO

SAMPLE = REPO / "docs" / "sample" / "talker.mp4"


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (3, 1), (8, 4)])
def test_a_network_gets_half_the_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: int
) -> None:
    monkeypatch.setattr(onnx_runtime, "usable_cores", lambda: cores)
    assert session_options(0).intra_op_num_threads == threads
    assert session_options(3).intra_op_num_threads == 3


@pytest.mark.parametrize(
    ("cores", "asked", "most_px", "threads"),
    [(2, 0, 10**6, "1"), (4, 0, 10**6, "0"), (2, 0, 10_000, "0"), (2, 3, 10**6, "3")],
)
def test_a_small_picture_is_decoded_by_one_thread_where_cores_are_few(
    monkeypatch: pytest.MonkeyPatch, cores: int, asked: int, most_px: int, threads: str
) -> None:
    monkeypatch.setattr(picture, "usable_cores", lambda: cores)
    monkeypatch.setattr(picture, "SMALL_PX", most_px)
    commands: list[list[str]] = []
    stream = picture.FfmpegStream

    def watched(argv: list[str], *, path: Path, **options: object) -> object:
        commands.append(argv)
        return stream(argv, path=path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(picture, "FfmpegStream", watched)
    with Timeline(SAMPLE, duration_s=1.0, threads=asked):
        pass
    (argv,) = commands
    assert argv[argv.index("-threads") + 1] == threads
