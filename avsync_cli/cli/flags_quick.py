"""The flags of quick readings, which score and offset-scan share."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer

from avsync_cli.cli.takes import Sets
from avsync_cli.cli.values import seconds, share, switch
from avsync_cli.config import Settings, check_most_s, check_until

_where = partial(typer.Option, rich_help_panel="Which part of the file")


@dataclass(frozen=True, kw_only=True)
class QuickFlags:
    """How much of a long file is read."""

    quick: Annotated[
        bool | None,
        _where(
            "--quick",
            help="Read stretches of a long file until they settle it.",
            show_default=False,
        ),
        Sets(owner=Settings, field="quick", parse=switch, shown=lambda on: ""),
    ] = None
    most: Annotated[
        str | None,
        _where("--most", metavar="TIME", help="With --quick: read at most this much of it."),
        Sets(
            owner=Settings,
            field="most_s",
            parse=lambda value: check_most_s(seconds(value)),
            shown=lambda s: f"{s:.10g}s",
        ),
    ] = None
    until: Annotated[
        str | None,
        _where(
            "--until",
            metavar="P",
            help="With --quick: read on until this sure.  \\[default: 0.99]",
            show_default=False,
        ),
        Sets(owner=Settings, field="until", parse=share(check_until)),
    ] = None
