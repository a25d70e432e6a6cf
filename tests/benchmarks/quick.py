"""`--quick` held to whole readings: the same answer, from how little, and how often wrong and sure.

    python -m tests.benchmarks.quick --data clips.csv --bank bank.npz [--films 240] [--real 0]

Prints Markdown tables. The same seed makes the same films. Each clip of 8 s and more is read once,
1.6 s either way; what its windows and seconds say is kept (`--bank`). A film is a row of such
windows, with stretches between them in which nobody speaks, a few whose seconds point anywhere,
and a lag of its own: constant, drifting, or stepping at a random second; its curves are moved by
that lag. It is answered twice by the code that files are answered by: from all windows, and from
those that `verdict.sampling` asks for. A window that is read by seeking says what it says in a
whole reading (tests/inference/test_stretches.py), so that the rule is all that differs.

`--real` joins clips to files and judges those, which measures time as well; `--long FILE` judges
one file both ways.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from avsync_cli.config import Settings
from avsync_cli.inference.evidence import Evidence, MediaSummary, SecondCurves, WindowResult
from avsync_cli.inference.pipeline import AnalyseOptions, analyse
from avsync_cli.inference.stretches import pooled
from avsync_cli.judging import analyse_file
from avsync_cli.loading import load_model
from avsync_cli.timebase import FRAME_MS, HOP_MS
from avsync_cli.verdict.answer import ITU, Judgement, Verdict
from avsync_cli.verdict.decision import decide_verdict
from avsync_cli.verdict.read_so_far import lag_at
from avsync_cli.verdict.sampling import Sampled, Search
from tests.benchmarks.bench import Bench, head, note, row
from tests.benchmarks.films import SURE, lay, spliced
from tests.benchmarks.splices import Truth
from tests.benchmarks.splices import lag_at as true_lag

WINDOW_S, SECONDS = 8.0, 8
BANK_MS, REACH_MS = 1_600, 1_000
"""What the bank was scanned to, and what a film is."""

MOST_LAG_MS = 400
WRONG_MS = 60.0
MINUTES = (8, 30)
DULL = (0.2, 0.6)
"""Shares of a film in which nobody is seen to speak, from film to film."""

ABOUT_ELSE = 0.05
"""Share of the other windows whose seconds have their peaks anywhere, each at another lag."""

KINDS = ("constant", "drift", "step")


@dataclass(frozen=True)
class Bank:
    """What windows of clips say, (N, O) and (N, 8, O), moved so that their clip's lag is 0."""

    offsets_ms: np.ndarray
    windows: np.ndarray
    seconds: np.ndarray
    clips: np.ndarray
    calibration: dict[str, float]


def read_bank(bench: Bench, place: Path, most: int) -> Bank:
    """The bank at a place; what is missing in it is read first, clip by clip."""
    engine = load_model(threads=1)
    options = AnalyseOptions(range_ms=BANK_MS, threads=1)
    known = dict(np.load(place)) if place.exists() else {}
    rng = np.random.default_rng(bench.given.seed)
    clips = bench.talking(WINDOW_S)
    for number in rng.permutation(len(clips))[:most]:
        clip = clips[int(number)]
        if f"{clip.key}/zero" in known:
            continue
        evidence = analyse(clip.path, options, engine)
        verdict = decide_verdict(evidence, ITU)
        sure = verdict.offset_ms is not None and verdict.confidence >= SURE
        full = [w for w in evidence.windows if w.blocks >= SECONDS - 1]
        known[f"{clip.key}/zero"] = np.array(verdict.offset_ms if sure else np.nan)
        known[f"{clip.key}/windows"] = np.array([w.logits for w in full], np.float32)
        known[f"{clip.key}/seconds"] = np.array([_seconds(evidence, w.start_s) for w in full])
        np.savez(place, **known)
    names = sorted(k[:-5] for k in known if k.endswith("/zero"))
    used = [n for n in names if np.isfinite(known[f"{n}/zero"]) and len(known[f"{n}/windows"])]
    parts: list[tuple[np.ndarray, np.ndarray, int]] = []
    for clip_number, name in enumerate(used):
        hops = round(float(known[f"{name}/zero"]) / HOP_MS)
        for window, seconds in zip(known[f"{name}/windows"], known[f"{name}/seconds"], strict=True):
            parts.append((np.roll(window, -hops), np.roll(seconds, -hops, axis=1), clip_number))
    note(f"bank: {len(parts)} windows of {len(used)} clips; {len(names) - len(used)} left out")
    reach = BANK_MS // HOP_MS
    return Bank(
        offsets_ms=np.arange(-reach, reach + 1) * HOP_MS,
        windows=np.stack([w for w, _, _ in parts]),
        seconds=np.stack([s for _, s, _ in parts]),
        clips=np.array([c for _, _, c in parts]),
        calibration=dict(engine.calibration),
    )


