"""The answer held to real clips: fix round trips, drift, splices, and what nobody can know.

    python -m tests.benchmarks.over_time --data clips.csv [--split test] [--parts fix,drift,...]

Prints Markdown tables. The same seed makes the same films. Parts:

* fix: one clip each of ten sources, in ten kinds of container, its sound moved by ffmpeg, and put
  right by the command `avsync fix`. The clip's own offset, as measured before, counts as in sync.
* drift: clips joined to one film, and its sound or picture made faster by a known amount; judged
  as a file, fixed as `fix` does it, judged again.
* splices: the same film, its lag stepping at known times.
* long: the film over and over, with a lag that drifts by 40 ms a minute.
* undecided: dubs, music, silence, voice-over; and clips with something added at their end.

Clips carry offsets of their own. Each is measured by itself first (as `offset-scan` does), and its
sound moved to 0 before it is joined to others; what cannot be measured surely is left out. "By
samples" is where the copy's sound really went: pieces of it are looked for in the sound that was in
sync, without the model.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from avsync_cli.corpus.manifest import Clip
from tests.benchmarks.bench import STRICT, Bench, head, ms, note, row, spread, stretches
from tests.benchmarks.films import (
    Film,
    ffmpeg,
    lay,
    left_ms,
    read_take,
    repeated,
    shifted,
    spliced,
)
from tests.benchmarks.no_answer import undecided_part

BAR_MS = 20.0
"""A round trip is right when what is left of the lag is no more."""


@dataclass(frozen=True)
class Box:
    """A container to put a clip into: ffmpeg's options for picture and sound."""

    suffix: str
    sound: str
    picture: str = "copy"

    @property
    def name(self) -> str:
        """As the table says it."""
        return f"{self.suffix[1:]}, {self.sound.removeprefix('lib').split('_')[0]}"


BOXES = (
    Box(".mp4", "aac"),
    Box(".mov", "pcm_s16le"),
    Box(".mkv", "flac"),
    Box(".ts", "aac"),
    Box(".webm", "libopus", "libvpx"),
    Box(".mkv", "aac"),
    Box(".avi", "pcm_s16le", "mpeg4"),
    Box(".mp4", "libmp3lame"),
    Box(".mov", "aac"),
    Box(".mkv", "libvorbis"),
)
LEAST_MS = 60.0
"""A copy must be at least this far out of sync."""

LAGS_MS = (-400, 240, -120, 120, 80, -240, 400, -80, 180, -180)


@dataclass(frozen=True)
class Case:
    """A film whose sound and picture run at different speeds.

    Attributes:
        name: what was done.
        truth: ms a minute; > 0 the sound comes later and later.
        slower: what the picture's times are multiplied by.
        filters: what is done to sound at 48 kHz.
        lead_ms: the lag at the beginning.
    """

    name: str
    truth: float
    slower: float = 1.0
    filters: str = "anull"
    lead_ms: float = 0.0


def _clock(hz: int, lead_ms: float = 0.0) -> Case:
    rate = 60_000 * (48_000 / hz - 1)
    return Case(f"clock {hz / 48_000 - 1:+.3%}", rate, 1.0, f"asetrate={hz}", lead_ms)


def _speed(name: str, slower: float) -> Case:
    return Case(name, 60_000 * (1 / slower - 1), slower)


CASES = (
    Case("none", 0.0),
    _clock(47_992),
    _clock(47_968),
    _speed("1000/1001: 24 shown at 23.976", 1001 / 1000),
    _speed("25 frames shown at 24", 25 / 24),
    _speed("24 frames shown at 25", 24 / 25),
    Case("44.1 kHz played at 48", 60_000 * (44.1 / 48 - 1), 1.0, "aresample=44100,asetrate=48000"),
)

