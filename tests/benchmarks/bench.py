"""Clips to make films of, what is said of the films, and the tables that say it."""

from __future__ import annotations

import argparse
import csv
import random
import tempfile
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from avsync_cli.corpus.cache import CachedClip, build_cache
from avsync_cli.corpus.manifest import Clip, load_manifest
from avsync_cli.media.facts import pick_audio, pick_video
from avsync_cli.media.probe import probe
from avsync_cli.repair.confirmation import confirms
from avsync_cli.repair.containers import carrier
from avsync_cli.repair.contents import list_contents
from avsync_cli.repair.copy import Move, plan_copies
from avsync_cli.repair.plan import plan_fix
from avsync_cli.repair.run import write_checked
from avsync_cli.timebase import FPS
from avsync_cli.verdict.answer import Judgement, Verdict
from tests.benchmarks.films import Film, Judge, join

STRICT = "film"
"""Tolerance of all that is fixed, 22 ms: by a wider one small lags would be left alone."""


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
        self.clips.sort(key=lambda clip: clip.key)
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

    def fixed(self, path: Path, before: Judgement) -> tuple[Path | None, Judgement | None, str]:
        """The copy that `avsync fix` would write, its report, and what speaks against it."""
        if before.verdict.status == "undecided":
            return None, None, "undecided: refused"
        plan = plan_fix(before.verdict)
        if plan.kind == "nothing":
            return None, None, "nothing to fix"
        copy = path.with_name(f"fixed-{path.name}")
        copy.unlink(missing_ok=True)
        info = probe(path)
        move = Move(
            info=info,
            video=pick_video(info, 0),
            audio=pick_audio(info, 0),
            pieces=plan.pieces,
            into=carrier(path),
        )
        recipes = plan_copies(move, list_contents(info, move.into))
        _, finding = write_checked(move, recipes, copy, copy, lambda _: nullcontext())
        after = self.judge.score(copy, tolerance=STRICT)
        doubt = confirms(before.verdict, after.verdict, after.tolerance)
        return copy, after, finding.against or doubt or "confirmed"


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


def note(text: str) -> None:
    """A line of the report."""
    print(text, flush=True)


def cached_clips_parser(about: str | None) -> argparse.ArgumentParser:
    """What every benchmark of cached clips is told; `about` is its module's text."""
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder or manifest")
    parser.add_argument("--cache", type=Path, required=True, help="decoded crops and sound")
    parser.add_argument("--split", default="test", help="rows of the manifest to use")
    parser.add_argument("--seed", type=int, default=1)
    return parser


def cached_talkers(given: argparse.Namespace, least_s: float) -> list[CachedClip]:
    """Crops and sound of clips with one speaker, at least so long, whatever their own lag."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = Bench(given, Path(folder)).talking(least_s)
    wanted = [replace(clip, offset_ms=0.0) for clip in wanted if clip.kind != "film"]
    cached, _ = build_cache(wanted, given.cache)
    return [clip for clip in cached if clip.frames >= least_s * FPS]


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
