"""How long score and offset-scan take beside the bare decode, and how much memory.

    python tests/benchmarks/speed.py FILE [--minutes 2] [--rounds 3]

FILE is looped to the given length. Each round times, one after the other on the same cores: ffmpeg
alone decoding the file to the frames and sound that avsync works on (25 fps, at most 360 lines,
RGB; 16 kHz mono), `avsync score`, and `avsync offset-scan --range 2s`. What counts is the ratio of
the medians: seconds depend on the machine and on who else uses it. Memory is the largest sum of
resident memory over the process and its children, read every 50 ms (Linux only).
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from avsync_cli.media.ffmpeg import find_ffmpeg
from avsync_cli.media.probe import probe


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


def timed(command: list[str]) -> tuple[float, int]:
    """Wall time in seconds and peak memory in bytes of a command."""
    began = time.monotonic()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    peak = 0
    while process.poll() is None:
        peak = max(peak, tree_rss_bytes(process.pid))
        time.sleep(0.05)
    if process.returncode not in (0, 1, 3):
        raise SystemExit(f"failed with {process.returncode}: {' '.join(command)}")
    return time.monotonic() - began, peak


def main() -> None:
    """Run the rounds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    ffmpeg = str(find_ffmpeg())
    with tempfile.TemporaryDirectory() as folder:
        looped = Path(folder) / f"looped{given.file.suffix}"
        loop = [ffmpeg, "-nostdin", "-v", "error", "-stream_loop", "-1", "-i", str(given.file)]
        cut = ["-t", str(60 * given.minutes), "-c", "copy", str(looped)]
        subprocess.run([*loop, *cut], check=True)
        info = probe(looped)
        high = min(360, info.video[0].height)
        picture = ["-map", "0:v:0", "-vf", f"fps=25,scale=-2:{high}", "-pix_fmt", "rgb24"]
        sound = ["-map", "0:a:0", "-ac", "1", "-ar", "16000", "-f", "f32le"]
        bare = [ffmpeg, "-nostdin", "-v", "error", "-y", "-i", str(looped), *picture]
        bare += ["-f", "rawvideo", "/dev/null", *sound, "/dev/null"]
        avsync = [sys.executable, "-m", "avsync_cli"]
        jobs = {
            "bare decode": bare,
            "score": [*avsync, "score", "--json", str(looped)],
            "offset-scan ±2 s": [*avsync, "offset-scan", "--range", "2s", "--json", str(looped)],
        }
        runs: dict[str, list[tuple[float, int]]] = {name: [] for name in jobs}
        for _ in range(given.rounds):
            for name, command in jobs.items():
                runs[name].append(timed(command))
    medians = {name: statistics.median(s for s, _ in rows) for name, rows in runs.items()}
    size = f"{info.video[0].width}x{info.video[0].height}"
    print(f"{given.file.name}, {size}, looped to {info.duration_s:.0f} s, {given.rounds} rounds")
    print(f"{'':18}{'median s':>10}{'x decode':>10}{'x real time':>13}{'peak MB':>9}")
    for name, rows in runs.items():
        took = medians[name]
        ratio, pace = took / medians["bare decode"], info.duration_s / took
        peak = max(p for _, p in rows) / 1e6
        print(f"{name:18}{took:>10.2f}{ratio:>10.2f}{pace:>12.1f}x{peak:>9.0f}")


if __name__ == "__main__":
    main()
