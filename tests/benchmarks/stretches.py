"""Which stretches of held-out talkers get an answer, how often wrongly, or with another's sound.

    python -m tests.benchmarks.stretches --data clips.csv --cache DIR [--draws 1,2] [--part 0/2]

DATA is a CSV manifest. Clips are filmed talkers that no stage of the bundled model has learnt from
(docs/model/log.md), none of the test split. They are cut and moved as `avsync export --calibrate`
does (`evaluation/trials.py`); the constants of the bundled model were fitted to draw 0. With
`--part K/N` every N-th clip from the K-th on, for N processes: exchanged sound is then that of
another clip of the same part.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

from avsync_cli.corpus.cache import build_cache
from avsync_cli.corpus.manifest import Clip, load_manifest
from avsync_cli.evaluation.metrics import calibration_error
from avsync_cli.evaluation.records import Stretch
from avsync_cli.evaluation.trials import LENGTHS_S, judged, likely_zero, trials
from avsync_cli.loading import load_model
from avsync_cli.timebase import FPS
from tests.benchmarks.bench import head, note, row
from tests.benchmarks.tracks import held_out

SINCE = (
    "bodowinter/wednesday_question", "CunyangWei/T3_AV", "deerajnagothu/face2face-demo",
    "DmitryRyumin/OpenAV", "krantiparida/krantiparida.github.io", "remotion-dev/template-tiktok",
    "semchan/HyperLips", "sstzal/DFRF", "tanshuai0219/EDTalk",
)  # fmt: skip
"""Sources held out of the second model's training beside those of the first one's."""


def filmed(data: Path) -> list[Clip]:
    """The held-out clips of a manifest that no model has made."""
    with data.open(encoding="utf-8", newline="") as file:
        made = {
            (data.parent / r["file"]).resolve() for r in csv.DictReader(file) if r["real"] == "0"
        }
    return [
        clip
        for clip in load_manifest(data)
        if clip.split == "train" and clip.kind == "talking" and clip.path.resolve() not in made
        if held_out(clip) or any(name in clip.path.as_posix().replace("__", "/") for name in SINCE)
    ]


def table(own: Sequence[Stretch], exchanged: Sequence[Stretch]) -> None:
    """Answers by length."""
    head("stretches", "of", "answered", "off by more than a frame", "interval holds", "error")
    lengths = [s for s in LENGTHS_S if s is not None]
    kinds = {f"{s:g} s": [x for x in own if abs(x.seconds - s) < 1 / FPS] for s in lengths}
    apart = {id(x) for xs in kinds.values() for x in xs}
    kinds |= {"whole clips": [x for x in own if id(x) not in apart], "all": list(own)}
    kinds["another's sound"] = list(exchanged)
    for name, mine in kinds.items():
        told = [s for s in mine if s.decided]
        if mine:
            holds = sum(bool(s.covered) for s in told)
            error = calibration_error([s.confidence for s in mine], [s.right for s in mine])
            wrong = sum(not s.right for s in told)
            row(name, len(mine), len(told), wrong, f"{holds} of {len(told)}", f"{error:.3f}")


def main() -> None:
    """Cut, move, judge, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="CSV manifest")
    parser.add_argument("--cache", type=Path, required=True, help="decoded crops and sound")
    parser.add_argument("--draws", default="1,2", help="of cuts and lags")
    parser.add_argument("--part", default="0/1", help="every N-th clip from the K-th on: K/N")
    given = parser.parse_args()
    first, every = map(int, given.part.split("/"))
    clips, _ = build_cache(filmed(given.data)[first::every], given.cache)
    engine, found = load_model(threads=1), {}
    for swapped in (False, True):
        cut = [
            trial
            for draw in map(int, given.draws.split(","))
            for trial in trials(engine, clips, likely_zero(engine), seed=draw, swapped=swapped)
        ]
        found[swapped] = [judged(trial) for trial in cut]
    note(f"{len(clips)} clips, draws {given.draws}, part {given.part}")
    table(found[False], found[True])


if __name__ == "__main__":
    main()
