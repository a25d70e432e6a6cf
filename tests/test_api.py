"""The package from Python."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import get_type_hints

import pytest

import avsync_cli
from avsync_cli import api, loading
from avsync_cli.cli.flags import JudgeFlags
from avsync_cli.cli.takes import flags_of
from avsync_cli.errors import ModelError, UsageError
from tests.cli.conftest import render_flashes
from tests.toy_model import build_toy_model


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "late.mkv"
    render_flashes(path, 160)
    return path


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_model(tmp_path_factory.mktemp("models") / "toy", attention="temporal")


def test_score_and_scan_return_reports(film: Path, toy: Path) -> None:
    seen: list[tuple[float, float]] = []
    report = avsync_cli.score(
        film,
        model=str(toy),
        tolerance="ebu",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert report.verdict.status == "out_of_sync"
    assert report.verdict.offset_ms == pytest.approx(160, abs=20)
    assert report.tolerance == avsync_cli.Tolerance("ebu", 40, 60)
    assert seen and seen[-1][0] == pytest.approx(8.0, abs=0.2)
    assert seen[-1][1] == pytest.approx(8.0, abs=0.2)
    engine = avsync_cli.load_model(str(toy))
    scan = avsync_cli.scan(film, engine=engine, step_ms=40)
    assert scan.evidence.offsets_ms[0] == -2000
    assert scan.verdict.offset_ms == pytest.approx(160, abs=25)


def test_a_name_in_bytes_is_a_name(film: Path, toy: Path) -> None:
    report = avsync_cli.score(os.fsencode(film), model=str(toy))  # type: ignore[arg-type]
    assert report.path == str(film)


def test_the_keywords_that_differ_from_flags_are_documented() -> None:
    page = (Path(__file__).parents[1] / "docs/usage.md").read_text(encoding="utf-8")
    named = {name for name in avsync_cli.Options.__annotations__ if name.endswith(("_ms", "_s"))}
    assert named | {"offset_ms"} == set(re.findall(r"`(\w+_m?s)(?:=\d+)?`", page))


def test_fix_writes_a_copy_in_sync(film: Path, toy: Path, tmp_path: Path) -> None:
    copy = tmp_path / "fixed.mkv"
    seen: list[float] = []
    engine = avsync_cli.load_model(str(toy))
    done = avsync_cli.fix(film, copy, engine=engine, progress=lambda s, _: seen.append(s))
    assert done.confirmed and done.outcome == "written" and copy.exists() and seen
    assert done.before is not None and done.after is not None
    assert done.before.verdict.offset_ms == pytest.approx(160, abs=20)
    assert done.after.verdict.offset_ms == pytest.approx(0, abs=20)
    again = avsync_cli.fix(copy, tmp_path / "again.mkv", engine=engine)
    assert again.outcome == "nothing" and not (tmp_path / "again.mkv").exists()
    for wrong in ({}, {"output": copy, "in_place": True}):
        with pytest.raises(UsageError, match="either an output"):
            avsync_cli.fix(film, **wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="kind of file"):
        avsync_cli.fix(film, tmp_path / "fixed.txt")
    with pytest.raises(UsageError, match="no pitch is 'shfit'"):
        avsync_cli.fix(film, tmp_path / "x.mkv", pitch="shfit")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"fix\(\) got an unexpected .*'offset'"):
        avsync_cli.fix(film, tmp_path / "x.mkv", offset=3)  # type: ignore[call-arg]


def test_settings_of_the_command_line_do_not_reach_a_call(
    film: Path, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVSYNC_TOLERANCE", "300:300")
    assert avsync_cli.score(film, model=str(toy)).verdict.status == "out_of_sync"


def test_wrong_options(film: Path, toy: Path) -> None:
    with pytest.raises(TypeError, match="tolerence"):
        avsync_cli.score(film, tolerence="ebu")
    with pytest.raises(UsageError):
        avsync_cli.score(film, model=str(toy), step_ms=7)
    with pytest.raises(UsageError):
        avsync_cli.score(film, model=str(toy), tolerance="ebuu")
    nan, inf = float("nan"), float("inf")
    for wrong in (
        {"range_ms": inf}, {"range_ms": nan}, {"step_ms": nan}, {"step_ms": -10}, {"threads": -1},
        {"audio_track": -1}, {"video_track": 10**400}, {"start_s": -1.0}, {"start_s": inf},
        {"duration_s": 0.0}, {"duration_s": nan}, {"tolerance": "inf:1"}, {"attention": "total"},
    ):  # fmt: skip
        with pytest.raises(UsageError):
            avsync_cli.score(film, model=str(toy), **wrong)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="no variant with none attention"):
        avsync_cli.load_model(str(toy), attention="none")
    assert avsync_cli.load_model(str(toy), attention="temporal").config.attention == "temporal"


@pytest.mark.parametrize(
    "wrong",
    [
        {"tolerance": None}, {"tolerance": (40, 60)}, {"min_confidence": "0.9"}, {"start_s": "5"},
        {"audio_track": "0"}, {"audio_track": 0.5}, {"range_ms": True}, {"step_ms": "40"},
        {"quick": 1}, {"start_s": None}, {"model": 3},
    ],
)  # fmt: skip
def test_an_option_of_another_kind_is_named(film: Path, wrong: dict[str, object]) -> None:
    (name,) = wrong
    with pytest.raises(TypeError, match=f"^{name} must be "):
        avsync_cli.score(film, **wrong)  # type: ignore[arg-type]


def test_ms_that_were_divided_are_whole(film: Path, toy: Path) -> None:
    report = avsync_cli.scan(film, model=toy, range_ms=1000.0, step_ms=1000 / 25)  # type: ignore[arg-type]
    assert report.evidence.offsets_ms.tolist() == list(range(-1000, 1001, 40))


def test_a_bundled_variant_is_found_by_attention(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    build_toy_model(tmp_path / "default")
    build_toy_model(tmp_path / "default-none", attention="none")
    monkeypatch.setattr(loading, "models_dir", lambda: tmp_path)
    assert loading.find_variant("default", "spatio-temporal") == tmp_path / "default"
    assert loading.find_variant("default", "none") == tmp_path / "default-none"
    with pytest.raises(ModelError, match="temporal attention"):
        loading.find_variant("default", "temporal")


def test_options_are_what_flags_set_and_typed_alike() -> None:
    """Every flag that decides how a file is judged is a keyword, and no other but two is."""
    hints = get_type_hints(api.Options, localns={"Engine": object})
    flags = [flag.sets for flag in flags_of(JudgeFlags) if flag.sets is not None]
    assert set(hints) == {sets.field for sets in flags} | {"engine", "progress"}
    for sets in flags:
        assert hints[sets.field] == get_type_hints(sets.owner)[sets.field], sets.field


def test_names_of_the_package() -> None:
    assert set(avsync_cli.__all__) <= set(dir(avsync_cli))
    for name in avsync_cli.__all__:
        assert getattr(avsync_cli, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        avsync_cli.nothing  # noqa: B018
