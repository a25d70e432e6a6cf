"""`--slate`: the clap is named in the sentence, in JSON, on the page, and when it is told again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.slates import CLAP_S, RATE_HZ, write_slate


@pytest.fixture(scope="module")
def slate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slate") / "take.mp4"
    write_slate(path, "25", 62.0)
    return path


def test_the_clap_is_named_everywhere(avsync: Run, slate: Path, toy: Path, tmp_path: Path) -> None:
    told = avsync("score", "--slate", "--model", toy, "--html", "page.html", slate)
    sentence = told.stdout.decode()
    assert "clap at 0:03.4" in sentence and "(frame 8" in sentence
    assert "; clap at" in (tmp_path / "page.html").read_text()
    lines = avsync("score", "--slate", "--model", toy, "--jsonl", slate).stdout
    clap = json.loads(lines)["clap"]
    assert clap["offset_ms"] == pytest.approx(62.0, abs=20.0)
    assert clap["sample"] == pytest.approx((CLAP_S + 0.062) * RATE_HZ, abs=RATE_HZ / 1000)
    assert clap["sound_s"] - clap["picture_s"] == pytest.approx(clap["offset_ms"] / 1000, abs=1e-5)
    (tmp_path / "run.jsonl").write_bytes(lines)
    again = avsync("report", "run.jsonl").stdout.decode()
    late = f"sound {round(clap['offset_ms'])} ms late"
    assert late in sentence and late in again


def test_where_none_stands_out_it_is_said(avsync: Run, clips: Path, toy: Path) -> None:
    told = avsync("score", "--slate", "--model", toy, "--json", clips / "late.mp4").stdout
    (file,) = json.loads(told)["files"]
    assert file["clap"] is None
    assert "no clap stands out in the first 30 s" in file["reasons"]
    told = avsync("score", "--model", toy, "--json", clips / "late.mp4").stdout
    (file,) = json.loads(told)["files"]
    assert file["clap"] is None
    assert not any("clap" in reason for reason in file["reasons"])
