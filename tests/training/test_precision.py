"""bfloat16 is used by itself only where the processor computes in it."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from avsync_cli.training.precision import in_bfloat16  # noqa: E402


@pytest.mark.parametrize(
    ("knows", "expected"),
    [({"avx512_f": True}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True)],
)
def test_a_processor_without_it_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, knows: dict[str, bool], expected: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: knows, raising=False)
    assert in_bfloat16("auto", torch.device("cpu")) is expected


@pytest.mark.parametrize(("precision", "expected"), [("bf16", True), ("fp32", False)])
def test_who_names_one_gets_it(precision: str, expected: bool) -> None:
    assert in_bfloat16(precision, torch.device("cpu")) is expected