def _seconds(evidence: Evidence, start_s: float) -> np.ndarray:
    """(8, O) what the seconds of a window say; not a number where one was left out."""
    found = np.full((SECONDS, len(evidence.offsets_ms)), np.nan, np.float32)
    if evidence.seconds is not None:
        for at_s, curve in zip(evidence.seconds.start_s, evidence.seconds.logits, strict=True):
            if 0 <= (at := int(at_s - start_s + 1e-6)) < SECONDS:
                found[at] = curve
    return found


# --- Films of windows -----------------------------------------------------------------------------


class WindowFilm:
    """A film put together of the bank's windows; read as `inference.stretches.Film` is."""

    def __init__(self, bank: Bank, kind: str, rng: np.random.Generator) -> None:
        self.bank, self.kind = bank, kind
        self.first, self.last = 0, int(rng.integers(*MINUTES) * 60 / WINDOW_S) - 1
        count = self.last + 1
        self.window_s, self.seconds = WINDOW_S, count * WINDOW_S
        own = rng.integers(0, len(bank.windows), count)
        self._own = np.where(rng.random(count) < rng.uniform(*DULL), -1, own)
        else_ms = rng.integers(-MOST_LAG_MS, MOST_LAG_MS + 1, (count, SECONDS))
        self._else_ms = np.where(rng.random((count, 1)) < ABOUT_ELSE, else_ms, 0)
        self._promise = np.where(self._own >= 0, 0.5 + 0.5 * rng.random(count), 0.0)
        # One in five of the others shows a silent face, and promises what it does not hold.
        self._promise = np.maximum(self._promise, (rng.random(count) < 0.2) * rng.random(count))
        self._lag_ms = float(rng.integers(-MOST_LAG_MS, MOST_LAG_MS + 1))
        self._step_ms = float(rng.choice((-1, 1)) * rng.integers(80, 481)) * (kind == "step")
        self._step_s = float(rng.uniform(0, self.seconds))
        if abs(self._lag_ms + self._step_ms) > MOST_LAG_MS:
            self._step_ms = -self._step_ms
        growth = float(rng.choice((-1, 1)) * rng.uniform(100, MOST_LAG_MS)) * (kind == "drift")
        self._slope = growth / self.seconds

    def lag_ms(self, time_s: float) -> float:
        """The truth."""
        step = self._step_ms if time_s >= self._step_s else 0.0
        return self._lag_ms * (not self._slope) + step + self._slope * (time_s - self.seconds / 2)

    def promise(self, window: int) -> float:
        """A cheap look."""
        return float(self._promise[window])

    def read_s(self, windows: Sequence[int]) -> float:
        """Seconds with what is read around them."""
        return len(windows) * (WINDOW_S + 2 * REACH_MS / 1000)

    def read(self, window: int) -> Evidence:
        """What one window says."""
        kept = np.abs(self.bank.offsets_ms) <= REACH_MS
        own, start_s = int(self._own[window]), window * WINDOW_S
        windows: list[WindowResult] = []
        seconds: SecondCurves | None = None
        if own >= 0:
            at_s = start_s + np.arange(SECONDS)
            lags = [
                self.lag_ms(t + 0.5) + e for t, e in zip(at_s, self._else_ms[window], strict=True)
            ]
            moved = [
                np.roll(curve, round(lag / HOP_MS))[kept]
                for curve, lag in zip(self.bank.seconds[own], lags, strict=True)
            ]
            known = [n for n in range(SECONDS) if np.isfinite(moved[n]).all()]
            curve = np.mean(
                [np.roll(self.bank.windows[own], round(lag / HOP_MS))[kept] for lag in lags], axis=0
            )
            end_s, blocks = start_s + WINDOW_S, float(SECONDS)
            windows = [WindowResult(start_s=start_s, end_s=end_s, logits=curve, blocks=blocks)]
            if known:
                curves = np.stack([moved[n] for n in known]).astype(np.float16)
                seconds = SecondCurves(at_s[known], self.bank.offsets_ms[kept], curves)
        return Evidence(
            offsets_ms=self.bank.offsets_ms[kept],
            windows=windows,
            media=_media(self.seconds),
            judged_s=WINDOW_S * bool(windows),
            calibration=self.bank.calibration,
            seconds=seconds,
        )

    def whole(self) -> Verdict:
        """The answer by all of it."""
        parts = [self.read(window) for window in range(self.first, self.last + 1)]
        evidence = replace(pooled(parts, self.seconds), stretches=None, read_s=None)
        return decide_verdict(evidence, ITU)

    def off_ms(self, verdict: Verdict) -> float:
        """By how much the lag that was told is wrong, at the worst second of what was told: of
        those in which somebody speaks, and which are 10 s and more from a step."""
        inside = [
            t
            for t in np.arange(0.5, self.seconds)
            if self._own[int(t / WINDOW_S)] >= 0
            and any(s.offset_ms is not None and s.start_s <= t < s.end_s for s in verdict.segments)
        ]
        inside = [t for t in inside if abs(t - self._step_s) > 10 or not self._step_ms]
        return max((abs((lag_at(verdict, t) or 0.0) - self.lag_ms(t)) for t in inside), default=0.0)


