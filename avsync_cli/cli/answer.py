"""The answer of a run in the form that was asked for: for a person, JSON, JSON lines or CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avsync_cli.cli.job import Job
from avsync_cli.cli.output import Sink
from avsync_cli.config import tolerance_profile
from avsync_cli.report import machine, terminal
from avsync_cli.report.machine import Failure, Tool

if TYPE_CHECKING:
    from avsync_cli.batch.journal import Journal
    from avsync_cli.verdict.answer import Judgement


class Answer:
    """Takes what became of each file, in the order in which it is to be told.

    Args:
        job: what was asked.
        tool: who judges.
        sink: where the answer goes.

    Attributes:
        tolerance: the run's, as JSON has it.
        curve: whether files come with their offset curves.
        journal: where lines go instead, for `--resume`; set while it is open.
    """

    def __init__(self, job: Job, tool: Tool, sink: Sink) -> None:
        self._job, self._tool, self._sink = job, tool, sink
        profile = tolerance_profile(job.settings.tolerance)
        self.tolerance = machine.tolerance_entry(profile.name, profile.early_ms, profile.late_ms)
        self.curve = job.command == "offset-scan"
        self.journal: Journal | None = None
        self._whole: list[Judgement | Failure] = []

    def begin(self) -> None:
        """Write what comes before the first file."""
        if self._job.form == "csv":
            self._sink.write(machine.csv_header())

    def take(self, outcome: Judgement | Failure) -> None:
        """Write one file's part, or keep it where the answer is one document.

        Raises:
            OutputClosed: nobody reads stdout any more.
            WriteError: it cannot be written.
        """
        form = self._job.form
        if form == "jsonl":
            self._write_line(
                machine.json_line(outcome, self._tool, self.tolerance, curve=self.curve)
            )
        elif form == "csv":
            self._sink.write(machine.csv_row(outcome))
        elif form == "json":
            self._whole.append(outcome)
        elif not isinstance(outcome, Failure):
            self._tell(outcome)

    def finish(self) -> None:
        """Write what comes after the last file."""
        if self._job.form != "json":
            return
        document = machine.document(
            [one for one in self._whole if not isinstance(one, Failure)],
            [one for one in self._whole if isinstance(one, Failure)],
            self._tool,
            self.tolerance,
            curve=self.curve,
        )
        self._sink.write(machine.to_json(document))

    def _tell(self, judgement: Judgement) -> None:
        """For a person: in short for one of many, unless all was asked for."""
        if self._job.flags.console.quiet:
            self._sink.write_lines([terminal.sentence(judgement)])
            return
        all_blocks = self._job.flags.output.all_blocks
        full = all_blocks or len(self._job.files) == 1
        layout = terminal.Layout(self._sink.width, self._sink.unicode, all_blocks)
        lines = terminal.render(judgement, layout, table=full, curve=full and self.curve)
        self._sink.write_lines(lines)

    def _write_line(self, line: str) -> None:
        if self.journal is None:
            self._sink.write(line)
        else:
            self.journal.append(line)
