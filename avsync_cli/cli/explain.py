"""The command `avsync explain`: what the numbers and words of an answer mean."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

PAGE = "reading-the-answer.md"


def _topics() -> list[str]:
    return list(sections()) if page_file().is_file() else []


def explain(
    topic: Annotated[
        str | None,
        typer.Argument(
            metavar="TOPIC",
            help="A word of the answer; left out, all of them.",
            show_default=False,
            autocompletion=_topics,
        ),
    ] = None,
) -> None:
    """Explain what the numbers and words of an answer mean.

    [bold]Examples[/bold]

      avsync explain               the whole page
      avsync explain undecided     why there is no answer, and what to do about it
      avsync explain "p(sync)"

    Topics: offset, pieces, interval, sure, margin, p(sync), confidence, weight, status,
    undecided, notes, quick, range, curve.
    """
    from avsync_cli.config import suggestion
    from avsync_cli.errors import UsageError

    if not page_file().is_file():
        raise UsageError(f"{PAGE} is missing from this installation", "reinstall avsync")
    text = page_file().read_text(encoding="utf-8")
    if topic is not None:
        known = sections()
        name = topic.strip().lower()
        if name not in known:
            hint = suggestion(name, known) or f"topics are {', '.join(known)}"
            raise UsageError(f"nothing to explain about {topic!r}", hint)
        text = known[name]
    _show(text)


def page_file() -> Path:
    """Where the page is."""
    from avsync_cli.config import shipped

    return shipped(f"docs/{PAGE}")


def sections() -> dict[str, str]:
    """The parts of the page by their headings, each with its heading."""
    parts = re.split(r"^(?=## )", page_file().read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {part.splitlines()[0].removeprefix("## ").strip(): part.strip() + "\n" for part in parts}


def _show(text: str) -> None:
    """As laid out for a terminal; where it goes to a file or a pipe the same without colours, 80
    columns wide."""
    from rich.console import Console
    from rich.markdown import Markdown

    from avsync_cli.cli.output import Sink

    with Sink(None, machine=False, color=True) as sink:
        laid_out = io.StringIO()
        console = Console(
            file=laid_out,
            force_terminal=sys.stdout.isatty(),
            width=min(sink.width, 100),
            safe_box=not sink.unicode,
        )
        console.print(Markdown(text))
        sink.write("".join(f"{line.rstrip()}\n" for line in laid_out.getvalue().splitlines()))
