"""`--watch`: files that have landed are judged once, those that still grow are not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pytest

from avsync_cli.__main__ import main
from avsync_cli.cli.watch import POLL_S, STABLE_S, landings
from tests.cli.conftest import clips, toy
from tests.conftest import REPO

__all__ = ["clips", "toy"]


def test_a_file_lands_when_it_has_stood_still(tmp_path: Path) -> None:
    now_s = 0.0
    films = tmp_path / "in"
    (films / "deep").mkdir(parents=True)
    (films / "there.mp4").write_bytes(b"1")
    (films / "empty.mp4").touch()
    (films / ".hidden.mp4").write_bytes(b"1")
    (films / "note.txt").write_bytes(b"1")
    (films / "deep" / "below.mp4").write_bytes(b"1")

    def wait(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds
        if now_s <= 8.0:
            with (films / "grows.mov").open("ab") as stream:
                stream.write(b"1")
        if now_s == 20.0:
            (films / "there.mp4").write_bytes(b"22")
        assert now_s < 100.0

    landed = []
    for sources in islice(landings(str(films), False, wait=wait, clock=lambda: now_s), 3):
        landed.append(([Path(source.path).name for source in sources], now_s))
    assert landed == [
        (["there.mp4"], STABLE_S),
        (["grows.mov"], 8.0 + STABLE_S),
        (["there.mp4"], 20.0 + STABLE_S),  # replaced
    ]
    assert POLL_S < STABLE_S
    deep = next(landings(str(films), True, wait=wait, clock=lambda: now_s))
    assert sorted(Path(source.path).name for source in deep) == [
        "below.mp4", "grows.mov", "there.mp4",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["none"], "--watch: there is no folder none"),
        ([".", "a.mp4"], "--watch and files exclude"),
        ([".", "--json"], "--watch and --json exclude"),
        ([".", "-o", "a.txt"], "--watch and --output exclude"),
        ([".", "--html", "a.html"], "--watch and --html with a file exclude"),
        ([".", "--overlay", "."], "--overlay lies in the folder that is watched"),
        ([".", "--plot", "a.png"], "--plot writes one file a film"),
    ],
)
def test_what_watching_cannot_mean(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    args: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["score", "--watch", *args]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="SIGINT is sent to one process")
def test_an_ingest_folder(tmp_path: Path, clips: Path, toy: Path) -> None:
    folder, pages = tmp_path / "in", tmp_path / "pages"
    folder.mkdir()
    pages.mkdir()
    journal = tmp_path / "qc.jsonl"
    command = [sys.executable, "-m", "avsync_cli", "score", "--model", str(toy), "--step", "20"]
    command += ["--watch", str(folder), "--jsonl", "--html", str(pages)]
    around = {**os.environ, "PYTHONPATH": str(REPO)}
    with journal.open("wb") as out:
        program = subprocess.Popen(
            command, cwd=tmp_path, env=around, stdout=out, stderr=subprocess.PIPE
        )
    try:
        for number, clip in enumerate(("sync.mp4", "late.mp4"), 1):
            (folder / clip).write_bytes((clips / clip).read_bytes())
            _wait_for(lambda n=number: _lines(journal) == n)
        (folder / "broken.mp4").write_bytes(b"no film")
        _wait_for(lambda: "broken.mp4" in (pages / "index.html").read_text())
    finally:
        program.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, err = program.communicate(timeout=60)
    assert time.monotonic() - began < 20.0
    assert program.returncode == 1
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [line["status"] for line in lines] == ["in_sync", "out_of_sync", "error"]
    assert sorted(path.name for path in pages.iterdir()) == [
        "broken.html", "index.html", "late.html", "sync.html",
    ]  # fmt: skip
    assert b"3 files: 1 in sync, 1 out of sync, 1 could not be judged" in err
    assert err.count(b"error: not a media file") == 1
    assert b"Traceback" not in err


def _lines(journal: Path) -> int:
    return len(journal.read_text().splitlines())


def _wait_for(done: object, limit_s: float = 180.0) -> None:
    end = time.monotonic() + limit_s
    while not done():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.5)
