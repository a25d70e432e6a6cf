"""The Typer application and its commands; importing it loads no numpy, no model, no ffmpeg."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated

import typer

from avsync_cli.cli import (
    evaluate,
    explain,
    export,
    fix,
    list_streams,
    offset_scan,
    report,
    score,
    train,
)
from avsync_cli.errors import EXIT_INTERRUPTED, EXIT_USAGE, UsageError

app = typer.Typer(
    name="avsync",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def help_text(function: Callable[..., None]) -> str:
    """A command's docstring with its paragraphs on one line each; indented lines stay lines."""
    paragraphs = inspect.cleandoc(function.__doc__ or "").split("\n\n")
    joined = (p if p.startswith(" ") else " ".join(p.split("\n")) for p in paragraphs)
    return "\n\n".join(joined)


COMMANDS: dict[str, Callable[..., None]] = {
    "score": score.score,
    "offset-scan": offset_scan.offset_scan,
    "fix": fix.fix,
    "report": report.report,
    "streams": list_streams.streams,
    "train": train.train,
    "eval": evaluate.evaluate,
    "export": export.export,
    "explain": explain.explain,
}
for _name, _function in COMMANDS.items():
    app.command(_name, help=help_text(_function))(_function)


def _version(value: bool) -> None:
    if value:
        from avsync_cli.cli.version import version_lines

        typer.echo("\n".join(version_lines()))
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_version,
            is_eager=True,
            help="Show the versions of avsync, ffmpeg, model and backend, and exit.",
        ),
    ] = False,
) -> None:
    """Is a video's sound in sync with its picture? By how much not, where, and how sure?

    [bold]Examples[/bold]

      avsync score holiday.mp4                 a verdict, and what it rests on
      avsync offset-scan --range 2s movie.mp4  the offset, its interval, the curve
      avsync fix movie.mp4 -o fixed.mp4        a copy in sync, measured again
      avsync score --json -r recordings/       a folder, for a script

    An offset above 0 means that the sound is late: it comes after the picture. What the other
    numbers mean: avsync explain.

    Exit codes: 0 in sync, 1 out of sync, 2 usage, 3 undecided or unreadable, 70 internal error.
    """


def run(args: list[str]) -> int:
    """Run one command line and return its exit code.

    Raises:
        AvsyncError: for everything that cannot be used, typing mistakes included.
    """
    try:
        code = app(args, prog_name="avsync", standalone_mode=False)
    except typer.TyperException as error:
        message = " ".join(error.format_message().split()).rstrip(".")
        if not message:  # no command at all: the help has been shown instead
            return EXIT_USAGE
        command = getattr(getattr(error, "ctx", None), "command_path", None) or "avsync"
        raise UsageError(message, f"see {command} --help") from None
    except typer.Abort:
        return EXIT_INTERRUPTED
    return code if isinstance(code, int) else 0
