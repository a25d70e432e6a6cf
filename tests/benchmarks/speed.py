"""How long score and offset-scan take beside the bare decode, and how much memory.

    python tests/benchmarks/speed.py FILE [--sizes 360,1080,2160] [--minutes 2,10] [--rounds 3]
        [--ranges 1s,2s,5s,10s] [--steps 10,20,40]

FILE is brought to each height (H.264 with a little grain, at the bit rates of `BIT_RATES`; left as
it is without --sizes) and looped to each length. A round times, one after the other on the same
cores: ffmpeg alone decoding the file to the frames and sound that avsync works on (25 fps, at most
360 lines, RGB; 16 kHz mono), `avsync score`, and `avsync offset-scan --range 2s`. --ranges and
--steps time offset-scan at each of them, on the first size and length.

What counts are the ratios, each taken within a round: seconds depend on the machine and on who else
uses it. "cpu s" is the time all threads and children spent computing, which a busy machine changes
least. Memory is the largest sum of resident memory over the process and its children, read every
50 ms (Linux only).
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from avsync_cli.media.ffmpeg import find_ffmpeg
from avsync_cli.media.probe import probe

BIT_RATES = {360: "700k", 720: "4M", 1080: "8M", 2160: "24M"}
"""What films are streamed at, by height; others are left to the encoder's own quality."""

BARE = "bare decode"


@dataclass(frozen=True)
class Run:
    """One command, once: wall and processor time in seconds, peak memory in bytes."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


def tree_rss_bytes(root: int) -> int:
    """Resident memory of a process and all below it; 0 once it is gone."""
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        base = Path("/proc") / str(pid)
        try:
            total += int((base / "statm").read_text().split()[1]) * 4096
            for task in (base / "task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return total


def children_cpu_s() -> float:
    """Processor time of all children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def timed(command: list[str]) -> Run:
    """Run a command to its end."""
    began, cpu_s = time.monotonic(), children_cpu_s()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    peak = 0
    while process.poll() is None:
        peak = max(peak, tree_rss_bytes(process.pid))
        time.sleep(0.05)
    if process.returncode not in (0, 1, 3):
        raise SystemExit(f"failed with {process.returncode}: {' '.join(command)}")
    return Run(time.monotonic() - began, children_cpu_s() - cpu_s, peak)


def resized(file: Path, height: int, folder: Path) -> Path:
    """The file at another height, as a film of that size would be encoded."""
    out = folder / f"{height}.mp4"
    rate = ["-b:v", BIT_RATES[height]] if height in BIT_RATES else []
    grain = f"scale=-2:{height}:flags=bicubic,noise=alls=6:allf=t"
    encoder = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", *rate]
    ffmpeg([str(file), "-vf", grain, *encoder, "-c:a", "aac", str(out)])
    return out


def looped(file: Path, minutes: float, folder: Path) -> Path:
    """The file again and again until it is `minutes` long, without another encoding."""
    out = folder / f"{file.stem}-{minutes:g}min{file.suffix}"
    ffmpeg([str(file), "-t", str(60 * minutes), "-c", "copy", str(out)], ["-stream_loop", "-1"])
    return out


def ffmpeg(rest: list[str], before: list[str] | None = None) -> None:
    start = [str(find_ffmpeg()), "-nostdin", "-v", "error", "-y", *(before or [])]
    subprocess.run([*start, "-i", *rest], check=True)


def bare_decode(file: Path) -> list[str]:
    """The command that does nothing but decode, as one would type it."""
    high = min(360, probe(file).video[0].height)
    picture = ["-map", "0:v:0", "-vf", f"fps=25,scale=-2:{high}", "-pix_fmt", "rgb24"]
    sound = ["-map", "0:a:0", "-ac", "1", "-ar", "16000", "-f", "f32le"]
    start = [str(find_ffmpeg()), "-nostdin", "-v", "error", "-y", "-i", str(file)]
    return [*start, *picture, "-f", "rawvideo", "/dev/null", *sound, "/dev/null"]


def avsync(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "avsync_cli", *map(str, arguments)]


def measure(file: Path, jobs: dict[str, list[str]], rounds: int) -> None:
    """Time the jobs and the bare decode in turn, and print a table of medians."""
    jobs = {BARE: bare_decode(file), **jobs}
    runs: dict[str, list[Run]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, command in jobs.items():
            runs[name].append(timed(command))
    info = probe(file)
    size = f"{info.video[0].width}x{info.video[0].height}"
    print(f"\n{size}, {info.duration_s:.0f} s, {rounds} rounds")
    print(f"{'':22}{'wall s':>9}{'x decode':>10}{'cpu s':>9}{'x decode':>10}", end="")
    print(f"{'x real time':>13}{'peak MB':>9}")
    for name, rows in runs.items():
        wall = statistics.median(r.wall_s for r in rows)
        cpu = statistics.median(r.cpu_s for r in rows)
        pairs = list(zip(rows, runs[BARE], strict=True))
        by_wall = statistics.median(r.wall_s / b.wall_s for r, b in pairs)
        by_cpu = statistics.median(r.cpu_s / b.cpu_s for r, b in pairs)
        peak = max(r.peak_bytes for r in rows) / 1e6
        print(f"{name:22}{wall:>9.2f}{by_wall:>10.2f}{cpu:>9.2f}{by_cpu:>10.2f}", end="")
        print(f"{info.duration_s / wall:>12.1f}x{peak:>9.0f}", flush=True)


def numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def words(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def main() -> None:
    """Run the rounds and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--sizes", type=numbers, default=[], help="heights in pixels")
    parser.add_argument("--minutes", type=numbers, default=[2.0], help="lengths")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ranges", type=words, default=[], help="of offset-scan, such as 1s,5s")
    parser.add_argument("--steps", type=words, default=[], help="of offset-scan, such as 10ms,40ms")
    given = parser.parse_args()
    print(f"{given.file.name}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")
    first: Path | None = None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for height in given.sizes or [None]:
            source = given.file if height is None else resized(given.file, int(height), folder)
            for minutes in given.minutes:
                film = looped(source, minutes, folder)
                jobs = {
                    "score": avsync("score", "--json", film),
                    "offset-scan --range 2s": avsync("offset-scan", "--range", "2s", film),
                }
                measure(film, jobs, given.rounds)
                first = first or film
                if film != first:
                    film.unlink()
        assert first is not None
        for option, values in (("--range", given.ranges), ("--step", given.steps)):
            if values:
                scans = {
                    f"scan {option} {x}": avsync("offset-scan", option, x, first) for x in values
                }
                measure(first, scans, given.rounds)


if __name__ == "__main__":
    main()