SPLICES: dict[str, tuple[tuple[float, float], ...]] = {
    "two steps": ((0, 0), (0.3, 200), (0.65, -120)),
    "a cut back": ((0, 0), (0.4, 160), (0.7, 0)),
    "a small step": ((0, 0), (0.5, 80)),
    "a short stretch": ((0, 40), (0.45, -200), (0.5, 40)),
    "four steps": ((0, -300), (0.2, -100), (0.4, 100), (0.6, 300), (0.8, 0)),
}
"""(share of the film, lag in ms) of every stretch."""


# --- Parts ----------------------------------------------------------------------------------------


def fix_part(bench: Bench) -> None:
    """Round trips of single clips through the command."""
    chosen: dict[str, Clip] = {}
    more: list[Clip] = []  # where a source's longest cannot be told, another's second does
    speakers: set[str] = set()
    for clip in sorted(bench.talking(8.0), key=lambda c: (c.source, -bench.seconds(c))):
        # Some sources published the same footage.
        if clip.speaker and clip.speaker in speakers:
            continue
        if clip.source not in chosen:
            chosen[clip.source] = clip
        else:
            more.append(clip)
        speakers |= {clip.speaker} - {""}
    head(
        *("clip", "container, sound", "its own offset", "moved by", "`fix`"),
        *("left, measured", "left, by samples", "within ±20"),
    )
    done = 0
    for clip in (*chosen.values(), *more):
        if done == len(BOXES):
            break
        zero = bench.judge.zero_ms(clip.path, 20.0)
        name = f"{clip.source} {bench.seconds(clip):.0f} s"
        if zero is None:
            note(f"<!-- {name}: left out, its own offset is not sure -->")
            continue
        box, lag_ms = BOXES[done], LAGS_MS[done]
        if abs(zero[0] + lag_ms) < LEAST_MS:  # the two cancel: there would be nothing to fix
            lag_ms = -lag_ms
        path = bench.folder / f"clip{done}{box.suffix}"
        samples = abs(lag_ms) * 48
        move = f"adelay={samples}S:all=1" if lag_ms > 0 else f"atrim=start_sample={samples}"
        graph = f"aresample=48000:async=1:first_pts=0,{move},asetpts=N/SR/TB,apad=whole_dur=20"
        picture = ("-c:v", box.picture, *(() if box.picture == "copy" else ("-b:v", "2M")))
        ffmpeg(
            *("-t", "20", "-i", clip.path, "-map", "0:v:0", "-map", "0:a:0", *picture),
            *("-af", graph, "-c:a", box.sound, "-shortest", path),
        )
        target = path.with_name(f"fixed{done}{box.suffix}")
        said = command("fix", "--tolerance", STRICT, path, "-o", target)
        if not target.exists():
            row(name, box.name, ms(zero[0]), ms(lag_ms), said, "–", "–", "refused")
            path.unlink()
            continue
        done += 1
        own = read_take(clip.path, zero[0], 20.0).sound
        after = bench.judge.score(target).verdict.offset_ms
        moved = left_ms(target, own, every_s=1.0)
        left = float(np.median(moved)) if len(moved) else float("nan")
        right = after is not None and abs(after) <= BAR_MS and abs(left) <= BAR_MS
        way = "copied" if "was copied" in said else "encoded"
        row(
            *(name, box.name, ms(zero[0]), ms(lag_ms), way, ms(after), ms(left)),
            "yes" if right else "**no**",
        )


