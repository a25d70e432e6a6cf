"""Every default of avsync in one place, each with its reason, and the layers that may change it.

Precedence, strongest first: flags, `AVSYNC_*` variables, the file named by `--config` (or
`AVSYNC_CONFIG`), `./avsync.toml`, the user's `avsync/config.toml`, the defaults below. A file holds
the keys of `Settings` at the top, and may hold a table a command (`[score]`, `[offset-scan]`) that
wins over the top of the same file:

    tolerance = "ebu"
    [offset-scan]
    range = "5s"

Nothing is guessed: an unknown key is an error that names the nearest known one.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from avsync_cli.errors import ConfigError, UsageError
from avsync_cli.timebase import HOP_MS

Command = Literal["score", "offset-scan"]
COMMANDS: tuple[Command, ...] = ("score", "offset-scan")

ATTENTIONS = ("none", "temporal", "spatio-temporal")
"""The three ways a model may weigh its evidence (arXiv 1812.06071, section 3.2)."""

RANGE_LIMIT_MS = 30_000
"""Widest scan: beyond it, chance likenesses outnumber the evidence of an ordinary clip, and the
sound needed around every block would no longer be small."""

STEP_LIMIT_MS = 1_000
THREADS_LIMIT = 256


@dataclass(frozen=True)
class Settings:
    """What a run of `score` or `offset-scan` needs to know besides its files.

    Attributes:
        range_ms: offsets from -range to +range are tried.
        step_ms: distance between two of them; a multiple of the 10 ms log-mel step.
        model: name of a bundled model, or a folder.
        attention: which variant of the model; None takes the model as it is.
        tolerance: name of a profile, or "EARLY:LATE" in ms.
        threads: threads for inference; 0 lets ONNX Runtime use every core.
    """

    range_ms: int = 1_000
    # Sound that a chain of devices delays lies within a second; a narrow scan has fewer chance
    # peaks, so that a short clip can be decided.
    step_ms: int = HOP_MS
    # The resolution of the sound features: finer steps would only interpolate.
    model: str = "default"
    attention: str | None = None
    # The bundled default is the variant with the best figures on the test clips.
    tolerance: str = "itu"
    # Where half of the viewers begin to notice: the question people ask most. The others are
    # limits that a broadcaster or distributor sets.
    threads: int = 0


DEFAULTS: Mapping[Command, Settings] = {
    "score": Settings(),
    # A scan is asked for when the offset is thought to be large: two seconds, as in the paper's
    # own search, covers reels and streams that were cut apart.
    "offset-scan": Settings(range_ms=2_000),
}


# --- Tolerance ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Profile:
    """How early and how late the sound may be, in ms >= 0, and who says so.

    `early_ms` and `late_ms` are None for the profile "frame", which depends on the file.
    """

    name: str
    early_ms: float | None
    late_ms: float | None
    source: str


TOLERANCES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("itu", 45, 125, "ITU-R BT.1359 (detectable)"),
        Profile("itu-accept", 90, 185, "ITU-R BT.1359 (acceptable)"),
        Profile("ebu", 40, 60, "EBU R37"),
        Profile("atsc", 15, 45, "ATSC IS-191"),
        Profile("film", 22, 22, "film practice"),
        Profile("frame", None, None, "one frame of the file"),
    )
}


def tolerance_profile(text: str) -> Profile:
    """The profile called `text`, or the one that "EARLY:LATE" (ms) describes.

    Raises:
        UsageError: for an unknown name or unusable numbers.
    """
    name = text.strip().lower()
    if name in TOLERANCES:
        return TOLERANCES[name]
    pair = re.fullmatch(r"(\d+(?:\.\d+)?)(?:ms)?:(\d+(?:\.\d+)?)(?:ms)?", name)
    if pair is None:
        known = ", ".join(TOLERANCES)
        nearest = suggestion(name, TOLERANCES)
        hint = nearest or f"use one of {known}, or EARLY:LATE in ms such as 40:60"
        raise UsageError(f"unknown tolerance {text!r}", hint)
    early, late = float(pair[1]), float(pair[2])
    return Profile(f"{early:g}:{late:g}", early, late, f"{early:g} ms early to {late:g} ms late")


# --- Values ---------------------------------------------------------------------------------------

_UNITS_MS = {"ms": 1.0, "s": 1_000.0, "m": 60_000.0, "min": 60_000.0, "h": 3_600_000.0}


def parse_duration_ms(text: str, unit: str = "s") -> float:
    """A duration in ms from `2s`, `500ms`, `1.5m`, `0:30`, `1:02:03.5` or a plain number.

    Args:
        text: what was typed; never negative.
        unit: unit of a plain number.

    Raises:
        UsageError: when it is none of these.

    >>> parse_duration_ms("2s"), parse_duration_ms("0:30"), parse_duration_ms("10", unit="ms")
    (2000.0, 30000.0, 10.0)
    """
    compact = text.strip().lower()
    clock = re.fullmatch(r"(?:(\d+):(?=[0-5]?\d:))?(\d+):([0-5]?\d(?:\.\d+)?)", compact)
    if clock is not None:
        hours, minutes, seconds = clock[1] or "0", clock[2], clock[3]
        return (int(hours) * 3600 + int(minutes) * 60 + float(seconds)) * 1000.0
    number = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|min|m|h)?", compact)
    if number is None:
        raise UsageError(f"{text!r} is no duration", "write 2s, 500ms, 0:30 or plain seconds")
    return float(number[1]) * _UNITS_MS[number[2] or unit]


def check_range_ms(value: float) -> int:
    """`value` rounded to ms, if a scan can be that wide."""
    if not HOP_MS <= value <= RANGE_LIMIT_MS:
        limit = f"{HOP_MS} ms to {RANGE_LIMIT_MS // 1000} s"
        raise UsageError(f"a range of {value:g} ms cannot be scanned", f"choose {limit}")
    return round(value)


def check_step_ms(value: float) -> int:
    """`value` as whole ms, if it is a multiple of the log-mel step."""
    if value != int(value) or value % HOP_MS or not HOP_MS <= value <= STEP_LIMIT_MS:
        hint = f"choose a multiple of {HOP_MS} ms up to {STEP_LIMIT_MS} ms"
        raise UsageError(f"a step of {value:g} ms is not possible", hint)
    return int(value)


def check_threads(value: int) -> int:
    """`value`, if that many threads make sense; 0 stands for all cores."""
    if not 0 <= value <= THREADS_LIMIT:
        raise UsageError(f"{value} threads are not possible", f"choose 0 to {THREADS_LIMIT}")
    return value


def check_attention(value: str) -> str:
    """`value`, if it names a kind of attention."""
    if value not in ATTENTIONS:
        hint = suggestion(value, ATTENTIONS) or f"use one of {', '.join(ATTENTIONS)}"
        raise UsageError(f"unknown attention {value!r}", hint)
    return value


def _duration(unit: str, check: Callable[[float], int]) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise UsageError(f"{value!r} is no duration", "write 2s, 500ms, 0:30 or a number")
        return check(parse_duration_ms(str(value), unit))

    return parse


def _text(check: Callable[[str], object] | None = None) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if not isinstance(value, str) or not value:
            raise UsageError(f"{value!r} is no text", "write it in quotes")
        if check is not None:
            check(value)
        return value

    return parse


def _threads(value: object) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,6}", str(value)):
        raise UsageError(f"{value!r} is no whole number", f"choose 0 to {THREADS_LIMIT}")
    return check_threads(int(str(value)))


@dataclass(frozen=True)
class _Key:
    field: str
    parse: Callable[[object], Any]


_KEYS: Mapping[str, _Key] = {
    "range": _Key("range_ms", _duration("s", check_range_ms)),
    "step": _Key("step_ms", _duration("ms", check_step_ms)),
    "model": _Key("model", _text()),
    "attention": _Key("attention", _text(check_attention)),
    "tolerance": _Key("tolerance", _text(tolerance_profile)),
    "threads": _Key("threads", _threads),
}

ENV_PREFIX = "AVSYNC_"
ENV_OTHER = ("AVSYNC_CONFIG", "AVSYNC_FFMPEG", "AVSYNC_DATA")
"""Variables that are no settings: a configuration file, the ffmpeg binary, the test clips."""


# --- Layers ---------------------------------------------------------------------------------------


def load_settings(
    command: Command,
    flags: Mapping[str, Any],
    config_file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Settings:
    """The settings of one run, all layers applied.

    Args:
        command: whose defaults and table count.
        flags: values of `Settings` fields given on the command line, None where not given.
        config_file: what `--config` named.
        environ: the environment; `os.environ` by default.
        folder: where `avsync.toml` is looked for; the current folder by default.

    Raises:
        ConfigError: for a file that cannot be read, an unknown key or an unusable value.
    """
    env = os.environ if environ is None else environ
    named = config_file or (Path(env["AVSYNC_CONFIG"]) if env.get("AVSYNC_CONFIG") else None)
    local = (folder or Path.cwd()) / "avsync.toml"

    layers: list[dict[str, Any]] = []
    for path, must_exist in ((user_config_file(env), False), (local, False), (named, True)):
        if path is not None and (must_exist or path.is_file()):
            layers.append(_read_file(path, command))
    layers.append(_read_environment(env))
    layers.append({key: value for key, value in flags.items() if value is not None})

    settings = DEFAULTS[command]
    for layer in layers:
        settings = replace(settings, **layer)
    return settings


def user_config_file(environ: Mapping[str, str]) -> Path | None:
    """Where the user's own file would be (XDG base directory specification), or None."""
    base = environ.get("XDG_CONFIG_HOME", "")
    if base and Path(base).is_absolute():  # the specification says to ignore relative ones
        return Path(base) / "avsync" / "config.toml"
    home = environ.get("HOME", "")
    return Path(home) / ".config" / "avsync" / "config.toml" if home else None


