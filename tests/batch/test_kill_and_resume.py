"""The batch that tests/benchmarks/batch.py measures, with few files and a toy model."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks import batch


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_a_killed_batch_goes_on_and_answers_every_file_once(toy: Path, tmp_path: Path) -> None:
    args = ["--jobs", "2", "--step", "50", "--model", str(toy)]
    result = batch.batch(tmp_path / "run", 14, 1, args)
    assert not result.wrong, "\n".join(result.wrong)
    assert result.ended is not None and "files already in" in result.ended.said
    assert result.films is not None
    assert sorted(filter(None, result.films.kinds.values())) == ["empty", "text"]


def test_every_kind_of_bad_file_and_name_is_among_two_hundred(tmp_path: Path) -> None:
    films = batch.Films(tmp_path)
    for n in range(200):
        name, bad = batch.planned(n)
        films.kinds[name] = bad
    assert len(films.names) == 200
    assert set(films.kinds.values()) == {"", *batch.BAD}
    assert sum(map(bool, films.kinds.values())) == 20
    assert all(any(name == odd.format(n) for n in range(200) for name in films.names)
               for odd in batch.NAMES)  # fmt: skip
