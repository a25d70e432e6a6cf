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
import csv
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from avsync_cli.errors import AvsyncError
from avsync_cli.inference.evidence import FileReport, Verdict
from avsync_cli.inference.fixplan import confirms, plan_fix
from avsync_cli.media.decode import pick_audio, pick_video
from avsync_cli.media.probe import probe
from avsync_cli.media.resound import plan_copies, write_copy
from avsync_cli.training.manifest import Clip, load_manifest
from tests.benchmarks.films import (
    Film,
    Judge,
    ffmpeg,
    join,
    lay,
    left_ms,
    read_take,
    repeated,
    shifted,
    spliced,
    write_picture,
)

STRICT = "film"
"""Tolerance of all that is fixed, 22 ms: by a wider one small lags would be left alone."""

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


class Bench:
    """Films in a folder, and what is said of them."""

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        self.given, self.folder = given, folder
        self.judge = Judge()
        self.rng = random.Random(given.seed)
        self.clips = [
            clip
            for clip in load_manifest(given.data)
            if clip.split in ("", given.split) and not clip.member
        ]
        self.clips.sort(key=lambda clip: clip.name)
        self.told_s = _durations(given.data)

    def talking(self, least_s: float) -> list[Clip]:
        """Clips with a speaker, at least that long."""
        kinds = ("", "talking", "film")
        return [c for c in self.clips if c.kind in kinds and self.seconds(c) >= least_s]

    def seconds(self, clip: Clip) -> float:
        """How long a clip is."""
        name = str(clip.path)
        if name not in self.told_s:
            self.told_s[name] = probe(clip.path).duration_s
        return self.told_s[name]

    @cached_property
    def film(self) -> Film:
        """Clips of many people, joined."""
        clips = self.talking(3.0)
        random.Random(self.given.seed).shuffle(clips)
        path = self.folder / "picture.mp4"
        film = join((c.path for c in clips), self.judge, 60 * self.given.minutes, path)
        zeros = [abs(zero) for _, zero, _ in film.takes]
        taken = {path for path, _, _ in film.takes}
        used = {clip.source for clip in clips if clip.path in taken}
        note(
            f"film: {len(film.takes)} clips of {len(used)} sources, "
            f"{film.duration_s:.0f} s; their own offsets, taken out: median "
            f"{np.median(zeros):.0f} ms, at most {max(zeros):.0f}"
        )
        return film

    def fixed(self, path: Path, before: FileReport) -> tuple[Path | None, FileReport | None, str]:
        """The copy that `avsync fix` would write, its report, and what speaks against it."""
        if before.verdict.status == "undecided":
            return None, None, "undecided: refused"
        plan = plan_fix(before.verdict)
        if plan.kind == "nothing":
            return None, None, "nothing to fix"
        copy = path.with_name(f"fixed-{path.name}")
        copy.unlink(missing_ok=True)
        info = probe(path)
        recipes = plan_copies(
            info, pick_video(info, 0), pick_audio(info, 0), plan.pieces, path.suffix
        )
        write_copy(info, recipes, copy, copy)
        after = self.judge.score(copy, tolerance=STRICT)
        return copy, after, confirms(before.verdict, after.verdict, after.tolerance) or "confirmed"


def _durations(data: Path) -> dict[str, float]:
    """What a CSV manifest says of its clips' lengths, so that not all of them have to be opened."""
    if data.suffix != ".csv":
        return {}
    with data.open(encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r.get("duration_s")]
    return {
        str(data.parent / (r.get("path") or r.get("file") or "")): float(r["duration_s"])
        for r in rows
    }


# --- Words ----------------------------------------------------------------------------------------


def note(text: str) -> None:
    """A line of the report."""
    print(text, flush=True)


def head(*names: str) -> None:
    """The first two lines of a table."""
    note("\n| " + " | ".join(names) + " |\n|" + "---|" * len(names))


def row(*cells: object) -> None:
    """One line of it."""
    note("| " + " | ".join(str(cell) for cell in cells) + " |")


def ms(value: float | None) -> str:
    """A lag."""
    return "–" if value is None else f"{value:+.0f}"


def spread(left: np.ndarray) -> str:
    """Median, and 95th percentile of the size."""
    if not len(left):
        return "–"
    return f"{np.median(left):+.0f} / {np.percentile(np.abs(left), 95):.0f}"


def stretches(verdict: Verdict) -> str:
    """The answer over time."""
    said = [f"{s.start_s:.0f}–{s.end_s:.0f}: {ms(s.offset_ms)}" for s in verdict.segments]
    return "; ".join(said) or "–"


# --- Parts ----------------------------------------------------------------------------------------