def _read_file(path: Path, command: Command) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"cannot read {path}: {reason}", "check --config", path) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}", "compare docs/config.md", path) from None

    tables = {name: table.pop(name) for name in COMMANDS if name in table}
    values: dict[str, Any] = {}
    # Both tables are read, so that a mistake in the other command's does not wait for its turn.
    top = _parse(table, str(path), [*_KEYS, *COMMANDS])
    for name, content in tables.items():
        if not isinstance(content, dict):
            raise ConfigError(f"{path}: {name} must be a table", f"write [{name}]", path)
        parsed = _parse(content, f"{path} [{name}]", _KEYS)
        if name == command:
            values = parsed
    return {**top, **values}


def _read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    table: dict[str, object] = {}
    known = {ENV_PREFIX + key.upper(): key for key in _KEYS}
    for name, value in environ.items():
        if not name.startswith(ENV_PREFIX) or name in ENV_OTHER or not value:
            continue
        if name not in known:
            nearest = suggestion(name, [*known, *ENV_OTHER]) or "see docs/config.md"
            raise ConfigError(f"unknown variable {name}", nearest)
        table[known[name]] = value
    return _parse(table, "environment", _KEYS)


def _parse(table: Mapping[str, object], where: str, known: Iterable[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    known = list(known)
    for name, value in table.items():
        if name not in _KEYS:
            hint = suggestion(name, known) or f"known are {', '.join(known)}"
            raise ConfigError(f"{where}: unknown key {name!r}", hint)
        key = _KEYS[name]
        try:
            values[key.field] = key.parse(value)
        except UsageError as error:
            raise ConfigError(f"{where}: {name}: {error.message}", error.hint) from None
    return values


def suggestion(word: str, known: Iterable[str]) -> str:
    """ "did you mean ...?" with the nearest known word, or "" if none is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else ""


def setting_names() -> list[str]:
    """The keys a configuration file may hold; each is a field of `Settings`."""
    assert {key.field for key in _KEYS.values()} == {f.name for f in fields(Settings)}
    return list(_KEYS)


# --- Models ---------------------------------------------------------------------------------------


def models_dir() -> Path:
    """Folder with the bundled models: `models/` of a source checkout, else inside the package."""
    package = Path(__file__).resolve().parent
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "models").is_dir():
        return checkout / "models"
    return package / "_models"


def model_names() -> list[str]:
    """Names of the bundled models, in order."""
    return sorted(path.parent.name for path in models_dir().glob("*/model.json"))
