"""What a shell is told when a person presses Tab."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("avsync sc", {"score"}),
        ("avsync score --jo", {"--jobs"}),
        ("avsync score --tolerance it", {"itu", "itu-accept"}),
        ("avsync explain und", {"undecided"}),
    ],
)
def test_bash_is_told_what_fits(avsync: Run, words: str, offered: set[str]) -> None:
    env = {
        "_AVSYNC_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    done = avsync(env=env)
    assert set(done.stdout.decode().split()) == offered
    assert done.stderr == b""


def test_the_script_for_a_shell_is_shown(avsync: Run) -> None:
    # The shell is found by asking for our parent; a plain sh is told what to install for.
    env = {"_AVSYNC_COMPLETE": "source_zsh"}
    done = avsync(env=env)
    assert done.returncode == 0
    assert b"#compdef avsync" in done.stdout