def fix_part(bench: Bench) -> None:
    """Round trips of single clips through the command."""
    chosen: dict[str, Clip] = {}
    speakers: set[str] = set()
    for clip in sorted(bench.talking(8.0), key=lambda c: (c.source, -bench.seconds(c))):
        # Some sources published the same footage.
        if clip.source not in chosen and clip.speaker not in speakers:
            chosen[clip.source] = clip
            speakers |= {clip.speaker} - {""}
    head(
        *("clip", "container, sound", "its own offset", "moved by", "`fix`"),
        *("left, measured", "left, by samples", "within ±20"),
    )
    done = 0
    for clip in chosen.values():
        if done == len(BOXES):
            break
        zero = bench.judge.zero_ms(clip.path, 20.0)
        name = f"{clip.source} {bench.seconds(clip):.0f} s"
        if zero is None:
            note(f"<!-- {name}: left out, its own offset is not sure -->")
            continue
        box, lag_ms = BOXES[done], LAGS_MS[done]
        done += 1
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
            row(name, box.name, ms(zero[0]), ms(lag_ms), said, "–", "–", "no")
            continue
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


def undecided_part(bench: Bench) -> None:
    """What has no lag, and what must not lose the one it has."""
    films: dict[str, list[Callable[[Path], None]]] = {
        name: [lambda path, made=made: lay_take(bench.folder, *made, path) for made in makes]
        for name, makes in _without_lag(bench)
    }
    head("what", "films", "undecided", "answered (confidence)")
    for name, makes in films.items():
        answered = []
        path = bench.folder / "unknown.mp4"
        for make in makes:
            try:
                make(path)
                verdict = bench.judge.score(path).verdict
            except AvsyncError as error:
                note(f"<!-- {name}: {error} -->")
                continue
            if verdict.offset_ms is not None:
                answered.append(f"{verdict.offset_ms:+.0f} ({verdict.confidence:.2f})")
        row(name, len(makes), len(makes) - len(answered), ", ".join(answered) or "–")
    _appended(bench)


def lay_take(folder: Path, frames: np.ndarray, sound: np.ndarray, path: Path) -> None:
    """A film of these frames and this sound."""
    even = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]
    write_picture([even], folder / "bare.mp4")
    lay(folder / "bare.mp4", sound, path)


Made = tuple[np.ndarray, np.ndarray]


def _fitted(sound: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Sound as long as the picture, repeated if it is short."""
    return np.resize(sound, len(frames) * 640)


def _without_lag(bench: Bench) -> Iterator[tuple[str, list[Made]]]:
    rng = random.Random(bench.given.seed + 1)
    talks = [read_take(c.path, 0.0, 12.0) for c in rng.sample(bench.talking(5.0), 16)]
    others = [c for c in bench.clips if c.kind in ("impact", "other")]
    music = [c for c in bench.clips if c.kind == "instrument"]
    beds = [read_take(c.path, 0.0, 12.0).sound for c in music]
    scenes = [read_take(c.path, 0.0, 12.0).frames for c in rng.sample(others, min(12, len(others)))]
    dubs = [
        (a.frames, _fitted(b.sound, a.frames))
        for a, b in zip(talks, talks[1:] + talks[:1], strict=True)
    ]
    yield "speech of another clip under a face", dubs
    if beds:
        yield (
            "music under a face",
            [(t.frames, _fitted(beds[k % len(beds)], t.frames)) for k, t in enumerate(talks[:8])],
        )
    yield "no sound under a face", [(t.frames, 0 * t.sound) for t in talks[:4]]
    yield (
        "speech over nature and impacts",
        [(scene, _fitted(t.sound, scene)) for scene, t in zip(scenes, talks, strict=False)],
    )


def _appended(bench: Bench) -> None:
    """An answer must survive what is added behind it, or be given up; it must not change."""
    rng = random.Random(bench.given.seed + 2)
    takes = [read_take(c.path, 0.0, 8.0) for c in rng.sample(bench.talking(6.0), 6)]
    music = next(c for c in bench.clips if c.kind == "instrument")
    scene = next(c for c in bench.clips if c.kind == "other")
    bed, nature = read_take(music.path, 0.0, 10.0).sound, read_take(scene.path, 0.0, 10.0)
    wanted = {"alone": 0, "black and silence": 1, "the last frame and silence": 2}
    wanted |= {"black and music": 3, "another picture and its sound": 4}
    head("added behind, 10 s", *(f"clip {k + 1}" for k in range(len(takes))))
    for name, kind in wanted.items():
        cells = []
        for take in takes:
            frames, sound = take.frames, shifted(take.sound, 200)
            tail = np.zeros((250, *frames.shape[1:]), np.uint8)
            if kind == 2:
                tail[:] = frames[-1]
            elif kind == 4:
                rows, columns = (
                    np.linspace(0, n - 1, m).astype(int)
                    for n, m in zip(nature.frames.shape[1:3], frames.shape[1:3], strict=True)
                )
                tail = np.resize(nature.frames[:, rows][:, :, columns], tail.shape)
            heard = {3: bed, 4: nature.sound}.get(kind, np.zeros(1, np.float32))
            if kind:
                frames = np.concatenate([frames, tail])
                sound = np.concatenate([sound, _fitted(heard, tail)])
            path = bench.folder / "longer.mp4"
            lay_take(bench.folder, frames, sound, path)
            said = bench.judge.score(path).verdict
            cells.append(f"{ms(said.offset_ms)} ({said.confidence:.2f})")
        row(name, *cells)


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
