"""What a reference that learns nothing knows of strikes: does it follow, answer, and answer right?

    python -m tests.benchmarks.strikes --data clips.csv --split train [--fit]
        [--bars 0.5,0.7,0.8] [--kinds impact,instrument,other] [--least 5] [--rate 25]

Prints a Markdown table of clips, the first half minute of each at its own rate of pictures (or at
no more than `--rate`). Followed: of six known shifts up to 400 ms, those by which the estimate
moved, within 80 ms. Right: within 80 ms of 0, the clip as it is published, so that a lag of its own
counts as an error. Another clip's sound: how often it is answered there, where every answer is
wrong. A row for clips in which strikes can be seen (`strikes_seen.txt`), one for all others.
`--fit` fits the constants of the peak's log-odds, and judges every source by a fit to the others:
how mass and number of onsets are weighed, to these clips and to parts of them (a quarter to 0.7 of
their onsets, drawn by a fixed seed); what that is worth, to whole clips, as they are and shifted.
Another's sound counts half as much as their own.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avsync_cli.corpus.manifest import Clip, load_manifest
from avsync_cli.evaluation.logistic import logistic_fit
from avsync_cli.evaluation.trials import move_sound
from avsync_cli.media.head import read_head
from avsync_cli.media.probe import probe
from avsync_cli.regions.motion import contact_strength
from avsync_cli.timebase import HOP_MS, HOP_SAMPLES
from avsync_cli.verdict.posterior import log_odds
from avsync_cli.verdict.strikes import (
    NEAR_MS,
    PEAK,
    Onsets,
    StrikePeak,
    blow_likelihoods,
    coincidence,
    find_onsets,
    onset_strength,
    strike_peak,
)
from tests.benchmarks.bench import head, row

STEPS = np.arange(-100, 101)
SHIFTS = (-40, -24, -12, 12, 24, 40)
STRANGERS = 8
STRANGERS_WEIGHT = 0.5
PARTS, PART_WEIGHT = 5, 0.2
SHARES = 0.25, 0.35, 0.5, 0.7
HEAD_S = 30.0
NO_ANSWER = -9.0
"""Log-odds of a peak at the edge of the scan, or with an equal."""

LINES = 72
SEEN = Path(__file__).with_name("strikes_seen.txt")


@dataclass(frozen=True)
class Shown:
    """A clip: likelihoods of blows in its pictures, (n, C) from time 0 on, and its sound."""

    clip: Clip
    blows: np.ndarray
    sound: np.ndarray


@dataclass(frozen=True)
class Said:
    """What is said of one clip, of parts of it, and the same with the sound of others."""

    clip: Clip
    seen: bool
    own: StrikePeak
    shifted: tuple[StrikePeak, ...]
    parts: tuple[StrikePeak, ...]
    strangers: tuple[StrikePeak, ...]
    strange_parts: tuple[StrikePeak, ...]

    @property
    def right(self) -> bool:
        return is_right(self.own)

    @property
    def followed(self) -> float:
        """Share of the known shifts by which the estimate moved."""
        zero_ms = self.own.offset_ms
        return float(np.mean([is_right(p, zero_ms + ms) for p, ms in self.with_shifts]))

    @property
    def with_shifts(self) -> list[tuple[StrikePeak, int]]:
        """Its shifted copies, and by how many ms each."""
        return [(p, s * HOP_MS) for p, s in zip(self.shifted, SHIFTS, strict=True)]


def is_right(peak: StrikePeak, truth_ms: float = 0.0) -> bool:
    return abs(peak.offset_ms - truth_ms) <= NEAR_MS


def odds(peak: StrikePeak, line: Sequence[float]) -> float:
    return float(np.dot(line, peak.evidence)) if peak.stands_out else NO_ANSWER


def shown(clip: Clip, rate: float, lines: int) -> Shown:
    found = read_head(probe(clip.path), None, None, seconds=HEAD_S, max_height=lines)
    _, kept = np.unique(np.floor(found.times_s * rate + 0.5), return_index=True)
    times_s = found.times_s[kept]
    count = min(len(found.sound) // HOP_SAMPLES, int(times_s[-1] * 1000 / HOP_MS) + 1)
    strength = contact_strength(found.pictures[kept], times_s, 0.0)[:count]
    return Shown(clip, blow_likelihoods(strength), found.sound[: count * HOP_SAMPLES])


def say(blows: np.ndarray, onsets: Onsets) -> StrikePeak:
    return strike_peak(coincidence(blows, onsets, 0, STEPS), STEPS, onsets)


def heard(sound: np.ndarray) -> Onsets:
    return find_onsets(onset_strength(sound))


def part_of(onsets: Onsets, count: int, rng: np.random.Generator) -> Onsets:
    share = rng.choice(SHARES)
    first = rng.uniform(0.0, 1.0 - share) * count
    inside = (onsets.steps >= first) & (onsets.steps < first + share * count)
    return Onsets(onsets.steps[inside], onsets.weights[inside])


def judged(clips: Sequence[Shown], seen: set[str]) -> Iterator[Said]:
    for number, one in enumerate(clips):
        rng = np.random.default_rng([3, number])
        blows, onsets = one.blows, heard(one.sound)
        own = say(blows, onsets)
        moved = [say(blows, heard(move_sound(one.sound, shift))) for shift in SHIFTS]
        others = [c for c in clips if c.clip.source != one.clip.source]
        picked = [others[(7 * number + 13 * k + 1) % len(others)] for k in range(STRANGERS)]
        theirs = [heard(np.resize(o.sound, len(one.sound))) for o in picked]
        parts = [part_of(onsets, len(blows), rng) for _ in range(PARTS)]
        strange_parts = [part_of(o, len(blows), rng) for o in theirs]
        yield Said(
            clip=one.clip,
            seen=one.clip.path.stem.rsplit("_", 1)[-1] in seen,
            own=own,
            shifted=tuple(moved),
            parts=tuple(say(blows, o) for o in parts if len(o.steps) > 1),
            strangers=tuple(say(blows, o) for o in theirs),
            strange_parts=tuple(say(blows, o) for o in strange_parts if len(o.steps) > 1),
        )


Line = tuple[float, ...]
Weighed = tuple[StrikePeak, bool, float]
"""A peak, whether it is right, and how much it counts."""


def fitted(found: Sequence[Said]) -> Line:
    """The constants of `StrikePeak.p`."""
    lines = by_the_others(found, from_parts)
    design, truth, weights = [], [], []
    for s, line in zip(found, lines, strict=True):
        for peak, right, weight in whole(s):
            if peak.stands_out:
                design.append((odds(peak, line), 1.0))
                truth.append(float(right))
                weights.append(weight)
    worth, more = logistic_fit(np.array(design), np.array(truth), np.array(weights))
    mass, number, one = from_parts(found)
    return worth * mass, worth * number, worth * one + more


def by_the_others(found: Sequence[Said], fit: Callable[[Sequence[Said]], Line]) -> list[Line]:
    """For each clip a fit to those of other sources."""
    sources = {s.clip.source for s in found}
    by = {source: fit([s for s in found if s.clip.source != source]) for source in sources}
    return [by[s.clip.source] for s in found]


def whole(s: Said) -> list[Weighed]:
    """A clip as it is and shifted, each half, and with another's sound."""
    rows = [(s.own, s.right, 0.5)]
    rows += [(peak, is_right(peak, ms), 0.5 / len(SHIFTS)) for peak, ms in s.with_shifts]
    return rows + [(peak, False, STRANGERS_WEIGHT / STRANGERS) for peak in s.strangers]


