"""`avsync streams`: the tracks of a file as the other commands number them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from avsync_cli.__main__ import main
from avsync_cli.media.facts import pick_audio, pick_video
from avsync_cli.media.ffmpeg import find_ffmpeg
from avsync_cli.media.probe import probe
from tests.conftest import REPO

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture and two sound tracks, of which the second is the default."""
    path = tmp_path_factory.mktemp("streams") / "film.mkv"
    command = [str(find_ffmpeg()), "-v", "error", "-f", "lavfi", "-i", "testsrc=s=64x48:d=1:r=25"]
    command += ["-f", "lavfi", "-i", "sine=d=1:r=48000", "-f", "lavfi", "-i", "sine=d=1:r=16000"]
    command += ["-map", "0", "-map", "1", "-map", "2", "-c:v", "mpeg4", "-c:a", "flac"]
    command += ["-metadata:s:a:0", "language=deu", "-metadata:s:a:1", "language=eng"]
    command += ["-metadata:s:a:1", "title=Director\u202e", "-disposition:a:0", "0"]
    command += ["-disposition:a:1", "default", str(path)]
    subprocess.run(command, check=True, timeout=60)
    return path


def test_the_json_says_what_is_judged(film: Path, capsys: Capture) -> None:
    assert main(["streams", "--json", str(film), str(film.parent / "gone.mkv")]) == 3
    out, err = capsys.readouterr()
    document = json.loads(out)
    (entry,) = document["files"]
    assert [error["path"] for error in document["errors"]] == [str(film.parent / "gone.mkv")]
    assert "error: no such file" in err
    assert entry["duration_s"] == pytest.approx(1.0, abs=0.1)
    (video,) = entry["video"]
    assert (video["number"], video["width"], video["height"], video["fps"]) == (0, 64, 48, 25.0)
    assert [(a["number"], a["language"], a["default"], a["judged"]) for a in entry["audio"]] == [
        (0, "deu", False, False), (1, "eng", True, True),
    ]  # fmt: skip
    assert [a["rate_hz"] for a in entry["audio"]] == [48_000, 16_000]
    info = probe(film)
    for kind, pick in (("video", pick_video), ("audio", pick_audio)):
        for track in entry[kind]:
            assert pick(info, track["number"]).codec == track["codec"]
        assert pick(info, None).position == next(t["number"] for t in entry[kind] if t["judged"])


def test_the_table_is_safe_to_show(film: Path, capsys: Capture) -> None:
    assert main(["streams", str(film)]) == 0
    head, names, *tracks = capsys.readouterr().out.splitlines()
    assert head.startswith(f"{film}: matroska")
    assert names.split() == ["track", "codec", "what", "language", "default", "judged", "title"]
    assert len(tracks) == 3
    assert tracks[1].split() == ["--audio-track", "0", "flac", "48", "kHz,", "1", "ch", "deu"]
    assert tracks[2].endswith("default  judged  Director\\u202e")
    assert max(map(len, tracks)) <= 100


def test_the_table_where_little_can_be_shown(film: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(REPO), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "avsync_cli", "streams", str(film)]
    said = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, timeout=60).stdout
    assert b" 64x48, 25 fps" in said
