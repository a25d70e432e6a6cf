"""What a reference that learns nothing knows of strikes: does it follow, answer, and answer right?

    python -m tests.benchmarks.strikes --data clips.csv --cache DIR --split train [--fit]
        [--bars 0.5,0.7,0.8] [--kinds impact,instrument,other] [--least 4]

Prints a Markdown table of stretches without a usable face. Followed: of six known shifts up to
400 ms, those by which the estimate moved, within 80 ms. Right: within 80 ms of 0, the clip as it
is published, so that a lag of its own counts as an error. Another clip's sound: how often it is
answered there, where every answer is wrong. `--fit` fits the two constants of the peak's log-odds
to these stretches, and judges every source by a fit to the others.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from avsync_cli.corpus.cache import build_cache
from avsync_cli.corpus.manifest import load_manifest
from avsync_cli.evaluation.logistic import logistic_fit
from avsync_cli.evaluation.scoring import Track
from avsync_cli.evaluation.strikes import (
    NEAR_MS,
    PEAK_BIAS,
    PEAK_SCALE,
    StrikeTrack,
    mass_at_peak,
)
from avsync_cli.evaluation.sweep import clip_sound
from avsync_cli.evaluation.trials import move_sound
from avsync_cli.timebase import FPS, HOP_MS
from avsync_cli.verdict.posterior import log_odds
from tests.benchmarks.bench import head, row

STEPS = np.arange(-100, 101)
SHIFTS = (-40, -24, -12, 12, 24, 40)
STRANGERS = 3


@dataclass(frozen=True)
class Stretch:
    """What is said of one stretch: lag in ms and log-odds of the mass at the peak."""

    kind: str
    source: str
    name: str
    found_ms: float
    odds: float
    followed: float
    strangers: tuple[float, ...]

    @property
    def right(self) -> bool:
        return abs(self.found_ms) <= NEAR_MS


def said(track: Track) -> tuple[float, float]:
    curve = StrikeTrack(track).curve(0, len(track.crops), STEPS)
    found_ms, mass = mass_at_peak(curve, STEPS * HOP_MS)
    return found_ms, log_odds(mass)


def judged(tracks: Sequence[tuple[str, str, str, Track]]) -> Iterator[Stretch]:
    for number, (kind, source, name, track) in enumerate(tracks):
        found_ms, odds = said(track)
        moved = [
            said(replace(track, sound=move_sound(track.sound, shift)))[0] - found_ms
            for shift in SHIFTS
        ]
        near = [abs(by - s * HOP_MS) <= NEAR_MS for by, s in zip(moved, SHIFTS, strict=True)]
        others = [tracks[(7 * number + 13 * k + 1) % len(tracks)] for k in range(STRANGERS)]
        strangers = [
            said(replace(track, sound=np.resize(other[3].sound, len(track.sound))))[1]
            for other in others
            if other[1] != source
        ]
        yield Stretch(kind, source, name, found_ms, odds, float(np.mean(near)), tuple(strangers))


def fitted(found: Sequence[Stretch]) -> tuple[float, float]:
    design = np.array([[s.odds, 1.0] for s in found])
    return logistic_fit(design, np.array([float(s.right) for s in found]), np.ones(len(found)))


def table(found: Sequence[Stretch], lines: Sequence[tuple[float, float]], bars: list[float]):
    """A row a kind and bar; `lines` are scale and bias for each stretch."""
    head(
        "stretches",
        "bar",
        "number",
        "followed",
        "answered",
        "of these right",
        "followed",
        "with another clip's sound",
    )
    odds = np.array([a * s.odds + b for s, (a, b) in zip(found, lines, strict=True)])
    for kind in ("", *sorted({s.kind for s in found})):
        mine = [n for n, s in enumerate(found) if kind in ("", s.kind)]
        follow = np.mean([found[n].followed for n in mine])
        for bar in bars:
            told = [n for n in mine if odds[n] >= log_odds(bar)]
            right = sum(found[n].right for n in told)
            kept = np.mean([found[n].followed for n in told]) if told else np.nan
            strange = [lines[n][0] * x + lines[n][1] for n in mine for x in found[n].strangers]
            wrong = sum(x >= log_odds(bar) for x in strange)
            cells = (f"{follow:.1%}", f"{len(told)} ({len(told) / len(mine):.1%})")
            row(
                kind or "all",
                bar,
                len(mine),
                *cells,
                right,
                f"{kept:.1%}",
                f"{wrong} of {len(strange)}",
            )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--split", default="train")
    parser.add_argument("--kinds", default="impact,instrument,other")
    parser.add_argument("--bars", default="0.5,0.6,0.7,0.8")
    parser.add_argument("--least", type=float, default=2.0, help="seconds")
    parser.add_argument("--fit", action="store_true")
    given = parser.parse_args()
    kinds = given.kinds.split(",")
    clips = [c for c in load_manifest(given.data) if c.split == given.split and c.kind in kinds]
    tracks = []
    for clip in build_cache(clips, given.cache, workers=1)[0]:
        for t in clip.tracks:
            if t.kind == "frame" and t.count >= given.least * FPS:
                crops = np.asarray(clip.crops()[t.start : t.start + t.count])
                track = Track(crops, t.first_frame, clip_sound(clip))
                tracks.append((clip.clip.kind, clip.clip.source, clip.clip.path.name, track))
    found = list(judged(tracks))
    lines = [(PEAK_SCALE, PEAK_BIAS)] * len(found)
    if given.fit:
        print("scale and bias: {:.3f} {:.3f}\n".format(*fitted(found)))
        by = {s: fitted([f for f in found if f.source != s]) for s in {f.source for f in found}}
        lines = [by[f.source] for f in found]
    table(found, lines, [float(bar) for bar in given.bars.split(",")])
    print()
    for s, (a, b) in zip(found, lines, strict=True):
        if a * s.odds + b >= log_odds(0.7):
            print(
                f"<!-- {s.found_ms:+.0f} ms, log-odds {a * s.odds + b:.2f}: {s.source} {s.name} -->"
            )


if __name__ == "__main__":
    main()
