"""Thousands of damaged files: none may crash avsync, hang it, or make it leave anything behind.

    python -m tests.benchmarks.fuzz [--files 2000] [--seed 1] [--keep FOLDER]

Small clips in five containers are cut short at any byte, have bits flipped, stretches swapped,
doubled, zeroed, overwritten, or another clip's end put on. A process of its own reads each through
`Timeline`; every 20th also goes through the whole of `avsync score --json`. A file may be read or
refused with a reason; anything else is a failure: another exception, on any thread, an answer that
does not come, a child process or a file left behind. File n depends on the seed and n alone.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.clips import Clips
from tests.conftest import REPO

KINDS = ("mp4", "mkv", "ts", "avi", "webm")
SECONDS = 1.5

WATCHDOG_S = 150.0
"""Longer than avsync itself waits for an ffmpeg that gives nothing, twice."""

CHUNKS = 60
"""Chunks of 100 frames read of one file: damaged time stamps may claim hours."""

Mutation = Callable[[bytearray, bytes, np.random.Generator], bytearray]


# --- Damage ---------------------------------------------------------------------------------------


def _cut(data: bytearray, _: bytes, rng: np.random.Generator) -> bytearray:
    return data[: rng.integers(0, len(data))]


def _flip(data: bytearray, _: bytes, rng: np.random.Generator) -> bytearray:
    for at in rng.integers(0, len(data), rng.choice([1, 8, 64, 512])):
        data[at] ^= 1 << rng.integers(8)
    return data


def _flip_headers(data: bytearray, _: bytes, rng: np.random.Generator) -> bytearray:
    """Damage where it is felt: both ends, where containers keep what they are."""
    reach = min(1500, len(data))
    for at in rng.integers(0, reach, rng.choice([1, 4, 16])):
        data[at if rng.random() < 0.5 else -1 - at] = rng.integers(256)
    return data


def _span(size: int, rng: np.random.Generator) -> slice:
    length = int(rng.choice([4, 188, 1000, max(1, size // 4)]))
    first = int(rng.integers(0, max(1, size - length)))
    return slice(first, first + length)


def _swap(data: bytearray, _: bytes, rng: np.random.Generator) -> bytearray:
    one, two = sorted((_span(len(data), rng), _span(len(data), rng)), key=lambda s: s.start)
    if one.stop > two.start:
        return data[two] + data[one]
    between = data[one.stop : two.start]
    return data[: one.start] + data[two] + between + data[one] + data[two.stop :]


def _double(data: bytearray, _: bytes, rng: np.random.Generator) -> bytearray:
    span = _span(len(data), rng)
    return data[: span.stop] + data[span] * int(rng.choice([1, 1, 20])) + data[span.stop :]


def _zero(data: bytearray, _: bytes, rng: np.random.Generator) -> bytearray:
    span = _span(len(data), rng)
    data[span] = bytes(len(data[span]))
    return data


def _noise(data: bytearray, _: bytes, rng: np.random.Generator) -> bytearray:
    span = _span(len(data), rng)
    data[span] = rng.bytes(len(data[span]))
    return data


def _splice(data: bytearray, other: bytes, rng: np.random.Generator) -> bytearray:
    return data[: rng.integers(0, len(data))] + other[rng.integers(0, len(other)) :]


MUTATIONS: dict[str, Mutation] = {
    "cut short": _cut,
    "bits flipped": _flip,
    "headers changed": _flip_headers,
    "swapped": _swap,
    "doubled": _double,
    "zeroed": _zero,
    "overwritten": _noise,
    "spliced": _splice,
}


def damaged(seeds: dict[str, bytes], seed: int, number: int) -> tuple[str, str, bytes]:
    """(container, mutation, bytes) of file `number`; one in eight is damaged twice."""
    rng = np.random.default_rng([seed, number])
    # Shifted by one every twenty, so that whatever is done to every 20th meets all containers.
    kind = KINDS[(number + number // 20) % len(KINDS)]
    name = list(MUTATIONS)[number // len(KINDS) % len(MUTATIONS)]
    other = seeds[str(rng.choice(KINDS))]
    data = MUTATIONS[name](bytearray(seeds[kind]), other, rng)
    if rng.random() < 0.125 and data:
        data = MUTATIONS[str(rng.choice(list(MUTATIONS)))](data, other, rng)
    return kind, name, bytes(data)


def make_seeds(clips: Clips) -> dict[str, bytes]:
    """The five whole clips."""
    return {k: clips.make(f"seed.{k}", seconds=SECONDS).read_bytes() for k in KINDS}


# --- The process that reads them ------------------------------------------------------------------


def _children() -> list[str]:
    found: list[str] = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended
            found += (task / "children").read_text().split()
    return found


def _read(path: str) -> tuple[str, str]:
    """(outcome, what is wrong with it) of one file."""
    from avsync_cli.errors import MediaError
    from avsync_cli.media.decode import Timeline

    try:
        with Timeline(path, chunk_frames=100, threads=1) as timeline:
            for chunk in itertools.islice(timeline, CHUNKS):
                if not np.isfinite(chunk.sound).all() or np.abs(chunk.sound).max(initial=0) > 1:
                    return "read", "sound out of range"
    except MediaError as error:
        told = error.message.isprintable() and bool(error.hint) and error.path is not None
        return type(error).__name__, "" if told else f"not well told: {error.message!r}"
    except Exception:
        return "crash", traceback.format_exc()
    return "read", ""


def worker() -> None:
    """Read paths from stdin, write a line of JSON for each."""
    wrong: list[str] = []
    threading.excepthook = lambda a: wrong.append("".join(traceback.format_exception(a.exc_value)))
    sys.unraisablehook = lambda a: wrong.append(f"in a finaliser: {a.exc_value!r}")
    for line in sys.stdin:
        began = time.monotonic()
        outcome, problem = _read(line.rstrip("\n"))
        wrong += [problem] if problem else []
        if left := _children():
            wrong.append(f"children left: {left}")
        if threading.active_count() > 1:
            wrong.append(f"threads left: {threading.enumerate()}")
        took_s = time.monotonic() - began
        print(json.dumps({"outcome": outcome, "took_s": took_s, "wrong": wrong}), flush=True)
        wrong.clear()


class Reader:
    """The worker seen from outside; one that gives no answer in time is ended and replaced."""

    def __init__(self, folder: Path, watchdog_s: float) -> None:
        self._folder, self._watchdog_s = folder, watchdog_s
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str] = queue.Queue()

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.fuzz", "--worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=self._folder,
            env={**os.environ, "PYTHONPATH": str(REPO), "TMPDIR": str(self._folder)},
            process_group=0,
        )
        self._lines = lines = queue.Queue()

        def pump() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                lines.put(line)
            lines.put("")

        threading.Thread(target=pump, daemon=True).start()
        return process

    def read(self, path: Path) -> tuple[str, float, list[str]]:
        """(outcome, seconds, what is wrong) of one file."""
        if self._process is None:
            self._process = self._start()
        assert self._process.stdin is not None
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        try:
            line = self._lines.get(timeout=self._watchdog_s)
        except queue.Empty:
            self.close()
            return "hang", self._watchdog_s, [f"no answer within {self._watchdog_s:g} s"]
        if not line:
            status = self._process.wait()
            self.close()
            return "crash", 0.0, [f"the process ended with {status}"]
        answer = json.loads(line)
        return answer["outcome"], answer["took_s"], answer["wrong"]

    def close(self) -> None:
        """End the worker and whatever it started."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


