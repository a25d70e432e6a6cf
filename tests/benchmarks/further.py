"""Talkers whose sound is off by more than the range: what does a second look, further off, tell?

    python -m tests.benchmarks.further --data clips.csv --cache DIR [--split test] [--count 150]

Prints a Markdown table. The same seed makes the same files. Each clip's sound is laid 1.2 to 3.5 s
early or late, and is exchanged for that of another source's clip, for which every answer is wrong.
Both are judged with the range of `score` and with that of its second look, which is taken where
nothing fits. Clips whose own lag is not sure take no part. Crops and sound come from the
evaluation's cache and take the road that `score` takes from there.

Wrong is a lag that is told and off by more than 60 ms.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from avsync_cli.config import Settings, further_ms
from avsync_cli.corpus.cache import build_cache
from avsync_cli.evaluation.remembering import RememberingEngine
from avsync_cli.evaluation.trials import clip_pieces, move_sound
from avsync_cli.inference.pipeline import AnalyseOptions, analyse_tracks
from avsync_cli.judging import load_model
from avsync_cli.model.engine import Engine
from avsync_cli.timebase import FPS, HOP_MS
from avsync_cli.verdict.answer import ITU
from avsync_cli.verdict.decision import decide_verdict
from avsync_cli.verdict.missing import asks_further
from tests.benchmarks.bench import Bench, head, note, row
from tests.benchmarks.scenes import LEAST_S, Sure, with_own_lags
from tests.benchmarks.splices import WRONG_MS

LAGS_MS = 1_200, 3_500
LENGTHS_S = (0.0, 6.0, 12.0, np.inf)


@dataclass(frozen=True)
class Told:
    """What was said of one file.

    Attributes:
        seconds: its length.
        truth_ms: its lag; None with another's sound.
        first_ms, again_ms: what the first look told, and the second if one was taken.
    """

    seconds: float
    truth_ms: float | None
    first_ms: float | None
    again_ms: float | None

    def wrong(self, told_ms: float | None) -> bool:
        """Whether that is told and is not so."""
        if told_ms is None:
            return False
        return self.truth_ms is None or abs(told_ms - self.truth_ms) > WRONG_MS


def told_of(clips: Sequence[Sure], engine: Engine, seed: int) -> Iterator[Told]:
    """Every clip with its own sound far off, and with another's."""
    for number, (clip, own_ms) in enumerate(clips):
        rng = np.random.default_rng([seed, number])
        lag_ms = float(rng.choice((-1, 1)) * rng.integers(*LAGS_MS))
        others = [c for c, _ in clips if c.clip.source != clip.clip.source]
        strange = np.resize(others[rng.integers(len(others))].wave(), len(clip.wave()))
        hops = round((lag_ms - own_ms) / HOP_MS)
        pieces = clip_pieces(clip, clip.crops(), 0, clip.frames)
        known = RememberingEngine(engine)

        def look(sound: np.ndarray, truth_ms: float | None) -> Told:
            range_ms = float(Settings().range_ms)
            told = []
            for reach_ms in (range_ms, further_ms(range_ms)):
                options = AnalyseOptions(range_ms=reach_ms)
                verdict = decide_verdict(analyse_tracks(pieces, sound, options, known), ITU)  # noqa: B023
                told.append(verdict.offset_ms)
                if not asks_further(verdict):
                    break
            again_ms = told[1] if len(told) > 1 else None
            return Told(clip.frames / FPS, truth_ms, told[0], again_ms)  # noqa: B023

        yield look(move_sound(clip.wave(), hops), own_ms + hops * HOP_MS)
        yield look(strange, None)


def table(found: Sequence[Told]) -> None:
    """A row for each length, and with another's sound."""
    head("what", "files", "first look: told", "wrong", "second look: told", "wrong")
    for low, high in pairwise(LENGTHS_S):
        words = f"{low:g} s and more" if high == np.inf else f"{low:g} to {high:g} s"
        mine = [t for t in found if low <= t.seconds < high]
        _line(words, [t for t in mine if t.truth_ms is not None])
    _line("all", [t for t in found if t.truth_ms is not None])
    _line("another's sound", [t for t in found if t.truth_ms is None])


def _line(what: str, told: Sequence[Told]) -> None:
    first, again = [t.first_ms for t in told], [t.again_ms for t in told]
    counts = (
        (
            sum(ms is not None for ms in said),
            sum(t.wrong(ms) for t, ms in zip(told, said, strict=True)),
        )
        for said in (first, again)
    )
    row(what, len(told), *(count for pair in counts for count in pair))


def main() -> None:
    """Move the sound, judge, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder or manifest")
    parser.add_argument("--cache", type=Path, required=True, help="decoded crops and sound")
    parser.add_argument("--split", default="test", help="rows of the manifest to use")
    parser.add_argument("--count", type=int, default=150, help="clips")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wanted = Bench(given, Path(folder)).talking(LEAST_S)
    wanted = [replace(clip, offset_ms=0.0) for clip in wanted if clip.kind != "film"]
    cached, _ = build_cache(wanted, given.cache)
    long = [clip for clip in cached if clip.frames >= LEAST_S * FPS]
    np.random.default_rng(given.seed).shuffle(long)  # type: ignore[arg-type]
    engine = load_model(threads=1)
    clips = list(with_own_lags(long[: given.count], engine))
    note(f"{len(clips)} clips, seed {given.seed}")
    table(list(told_of(clips, engine, given.seed)))


if __name__ == "__main__":
    main()
