"""Where the settings of a run come from, strongest first: flags, `AVSYNC_*` variables, the file
named by `--config` (or `AVSYNC_CONFIG`), `./avsync.toml`, the user's own file, the defaults.

A file holds the names of flags that set something at its top, and may hold a table a command
(`[score]`, `[offset-scan]`) that wins over the top of the same file:

    tolerance = "ebu"
    [offset-scan]
    range = "5s"

Nothing is guessed: an unknown key is an error that names the nearest known one.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from avsync_cli.cli.flags import JudgeFlags
from avsync_cli.cli.takes import Flag, settings_of, words_for
from avsync_cli.config import (
    COMMANDS,
    DEFAULTS,
    Command,
    Settings,
    brief,
    suggestion,
    user_config_file,
)
from avsync_cli.errors import ConfigError, UsageError
from avsync_cli.wording import shell_quote

LOCAL_FILE = "avsync.toml"

ENV_PREFIX = "AVSYNC_"
ENV_OTHER = ("AVSYNC_CONFIG", "AVSYNC_FFMPEG", "AVSYNC_DATA")
"""Variables that are no settings: a configuration file, the ffmpeg binary, the test clips."""

_FILE_LIMIT = 1 << 16
"""Bytes of a configuration file, far beyond what six keys can fill."""


def load_settings(
    command: Command,
    flags: Mapping[str, Any],
    config_file: Path | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Settings:
    """The settings of one run, all layers applied.

    Args:
        command: whose defaults and table count.
        flags: the values of `Settings` fields given on the command line.
        config_file: what `--config` named.
        note: is told, in a line, what a file that merely lies in the current folder changes of the
            answer.

    Raises:
        ConfigError: for a file that cannot be read, an unknown key or an unusable value.
    """
    by_variable = os.environ.get("AVSYNC_CONFIG")
    named = config_file or (Path(by_variable) if by_variable else None)
    by = "--config" if config_file else "AVSYNC_CONFIG"
    below = _found(user_config_file(), command)
    local = _found(Path(LOCAL_FILE), command)
    above = {
        **({} if named is None else _read_file(named, command, by)),
        **_read_environment(),
        **flags,
    }
    settings = DEFAULTS[command].but(**{**below, **local, **above})
    without = DEFAULTS[command].but(**{**below, **above})
    changed = words_for(JudgeFlags, settings, without)
    if changed:
        words = " ".join(map(shell_quote, changed))
        note(f"note: {LOCAL_FILE} in this folder decides as {words} would")
    return settings


def setting_keys() -> dict[str, Flag]:
    """The keys that a configuration file may hold, and the flags they stand for."""
    return settings_of(JudgeFlags, Settings)


def _found(path: Path, command: Command) -> dict[str, Any]:
    # A folder that may not be entered, as a service's borrowed home, holds none of ours.
    return _read_file(path, command) if os.path.isfile(path) else {}  # noqa: PTH113


def _read_file(path: Path, command: Command, named_by: str = "its rights") -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            data = stream.read(_FILE_LIMIT + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"cannot read {path}: {reason}", f"check {named_by}", path) from None
    if len(data) > _FILE_LIMIT:
        raise ConfigError(f"{path} is too large for settings", "compare docs/config.md", path)
    try:
        # Editors on Windows begin a text with the mark of its encoding, which TOML does not know.
        table = tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        # A number of thousands of digits is a plain ValueError, a deep table the other.
        raise ConfigError(f"{path} is not TOML: {error}", "compare docs/config.md", path) from None

    tables = {name: table.pop(name) for name in COMMANDS if name in table}
    values = _parse(table, str(path), [*setting_keys(), *COMMANDS])
    # Both tables are read, so that a mistake in the other command's does not wait for its turn.
    for name, content in tables.items():
        if not isinstance(content, dict):
            raise ConfigError(f"{path}: {name} must be a table", f"write [{name}]", path)
        parsed = _parse(content, f"{path} [{name}]", setting_keys())
        if name == command:
            values |= parsed
    return values


def _read_environment() -> dict[str, Any]:
    table: dict[str, object] = {}
    known = {ENV_PREFIX + key.upper(): key for key in setting_keys()}
    for name, value in os.environ.items():
        if not name.startswith(ENV_PREFIX) or name in ENV_OTHER or not value:
            continue
        if name not in known:
            nearest = suggestion(name, [*known, *ENV_OTHER], ENV_PREFIX) or "see docs/config.md"
            raise ConfigError(f"unknown variable {name}", nearest)
        table[known[name]] = value
    return _parse(table, "environment", known.values())


def _parse(table: Mapping[str, object], where: str, known: Iterable[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    known, keys = list(known), setting_keys()
    for name, value in table.items():
        sets = keys[name].sets if name in keys else None
        if sets is None:
            hint = suggestion(name, known) or f"known are {', '.join(known)}"
            raise ConfigError(f"{where}: unknown key {brief(name)}", hint)
        try:
            values[sets.field] = sets.parse(value)
        except UsageError as error:
            raise ConfigError(f"{where}: {name}: {error.message}", error.hint) from None
    return values
