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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from avsync_cli.config import Settings, further_ms
from avsync_cli.corpus.cache import CachedClip
from avsync_cli.evaluation.remembering import RememberingEngine
from avsync_cli.evaluation.trials import clip_pieces, move_sound
from avsync_cli.inference.pipeline import AnalyseOptions, analyse_tracks
from avsync_cli.loading import load_model
from avsync_cli.model.engine import Engine
from avsync_cli.timebase import FPS, HOP_MS
from avsync_cli.verdict.answer import ITU, Verdict
from avsync_cli.verdict.decision import decide_verdict
from avsync_cli.verdict.missing import asks_further
from tests.benchmarks.bench import cached_clips_parser, cached_talkers, head, note, row
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
        hops, known = round((lag_ms - own_ms) / HOP_MS), RememberingEngine(engine)
        for sound, truth_ms in (
            (move_sound(clip.wave(), hops), own_ms + hops * HOP_MS),
            (strange, None),
        ):
            yield Told(clip.frames / FPS, truth_ms, *_looks(clip, sound, known))


def _looks(
    clip: CachedClip, sound: np.ndarray, engine: Engine
) -> tuple[float | None, float | None]:
    """What a first look tells, and a second one where it is taken."""
    range_ms, pieces = float(Settings().range_ms), clip_pieces(clip, clip.crops(), 0, clip.frames)

    def told(reach_ms: float) -> Verdict:
        options = AnalyseOptions(range_ms=reach_ms)
        return decide_verdict(analyse_tracks(pieces, sound, options, engine), ITU)

    first = told(range_ms)
    again = told(further_ms(range_ms)) if asks_further(first) else None
    return first.offset_ms, None if again is None else again.offset_ms


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
    parser = cached_clips_parser(__doc__)
    parser.add_argument("--count", type=int, default=150, help="clips")
    given = parser.parse_args()
    long = cached_talkers(given, LEAST_S)
    np.random.default_rng(given.seed).shuffle(long)  # type: ignore[arg-type]
    engine = load_model(threads=1)
    clips = list(with_own_lags(long[: given.count], engine))
    note(f"{len(clips)} clips, seed {given.seed}")
    table(list(told_of(clips, engine, given.seed)))


if __name__ == "__main__":
    main()
