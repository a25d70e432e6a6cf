"""Sound lost or put in, and clips joined: is one sure lag ever told of a file that has two?

    python -m tests.benchmarks.splices --data clips.csv --cache DIR [--split test] [--real 24]

Prints a Markdown table. The same seed makes the same files. Clips of 12 s and more, whose own lag
is sure, are judged whole, with sound lost or put in at a random place (3 s from either end at the
least), and joined to the clip before, with the same lag and with another; with `--slips` also with
sound that slips for 3 to 8 s and is where it was again. Their crops and sound come from the
evaluation's cache and take the road that `score` takes from there; `--real` writes some of them as
files, which takes all of it.

A file counts as told one lag when its decided stretches differ by less than a frame. That lag is
wrong if any part of the file is off by more than 60 ms. A step counts as found when both sides are
told, each within 60 ms.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from avsync_cli.corpus.cache import CachedClip
from avsync_cli.evaluation.remembering import RememberingEngine
from avsync_cli.evaluation.trials import clip_pieces, move_sound
from avsync_cli.inference.pipeline import AnalyseOptions, analyse_tracks
from avsync_cli.loading import load_model
from avsync_cli.model.engine import Engine
from avsync_cli.regions.stream import RegionPiece
from avsync_cli.timebase import FPS, FRAME_MS, HOP_MS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME
from avsync_cli.verdict.answer import ITU, Verdict
from avsync_cli.verdict.decision import decide_verdict
from tests.benchmarks.bench import cached_clips_parser, cached_talkers, head, note, row
from tests.benchmarks.films import SURE, Judge, lay, read_take, spliced, write_picture

LEAST_S, MOST_S = 12.0, 32.0
"""Length of the clips, and of what is taken of them."""

END_S = 3.0
"""Least speech on either side of a step."""

WRONG_MS = 60.0
"""A lag is wrong of a part that is off by more."""

FIRST_LAGS_MS, STEPS_MS = 300, (40, 480)
"""The lag before a step is drawn up to the one, the step between the two of the other."""

SLIP_S, SLIP_SHORT_S = (3.0, 8.0), 5.0
"""For how long a sound slips before it is caught again; shorter ones are counted apart."""

JOINED_FRAMES = (100, 200, 300)
"""Lengths to which the first of two joined clips is cut."""

Truth = tuple[tuple[float, float], ...]
"""(from when on, lag in ms), in order."""


@dataclass(frozen=True)
class Told:
    """What was said of one file.

    Attributes:
        kind: what was done.
        truth: its lags.
        seconds: its length.
        verdict: the answer.
    """

    kind: str
    truth: Truth
    seconds: float
    verdict: Verdict

    @property
    def step_ms(self) -> float:
        """Size of its step; 0 where it has none."""
        lags = [lag for _, lag in self.truth]
        return max(lags) - min(lags)

    @property
    def lags(self) -> list[tuple[float, float]]:
        """(middle in s, lag in ms) of the decided stretches."""
        known = [s for s in self.verdict.segments if s.offset_ms is not None]
        return [((s.start_s + s.end_s) / 2, s.offset_ms or 0.0) for s in known]

    @property
    def one(self) -> bool:
        """Whether one lag was told of all of it."""
        said = [lag for _, lag in self.lags]
        return self.verdict.status != "undecided" and max(said) - min(said) < FRAME_MS

    @property
    def wrong(self) -> bool:
        """Whether that lag is wrong somewhere."""
        told = self.verdict.offset_ms or 0.0
        return self.one and any(abs(told - lag) > WRONG_MS for _, lag in self.truth)

    @property
    def told_there(self) -> bool:
        """Whether that lag is told of more than a second and a half that are at another: an end
        that is left out is not."""
        spans = [(s.start_s, s.end_s) for s in self.verdict.segments if s.offset_ms is not None]
        told = self.verdict.offset_ms or 0.0
        times = np.concatenate([np.arange(start, end, 0.1) for start, end in spans] or [[]])
        off = [abs(told - lag_at(self.truth, at_s)) > WRONG_MS for at_s in times]
        return self.wrong and sum(off) > 15

    @property
    def found(self) -> bool:
        """Whether its step was told, with the lags of both sides."""
        if self.verdict.status == "undecided" or self.one or len(self.truth) < 2:
            return False
        return all(abs(lag - lag_at(self.truth, at_s)) <= WRONG_MS for at_s, lag in self.lags)


def lag_at(truth: Truth, time_s: float) -> float:
    """The lag at a time."""
    return next(lag for start_s, lag in reversed(truth) if start_s <= max(time_s, 0.0))


def cut(sound: np.ndarray, at_s: float, step_ms: int) -> np.ndarray:
    """Sound that comes later by `step_ms` from a time on: silence put in, or (< 0) sound lost."""
    at, change = round(at_s * SAMPLE_RATE_HZ), abs(step_ms) * SAMPLE_RATE_HZ // 1000
    gap = np.zeros(change, np.float32)
    if step_ms > 0:
        return np.concatenate([sound[:at], gap, sound[at:]])[: len(sound)]
    return np.concatenate([sound[: at - change], sound[at:], gap])


def drawn_step(rng: np.random.Generator) -> tuple[int, int]:
    """A first lag and a step, in ms."""
    lag = int(rng.integers(-FIRST_LAGS_MS, FIRST_LAGS_MS + 1)) // HOP_MS * HOP_MS
    low, high = STEPS_MS
    return lag, int(rng.choice((-1, 1)) * rng.integers(low, high + 1)) // HOP_MS * HOP_MS


class Clips:
    """Cached clips whose own lag is sure, judged in many ways, one after the other."""

    def __init__(
        self, clips: Sequence[CachedClip], engine: Engine, seed: int, each: int, slips: int = 0
    ) -> None:
        self._clips, self._plain, self._seed, self._each = clips, engine, seed, each
        self._slips = slips
        self._engine = RememberingEngine(engine)

    def told(self) -> Iterator[Told]:
        """Whole, cut, and joined to the clip before."""
        before: tuple[CachedClip, float] | None = None
        for number, clip in enumerate(self._clips):
            self._engine = RememberingEngine(self._plain) if number % 2 else self._engine
            rng = np.random.default_rng([self._seed, number])
            own = self._judge(clip_pieces(clip, clip.crops(), 0, _frames(clip)), _sound(clip))
            if own.offset_ms is None or own.confidence < SURE or len(own.segments) > 1:
                note(f"<!-- {clip.clip.source}: left out, its own lag is not sure -->")
                continue
            yield from self._alone(clip, own.offset_ms, rng)
            if before is not None:
                yield from self._joined(before, (clip, own.offset_ms), rng)
            yield from self._slipped(clip, own.offset_ms, rng)
            before = clip, own.offset_ms

    def _judge(self, pieces: Sequence[RegionPiece], sound: np.ndarray) -> Verdict:
        evidence = analyse_tracks(pieces, sound, AnalyseOptions(), self._engine)
        return decide_verdict(evidence, ITU)

    def _alone(self, clip: CachedClip, zero_ms: float, rng: np.random.Generator) -> Iterator[Told]:
        frames, sound = _frames(clip), _sound(clip)
        pieces = clip_pieces(clip, clip.crops(), 0, frames)
        for number in range(self._each):
            lag, step = drawn_step(rng)
            hops = round((lag - zero_ms) / HOP_MS)
            moved, lag_ms = move_sound(sound, hops), zero_ms + hops * HOP_MS
            at_s = float(rng.uniform(END_S, frames / FPS - END_S))
            if number == 0:
                yield Told("whole", ((0.0, lag_ms),), frames / FPS, self._judge(pieces, moved))
                continue
            truth = ((0.0, lag_ms), (at_s + min(0, step) / 1000, lag_ms + step))
            kind = "sound put in" if step > 0 else "sound lost"
            said = self._judge(pieces, cut(moved, at_s, step))
            yield Told(kind, truth, frames / FPS, said)

    def _slipped(
        self, clip: CachedClip, zero_ms: float, rng: np.random.Generator
    ) -> Iterator[Told]:
        frames, sound = _frames(clip), _sound(clip)
        pieces = clip_pieces(clip, clip.crops(), 0, frames)
        for _ in range(self._slips):
            lag, step = drawn_step(rng)
            hops, apart = round((lag - zero_ms) / HOP_MS), step // HOP_MS
            moved, lag_ms = move_sound(sound, hops).copy(), zero_ms + hops * HOP_MS
            lasting_s = float(rng.uniform(*SLIP_S))
            at_s = float(rng.uniform(END_S, max(END_S, frames / FPS - END_S - lasting_s)))
            first, last = (round(t * SAMPLE_RATE_HZ) for t in (at_s, at_s + lasting_s))
            moved[first:last] = move_sound(sound, hops + apart)[first:last]
            truth = ((0.0, lag_ms), (at_s, lag_ms + step), (at_s + lasting_s, lag_ms))
            kind = f"slipped, {'under' if lasting_s < SLIP_SHORT_S else 'over'} {SLIP_SHORT_S:g} s"
            yield Told(kind, truth, frames / FPS, self._judge(pieces, moved))

    def _joined(
        self,
        first: tuple[CachedClip, float],
        second: tuple[CachedClip, float],
        rng: np.random.Generator,
    ) -> Iterator[Told]:
        lengths = [int(rng.choice(JOINED_FRAMES)), int(rng.integers(*JOINED_FRAMES[::2]))]
        lengths = [min(n, _frames(c)) for n, (c, _) in zip(lengths, (first, second), strict=True)]
        lag, step = drawn_step(rng)
        for kind, change in (("joined, one lag", 0), ("joined", step)):
            pieces: list[RegionPiece] = []
            sounds, lags = [], []
            for number, (clip, zero_ms) in enumerate((first, second)):
                hops = round((lag + number * change - zero_ms) / HOP_MS)
                lags.append(zero_ms + hops * HOP_MS)
                moved = move_sound(_sound(clip), hops)[: lengths[number] * SAMPLES_PER_FRAME]
                sounds.append(moved)
                start = number * lengths[0]
                for piece in clip_pieces(clip, clip.crops(), 0, lengths[number]):
                    at, track = piece.first_frame + start, piece.track + 1000 * number
                    pieces.append(replace(piece, first_frame=at, track=track))
            truth = ((0.0, lags[0]), (lengths[0] / FPS, lags[1]))
            said = self._judge(pieces, np.concatenate(sounds))
            yield Told(kind, truth, sum(lengths) / FPS, said)


def _frames(clip: CachedClip) -> int:
    return min(clip.frames, round(MOST_S * FPS))


def _sound(clip: CachedClip) -> np.ndarray:
    return clip.wave()[: _frames(clip) * SAMPLES_PER_FRAME]


def real_files(clips: Sequence[CachedClip], count: int, seed: int) -> Iterator[Told]:
    """Some clips written as mp4, their lag stepping at a random place, and judged as files."""
    judge = Judge()
    rng = np.random.default_rng([seed, 99])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        for number in range(count):
            clip = clips[number % len(clips)].clip
            zero = judge.zero_ms(clip.path, MOST_S)
            lag, step = drawn_step(rng)
            place = float(rng.random())
            if zero is None:
                continue
            take = read_take(clip.path, zero[0], MOST_S)
            seconds = len(take.frames) / FPS
            at_s = END_S + place * (seconds - 2 * END_S)
            even = take.frames[:, : take.frames.shape[1] // 2 * 2, : take.frames.shape[2] // 2 * 2]
            write_picture([even], Path(folder) / "bare.mp4")
            truth = ((0.0, float(lag)), (at_s, float(lag + step)))
            lay(Path(folder) / "bare.mp4", spliced(take.sound, truth), path)
            yield Told("a file, spliced", truth, seconds, judge.score(path).verdict)


def table(told: Sequence[Told]) -> None:
    """What was told, by kind and size of step."""
    head(
        *("what", "step", "files", "answered", "one lag", "of these wrong", "told of it"),
        *("step found", "no answer, cut named"),
    )
    sizes = ((0.0, 20.0, "none"), (20.0, 60.0, "under 60 ms"), (60.0, 120.0, "60 to 120 ms"))
    sizes = (*sizes, (120.0, np.inf, "120 ms and more"))
    for kind in dict.fromkeys(t.kind for t in told):
        for low, high, name in sizes:
            mine = [t for t in told if t.kind == kind and low <= t.step_ms < high]
            if mine:
                _line(kind, name, mine)
    _line("all", "", list(told))
    _line("all", "120 ms and more", [t for t in told if t.step_ms >= sizes[-1][0]])


def _line(kind: str, size: str, told: list[Told]) -> None:
    answered = sum(t.verdict.status != "undecided" for t in told)
    one, wrong = sum(t.one for t in told), sum(t.wrong for t in told)
    named = sum(any("cut at" in reason for reason in t.verdict.reasons) for t in told)
    found, there = sum(t.found for t in told), sum(t.told_there for t in told)
    row(kind, size, len(told), answered, one, wrong, there, found, named)


def main() -> None:
    """Make the files, judge them, print the table."""
    parser = cached_clips_parser(__doc__)
    parser.add_argument("--each", type=int, default=14, help="files of every clip by itself")
    parser.add_argument("--slips", type=int, default=0, help="more, whose sound slips and is back")
    parser.add_argument("--real", type=int, default=0, help="how many to write as files")
    given = parser.parse_args()
    long = cached_talkers(given, LEAST_S)
    engine = load_model(threads=1)
    told = list(Clips(long, engine, given.seed, given.each, given.slips).told())
    note(f"{len(told)} files of {len(long)} clips, seed {given.seed}")
    table([*told, *real_files(long, given.real, given.seed)])


if __name__ == "__main__":
    main()
