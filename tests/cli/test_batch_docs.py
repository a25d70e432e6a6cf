"""docs/batch.md: every shell block is run as it stands, every flag in the others exists."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from avsync_cli.cli.app import app
from tests.conftest import REPO

PAGE = (REPO / "docs" / "batch.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
SHELL = [text for kind, text in BLOCKS if kind == "sh"]


def _exit_code(script: str) -> int:
    """1 where the last command judges the films below, of which one is out of sync; else 0."""
    last = script.splitlines()[-1]
    judged = re.search(r"(?:^|\| )avsync score", last) is not None
    return int(judged and "film.mp4" not in last)


@pytest.fixture
def films(tmp_path: Path, clips: Path, toy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the page has it: film.mp4 in sync, trailer.mp4 late, rushes/ with one of each;
    and an `avsync` on the PATH."""
    folder = tmp_path / "films"
    (folder / "rushes").mkdir(parents=True)
    for name, clip in (
        ("film.mp4", "sync.mp4"),
        ("trailer.mp4", "late.mp4"),
        ("rushes/it's take 1.mp4", "sync.mp4"),
        ("rushes/take 2.mp4", "late.mp4"),
    ):
        shutil.copyfile(clips / clip, folder / name)
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "avsync"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m avsync_cli "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(REPO))
    monkeypatch.setenv("AVSYNC_MODEL", str(toy))
    monkeypatch.setenv("AVSYNC_STEP", "20")
    return folder


def test_there_are_blocks_to_run() -> None:
    assert len(SHELL) >= 12
    assert sorted({_exit_code(script) for script in SHELL}) == [0, 1]
    assert {kind for kind, _ in BLOCKS} == {
        "sh", "crontab", "slurm", "dockerfile", "yaml", "console",
    }  # fmt: skip


@pytest.mark.skipif(os.name != "posix", reason="POSIX shell")
@pytest.mark.parametrize("script", SHELL, ids=lambda text: text.splitlines()[0][:60])
def test_the_block_runs(script: str, films: Path) -> None:
    for tool in ("jq", "xargs", "find"):
        if re.search(rf"\b{tool}\b", script) and shutil.which(tool) is None:
            pytest.skip(f"{tool} IS MISSING: this block of docs/batch.md was not run")
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=films,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == _exit_code(script), done.stderr
    for word in ("error", "hint", "Traceback", "not found", "syntax"):
        assert word not in done.stderr
    assert "reports" in script or done.stdout or re.search(r"> |-o |--resume", script)
    if "qc.csv" in script:
        table = (films / "qc.csv").read_text(encoding="utf-8").splitlines()
        assert len(table) == 3 and table[0].startswith("path,status,")
    if "qc.jsonl" in script and "part-" not in script:
        assert len((films / "qc.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    assert not [path for path in films.rglob("*.part") if path.is_file()]


def test_what_the_blocks_find(films: Path) -> None:
    """The figures behind the words, for the two blocks whose output is the point."""
    (script,) = [text for text in SHELL if "group_by" in text]
    if shutil.which("jq") is None:
        pytest.skip("jq IS MISSING: the lines were not read with it")
    done = subprocess.run(
        ["sh", "-c", script], cwd=films, capture_output=True, text=True, timeout=300, check=False
    )
    first, *rest = done.stdout.splitlines()
    assert re.fullmatch(r"[\d.]+ ms  rushes/take 2\.mp4", first)
    assert "".join(rest).replace(" ", "") == '{"in_sync":1,"out_of_sync":1}'


@pytest.mark.parametrize("kind", ["slurm", "dockerfile", "yaml", "console"])
def test_what_needs_a_cluster_has_flags_that_exist(kind: str) -> None:
    needed = {"console": "--engine ray"}.get(kind, "")
    (text,) = [text for name, text in BLOCKS if name == kind and needed in text]
    (call,) = re.findall(r"avsync score(?:.|\\\n|\n {14})*", text)
    flags = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", call))
    command = typer.main.get_command(app).commands["score"]  # type: ignore[attr-defined]
    known = {name for param in command.params for name in param.opts}
    assert flags
    assert flags <= known


@pytest.mark.skipif(os.name != "posix", reason="POSIX shell")
def test_the_slurm_script_is_one() -> None:
    (text,) = [text for kind, text in BLOCKS if kind == "slurm"]
    done = subprocess.run(["sh", "-n"], input=text.encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