# --- The run --------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What came of a run: counts by (container, mutation, outcome), times, failures."""

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    times_s: list[float] = field(default_factory=list)
    scored: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def score_whole(path: Path, model: Path, watchdog_s: float) -> tuple[int, str]:
    """(exit code, what is wrong) of `avsync score --json` on one file."""
    command = [sys.executable, "-m", "avsync_cli", "score", "--json", "--model", str(model)]
    try:
        done = subprocess.run(
            [*command, str(path)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=watchdog_s,
            cwd=path.parent,
            env={**os.environ, "PYTHONPATH": str(REPO), "TMPDIR": str(path.parent)},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return -1, f"score: no answer within {watchdog_s:g} s"
    said = done.stderr.decode("utf-8", "replace")
    if done.returncode not in (0, 1, 3) or "Traceback" in said or "internal error" in said:
        return done.returncode, f"score: exit {done.returncode}: {said[-2000:]}"
    document = json.loads(done.stdout)
    if len(document["files"]) + len(document["errors"]) != 1:
        return done.returncode, "score: neither answer nor error"
    return done.returncode, ""


def fuzz(
    numbers: range,
    seed: int,
    folder: Path,
    *,
    score_every: int = 20,
    watchdog_s: float = WATCHDOG_S,
    keep: Path | None = None,
) -> Iterator[Outcome]:
    """Read the files `numbers` of a seed, one at a time; gives the counts so far after each.

    Args:
        numbers: which files.
        seed: of all that is random.
        folder: an empty one to work in.
        score_every: every so many go through the whole program, 0 for none.
        watchdog_s: no answer after that is a failure.
        keep: where to put files that fail.
    """
    from tests.toy_model import build_toy_model

    sources, place = folder / "sources", folder / "place"
    sources.mkdir()
    place.mkdir()
    seeds = make_seeds(Clips(sources))
    model = build_toy_model(folder / "toy")
    outcome = Outcome()
    reader = Reader(place, watchdog_s)
    try:
        for number in numbers:
            kind, name, data = damaged(seeds, seed, number)
            path = place / f"{number}.{kind}"
            path.write_bytes(data)
            result, took_s, wrong = reader.read(path)
            if score_every and number % score_every == 0:
                code, problem = score_whole(path, model, watchdog_s)
                outcome.scored[code] += 1
                wrong = [*wrong, problem] if problem else wrong
            if left := [entry.name for entry in place.iterdir() if entry != path]:
                wrong = [*wrong, f"files left: {left}"]
                for other in left:
                    (place / other).unlink(missing_ok=True)
            outcome.counts[kind, name, result] += 1
            outcome.times_s.append(took_s)
            outcome.failures += [f"{path.name} ({name}): {what}" for what in wrong]
            if wrong and keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / path.name).write_bytes(data)
            path.unlink()
            yield outcome
    finally:
        reader.close()


def _crossed(counts: Counter[tuple[str, str, str]]) -> list[str]:
    """One row for each damage, one column for each container: "12 + 38" read + refused, and
    whatever else came of them in words."""
    kinds = list(dict.fromkeys(key[0] for key in counts))
    lines = [f"{'read + refused':16}" + "".join(f"{kind:>18}" for kind in kinds)]
    for name in dict.fromkeys(key[1] for key in counts):
        cells = []
        for kind in kinds:
            of = {key[2]: n for key, n in counts.items() if key[:2] == (kind, name)}
            odd = [f"{of.pop(bad)} {bad}" for bad in ("crash", "hang") if bad in of]
            read = of.pop("read", 0)
            cells.append(" ".join([f"{read} + {sum(of.values())}", *odd]))
        lines.append(f"{name:16}" + "".join(f"{cell:>18}" for cell in cells))
    return lines


def report(outcome: Outcome) -> list[str]:
    """Lines for a person."""
    lines = []
    for title, position in (("container", 0), ("damage", 1)):
        results = sorted({key[2] for key in outcome.counts})
        lines.append(f"{title:16}" + "".join(f"{result:>18}" for result in results))
        for name in dict.fromkeys(key[position] for key in outcome.counts):
            sums = (
                sum(n for k, n in outcome.counts.items() if (k[position], k[2]) == (name, result))
                for result in results
            )
            lines.append(f"{name:16}" + "".join(f"{n:>18}" for n in sums))
    lines += _crossed(outcome.counts)
    times = outcome.times_s or [0.0]
    lines.append(
        f"{len(outcome.times_s)} files, {len(outcome.failures)} failures; seconds a file: "
        f"median {statistics.median(times):.2f}, mean {statistics.mean(times):.2f}, "
        f"longest {max(times):.2f}"
    )
    whole = ", ".join(f"{n} ended with {code}" for code, n in sorted(outcome.scored.items()))
    lines.append(f"through avsync score: {sum(outcome.scored.values())} ({whole})")
    return lines + outcome.failures


def main() -> int:
    """Run from the command line; exit code 1 when a file failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for files that fail")
    parser.add_argument("--watchdog", type=float, default=WATCHDOG_S, help="seconds")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        worker()
        return 0
    outcome = Outcome()
    numbers = range(given.first, given.first + given.files)
    keep = None if given.keep is None else given.keep.absolute()
    with tempfile.TemporaryDirectory() as folder:
        runs = fuzz(numbers, given.seed, Path(folder), watchdog_s=given.watchdog, keep=keep)
        for outcome in runs:
            if len(outcome.times_s) % 10 == 0:
                done = f"{len(outcome.times_s)} of {given.files}"
                print(f"{done}, {len(outcome.failures)} failures", file=sys.stderr, flush=True)
    print("\n".join(report(outcome)))
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
