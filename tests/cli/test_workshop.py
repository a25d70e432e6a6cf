"""The commands that make and measure models, through the command line."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from avsync_cli.__main__ import main
from avsync_cli.cli import extras
from avsync_cli.errors import UsageError
from tests.conftest import REPO


def test_eval_measures_a_folder(
    clips: Path, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "figures.json"
    args = ["eval", str(clips), "--model", str(toy), "--cache", str(tmp_path / "cache")]
    args += ["--windows", "2s", "--workers", "1"]
    assert main([*args, "--json", "-o", str(target)]) == 0
    assert capsys.readouterr().out == ""
    figures = json.loads(target.read_bytes())
    (row,) = [row for row in figures["placement"] if row["source"] == "all"]
    assert row["frames"] == 50
    # One of three clips is in sync; the others carry 200 and 240 ms, five and six frames.
    assert row["within"] == pytest.approx(1 / 3, abs=0.1)
    assert main(args) == 0
    assert "placed within one frame of 0" in capsys.readouterr().out


def test_eval_writes_a_report_without_torch(
    clips: Path, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report"
    args = ["eval", str(clips), "--model", str(toy), "--cache", str(tmp_path / "cache")]
    args += ["--compare", "motion", "--windows", "5f,25f", "--windows-a-clip", "2"]
    args += ["--parts", "windows,showcase", "--workers", "1", "--report", str(report)]
    code = (
        "import sys\nfrom avsync_cli.__main__ import main\n"
        f"assert main({args!r}) == 0\nassert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=REPO, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "compared, all sources" in done.stdout
    document = json.loads((report / "report.json").read_bytes())
    (other,) = document["others"]
    assert other["note"] == "no learning"
    rows = {r["frames"]: r for r in document["placement"] if r["source"] == "all"}
    assert [rows[n]["by"] for n in (5, 25)] == ["similarity", "decision"]
    assert rows[25]["own_within"] > 0.9  # two of the three are late or early, each by its own
    assert (report / "accuracy-rule-0.svg").is_file()
    assert (report / "attention-1.svg").is_file()
    assert "Compared" in (report / "report.md").read_text()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thing").write_text("")
    assert main([*args[:-1], str(tmp_path / "other")]) == 2
    assert "holds other things" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["eval", "x", "--windows", "4f"], "no window can be 4f long"),
        (["eval", "x", "--parts", "windows,wind"], "'wind'"),
        (["train", "x", "--out", "run", "--baseline", "ours"], "unknown baseline"),
        (["eval", "x", "--windows", "1.5s"], "no window can be 1.5s long"),
        (["eval", "x", "--shifts", "80,soon"], "no list of ms"),
        (["eval", "x"], "x"),
        (["eval", "clips.csv", "-o", "clips.csv"], "--output clips.csv would overwrite an input"),
        (["eval", "clips.csv", "-o", "-"], "--output - names no file"),
        (["train", "x", "--out", "run", "--attention", "total"], "unknown attention"),
        (["train", "x", "--out", "run", "--steps", "0"], "--steps"),
        (["train", "x", "--out", "run"], "x"),
        (
            ["train", "clips.csv", "--out", "clips.csv/run"],
            "--out: cannot make clips.csv/run: Not a",
        ),
        (["export", "x", "y"], "x"),
    ],
)
def test_mistakes(
    args: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "clips.csv").write_text("path\nx.mp4\n")
    assert main(args) == 2
    assert (tmp_path / "clips.csv").read_text() == "path\nx.mp4\n"
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert words in err.splitlines()[0]


def test_a_report_that_cannot_be_written_is_told_before_any_work(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda _, mode, **__: not mode & os.W_OK)
    args = ["eval", str(tmp_path / "none.csv"), "--report", str(tmp_path / "new" / "report")]
    assert main(args) == 2
    assert f"error: --report: cannot write into {tmp_path}\n" in capsys.readouterr().err


def test_a_list_without_a_clip_that_can_be_used_is_an_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "clips.csv").write_text("path\nx.mp4\ny.mp4\n")
    pack, cache = str(tmp_path / "p.avpack"), ["--cache", str(tmp_path / "cache")]
    assert main(["eval", str(tmp_path / "clips.csv"), *cache]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "clips.csv can be used, the first for: cannot read" in err
    (tmp_path / "clips.csv").write_text("path,split\nx.mp4,test\n")
    args = ["train", str(tmp_path / "clips.csv"), *cache, "--out", str(tmp_path / "run")]
    for each in (args, [*args, "--pack", pack]):
        assert main(each) == 2
        assert "may be learnt from" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "export"])
def test_the_help_says_where_the_extra_comes_from(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "Needs the extra: pip install '.[train]' in a clone." in words


def test_a_missing_extra_is_named() -> None:
    with pytest.raises(UsageError, match="needs torch") as caught, extras.train_extra("train"):
        raise ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn")
    assert "pip install '.[train]'" in caught.value.hint
    with pytest.raises(ModuleNotFoundError), extras.train_extra("train"):
        raise ModuleNotFoundError("No module named 'colour'", name="colour")


def test_every_default_of_train_is_in_its_help() -> None:
    import typer.main

    from avsync_cli.cli.app import app
    from avsync_cli.training.options import TrainOptions

    params = {
        param.name: param
        for param in typer.main.get_command(app).commands["train"].params  # type: ignore[attr-defined]
    }
    defaults = {f.name: f.default for f in dataclasses.fields(TrainOptions) if f.name in params}
    assert len(defaults) > 20
    for name, value in defaults.items():
        if value is dataclasses.MISSING:
            continue
        shown = "none" if value in (None, "") else value
        if isinstance(value, bool):
            shown = "on" if value else "off"
        assert f"[default: {shown}]" in params[name].help.replace("\\[", "["), name


def test_progress_off_a_terminal_says_how_long_the_rest_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from avsync_cli.cli import progress

    now_s = 1000.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now_s)
    with progress.StageProgress() as told:
        for done in range(100, 201, 10):  # taken up at 100
            told("train", done, 200, {"loss": 1.5})
            now_s += 36.0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "train loss 1.5  100/200"
    assert lines[1] == "train loss 1.5  110/200, 5:24 left"
    assert lines[-1] == "train loss 1.5  200/200"
