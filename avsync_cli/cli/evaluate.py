"""The command `avsync eval`: how often is a model right on videos known to be in sync?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from avsync_cli.cli.flags_workshop import EvalFlags
from avsync_cli.cli.takes import takes
from avsync_cli.cli.values import shifts_ms, window_frames
from avsync_cli.config import check_range_ms, parse_duration_ms, user_cache

if TYPE_CHECKING:
    from avsync_cli.evaluation.protocol import EvalOptions


@takes(EvalFlags)
def evaluate(flags: EvalFlags) -> None:
    """Measure a model on a folder or manifest of videos that are in sync.

    [bold]Examples[/bold]

      avsync eval clips.csv --split test
      avsync eval clips.csv --split test --report report/ --own-zero 'lab/*'
      avsync eval clips.csv --compare runs/syncnet/best --compare motion
      avsync eval clips.csv --shifts -400,-120,80,240 --json -o figures.json

    By source and window length: how often the offset is found within one frame, and how often a
    pair in sync is told from a shifted one. With --report also known shifts, calibration, what
    answers cost, by speaker too, as tables and figures. With --shifts also how the estimate moves
    when the sound is moved in the file.
    """
    from avsync_cli.cli.checks import check_output
    from avsync_cli.cli.extras import train_extra
    from avsync_cli.cli.output import Sink
    from avsync_cli.cli.progress import StageProgress
    from avsync_cli.evaluation.protocol import evaluate as measure
    from avsync_cli.report.evaluation import evaluation_json, evaluation_lines
    from avsync_cli.report.evaluation_folder import check_folder, write_folder

    options = _options(flags).checked()
    check_output("--output", flags.output, [str(flags.data)])
    if flags.report is not None:
        check_folder(flags.report)
    with Sink(flags.output, machine=flags.json, color=True) as sink:
        # Only baselines and checkpoints need the extra; exported models do not.
        with train_extra("eval"), StageProgress() as progress:
            found = measure(options, progress)
        if flags.report is not None:
            write_folder(found, flags.report)
        if flags.json:
            sink.write(evaluation_json(found))
        else:
            sink.write_lines(evaluation_lines(found))


def _options(flags: EvalFlags) -> EvalOptions:
    from avsync_cli.evaluation.protocol import PARTS, EvalOptions

    wanted = tuple(word.strip() for word in flags.parts.split(",") if word.strip())
    return EvalOptions(
        data=flags.data,
        cache=flags.cache or user_cache(),
        model=flags.model,
        compare=tuple(flags.compare or ()),
        split=flags.split,
        kinds=tuple(flags.kind or ()),
        own_zero=tuple(flags.own_zero or ()),
        contexts=window_frames(flags.windows),
        windows_a_clip=flags.windows_a_clip,
        parts=wanted or (PARTS if flags.report is not None else ("windows",)),
        shifts_ms=shifts_ms(flags.shifts),
        range_ms=check_range_ms(parse_duration_ms(flags.range)),
        seed=flags.seed,
        workers=flags.workers,
    )