def _media(seconds: float) -> MediaSummary:
    return MediaSummary(
        duration_s=seconds, fps=25.0, vfr=False, width=0, height=0, audio_hz=16_000, audio_track=0
    )


@dataclass(frozen=True)
class Told:
    """Both answers of one film; times are of the wall clock, 0 where no file was read."""

    kind: str
    seconds: float
    whole: Verdict
    quick: Verdict
    stretches: int
    read_s: float
    wrong: tuple[bool, bool]
    took_s: tuple[float, float] = (0.0, 0.0)


def window_films(bank: Bank, films: int, seed: int) -> list[Told]:
    """Both answers of films of windows."""
    told = []
    for number in range(films):
        rng = np.random.default_rng([seed, number])
        film = WindowFilm(bank, KINDS[number % len(KINDS)], rng)
        whole = film.whole()
        found: Sampled = Search(film, pooled, ITU, Settings().until).run()
        assert found.evidence is not None
        quick = found.told(decide_verdict(found.evidence, ITU)) if found.settled else whole
        stretches = found.evidence.stretches or 0
        wrong = tuple(
            v.status != "undecided" and v.confidence >= SURE and film.off_ms(v) > WRONG_MS
            for v in (whole, quick)
        )
        read_s = film.read_s(range(stretches)) + (0.0 if found.settled else film.seconds)
        told.append(
            Told(film.kind, film.seconds, whole, quick, stretches, read_s, (wrong[0], wrong[1]))
        )
    return told


# --- Films as files -------------------------------------------------------------------------------


def real_films(bench: Bench, count: int) -> list[Told]:
    """The same of joined clips, written as files; all share one picture."""
    told = []
    film, rng = bench.film, np.random.default_rng([bench.given.seed, 7])
    path = bench.folder / "film.mp4"
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        lag = float(rng.integers(-MOST_LAG_MS, MOST_LAG_MS + 1)) // HOP_MS * HOP_MS
        step_s, step = float(rng.uniform(0, film.duration_s)), float(rng.integers(100, 400))
        slower = 1.0 + float(rng.uniform(100, 400)) / 1000 / film.duration_s
        truth = ((0.0, lag), (step_s, lag - np.sign(lag) * step))[: 1 + (kind == "step")]
        if kind == "drift":
            truth = ((0.0, 0.0),)
        slower = slower if kind == "drift" else 1.0
        lay(film.picture, spliced(film.sound, truth), path, slower=slower)
        both: list[Judgement] = []
        took: list[float] = []
        for quick in (False, True):
            begun = time.monotonic()
            both.append(bench.judge.score(path, quick=quick))
            took.append(time.monotonic() - begun)
        wrong = [_is_wrong(judgement.verdict, truth, 1000 * (1 / slower - 1)) for judgement in both]
        said = both[1].evidence
        told.append(
            Told(
                kind, film.duration_s, both[0].verdict, both[1].verdict, said.stretches or 0,
                said.read_s or film.duration_s, (wrong[0], wrong[1]), (took[0], took[1]),
            )
        )  # fmt: skip
    return told


