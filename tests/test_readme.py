"""The README's commands are the ones that are run, and its names exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from avsync_cli import config
from avsync_cli.cli.app import COMMANDS
from avsync_cli.cli.layers import setting_keys
from avsync_cli.drawing.palette import LIGHT, rgb
from tests import make_picture
from tests.conftest import REPO

README = (REPO / "README.md").read_text(encoding="utf-8")
USAGE = (REPO / "docs" / "usage.md").read_text(encoding="utf-8")


def _shell_lines(page: str = README) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", page, flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def test_ci_runs_exactly_the_test_command() -> None:
    (command,) = [line for line in _shell_lines() if "pytest" in line]
    ci = (REPO / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert command == ci[-1]


def test_the_main_job_runs_on_a_clip_that_is_here() -> None:
    (command,) = [line for line in _shell_lines() if "docs/sample" in line]
    clip = REPO / command.split()[-1]
    assert clip.is_file()
    assert clip.stat().st_size <= 2 << 20


def _commands() -> list[list[str]]:
    found = []
    for line in [*_shell_lines(), *_shell_lines(USAGE)]:
        for part in re.split(r"&&|\|", line.partition("#")[0]):
            words = shlex.split(part)
            if words and words[0].endswith("avsync"):
                found.append(words[1:])
    return found


@pytest.mark.parametrize("words", _commands(), ids=" ".join)
def test_commands_and_flags_of_the_readme_exist(words: list[str]) -> None:
    from typer.main import get_command

    from avsync_cli.cli.app import app

    assert words[0] in COMMANDS
    command = get_command(app).commands[words[0]]  # type: ignore[attr-defined]
    flags = {name for param in command.params for name in param.opts}
    assert {word for word in words if word.startswith("-")} - {"-"} <= flags


def test_settings_and_tolerances_are_documented() -> None:
    text = (REPO / "docs" / "config.md").read_text(encoding="utf-8")
    for key in setting_keys():
        assert f"| `{key}` | `AVSYNC_{key.upper()}` |" in text
    for profile in config.TOLERANCES.values():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{profile.name}` |")]
        if profile.early_ms is not None:
            assert f"| {profile.early_ms:g} ms | {profile.late_ms:g} ms |" in row


def test_the_readme_is_one_screen_and_its_links_lead_somewhere() -> None:
    assert len(README.splitlines()) <= 75
    for page in (REPO / "README.md", *(REPO / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if not link.startswith("http"):
                assert (page.parent / link).exists(), f"{page.name}: {link}"


@pytest.mark.slow
def test_the_picture_is_small_and_can_be_drawn_anew(tmp_path: Path) -> None:
    if make_picture.CHROMIUM is None:
        pytest.skip("NO BROWSER: the README's picture was not drawn anew; install chromium")
    make_picture.make_picture(tmp_path / "report.png")
    for picture in (tmp_path / "report.png", make_picture.PICTURE):
        assert picture.stat().st_size <= 60_000
        with Image.open(picture) as drawn:
            assert drawn.size == make_picture.WINDOW_PX
            colors = drawn.convert("RGB").getcolors(1 << 20) or []
        # The verdict's label is there, in about its colour.
        bad = rgb(LIGHT["bad"])
        assert any(
            count > 500 and max(abs(a - b) for a, b in zip(color, bad, strict=True)) <= 8
            for count, color in colors
        )