def command(*args: str | Path) -> str:
    """What `avsync` says."""
    told = subprocess.run(
        [sys.executable, "-m", "avsync_cli", *map(str, args)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    return " ".join((told.stdout + told.stderr).split()) or f"exit code {told.returncode}"


def _drift_row(bench: Bench, film: Film, case: Case, *, fix: bool = True) -> None:
    path = bench.folder / "drift.mp4"
    lay(
        *(film.picture, shifted(film.sound, case.lead_ms), path),
        slower=case.slower,
        filters=case.filters,
    )
    before = bench.judge.score(path, tolerance=STRICT)
    said = before.verdict
    rate, interval = said.drift_ms_per_min, said.drift_ci_ms_per_min
    cause = next((r.split("as when ")[1] for r in said.reasons if "as when " in r), "–")
    copy, after, doubt = bench.fixed(path, before) if fix else (None, None, "not run")
    left = np.zeros(0) if copy is None else left_ms(copy, film.sound, case.slower)
    row(
        *(case.name, f"{film.duration_s * case.slower / 60:.1f} min", f"{case.truth:+.2f}"),
        "none" if rate is None else f"{rate:+.2f}",
        "–" if interval is None else f"{interval[0]:+.2f} … {interval[1]:+.2f}",
        *(cause.removesuffix(" are mistaken for each other"), f"{said.status}; {stretches(said)}"),
        *(doubt, "–" if after is None else stretches(after.verdict), spread(left)),
    )
    path.unlink()
    if copy is not None:
        copy.unlink()


_DRIFT_HEAD = (
    *("what", "length", "truth, ms/min", "found", "95 %", "cause named", "before"),
    *("`fix`", "after", "left by samples: median / 95 %"),
)


def drift_part(bench: Bench) -> None:
    """Known speeds."""
    film = bench.film
    head(*_DRIFT_HEAD)
    for case in CASES:
        _drift_row(bench, film, case)


def long_part(bench: Bench) -> None:
    """Half an hour, drifting by 40 ms a minute through the scanned range."""
    film = repeated(bench.film, 60 * bench.given.long, bench.folder / "long.mp4")
    head(*_DRIFT_HEAD)
    _drift_row(bench, film, _clock(47_968, lead_ms=-500), fix=False)


def splices_part(bench: Bench) -> None:
    """Known steps."""
    film = bench.film
    head(
        *("what", "truth", "found", "steps found", "times off by, s", "lags off by, ms"),
        *("`fix`", "left by samples: median / 95 %"),
    )
    for name, shares in SPLICES.items():
        steps = [(round(share * film.duration_s, 1), lag) for share, lag in shares]
        path = bench.folder / "spliced.mp4"
        lay(film.picture, spliced(film.sound, steps), path)
        before = bench.judge.score(path, tolerance=STRICT)
        known = [s for s in before.verdict.segments if s.offset_ms is not None]
        borders = [(a.end_s + b.start_s) / 2 for a, b in pairwise(known)]
        times = [
            min((abs(border - at) for border in borders), default=float("inf"))
            for at, _ in steps[1:]
        ]
        lags = [
            abs((s.offset_ms or 0.0) - _lag_at(steps, (s.start_s + s.end_s) / 2)) for s in known
        ]
        copy, _, doubt = bench.fixed(path, before)
        left = np.zeros(0) if copy is None else left_ms(copy, film.sound, every_s=2.0)
        row(
            *(name, "; ".join(f"{at:.1f} s: {lag:+.0f}" for at, lag in steps)),
            *(stretches(before.verdict), f"{len(borders)} of {len(steps) - 1}"),
            ", ".join(f"{t:.1f}" for t in times),
            ", ".join(f"{lag:.0f}" for lag in lags) or "–",
            *(doubt, spread(left)),
        )


def _lag_at(steps: Sequence[tuple[float, float]], time_s: float) -> float:
    return next(lag for at, lag in reversed(steps) if at <= time_s)


PARTS: dict[str, Callable[[Bench], None]] = {
    "fix": fix_part,
    "undecided": undecided_part,
    "splices": splices_part,
    "drift": drift_part,
    "long": long_part,
}


def main() -> None:
    """Make the films, judge them, print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder or manifest")
    parser.add_argument("--split", default="test", help="rows of the manifest to use")
    parser.add_argument("--parts", default=",".join(PARTS), help="some of the parts")
    parser.add_argument("--minutes", type=float, default=5.0, help="length of the joined film")
    parser.add_argument("--long", type=float, default=30.0, help="length of the long film")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    wanted = given.parts.split(",")
    if unknown := set(wanted) - set(PARTS):
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(given, Path(folder))
        for part in wanted:
            note(f"\n## {part}")
            PARTS[part](bench)


if __name__ == "__main__":
    main()