def _is_wrong(verdict: Verdict, truth: Truth, ms_per_s: float) -> bool:
    """Whether a lag was told surely of a time at which it is another, steps and ends aside."""
    for segment in verdict.segments:
        if segment.offset_ms is None or segment.confidence < SURE:
            continue
        for time_s in np.arange(segment.start_s + 5, segment.end_s - 5):
            if any(abs(time_s - step_s) <= 10 for step_s, _ in truth[1:]):
                continue
            lag_ms = true_lag(truth, float(time_s)) + ms_per_s * float(time_s)
            if abs((lag_at(verdict, float(time_s)) or 0.0) - lag_ms) > WRONG_MS:
                return True
    return False


def table(told: Sequence[Told]) -> None:
    """Both answers, by kind."""
    head(
        *("lag", "films", "same status", "same lag", "undecided whole", "quick"),
        *("wrong and sure whole", "quick", "stretches", "read", "time"),
    )
    for kind in (*KINDS, "all"):
        mine = [t for t in told if kind in (t.kind, "all")]
        if not mine:
            continue
        same = [t for t in mine if t.whole.status == t.quick.status]
        lags = [
            abs((t.whole.offset_ms or 0.0) - (t.quick.offset_ms or 0.0)) <= FRAME_MS for t in same
        ]
        share = np.median([t.read_s / t.seconds for t in mine])
        times = [t.took_s[1] / t.took_s[0] for t in mine if t.took_s[0]]
        row(
            kind, len(mine), f"{len(same) / len(mine):.1%}", f"{sum(lags)} of {len(same)}",
            sum(t.whole.status == "undecided" for t in mine),
            sum(t.quick.status == "undecided" for t in mine),
            *(sum(t.wrong[n] for t in mine) for n in (0, 1)),
            f"{np.median([t.stretches for t in mine]):.0f}", f"{share:.0%}",
            f"{np.median(times):.2f}" if times else "–",
        )  # fmt: skip


def long_film(path: Path) -> None:
    """One file both ways, timed."""
    engine = load_model(threads=0)
    head("reading", "wall s", "cpu s of this process", "status", "lag", "sure", "stretches", "read")
    for quick in (True, False):
        begun, cpu = time.monotonic(), time.process_time()
        said = analyse_file(path, Settings(quick=quick), engine)
        row(
            "quick" if quick else "whole", f"{time.monotonic() - begun:.1f}",
            f"{time.process_time() - cpu:.1f}", said.verdict.status, said.verdict.offset_ms,
            f"{said.verdict.confidence:.4f}", said.evidence.stretches, said.evidence.read_s,
        )  # fmt: skip


def main() -> None:
    """Make the films, judge them twice, print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder or manifest")
    parser.add_argument("--split", default="test", help="rows of the manifest to use")
    parser.add_argument("--bank", type=Path, help="where what clips say is kept")
    parser.add_argument("--clips", type=int, default=1000, help="how many clips to read for it")
    parser.add_argument("--films", type=int, default=240, help="films of windows")
    parser.add_argument("--real", type=int, default=0, help="films as files")
    parser.add_argument("--minutes", type=float, default=10.0, help="length of those")
    parser.add_argument("--long", type=Path, help="one file to judge both ways")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(given, Path(folder))
        if given.films or given.bank:
            bank = read_bank(bench, given.bank or Path(folder) / "bank.npz", given.clips)
            table(window_films(bank, given.films, given.seed))
        if given.real:
            table(real_films(bench, given.real))
    if given.long:
        long_film(given.long)


if __name__ == "__main__":
    main()
