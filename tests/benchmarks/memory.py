"""How much memory a film takes, by its length: it should be all the same.

    python -m tests.benchmarks.memory [FILE] [--minutes 10 60 180] [--commands score offset-scan]

FILE (docs/sample/talker.mp4 if none is named) is looped to each length without coding anew, and
judged from end to end, with the whole answer written as JSON. Memory is the sum of resident memory
over the process and its children, read four times a second (Linux only): its peak, and the most in
each quarter of the run, where a leak would show as a slope. A row is printed when it is there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from avsync_cli.media.ffmpeg import find_ffmpeg
from avsync_cli.media.probe import probe
from tests.benchmarks.speed import tree_rss_bytes
from tests.conftest import REPO

TALKER = REPO / "docs" / "sample" / "talker.mp4"
COMMANDS = {"score": ["score"], "offset-scan": ["offset-scan", "--range", "2s"]}
READ_EVERY_S = 0.25


@dataclass(frozen=True)
class Run:
    """One command on one file.

    Attributes:
        took_s: wall time.
        memory: resident bytes of the process tree over the run, in order, evenly spaced.
        status: what it found.
        offset_ms: the same.
        answer_bytes: size of the JSON document, which does grow with the film.
    """

    took_s: float
    memory: list[int]
    status: str
    offset_ms: float | None
    answer_bytes: int

    def quarters_mb(self) -> list[float]:
        """The most in each quarter of the run."""
        n = len(self.memory)
        parts = [self.memory[n * k // 4 : n * (k + 1) // 4] for k in range(4)]
        return [max(part, default=0) / 1e6 for part in parts]


def looped(source: Path, minutes: float, folder: Path) -> Path:
    """A copy of the file that goes on from its start until it is as long as that."""
    path = folder / f"looped{source.suffix}"
    loop = ["-nostdin", "-v", "error", "-y", "-stream_loop", "-1", "-i", str(source)]
    cut = ["-t", str(60 * minutes), "-map", "0:v:0", "-map", "0:a:0", "-c", "copy", str(path)]
    subprocess.run([str(find_ffmpeg()), *loop, *cut], check=True)
    return path


def measured(command: list[str], film: Path) -> Run:
    """Run `avsync COMMAND --json FILM` to its end.

    Raises:
        SystemExit: it ended without an answer.
    """
    with tempfile.TemporaryFile() as answer:
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "avsync_cli", *command, "--json", str(film)],
            stdin=subprocess.DEVNULL,
            stdout=answer,
            cwd=REPO,
        )
        memory: list[int] = []
        try:
            while process.poll() is None:
                memory.append(tree_rss_bytes(process.pid))
                time.sleep(READ_EVERY_S)
        finally:
            process.kill()
        took_s = time.monotonic() - began
        if process.returncode not in (0, 1, 3):
            raise SystemExit(f"{command[0]} failed with {process.returncode}")
        answer.seek(0)
        text = answer.read()
    (entry,) = json.loads(text)["files"]
    return Run(took_s, memory, entry["status"], entry["offset_ms"], len(text))


def main() -> None:
    """Print a row for each length and command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, nargs="?", default=TALKER)
    parser.add_argument("--minutes", type=float, nargs="+", default=[10.0, 60.0, 180.0])
    parser.add_argument("--commands", nargs="+", choices=list(COMMANDS), default=list(COMMANDS))
    given = parser.parse_args()
    print(
        f"{'minutes':>8} {'command':12}{'s':>8}{'x real time':>12}{'peak MB':>9}   "
        f"{'MB by quarter of the run':28}{'answer MB':>10}  found"
    )
    for minutes in given.minutes:
        with tempfile.TemporaryDirectory() as folder:
            film = looped(given.file, minutes, Path(folder))
            length_s = probe(film).duration_s or 0.0
            for name in given.commands:
                run = measured(COMMANDS[name], film)
                quarters = " ".join(f"{mb:6.0f}" for mb in run.quarters_mb())
                peak = max(run.memory, default=0) / 1e6
                offset = "" if run.offset_ms is None else f" {run.offset_ms:+.0f} ms"
                print(
                    f"{length_s / 60:8.0f} {name:12}{run.took_s:8.0f}"
                    f"{length_s / run.took_s:11.1f}x{peak:9.0f}   {quarters:28}"
                    f"{run.answer_bytes / 1e6:10.2f}  {run.status}{offset}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
