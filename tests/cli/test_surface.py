"""The commands and flags people and scripts rely on: additions are fine, changes are news."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
import typer.main

from avsync_cli.__main__ import main
from avsync_cli.cli.app import COMMANDS, app, help_text, root

_JUDGE = {
    "--range", "--step", "--tolerance", "--min-confidence", "--model", "--attention",
    "--video-track", "--audio-track", "--all-audio", "--start", "--duration", "--recursive",
    "-r", "--files-from",
    "--json", "--jsonl", "--csv", "--output", "-o", "--blocks", "--github", "--pieces",
    "--quiet", "-q",
    "--verbose", "-v", "--no-color", "--exit-zero", "--strict", "--threads", "--config", "--jobs",
    "-j", "--resume", "--shard", "--watch", "--engine", "--html", "--plot", "--overlay",
    "--markers", "--slate", "--quick", "--until", "--most",
    "--tracks", "--boxes", "--crops", "--align",
}  # fmt: skip

FLAGS = {
    "score": _JUDGE,
    "offset-scan": _JUDGE,
    "fix": {
        "--output", "-o", "--out-dir", "--in-place", "--offset", "--pitch", "--force", "--dry-run",
        "--keep-unverified", "--range", "--step", "--tolerance", "--min-confidence",
        "--model", "--attention", "--video-track", "--audio-track", "--start", "--duration",
        "--quiet", "-q", "--verbose", "-v", "--no-color", "--threads", "--config",
    },
    "report": {
        "--csv", "--pieces", "--junit", "--github", "--output", "-o", "--html", "--quiet", "-q",
        "--no-color", "--exit-zero",
    },
    "train": {
        "--out", "-o", "--cache", "--attention", "--size", "--steps", "--batch", "--learning-rate",
        "--sound", "--visual-layers", "--sound-layers", "--start", "--frames", "--frozen",
        "--warmup", "--synthetic", "--val-share", "--val-every", "--seed", "--workers",
        "--checkpoint-minutes", "--device", "--precision", "--tensorboard", "--baseline",
        "--encoders", "--windows", "--realign-at", "--pieces", "--on-device",
        "--pack", "--pack-mib",
        "--product", "--no-product", "--similarity-skip", "--no-similarity-skip",
    },
    "eval": {
        "--model", "--split", "--kind", "--windows", "--windows-a-clip", "--shifts", "--range",
        "--cache", "--workers", "--json", "--output", "-o", "--compare", "--own-zero", "--parts",
        "--seed", "--report",
    },
    "export": {"--name", "--calibrate", "--int8", "--cache"},
    "streams": {"--recursive", "-r", "--json"},
    "explain": set(),
}  # fmt: skip


def _commands() -> dict[str, typer.main.TyperCommand]:
    group = typer.main.get_command(app)
    return dict(group.commands)  # type: ignore[attr-defined]


def test_the_list_of_commands() -> None:
    assert list(_commands()) == [
        "score", "offset-scan", "fix", "report", "streams", "train", "eval", "export", "explain",
    ]  # fmt: skip


@pytest.mark.parametrize("name", sorted(FLAGS))
def test_the_list_of_flags(name: str) -> None:
    options = {
        word
        for param in _commands()[name].params
        if param.param_type_name == "option"
        for word in (*param.opts, *param.secondary_opts)
    }
    assert options == FLAGS[name]


@pytest.mark.parametrize("name", sorted(FLAGS))
def test_help_begins_with_a_sentence_and_examples(name: str) -> None:
    text = help_text(COMMANDS[name])
    first, second, third, *_ = text.split("\n\n")
    assert re.fullmatch(r"[A-Z].*\.", first)
    assert second == "[bold]Examples[/bold]"
    assert all(line.startswith("  avsync ") for line in third.splitlines())
    assert any(f"avsync {name} " in line for line in third.splitlines())


@pytest.mark.parametrize("name", ["score", "offset-scan", "fix"])
def test_the_sign_is_said_in_words(name: str) -> None:
    assert re.search(
        r"bove 0.*sound is late|0 means that the sound is late", help_text(COMMANDS[name])
    )


@pytest.mark.parametrize("name", ["", *sorted(FLAGS)])
def test_help_fits_80_columns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import typer.rich_utils
    from typer.testing import CliRunner

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(typer.rich_utils, "MAX_WIDTH", 80)
    done = CliRunner().invoke(app, [*name.split(), "--help"])
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert len(lines) > 8
    assert max(map(len, lines)) <= 80
    # Examples are there as they are written, not broken.
    text = help_text(COMMANDS[name]) if name else inspect.cleandoc(root.__doc__ or "")
    examples = [line for line in text.splitlines() if line.startswith("  avsync ")]
    shown = {line.strip() for line in lines}
    assert examples
    assert [line for line in examples if line.strip() not in shown] == []


def test_verbose_says_what_each_stage_did_and_took(
    clips: Path, toy: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    film = str(clips / "sync.mp4")
    assert main(["score", "-q", "-v", "--step", "20", "--model", str(toy), film]) == 0
    said = [record.getMessage() for record in caplog.records]
    name, took = re.escape(film), r"in \d+\.\d\d s"
    for line, pattern in zip(
        said,
        [
            rf"model {re.escape(str(toy))}: loaded {took}",
            rf"{name}: probed {took}",
            rf"{name}: read 0:00–0:08 {took}: decoding .*, looking for faces .*, the model .* s",
            rf"{name}: decided {took}",
        ],
        strict=True,
    ):
        assert re.fullmatch(pattern, line)
