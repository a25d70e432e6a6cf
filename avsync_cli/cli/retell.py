"""What was typed after `avsync report`, checked and carried out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from avsync_cli.batch.journal import read_back
from avsync_cli.cli.beside import check_wanted
from avsync_cli.cli.checks import check_output
from avsync_cli.cli.flags_results import ReportFlags
from avsync_cli.cli.output import Sink, say, say_annotations, say_error
from avsync_cli.errors import UsageError, exit_code, worst
from avsync_cli.report import machine, terminal
from avsync_cli.report.beside import Wanted
from avsync_cli.report.junit import junit_text
from avsync_cli.report.machine import Failure, status_of
from avsync_cli.report.reread import Reread


def retell(flags: ReportFlags) -> int:
    """Run `report` and return the exit code.

    Raises:
        UsageError: something cannot be used or does not go together.
        WriteError: the answer cannot be written.
    """
    _check(flags)
    counts: Counter[str] = Counter()
    failures: list[Failure] = []

    def counted() -> Iterator[Reread]:
        for told in read_back(flags.journals, say):
            failures.extend(one.result for one in told if isinstance(one.result, Failure))
            if flags.github:
                say_annotations([one.result for one in told])
            counts[worst([status_of(one.result) for one in told])] += 1
            yield from told

    for_scripts = flags.csv or flags.junit
    with Sink(flags.output, machine=for_scripts, color=not flags.no_color) as sink:
        _write(flags, counted(), sink)
    if not flags.quiet:
        say(terminal.summary(counts))
    for failure in failures:
        say_error(failure.message, failure.hint)
    return 0 if flags.exit_zero else exit_code(counts)


def _check(flags: ReportFlags) -> None:
    if flags.csv and flags.junit:
        raise UsageError("--csv and --junit exclude each other", "choose one")
    if flags.pieces and not flags.csv:
        raise UsageError("--pieces is for --csv", "add --csv")
    journals = list(map(str, flags.journals))
    check_output("--output", flags.output, journals)
    check_wanted(Wanted(html=flags.html), flags.output, journals)


def _write(flags: ReportFlags, results: Iterator[Reread], sink: Sink) -> None:
    if flags.html is not None:
        results = _with_page(flags.html, results)
    answers = (one.result for one in results)
    if flags.junit:
        sink.write(junit_text(answers))
        return
    if flags.csv:
        sink.write(machine.csv_header(pieces=flags.pieces))
    for answer in answers:
        if flags.csv:
            sink.write((machine.csv_pieces if flags.pieces else machine.csv_row)(answer))
        elif not isinstance(answer, Failure):
            layout = terminal.Layout(sink.width, sink.unicode)
            sink.write_lines(terminal.render(answer, layout, table=False, curve=False))


def _with_page(path: Path, results: Iterator[Reread]) -> Iterator[Reread]:
    """The results as they come; when all have, the page of them is written."""
    from avsync_cli.report.html import HtmlReport
    from avsync_cli.report.html_section import Illustrations

    first = next(results, None)
    if first is None:
        raise UsageError("the journal holds no answers", "judge files first: avsync score --resume")
    page = HtmlReport(path, first.tool, first.command or "score")
    for one in chain([first], results):
        if isinstance(one.result, Failure):
            page.fail(one.result)
        else:
            page.add(one.result, Illustrations())
        yield one
    page.finish()
    say(f"wrote {path}")
