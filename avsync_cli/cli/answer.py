"""The answer of a run in the form that was asked for: for a person, JSON, JSON lines or CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from avsync_cli.batch.journal import Journal, read_back
from avsync_cli.batch.line import Ticket
from avsync_cli.cli.job import Job
from avsync_cli.cli.output import Sink
from avsync_cli.config import tolerance_profile
from avsync_cli.media.source import Stamp
from avsync_cli.report import machine, terminal
from avsync_cli.report.machine import Failure, Tool
from avsync_cli.verdict.answer import Judgement
from avsync_cli.wording import safe_text


class Answer:
    """Takes what became of each file, in the order in which it is to be told.

    Args:
        job: what was asked.
        tool: who judges.
        options: `fingerprint` of how files are judged.
        sink: where the answer goes.
        apart: whether it is about one file of several: in full then, and if need be why not.

    Attributes:
        journal: where lines go instead, for `--resume`; set while it is open.
    """

    def __init__(
        self, job: Job, tool: Tool, options: str, sink: Sink, *, apart: bool = False
    ) -> None:
        self._full = apart or len(job.files) == 1 or job.flags.output.blocks
        self._apart = apart
        self._job, self._tool, self._options, self._sink = job, tool, options, sink
        profile = tolerance_profile(job.settings.tolerance)
        self._tolerance = machine.tolerance_entry(profile.name, profile.early_ms, profile.late_ms)
        self._curve, self._pieces = job.command == "offset-scan", job.flags.output.pieces
        self.journal: Journal | None = None
        self._whole: list[Judgement | Failure] = []

    def begin(self) -> None:
        """Write what comes before the first file."""
        if self._job.form == "csv":
            self._sink.write(machine.csv_header(pieces=self._pieces))

    def take(self, results: Sequence[Judgement | Failure], stamp: Stamp | None) -> None:
        """Write one file's part, or keep it where the answer is one document.

        Args:
            results: its answers, one a sound track that was judged.
            stamp: of the file as it was judged.

        Raises:
            OutputClosed: nobody reads stdout any more.
            WriteError: it cannot be written.
        """
        form = self._job.form
        if form == "jsonl":
            self._write_lines(results, Ticket(self._options, stamp, len(results)))
        elif form == "csv":
            self._sink.write(self._csv(results))
        elif form == "json":
            self._whole += results
        else:
            for result in results:
                if not isinstance(result, Failure):
                    self._tell(result)
                elif self._apart:
                    self._sink.write(f"{safe_text(result.message)}\n")

    def finish(self) -> None:
        """Write what comes after the last file."""
        if self._job.form != "json":
            return
        reports = [one for one in self._whole if not isinstance(one, Failure)]
        failures = [one for one in self._whole if isinstance(one, Failure)]
        about = self._tool, self._tolerance
        document = machine.document(reports, failures, *about, curve=self._curve)
        self._sink.write(machine.to_json(document))

    def write_csv(self, journal: Path) -> None:
        """Write the CSV of all files, whichever run judged them, in their order."""
        held = {
            told[0].result.path: self._csv([one.result for one in told])
            for told in read_back([journal], lambda _: None)
        }
        self._sink.write(machine.csv_header(pieces=self._pieces))
        self._sink.write("".join(held.get(source.path, "") for source in self._job.files))

    def _csv(self, results: Sequence[Judgement | Failure]) -> str:
        return "".join(map(machine.csv_pieces if self._pieces else machine.csv_row, results))

    def _tell(self, judgement: Judgement) -> None:
        """For a person: in short for one of many, unless all was asked for."""
        if self._job.flags.console.quiet:
            self._sink.write_lines([terminal.sentence(judgement)])
            return
        all_rows, curve = self._job.flags.output.blocks, self._full and self._curve
        layout = terminal.Layout(self._sink.width, self._sink.unicode, all_rows)
        self._sink.write_lines(terminal.render(judgement, layout, table=self._full, curve=curve))

    def _write_lines(self, results: Sequence[Judgement | Failure], ticket: Ticket) -> None:
        lines = "".join(
            machine.json_line(
                result,
                self._tool,
                self._tolerance,
                # A journal is told again later, `report`, and must hold what a page shows.
                curve=self._curve or self.journal is not None,
                command=self._job.command,
                resume=ticket.entry(),
            )
            for result in results
        )
        if self.journal is None:
            self._sink.write(lines)
        else:
            self.journal.append(lines)
