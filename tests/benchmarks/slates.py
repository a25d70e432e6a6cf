"""How exactly is a clap found, and where is one found that is none?

    python -m tests.benchmarks.slates [--data clips.csv] [--split test] [--most 60]

Prints Markdown tables. First, rendered claps at eight moments between two pictures: the worst error
in pictures, and how many were not found, in full size and at a third of it. Then, of every kind of
clip, in how many a clap is told, and where it is.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np

from avsync_cli.corpus.manifest import load_manifest
from avsync_cli.errors import AvsyncError
from avsync_cli.inference.slate import find_clap, read_clap
from avsync_cli.media.probe import probe
from avsync_cli.timebase import SAMPLE_RATE_HZ
from tests.benchmarks.bench import head, note, row
from tests.slates import slate_pictures, slate_sound

SECONDS, LATE_S = 3.2, -0.1


def rendered() -> None:
    """Claps whose moment is known."""
    head(
        "clap", "pictures a second", "worst error, pictures", "not found", "at a third", "not found"
    )
    for hands in (False, True):
        for fps in (24.0, 25.0, 30_000 / 1001, 50.0):
            errors: tuple[list[float], list[float]] = ([], [])
            for phase in np.arange(0, 1, 0.125):
                clap_s = (round(2.2 * fps) + phase) / fps
                pictures, times_s = slate_pictures(fps, SECONDS, clap_s, hands)
                small = np.full_like(pictures, 110)
                small[:, 60:120, 110:217] = pictures[:, ::3, ::3]
                sound = slate_sound(SECONDS, clap_s + LATE_S, SAMPLE_RATE_HZ)
                for shown, off in zip((pictures, small), errors, strict=True):
                    clap = find_clap(shown, times_s, sound, 1000.0)
                    if clap is not None:
                        off.append((clap.picture_s - clap_s) * fps)
            cells = [
                cell
                for off in errors
                for cell in (f"{max(map(abs, off), default=0):.2f}", 8 - len(off))
            ]
            row("hands" if hands else "sticks", f"{fps:.4g}", *cells)


def real(data: Path, split: str, most: int) -> None:
    """Clips in which nobody claps a slate."""
    clips = [c for c in load_manifest(data) if c.split == split]
    head("kind", "clips", "a clap is told")
    for kind in sorted({c.kind for c in clips}):
        mine = [c for c in clips if c.kind == kind]
        random.Random(0).shuffle(mine)
        judged, found = 0, []
        for clip in mine[:most]:
            try:
                clap = read_clap(probe(clip.path), None, None, 1000.0)
            except AvsyncError:
                continue
            judged += 1
            if clap is not None:
                found.append(
                    f"{clip.path.name} at {clap.picture_s:.2f} s: {clap.offset_ms:+.0f} ms"
                )
        row(kind, judged, len(found))
        for line in found:
            note(f"<!-- {line} -->")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--most", type=int, default=60)
    given = parser.parse_args()
    rendered()
    if given.data is not None:
        real(given.data, given.split, given.most)


if __name__ == "__main__":
    main()
