"""The README's commands are the ones that are run, and its names exist."""

from __future__ import annotations

import re
import shlex

import pytest

from avsync_cli import config
from avsync_cli.cli.app import COMMANDS
from avsync_cli.cli.layers import setting_keys
from tests.conftest import REPO

README = (REPO / "README.md").read_text(encoding="utf-8")


def _shell_lines() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
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
    for line in _shell_lines():
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
