"""Sixty damaged files, the first of those that tests/benchmarks/fuzz.py makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.fuzz import KINDS, MUTATIONS, Outcome, damaged, fuzz, report

FILES = 60


@pytest.mark.slow
def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    outcome = Outcome()
    for outcome in fuzz(range(FILES), 1, tmp_path, score_every=30):
        assert not outcome.failures, "\n".join(report(outcome))
    assert len(outcome.times_s) == FILES
    assert sum(outcome.scored.values()) == FILES // 30
    # Damage that spares every file, or none, would test nothing.
    read = sum(count for key, count in outcome.counts.items() if key[2] == "read")
    assert FILES // 5 < read < FILES, "\n".join(report(outcome))


def test_damage_is_the_same_every_time_and_of_every_kind() -> None:
    seeds = {kind: bytes(range(256)) * 20 for kind in KINDS}
    made = [damaged(seeds, 1, number) for number in range(80)]
    assert made == [damaged(seeds, 1, number) for number in range(80)]
    assert {(kind, name) for kind, name, _ in made} == {(k, n) for k in KINDS for n in MUTATIONS}
    changed = [data != seeds[kind] for kind, _, data in made]
    assert sum(changed) >= 70
    assert damaged(seeds, 2, 5) != damaged(seeds, 1, 5)