def from_parts(found: Sequence[Said]) -> Line:
    """How mass and onsets are weighed; what is no answer counts as without any evidence."""
    each = STRANGERS_WEIGHT / STRANGERS
    rows: list[Weighed] = []
    for s in found:
        rows.append((s.own, s.right, 1.0))
        rows += [(peak, is_right(peak), PART_WEIGHT) for peak in s.parts]
        rows += [(peak, False, each) for peak in s.strangers]
        rows += [(peak, False, each * PART_WEIGHT) for peak in s.strange_parts]
    design = [p.evidence if p.stands_out else (NO_ANSWER, *p.evidence[1:]) for p, _, _ in rows]
    truth = np.array([float(right) for _, right, _ in rows])
    weights = np.array([weight for _, _, weight in rows])
    return logistic_fit(np.array(design), truth, weights)


def table(found: Sequence[Said], lines: Sequence[Line], bars: list[float]) -> None:
    """A row a group and bar; `lines` are the constants of the peak for each clip."""
    head(
        *("clips", "bar", "number", "followed", "answered", "of these right"),
        *("shifted, answered", "of these right", "parts, answered", "of these right"),
        "another's sound",
    )
    sure = np.array([odds(s.own, line) for s, line in zip(found, lines, strict=True)])
    groups = {"all": found, "strikes seen": [s for s in found if s.seen]}
    groups["others"] = [s for s in found if not s.seen]
    for kind in sorted({s.clip.kind for s in found}):
        groups[kind] = [s for s in found if s.clip.kind == kind]
    for name, members in groups.items():
        mine = [n for n, s in enumerate(found) if s in members]
        if not mine:
            continue
        follow = np.mean([found[n].followed for n in mine])
        for bar in bars:
            least = log_odds(bar)
            own = [found[n].right for n in mine if sure[n] >= least]
            shifted = [
                is_right(p, ms)
                for n in mine
                for p, ms in found[n].with_shifts
                if odds(p, lines[n]) >= least
            ]
            parts = [
                is_right(p) for n in mine for p in found[n].parts if odds(p, lines[n]) >= least
            ]
            strange = [odds(x, lines[n]) >= least for n in mine for x in found[n].strangers]
            row(
                *(name, bar, len(mine), f"{follow:.1%}"),
                *(f"{len(own)} ({len(own) / len(mine):.1%})", sum(own)),
                *(f"{len(shifted)} of {len(SHIFTS) * len(mine)}", sum(shifted)),
                *(f"{len(parts)} of {sum(len(found[n].parts) for n in mine)}", sum(parts)),
                f"{sum(strange)} of {len(strange)}",
            )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="train")
    parser.add_argument("--kinds", default="impact,instrument,other")
    parser.add_argument("--bars", default="0.5,0.6,0.7,0.8")
    parser.add_argument("--least", type=float, default=5.0, help="seconds")
    parser.add_argument("--rate", type=float, default=1000.0, help="pictures a second at most")
    parser.add_argument("--lines", type=int, default=LINES, help="of the pictures")
    parser.add_argument("--fit", action="store_true")
    given = parser.parse_args()
    kinds = given.kinds.split(",")
    clips = [c for c in load_manifest(given.data) if c.split == given.split and c.kind in kinds]
    read = [shown(c, given.rate, given.lines) for c in clips]
    long = [s for s in read if len(s.sound) >= given.least * 1000 / HOP_MS * HOP_SAMPLES]
    found = list(judged(long, set(SEEN.read_text().split())))
    lines: list[Line] = [PEAK] * len(found)
    if given.fit:
        print("constants: {:.2f} {:.2f} {:.2f}\n".format(*fitted(found)))
        lines = by_the_others(found, fitted)
    bars = [float(bar) for bar in given.bars.split(",")]
    table(found, lines, bars)
    print()
    for s, line in zip(found, lines, strict=True):
        if odds(s.own, line) >= log_odds(bars[0]):
            name = f"{s.clip.source} {s.clip.path.name}"
            print(f"<!-- {s.own.offset_ms:+.0f} ms, log-odds {odds(s.own, line):.2f}: {name} -->")


if __name__ == "__main__":
    main()
