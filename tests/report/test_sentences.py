"""What is said of a verdict."""

from __future__ import annotations

from avsync_cli.report import sentences
from avsync_cli.verdict.answer import Tolerance


def test_tolerance_names_its_standard() -> None:
    assert (
        sentences.tolerance_words(Tolerance("ebu", 40, 60)) == "EBU R37: 40 ms early to 60 ms late"
    )
    assert "BT.1359" in sentences.tolerance_name(Tolerance("itu", 45, 125))
    assert sentences.tolerance_name(Tolerance("7:9", 7, 9)) == "7 ms early to 9 ms late"
