"""The printed command in words."""

from __future__ import annotations

from avsync_cli.report import remedy


def test_fix_names_a_copy_beside_the_file() -> None:
    command = remedy.fix_command("my holiday.mp4", ("avsync", "fix", "--range", "2s"))
    assert command == "avsync fix --range 2s 'my holiday.mp4' -o 'my holiday.synced.mp4'"


def test_fix_protects_names_that_look_like_options() -> None:
    assert (
        remedy.fix_command("-rf.mp4", ("avsync", "fix"))
        == "avsync fix ./-rf.mp4 -o ./-rf.synced.mp4"
    )


def test_fix_leaves_a_container_that_it_does_not_write() -> None:
    assert remedy.fix_command("old.rm", ("avsync", "fix")).endswith("old.synced.mkv")
    assert remedy.fix_command("old.avi", ("avsync", "fix")).endswith("old.synced.avi")
