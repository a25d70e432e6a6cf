"""What score and offset-scan have in common: everything that was typed is checked, then they run.

Nothing is decoded before every flag, file name and setting has been checked.
"""

from __future__ import annotations

from avsync_cli.cli.checks import log_to_stderr
from avsync_cli.cli.flags import JudgeFlags
from avsync_cli.cli.job import checked_job
from avsync_cli.cli.output import Sink
from avsync_cli.cli.run import Run
from avsync_cli.config import Command
from avsync_cli.judging import load_model


def judge(command: Command, flags: JudgeFlags) -> int:
    """Run `score` or `offset-scan` and return the exit code.

    Raises:
        AvsyncError: before any work, for what cannot be used; later only for a missing ffmpeg or
            a damaged model, which no other file would survive either.
    """
    job = checked_job(command, flags)
    log_to_stderr(flags.console.verbose)
    # Where others do the work, the model is loaded only to see that it can be, and its name.
    alone = flags.batch.jobs is None and flags.batch.engine == "local"
    settings = job.settings
    engine = load_model(settings.model, settings.attention, settings.threads if alone else 1)
    output = flags.output.output if job.template is None else None
    with Sink(output, machine=job.form != "text", color=job.color) as sink:
        return Run(job, engine, sink).all()
