"""The command `avsync report`: the answers of a finished run told anew, without judging."""

from __future__ import annotations

from avsync_cli.cli.flags_results import ReportFlags
from avsync_cli.cli.takes import takes


@takes(ReportFlags)
def report(flags: ReportFlags) -> int:
    """Tell the answers of a finished run anew, as a page, CSV, JUnit XML or sentences.

    [bold]Examples[/bold]

      avsync score --resume qc.jsonl -r rushes/
      avsync report qc.jsonl --html qc.html      a page: sort, filter, open
      avsync report qc.jsonl --html pages/       a page a file, and an overview
      avsync report part-*.jsonl --csv -o qc.csv
      avsync report qc.jsonl --junit -o qc.xml   for a build server

    No file is opened or judged again, so pages have no stills, no loudness and no heat map. The
    exit code is that of the run: 0 in sync, 1 out of sync, 3 undecided or unreadable.
    """
    from avsync_cli.cli.retell import retell

    return retell(flags)
