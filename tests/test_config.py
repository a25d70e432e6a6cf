"""Defaults, layers and the words for what is wrong with them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avsync_cli import config
from avsync_cli.cli.layers import load_settings, setting_keys
from avsync_cli.config import DEFAULTS, Settings
from avsync_cli.errors import ConfigError, UsageError


def _load(
    tmp_path: Path,
    *,
    command: config.Command = "score",
    flags: dict[str, object] | None = None,
    env: dict[str, str] | None = None,
    **files: str,
) -> Settings:
    """Settings with `user`, `local` and `named` configuration files of the given content."""
    home = tmp_path / "home"
    (home / "avsync").mkdir(parents=True, exist_ok=True)
    here = tmp_path / "here"
    here.mkdir(exist_ok=True)
    places = {
        "user": home / "avsync" / "config.toml",
        "local": here / "avsync.toml",
        "named": tmp_path / "named.toml",
    }
    for place, content in files.items():
        places[place].write_text(content)
    environ = {"XDG_CONFIG_HOME": str(home), **(env or {})}
    named = places["named"] if "named" in files else None
    with mock.patch.dict(os.environ, environ, clear=True), contextlib.chdir(here):
        return load_settings(command, flags or {}, named)


def test_defaults() -> None:
    assert DEFAULTS["score"] == Settings(
        range_ms=1000, step_ms=10, model="default", attention=None, tolerance="itu", threads=0
    )
    assert DEFAULTS["offset-scan"].range_ms == 2000


def test_a_range_that_somebody_asked_for_is_a_limit(tmp_path: Path) -> None:
    assert DEFAULTS["score"].further and DEFAULTS["offset-scan"].further
    assert _load(tmp_path, user='tolerance = "ebu"\n').further
    assert not _load(tmp_path, local='range = "1s"\n').further
    assert not _load(tmp_path, env={"AVSYNC_RANGE": "1s"}).further
    assert not _load(tmp_path, flags={"range_ms": 1000}).further


def test_how_far_a_second_look_is_taken() -> None:
    assert [config.further_ms(ms) for ms in (10, 1000, 2000, 8000)] == [40, 4000, 5000, 8000]


def test_a_home_that_may_not_be_entered_holds_no_settings(tmp_path: Path) -> None:
    stat, home = os.stat, tmp_path / "home"

    def closed(path: str | Path, *args: object, **more: object) -> os.stat_result:
        if Path(os.fspath(path)).is_relative_to(home / "avsync"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return stat(path, *args, **more)  # type: ignore[arg-type]

    (home / "avsync").mkdir(parents=True)
    with (
        mock.patch.dict(os.environ, {"XDG_CONFIG_HOME": str(home)}),
        contextlib.chdir(tmp_path),
        mock.patch("os.stat", closed),
    ):
        found = load_settings("score", {}, None)
    assert found == DEFAULTS["score"]


def test_each_layer_beats_the_one_below(tmp_path: Path) -> None:
    files: dict[str, str] = {}
    assert _load(tmp_path).tolerance == "itu"
    files["user"] = "tolerance = 'atsc'"
    assert _load(tmp_path, **files).tolerance == "atsc"
    files["local"] = "tolerance = 'film'"
    assert _load(tmp_path, **files).tolerance == "film"
    files["named"] = "tolerance = 'ebu'"
    assert _load(tmp_path, **files).tolerance == "ebu"
    env = {"AVSYNC_TOLERANCE": "40:60"}
    assert _load(tmp_path, env=env, **files).tolerance == "40:60"
    flags: dict[str, object] = {
        "tolerance": "frame",
    }
    assert _load(tmp_path, env=env, flags=flags, **files).tolerance == "frame"


def test_layers_add_up(tmp_path: Path) -> None:
    settings = _load(tmp_path, user="threads = 2", local="step = 20", env={"AVSYNC_RANGE": "500ms"})
    assert (settings.threads, settings.step_ms, settings.range_ms) == (2, 20, 500)


def test_a_command_has_its_own_table(tmp_path: Path) -> None:
    text = "range = '3s'\n[offset-scan]\nrange = '5s'\n"
    assert _load(tmp_path, local=text).range_ms == 3000
    assert _load(tmp_path, local=text, command="offset-scan").range_ms == 5000


def test_the_mark_by_which_windows_begins_a_text_is_none_of_it(tmp_path: Path) -> None:
    assert _load(tmp_path, local="\ufefftolerance = 'ebu'\r\n").tolerance == "ebu"


def test_environment_can_name_the_file(tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("threads = 3")
    assert _load(tmp_path, env={"AVSYNC_CONFIG": str(other)}).threads == 3
    with pytest.raises(ConfigError, match="cannot read") as caught:
        _load(tmp_path, env={"AVSYNC_CONFIG": str(tmp_path / "none.toml")})
    assert caught.value.hint == "check AVSYNC_CONFIG"


@pytest.mark.parametrize(
    ("content", "words", "hint"),
    [
        ("tolerence = 'ebu'", "unknown key 'tolerence'", "tolerance"),
        ("[ofset-scan]\nrange = 1", "unknown key 'ofset-scan'", "offset-scan"),
        ("[score]\nstepp = 10", "[score]: unknown key 'stepp'", "step"),
        ("[offset-scan]\nstepp = 10", "unknown key 'stepp'", "step"),
        ("step = 7", "step of 7 ms", "multiple of 10"),
        ("range = '1 hour'", "no duration", "2s"),
        ("range = true", "no duration", ""),
        ("range = 3600", "3600000 ms", "30 s"),
        ("tolerance = 'ebuu'", "unknown tolerance 'ebuu'", "'ebu'"),
        ("attention = 'spatial'", "unknown attention", ""),
        ("threads = -1", "threads", ""),
        ("threads = 1.5", "threads", ""),
        ("model = 3", "model", "quotes"),
        ("model = ''", "'' is no value", "leave it out"),
        ("score = 3", "must be a table", "[score]"),
        ("range = ", "not TOML", ""),
    ],
)
def test_mistakes_in_a_file(tmp_path: Path, content: str, words: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, local=content)
    assert words in caught.value.message
    assert "avsync.toml" in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "content",
    [
        "tolerance = inf", "range = inf", "range = -inf", "step = nan", "threads = inf",
        "range = 1e999", "threads = " + "9" * 400, "range = " + "9" * 400, "step = '1e3'",
        "tolerance = '" + "9" * 400 + ":1'", "tolerance = '1:" + "9" * 400 + "'",
        "tolerance = '0:30001'", "tolerance = 40", "tolerance = ['ebu']", "model = ''",
        "attention = {}", "range = '" + "9" * 400 + "h'", "range = '1:" + "0" * 400 + ":00'",
        "range = 1979-05-27", "step = true", "'" + "x" * 5000 + "' = 1", "threads = '1_0'",
    ],
)  # fmt: skip
def test_a_value_out_of_bounds_is_named_in_one_short_line(tmp_path: Path, content: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, local=content)
    key = content.partition(" = ")[0].strip("'")
    assert (
        f"avsync.toml: {key[:3]}" in caught.value.message or "unknown key" in caught.value.message
    )
    assert len(caught.value.message) < 160
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "content",
    ["a = " + "[" * 20_000 + "]" * 20_000, "threads = " + "9" * 5_000, "# " + "x" * 70_000,
     "tolerance = 'ebu\n", "\x00", "[score]\n[score]\n"],
)  # fmt: skip
def test_what_is_no_settings_file_is_said(tmp_path: Path, content: str) -> None:
    with pytest.raises(ConfigError, match=r"avsync\.toml is"):
        _load(tmp_path, local=content)


@given(st.text(max_size=40) | st.integers().map(str) | st.floats().map(str))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@pytest.mark.parametrize("key", [key.upper() for key in setting_keys()])
def test_whatever_a_variable_holds_is_a_setting_or_an_error(key: str, value: str) -> None:
    value = value.replace("\0", "").encode("utf-8", "replace").decode()
    with mock.patch.dict(os.environ, {f"AVSYNC_{key}": value}), contextlib.suppress(ConfigError):
        found = load_settings("score", {})
        assert 10 <= found.range_ms <= 30_000
        assert 10 <= found.step_ms <= 1_000
        assert found.min_confidence is None or 0.5 <= found.min_confidence <= 0.999
        profile = config.tolerance_profile(found.tolerance)
        assert profile.early_ms is None or 0 <= profile.early_ms <= 30_000


def _notes(folder: Path, content: str, flags: dict[str, object] | None = None) -> list[str]:
    """What is said of an avsync.toml in the current folder."""
    (folder / "avsync.toml").write_text(content)
    notes: list[str] = []
    environ = {"XDG_CONFIG_HOME": str(folder / "home")}
    with mock.patch.dict(os.environ, environ, clear=True), contextlib.chdir(folder):
        load_settings("score", flags or {}, None, notes.append)
    return notes


def test_what_a_file_in_the_folder_decides_is_said_once(tmp_path: Path) -> None:
    (note,) = _notes(tmp_path, "tolerance = '300:300'\nmodel = 'a b'\nthreads = 2\n")
    assert note.startswith("note: avsync.toml in this folder decides as ")
    assert "--tolerance 300:300" in note and "--model 'a b'" in note and "threads" not in note
    # What changes no answer is not worth a word: a default, threads, what a flag overrules.
    assert not _notes(tmp_path, "tolerance = 'itu'\nthreads = 2\n[offset-scan]\nrange = '9s'\n")
    assert not _notes(tmp_path, "tolerance = 'ebu'", {"tolerance": "film"})
    # Another file is one that somebody named, or wrote for himself.
    (tmp_path / "home" / "avsync").mkdir(parents=True)
    (tmp_path / "home" / "avsync" / "config.toml").write_text("tolerance = 'ebu'")
    assert not _notes(tmp_path, "")
    assert not _notes(tmp_path, "tolerance = 'ebu'")
    assert _notes(tmp_path, "tolerance = 'itu'")


def test_a_variable_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="AVSYNC_TOLERENCE") as caught:
        _load(tmp_path, env={"AVSYNC_TOLERENCE": "ebu"})
    assert "AVSYNC_TOLERANCE" in caught.value.hint
    with pytest.raises(ConfigError, match="AVSYNC_JOBS") as caught:  # like AVSYNC_MOST in its start
        _load(tmp_path, env={"AVSYNC_JOBS": "2"})
    assert caught.value.hint == "see docs/config.md"


def test_variables_for_other_purposes_are_left_alone(tmp_path: Path) -> None:
    env = {"AVSYNC_FFMPEG": "/usr/bin/ffmpeg", "AVSYNC_DATA": "/x", "AVSYNC_STEP": ""}
    assert _load(tmp_path, env=env) == DEFAULTS["score"]


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml"):
        load_settings("score", {}, tmp_path / "gone.toml")


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2s", 2000), ("500ms", 500), ("0:30", 30_000), ("1.5", 1500), ("2", 2000), (".5s", 500),
        ("1:02:03.5", 3_723_500), ("10m", 600_000), ("1h", 3_600_000), (" 2 S ", 2000),
        ("90:00", 5_400_000), ("1:90:00", None), ("0:75", None), ("-2s", None), ("", None),
        ("2x", None), ("nan", None), ("1e3", None),
    ],
)  # fmt: skip
def test_durations(text: str, ms: float | None) -> None:
    if ms is None:
        with pytest.raises(UsageError, match="no duration"):
            config.parse_duration_ms(text)
    else:
        assert config.parse_duration_ms(text) == ms


def test_plain_numbers_take_the_unit_of_their_flag() -> None:
    assert config.parse_duration_ms("10", "ms") == 10
    assert config.parse_duration_ms("10s", "ms") == 10_000


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("itu", (45, 125)), ("itu-accept", (90, 185)), ("ebu", (40, 60)), ("atsc", (15, 45)),
        ("film", (22, 22)), ("frame", (None, None)), ("40:60", (40, 60)), ("40ms:60ms", (40, 60)),
        ("EBU", (40, 60)), ("0:12.5", (0, 12.5)),
    ],
)  # fmt: skip
def test_tolerances(name: str, limits: tuple[float | None, float | None]) -> None:
    profile = config.tolerance_profile(name)
    assert (profile.early_ms, profile.late_ms) == limits


@pytest.mark.parametrize("name", ["", "40", "40:", "-40:60", "a:b", "40:60:80", "nan:1"])
def test_tolerances_that_are_none(name: str) -> None:
    with pytest.raises(UsageError):
        config.tolerance_profile(name)


def test_every_setting_has_a_key() -> None:
    assert list(setting_keys()) == [
        "range", "step", "model", "attention", "tolerance", "min_confidence", "threads", "slate",
        "quick", "until", "most",
    ]  # fmt: skip


def test_models_are_found_in_a_checkout_and_in_the_package(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert config.models_dir() == repo / "models"
    installed = tmp_path / "site-packages" / "avsync_cli" / "config.py"
    monkeypatch.setattr(config, "__file__", str(installed))
    assert config.models_dir() == installed.parent / "_models"


def test_quick_readings_are_set_in_layers_too(tmp_path: Path) -> None:
    env = {"AVSYNC_QUICK": "1", "AVSYNC_MOST": "3m", "AVSYNC_UNTIL": "95%"}
    settings = _load(tmp_path, env=env)
    assert (settings.quick, settings.most_s, settings.until) == (True, 180.0, 0.95)
    assert _load(tmp_path, local="quick = true").quick
    assert not _load(tmp_path, local="quick = true", flags={"quick": False}).quick
    for name, value in (("QUICK", "perhaps"), ("MOST", "10s"), ("UNTIL", "0.999"), ("UNTIL", "0")):
        with pytest.raises(ConfigError):
            _load(tmp_path, env={f"AVSYNC_{name}": value})
