"""Ctrl-C and SIGTERM at random moments: does avsync end in time, and leave nothing behind?

    python -m tests.benchmarks.signals [--kills 40] [--seed 1] [--model NAME]

Each of four runs (score and offset-scan to a file, fix, a batch of six with --jobs 2 and --resume)
is first timed to its end, on docs/sample/talker.mp4; then it is started again and again, and sent
SIGINT (to the group, as a terminal does) or SIGTERM at a moment chosen from its whole length. It
must end with 130 or 143 (a shell's word for a program that the signal itself ended, before Python
was up, is the same) within two seconds, with no process of its own still there, no trace on stderr,
and no new file but the lines of --resume and an answer that was ready, all of them whole. Where the
machine is busy the seconds say more about it than about avsync: they are printed beside what the
same machine needs for `python -c pass`. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from avsync_cli.errors import MediaError
from avsync_cli.media.probe import probe
from tests.benchmarks.batch import MARK, TALKER, alive
from tests.conftest import REPO

RUNS = {
    "score": ["score", "--json", "-o", "answer.json", "0.mp4"],
    "offset-scan": ["offset-scan", "--range", "2s", "--json", "-o", "answer.json", "0.mp4"],
    "fix": ["fix", "--force", "0.mp4", "-o", "fixed.mp4"],
    "batch": ["score", "--jobs", "2", "--resume", "lines.jsonl", *(f"{n}.mp4" for n in range(6))],
}
KEPT = {f"{n}.mp4" for n in range(6)} | {"lines.jsonl"}


def _whole_json(path: Path) -> bool:
    try:
        return len(json.loads(path.read_bytes())["files"]) == 1
    except (ValueError, KeyError):
        return False


def _whole_film(path: Path) -> bool:
    try:
        return abs((probe(path).duration_s or 0.0) - (probe(TALKER).duration_s or 0.0)) < 0.5
    except MediaError:
        return False


WHOLE = {"answer.json": _whole_json, "fixed.mp4": _whole_film}
"""What may be there after a signal that came at the very end, if it is all there."""


@dataclass
class Tally:
    """What came of the kills of one run."""

    codes: Counter[int] = field(default_factory=Counter)
    times_s: list[float] = field(default_factory=list)
    early: int = 0
    ready: int = 0
    wrong: list[str] = field(default_factory=list)


def _start(args: list[str], folder: Path, mark: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "avsync_cli", *args],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPO), "TMPDIR": str(folder / "tmp"), MARK: mark},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,
    )


def kill_once(args: list[str], folder: Path, number: int, after_s: float, tally: Tally) -> None:
    """Start, wait, send the signal, and note all that is wrong afterwards."""
    mark = uuid.uuid4().hex
    for path in set(folder.iterdir()) - {folder / name for name in KEPT - {"lines.jsonl"}}:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (folder / "tmp").mkdir()
    process = _start(args, folder, mark)
    time.sleep(after_s)
    if process.poll() is not None:
        tally.codes[process.returncode] += 1
        process.communicate()
        return
    sent = time.monotonic()
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    code = process.wait()  # at most a screen of output: no pipe fills up
    tally.times_s.append(time.monotonic() - sent)
    _, err = process.communicate()
    said = err.decode("utf-8", "replace")
    name = signal.Signals(number).name
    where = f"{name} after {after_s:.2f} s"
    if (
        code == -number
    ):  # Python was not up yet, and ended as any program does: a shell says the same
        tally.early += 1
    elif code != 128 + number:
        tally.wrong.append(f"{where}: ended with {code}: {said[-300:]}")
    elif "Traceback" in said or "Exception ignored" in said:
        tally.wrong.append(f"{where}: {said[-600:]}")
    tally.codes[code] += 1
    living = alive(mark)
    if living:
        time.sleep(1.0)
        still = alive(mark)
        tally.wrong.append(f"{where}: {len(living)} left, after a second {len(still)}: {living}")
    files = {path.name for path in folder.iterdir()} - KEPT - {"tmp"}
    files |= {path.name for path in (folder / "tmp").iterdir()}
    if ready := {name for name in files if name in WHOLE and WHOLE[name](folder / name)}:
        tally.ready += 1  # it came too late to keep the answer from its place
    if files - ready:
        tally.wrong.append(f"{where}: files left: {sorted(files - ready)}")
    lines = folder / "lines.jsonl"
    text = lines.read_text() if lines.exists() else ""
    paths = [json.loads(line)["path"] for line in text.splitlines()]
    if (text and not text.endswith("\n")) or len(paths) != len(set(paths)):
        tally.wrong.append(f"{where}: torn or double lines")


def main() -> int:
    """Print a row for each run; exit code 1 when anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default="default")
    given = parser.parse_args()
    chance = random.Random(given.seed)
    # A shell lets what it starts with & ignore SIGINT, and avsync would do as it is told.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    print(f"python -c pass: {time.monotonic() - began:.2f} s")
    failed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for n in range(6):
            shutil.copyfile(TALKER, folder / f"{n}.mp4")
        for n, (what, flags) in enumerate(RUNS.items()):
            args = [*flags, "--model", given.model]
            (folder / "tmp").mkdir(exist_ok=True)
            began = time.monotonic()
            whole = _start(args, folder, "none")
            _, err = whole.communicate()
            length_s = time.monotonic() - began
            if whole.returncode not in (0, 1, 3):
                raise SystemExit(f"{what} ended with {whole.returncode}: {err.decode()}")
            tally = Tally()
            for k in range(n, given.kills, len(RUNS)):
                number = (signal.SIGINT, signal.SIGTERM)[k // len(RUNS) % 2]
                kill_once(args, folder, number, chance.uniform(0, length_s), tally)
            times = tally.times_s or [0.0]
            print(
                f"{what:12} {length_s:5.1f} s long, codes {dict(tally.codes)}, "
                f"before Python was up {tally.early}, answer in place {tally.ready}; "
                f"seconds to the end: median {statistics.median(times):.2f}, "
                f"longest {max(times):.2f}, "
                f"{sum(t > 2 for t in times)} over 2",
                flush=True,
            )
            for line in tally.wrong:
                print(f"  WRONG {line}")
            failed |= bool(tally.wrong)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
