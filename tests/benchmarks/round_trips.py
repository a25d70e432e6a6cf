"""Real clips put into every container with all that a container can hold, moved and repaired.

    python -m tests.benchmarks.round_trips --data clips.csv [--times 10] [--kinds .mp4,.mkv,...]

Each clip's first seconds go into a file with a second sound track, languages, chapters, metadata
and, where the container has them, subtitles, a cover, fonts, a timecode, a service's name; its
sound is moved by a known amount; `avsync fix` repairs it. Then the file and its copy are compared
stream by stream, with ffmpeg and ffprobe alone: pictures and other tracks by hash, ffprobe's whole
answer (less what must differ, `tests.repair.whole_answer`), and where the moved sound went, by
cross-correlation of the decoded sound. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from avsync_cli.config import DEFAULTS
from avsync_cli.errors import MediaError
from avsync_cli.loading import load_model
from avsync_cli.media.source import Source
from avsync_cli.repair.run import Order, Repair, repair
from tests.benchmarks.bench import Bench, head, note, row
from tests.repair.whole_answer import ask, differences
from tests.repair.zoo import ZOO, embellish

LAGS_MS = (160, -160, 240, -240, 120, -120, 200, -200, 320, -320)
RATE_HZ = 48_000


@dataclass
class Row:
    """What came of the trips of one container."""

    written: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    ways: Counter[str] = field(default_factory=Counter)
    beside_ms: list[float] = field(default_factory=list)
    left_ms: list[float] = field(default_factory=list)
    other: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--kinds", default=",".join(ZOO))
    given = parser.parse_args()
    engine = load_model()
    columns = ("container", "written", "not written", "sound", "beside the plan, worst")
    head(*columns, "left, measured, worst", "streams, hashes and ffprobe's answer")
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(given, Path(name))
        clips = bench.talking(given.seconds)
        random.Random(given.seed).shuffle(clips)
        for suffix in given.kinds.split(","):
            found = Row()
            for number, clip in enumerate(clips[: 2 * given.times]):
                if found.written == given.times:
                    break
                source = bench.folder / f"clip{suffix}"
                lag_ms = LAGS_MS[number % len(LAGS_MS)]
                embellish(ZOO[suffix], clip.path, source, lag_ms, given.seconds)
                _trip(source, engine, found, clip.path.name)
            _tell(suffix, found)


def _trip(source: Path, engine: object, found: Row, name: str) -> None:
    copy = source.with_name(f"fixed{source.suffix}")
    copy.unlink(missing_ok=True)
    order = Order(
        source=Source.of(source),
        target=copy,
        settings=DEFAULTS["score"],
    )
    try:
        done = repair(order, engine)  # type: ignore[arg-type]
    except MediaError as error:
        found.refused[str(error).partition(" (")[0].partition(",")[0]] += 1
        return
    if done.outcome != "written":
        found.refused[done.doubt or "nothing to fix"] += 1
        note(f"<!-- {source.suffix} {name}: {done.outcome}: {done.doubt} -->")
        return
    found.written += 1
    assert done.recipe is not None and done.after is not None
    found.ways[done.recipe.way] += 1
    found.left_ms.append(done.after.verdict.offset_ms or 0.0)
    found.beside_ms.append(_beside_ms(source, copy, done))
    moved = next(s["index"] for s in ask(source)["streams"] if s["codec_type"] == "audio")
    other = differences(source, copy, moved) + _unlike_streams(source, copy, moved)
    found.other += other
    for difference in other:
        note(f"<!-- {source.suffix} {name}: {difference} -->")


def _tell(suffix: str, found: Row) -> None:
    def words(counts: Counter[str]) -> str:
        return ", ".join(f"{count} {what}" for what, count in counts.items()) or "–"

    worst = max((abs(x) for x in found.beside_ms), default=0.0)
    left = max((abs(x) for x in found.left_ms), default=0.0)
    same = f"{len(found.other)} differences" if found.other else "all the same"
    counts = (found.written, words(found.refused), words(found.ways))
    row(suffix[1:], *counts, f"{worst:.2f} ms", f"{left:.0f} ms", same)


def _unlike_streams(source: Path, copy: Path, moved: int) -> list[str]:
    """Streams whose packets, or decoded pictures, are not the same."""
    found = []
    for stream in ask(source)["streams"]:
        index, kind = stream["index"], stream["codec_type"]
        if index == moved or kind in ("attachment", "data"):
            continue
        ways = [["-c", "copy"]] + ([["-fps_mode", "passthrough"]] if kind == "video" else [])
        for how in ways:
            pair = [_hash(path, index, how) for path in (source, copy)]
            if pair[0] != pair[1]:
                found.append(f"stream {index} ({kind}), {how[-1]}: another hash")
    return found


def _hash(path: Path, index: int, how: list[str]) -> list[str]:
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(path), "-map", f"0:{index}", *how]
    done = subprocess.run([*command, "-f", "framemd5", "-"], capture_output=True, check=True)
    lines = [line for line in done.stdout.decode().splitlines() if not line.startswith("#")]
    return [line.rpartition(",")[2] for line in lines]


def _beside_ms(source: Path, copy: Path, done: Repair) -> float:
    """By how much the copy's sound lies beside the plan, > 0 late."""
    theirs, ours = (_sound(path) for path in (source, copy))
    size = min(len(theirs), len(ours))
    points = 1 << (2 * size).bit_length()
    spectra = [np.fft.rfft(sound[:size], points) for sound in (theirs, ours)]
    product = np.fft.irfft(spectra[0] * np.conj(spectra[1]), points)
    moved = int(np.argmax(product))
    moved -= points if moved > points // 2 else 0
    return float(done.plan.pieces[0].offset_ms - moved * 1000 / RATE_HZ)


def _sound(path: Path) -> np.ndarray:
    """The first sound track from the first picture on."""
    said = ask(path)
    first = next(s for s in said["streams"] if s["codec_type"] == "video")
    lead_s = float(first["start_time"]) - float(said["format"]["start_time"])
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(path), "-map", "0:a:0", "-af"]
    command += [f"aresample={RATE_HZ}:async=1:first_pts=0", "-ac", "1", "-f", "f32le", "-"]
    # Of a transport stream the earliest track that is asked for is ffmpeg's zero: so all are.
    command += ["-map", "0", "-c", "copy", "-copy_unknown", "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    samples = np.frombuffer(done.stdout, "<f4")[max(0, round(lead_s * RATE_HZ)) :]
    return samples.astype(float) - samples.mean()


if __name__ == "__main__":
    main()
