"""A command takes one value: all that was typed after its name.

Each flag is defined once, as a field of a frozen dataclass that is made by `option` or `argument`,
and where it is a setting says what it sets. Dataclasses may hold others: groups that several
commands share. From that come what Typer shows and parses, the keys of configuration files and the
names of variables (`layers`), the flags that a printed command repeats, and the names that the
Python functions take.

    @dataclass(frozen=True, kw_only=True)
    class Shout:
        loud: bool = option("Louder.", default=False)

    @takes(Shout)
    def shout(flags: Shout) -> int: ...

The dataclasses' modules do without `from __future__ import annotations`: their annotations are
values, read many times.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

F = TypeVar("F")


@dataclass(frozen=True)
class Sets:
    """What a flag sets: a field of the value by which files are judged.

    Attributes:
        owner: `Settings` or `Excerpt`.
        field: its field, and so the keyword of the Python functions.
        parse: from what was typed, or stands in a configuration file, to the field's value; raises
            UsageError for what cannot be meant.
        shown: from the field's value to what could be typed.
        decides: whether answers depend on it.
    """

    owner: type
    field: str
    parse: Callable[[Any], Any]
    shown: Callable[[Any], str] = str
    decides: bool = True


def option(
    help: str,
    *names: str,
    panel: str | None = None,
    default: Any = None,
    sets: Sets | None = None,
    told: type | None = None,
    **more: Any,
) -> Any:
    """A field that is an option, called as the field is: `--dry-run` for `dry_run`.

    Args:
        help: what it does.
        names: more of its names, as `-o`; or both of a pair, `--on/--off`, in place of the field's.
        panel: of the help, in which it stands.
        default: where it is not typed; `MISSING` for what must be.
        sets: what it sets beyond the command.
        told: dataclass whose default of that name ends the help.
        more: of `typer.Option`.
    """
    made = functools.partial(typer.Option, rich_help_panel=panel, **more)
    return _field(made, default, help=help, names=names, sets=sets, told=told)


def argument(help: str, *, default: Any = MISSING, **more: Any) -> Any:
    """A field that is an argument; see `option`."""
    return _field(functools.partial(typer.Argument, show_default=False, **more), default, help=help)


def _field(made: Callable[..., Any], default: Any, **about: Any) -> Any:
    return field(default=default, metadata={"made": made, **about})


@dataclass(frozen=True, kw_only=True)
class Flag:
    """One flag or argument of a command.

    Attributes:
        path: names of the fields that lead to it, the last its own.
        annotation: its type with Typer's option.
        default: `inspect.Parameter.empty` for what must be given.
        option: as it is typed, "--range"; "" for an argument.
        sets: what it sets beyond the command, or None.
    """

    path: tuple[str, ...]
    annotation: Any
    default: Any
    option: str
    sets: Sets | None

    @property
    def name(self) -> str:
        """The field's name; of a setting also its key in a configuration file."""
        return self.path[-1]

    def of(self, flags: object) -> Any:
        """What was typed for it, in a value of the command's flags."""
        return functools.reduce(getattr, self.path, flags)


def flags_of(group: type[Any]) -> tuple[Flag, ...]:
    """All flags of a dataclass and of the groups in it, in order."""
    hints = get_type_hints(group)
    found: list[Flag] = []
    for each in fields(group):
        hint = hints[each.name]
        if is_dataclass(hint):
            assert isinstance(hint, type)
            found += [replace(flag, path=(each.name, *flag.path)) for flag in flags_of(hint)]
        else:
            found.append(_flag(each, hint))
    assert len({flag.name for flag in found}) == len(found), f"{group} has two flags of one name"
    return tuple(found)


def _flag(of: Field[Any], hint: Any) -> Flag:
    about, names = of.metadata, list(of.metadata.get("names", ()))
    if "names" in about and not any("/" in name for name in names):
        names.insert(0, f"--{of.name.replace('_', '-')}")
    help = about["help"]
    if about.get("told") is not None:
        help = f"{help}  \\[default: {_default_words(getattr(about['told'], of.name))}]"
    return Flag(
        path=(of.name,),
        annotation=Annotated[hint, about["made"](*names, help=help)],
        default=inspect.Parameter.empty if of.default is MISSING else of.default,
        option=names[0] if names else "",
        sets=about.get("sets"),
    )


def _default_words(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "none" if value in (None, "") else str(value)


def settings_of(group: type, owner: type) -> dict[str, Flag]:
    """Flags of `group` that set a field of `owner`, by their names, in order of those fields."""
    setting = {(flag.sets.owner, flag.sets.field): flag for flag in flags_of(group) if flag.sets}
    found = (setting.get((owner, each.name)) for each in fields(owner))
    return {flag.name: flag for flag in found if flag is not None}


def typed_values(flags: object, owner: type) -> dict[str, Any]:
    """Fields of `owner` that were typed, parsed; those that were not are left out.

    Raises:
        UsageError: one that cannot be meant.
    """
    values = {}
    for flag in settings_of(type(flags), owner).values():
        typed = flag.of(flags)
        if typed is not None and flag.sets is not None:
            values[flag.sets.field] = flag.sets.parse(typed)
    return values


def words_for(group: type, value: object, usual: object) -> tuple[str, ...]:
    """The words by which a command with the flags `group` judges as `value` says.

    Args:
        group: the command's flags.
        value: a `Settings` or an `Excerpt`.
        usual: the same where nothing is typed; what is as usual needs no word.

    Returns:
        Options and their values, of those that decide the answer.
    """
    words: list[str] = []
    for flag in settings_of(group, type(value)).values():
        sets = flag.sets
        assert sets is not None
        found = getattr(value, sets.field)
        if sets.decides and found is not None and found != getattr(usual, sets.field):
            words += [word for word in (flag.option, sets.shown(found)) if word]
    return tuple(words)


def takes(group: type[F]) -> Callable[[Callable[[F], int | None]], Callable[..., None]]:
    """Make a function of one value, `group`, a command with the flags of `group`.

    What the function returns is the exit code, None for 0. Its docstring is the help.
    """

    def decorate(command: Callable[[F], int | None]) -> Callable[..., None]:
        def run(**typed: Any) -> None:
            raise typer.Exit(command(_filled(group, typed)) or 0)

        functools.update_wrapper(run, command)
        del run.__wrapped__  # type: ignore[attr-defined]
        keyword, flags = inspect.Parameter.KEYWORD_ONLY, flags_of(group)
        parameters = [
            inspect.Parameter(flag.name, keyword, default=flag.default, annotation=flag.annotation)
            for flag in flags
        ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {flag.name: flag.annotation for flag in flags}
        return run

    return decorate


def _filled(group: type[F], typed: dict[str, Any]) -> F:
    hints = get_type_hints(group)
    values = {
        each.name: _filled(hints[each.name], typed)
        if is_dataclass(hints[each.name])
        else typed[each.name]
        for each in fields(group)  # type: ignore[arg-type]
    }
    return group(**values)
