"""The command `avsync score`: is the sound in sync, and what does the answer rest on?"""

from __future__ import annotations

from avsync_cli.cli.flags import JudgeFlags
from avsync_cli.cli.takes import takes


@takes(JudgeFlags)
def score(flags: JudgeFlags) -> int:
    """Say whether the sound of each file is in sync, with the evidence.

    [bold]Examples[/bold]

      avsync score holiday.mp4                   table of blocks, then a verdict
      avsync score --tolerance ebu *.mov         by the EBU's limits
      avsync score --jsonl -r recordings/        a line of JSON a file
      avsync score --jobs 4 --resume qc.jsonl -r recordings/
      avsync score --html report.html film.mkv   a page with figures and stills
      avsync score -r raw/ --tracks faces.csv --crops clips/ --align
      avsync score --start 10:00 --duration 2m film.mkv

    Offsets up to a second either way are tried; use offset-scan for larger ones. An offset above
    0 means that the sound is late. Confidence is how much attention the model pays to a block
    (any number), weight its share in the decision, p(sync) the probability that the block as it
    stands is in sync.
    """
    from avsync_cli.cli.run import judge

    return judge("score", flags)
