"""What a number of a face track keeps and drops: faces with their own sound, and with another's.

    python tests/benchmarks/tracks.py DATA [--clips 104] [--exchanged 3] [--model default]

DATA is the folder of clips.csv. Clips are those that were held out of training (docs/model/log.md,
"Validation set"), none of the test split; at most 6 s of each. Every face is judged once with its
own sound and with those of the next clips of other speakers, of the same source where there are
such. Prints, for every number, the threshold that keeps 95 % of the true pairs, and how many of the
false ones it drops; and what the bar of --min-confidence keeps and drops.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

import numpy as np

from avsync_cli.corpus.cache import cache_clip
from avsync_cli.corpus.manifest import Clip, load_manifest
from avsync_cli.evaluation.trials import clip_pieces
from avsync_cli.inference.pipeline import AnalyseOptions, analyse_tracks
from avsync_cli.judging import judged
from avsync_cli.loading import load_model
from avsync_cli.verdict.answer import ITU, TrackResult

HELD_OUT = (
    "filby89/spectre", "X-LANCE/MSDWILD", "Tsinghua-MARS-Lab/NeuralDubber",
    "amrkh97/Lipify-LipReading", "astorfi/lip-reading-deeplearning",
    "Hangz-nju-cuhk/Talking-Face_PC-AVS",
)  # fmt: skip
SPEAKERS = ("VASP_ID9", "VASP_ID14", "VASP_ID18")
FRAMES = 150


def held_out(clip: Clip) -> bool:
    """Whether a clip is of the validation set, and talks."""
    path = clip.path.as_posix().replace("__", "/")
    ours = clip.speaker in SPEAKERS or any(name in path for name in HELD_OUT)
    return ours and clip.split == "train" and clip.kind == "talking"


def main() -> None:
    """Measure and print."""
    args = argparse.ArgumentParser()
    args.add_argument("data", type=Path)
    args.add_argument("--clips", type=int, default=104)
    args.add_argument("--exchanged", type=int, default=3)
    args.add_argument("--model", default="default")
    asked = args.parse_args()
    rows = [clip for clip in load_manifest(asked.data / "clips.csv") if held_out(clip)]
    rows = random.Random(0).sample(rows, min(asked.clips, len(rows)))
    engine = load_model(asked.model, threads=1)
    with tempfile.TemporaryDirectory() as cache:
        clips = [cache_clip(row, Path(cache)) for row in rows]
        clips.sort(key=lambda c: (c.clip.source, c.clip.path.name))
        found: dict[bool, list[TrackResult]] = {True: [], False: []}
        for number, clip in enumerate(clips):
            others = clips[number + 1 :] + clips[:number]
            others = [
                o for o in others if o.clip.speaker != clip.clip.speaker or not o.clip.speaker
            ]
            sounds = [(True, clip.wave())]
            sounds += [(False, other.wave()) for other in others[: asked.exchanged]]
            frames = min(clip.frames, FRAMES)
            print(f"{number} of {len(clips)}", end="\r", file=sys.stderr)
            for true, sound in sounds:
                sound = np.resize(sound, frames * 640)
                pieces = clip_pieces(clip, clip.crops(), 0, frames)
                evidence = analyse_tracks(pieces, sound, AnalyseOptions(), engine)
                faces = judged("", evidence, ITU).tracks
                found[true] += [face for face in faces if face.judged_s >= 1.0]
    tell(found[True], found[False])
    for low_s, high_s in ((1.0, 3.0), (3.0, 9.0)):
        print(f"\nof {low_s:g} to {high_s:g} s:")
        tell(*([f for f in found[t] if low_s <= f.judged_s < high_s] for t in (True, False)))


def tell(true: list[TrackResult], false: list[TrackResult]) -> None:
    """Print the table."""
    print(f"{len(true)} faces with their own sound, {len(false)} with another's")
    for name in ("confidence", "margin", "height"):
        good = np.sort([getattr(face, name) for face in true])
        bad = np.sort([getattr(face, name) for face in false])
        keeps = good[int(0.05 * len(good))]
        drops = bad[min(int(0.95 * len(bad)), len(bad) - 1)]
        print(
            f"{name}: >= {keeps:.3f} keeps 95 % of true, drops {100 * (bad < keeps).mean():.1f} % "
            f"of false; >= {drops:.3f} drops 95 % of false, keeps "
            f"{100 * (good >= drops).mean():.1f} % of true"
        )
        print(f"  quartiles true {np.percentile(good, (25, 50, 75)).round(2)}", end=", ")
        print(f"false {np.percentile(bad, (25, 50, 75)).round(2)}")
    for bar in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99):
        kept = [100 * np.mean([f.confidence >= bar for f in faces]) for faces in (true, false)]
        print(f"--min-confidence {bar}: keeps {kept[0]:.1f} % of true, {kept[1]:.1f} % of false")


if __name__ == "__main__":
    main()
