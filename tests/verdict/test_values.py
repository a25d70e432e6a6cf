"""Values that hold arrays are compared by what they hold."""

from __future__ import annotations

from tests.verdict.test_decision import evidence, judge, window


def test_answers_are_compared_by_what_they_hold() -> None:
    one, same = judge([window(120.0)]), judge([window(120.0)])
    assert one == same
    assert one != judge([window(160.0)])
    assert one != "in_sync"
    assert evidence([window(120.0)]) == evidence([window(120.0)])
    assert evidence([window(120.0)]) != evidence([window(120.0, height=7.0)])
