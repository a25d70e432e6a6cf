"""A batch of some hundred files, killed half way and gone on with: is every file answered once?

    python -m tests.benchmarks.batch [--files 200] [--jobs 2] [--seed 1] [--model NAME]

The files are cuts of docs/sample/talker.mp4 with the sound moved. One in ten is none that can be
judged: text, nothing at all, cut short, without picture, without sound, silent, a folder, a name
that names nothing. As many whole ones have names that trip programs up. Their list goes through
stdin to `avsync score --files-from - --jsonl`, which is killed with SIGKILL once half are
answered; the same command with --resume does the rest. Then: every file exactly once, each with
the answer it must have, the summary and the failures last, the exit code, and no process and no
file left behind. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from avsync_cli.media.ffmpeg import find_ffmpeg
from avsync_cli.wording import safe_text
from tests.conftest import REPO

TALKER = REPO / "docs" / "sample" / "talker.mp4"
CUT_S = 3.0
SHIFTS_MS = (-320, -200, -120, -40, 0, 40, 200, 320)

MARK = "BATCH_RUN"
"""A variable that all processes of a run inherit, orphans too: none of them can hide."""

BAD = ("text", "empty", "cut short", "no picture", "no sound", "silent", "folder", "missing")
"""What cannot be judged; "silent" is undecided, all others are errors."""

NAMES = (
    'it\'s a "take" {}.mp4',
    "two\nlines {}.mp4",
    "-rf {}.mp4",
    "--json={}.mp4",
    "[{}]*?.mp4",
    "caf\udce9 {}.mp4",
    "  spaces {} .mp4",
    "%d {} $(touch pwned) `id`;.mp4",
    "\x1b[31mred {}.mp4",
    "file:{}.mp4",
)


@dataclass
class Films:
    """The files of a batch: names as they go into the list, and what is wrong with each, if so."""

    folder: Path
    kinds: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return list(self.kinds)


def _ffmpeg(*args: str) -> None:
    subprocess.run([str(find_ffmpeg()), "-nostdin", "-v", "error", *args], check=True)


def planned(n: int) -> tuple[str, str]:
    """Name of file n, and what is wrong with it ("" for a whole one)."""
    bad = BAD[n // 10 % len(BAD)] if n % 10 == 3 else ""
    odd = n % 10 == 7
    return (NAMES[n // 10 % len(NAMES)].format(n) if odd else f"{n:03}.mp4"), bad


def make_films(folder: Path, count: int, seed: int, source: Path = TALKER) -> Films:
    """`count` short files in `folder`, one in ten of them bad."""
    chance = random.Random(seed)
    cuts = folder.with_name("cuts")
    cuts.mkdir()
    folder.mkdir()
    for n, start in enumerate(("0", "2.5", "5", "7.5", "10")):
        codecs = ["-c:v", "mpeg4", "-q:v", "4", "-c:a", "aac"]
        cut = ["-ss", start, "-t", str(CUT_S), "-i", str(source), *codecs]
        _ffmpeg(*cut, str(cuts / f"{n}.mp4"))
    whole = sorted(cuts.iterdir())
    _ffmpeg("-i", str(whole[0]), "-an", "-c", "copy", str(cuts / "no sound.mp4"))
    _ffmpeg("-i", str(whole[0]), "-vn", "-c", "copy", str(cuts / "no picture.mp4"))
    _ffmpeg("-i", str(whole[0]), "-af", "volume=0", "-c:v", "copy", str(cuts / "silent.mp4"))
    films = Films(folder)
    for n in range(count):
        name, bad = planned(n)
        films.kinds[name] = bad
        if bad:
            _make_bad(folder / name, bad, cuts, chance)
            continue
        cut, shift_s = str(chance.choice(whole)), chance.choice(SHIFTS_MS) / 1000
        tracks = ["-i", cut, "-itsoffset", str(shift_s), "-i", cut, "-map", "0:v", "-map", "1:a"]
        # ffmpeg would read some of the names otherwise.
        made = cuts / "made.mp4"
        _ffmpeg("-y", *tracks, "-c", "copy", str(made))
        made.replace(folder / name)
    shutil.rmtree(cuts)
    return films


def _make_bad(path: Path, bad: str, cuts: Path, chance: random.Random) -> None:
    if bad == "text":
        path.write_text("a film, by its name only\n")
    elif bad == "empty":
        path.touch()
    elif bad == "folder":
        path.mkdir()
    elif bad == "cut short":  # the index of an mp4 comes last
        data = (cuts / "0.mp4").read_bytes()
        path.write_bytes(data[: chance.randrange(100, len(data) // 2)])
    elif bad != "missing":
        shutil.copyfile(cuts / f"{bad}.mp4", path)


# --- The runs -------------------------------------------------------------------------------------


@dataclass
class Ended:
    """One run of the program: its exit code (negative for a signal), stderr, seconds."""

    code: int
    said: str
    took_s: float


def alive(mark: str) -> list[str]:
    """Command lines of the living processes with this mark."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append((folder / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
    return [line for line in found if line]


def run(
    films: Films, lines: Path, args: list[str], mark: str, *, kill_after: int | None = None
) -> Ended:
    """`avsync score` over the list, through stdin; with `kill_after`, stdout goes to `lines` and
    the program is killed once so many are in it, without it the run is taken up from there."""
    out = lines.open("wb") if kill_after is not None else None
    given = ["--jsonl"] if kill_after is not None else ["--resume", str(lines)]
    began = time.monotonic()
    with tempfile.TemporaryFile() as listing, tempfile.TemporaryFile() as said:
        listing.write(b"\0".join(os.fsencode(name) for name in films.names))
        listing.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-m", "avsync_cli", "score", "--files-from", "-", *given, *args],
            stdin=listing,
            stdout=out if out is not None else subprocess.DEVNULL,
            stderr=said,
            cwd=films.folder,
            env={
                **os.environ,
                "PYTHONPATH": str(REPO),
                "TMPDIR": str(lines.parent / "tmp"),
                MARK: mark,
            },
        )
        try:
            if kill_after is not None:
                while process.poll() is None and lines.read_bytes().count(b"\n") < kill_after:
                    time.sleep(0.05)
                process.kill()
            code = process.wait()
        finally:
            process.kill()
            if out is not None:
                out.close()
        said.seek(0)
        text = said.read().decode("utf-8", "replace")
    return Ended(code, text, time.monotonic() - began)


def leftovers(films: Films, lines: Path, mark: str, wait_s: float = 10.0) -> list[str]:
    """What a run left behind: processes after a moment, and files nobody asked for."""
    deadline = time.monotonic() + wait_s
    while (living := alive(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    files = {path.name for path in films.folder.iterdir()} - set(films.names)
    files |= {path.name for path in lines.parent.iterdir()} - {
        lines.name, "tmp", films.folder.name,
    }  # fmt: skip
    files |= {path.name for path in (lines.parent / "tmp").iterdir()}
    return [f"process left: {line}" for line in living] + [
        f"file left: {name!r}" for name in sorted(files)
    ]


def check(films: Films, lines: Path, ended: Ended) -> list[str]:
    """Everything that is wrong with the answers and the end of a batch."""
    wrong = []
    entries = [json.loads(line) for line in lines.read_bytes().splitlines()]
    # Paths of undecodable bytes come back as they went in.
    status = {os.fsdecode(os.fsencode(entry["path"])): entry["status"] for entry in entries}
    times = Counter(entry["path"] for entry in entries)
    wrong += [f"{name!r}: answered {times[name]} times" for name in films.kinds if times[name] != 1]
    wrong += [f"answered, but not asked: {name!r}" for name in times if name not in films.kinds]
    for name, bad in films.kinds.items():
        want = {"": ("in_sync", "out_of_sync", "undecided"), "silent": ("undecided",)}
        if status.get(name) not in want.get(bad, ("error",)):
            wrong.append(f"{name!r} ({bad or 'whole'}): {status.get(name)}")
    counts = Counter(status.values())
    code = 1 if counts["out_of_sync"] else 3 if counts["error"] + counts["undecided"] else 0
    if ended.code != code:
        wrong.append(f"exit code {ended.code}, not {code}")
    said = ended.said.splitlines()
    failures = [line for line in said if line.startswith("error: ")]
    if len(failures) != counts["error"]:
        wrong.append(f"{len(failures)} failures listed, {counts['error']} counted")
    named = [n for n, bad in films.kinds.items() if bad not in ("", "silent")]
    wrong += [f"not among the failures: {n!r}" for n in named if not any(
        safe_text(n) in line for line in failures)]  # fmt: skip
    tail = said[-2 * len(failures) - 1 :]
    if not tail or not tail[0].startswith(f"{len(films.kinds)} files: "):
        wrong.append("the summary and the failures are not what comes last")
    if "Traceback" in ended.said or "internal error" in ended.said:
        wrong.append("a fault of avsync's own")
    return wrong


@dataclass
class Result:
    """What came of it: words on each run, and what is wrong."""

    said: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    ended: Ended | None = None
    films: Films | None = None


def batch(folder: Path, count: int, seed: int, args: list[str]) -> Result:
    """The whole course in an empty folder; `args` go to every run of the program."""
    result = Result()
    (folder / "tmp").mkdir(parents=True)
    began = time.monotonic()
    films = result.films = make_films(folder / "films", count, seed)
    bad = sum(map(bool, films.kinds.values()))
    result.said.append(
        f"{count} files, {bad} of them bad, made in {time.monotonic() - began:.0f} s"
    )
    lines, mark = folder / "qc.jsonl", uuid.uuid4().hex
    killed = run(films, lines, args, mark, kill_after=count // 2)
    held = lines.read_bytes().count(b"\n")
    result.said.append(f"killed with {held} lines written, after {killed.took_s:.0f} s")
    if killed.code != -9:
        result.wrong.append(f"it ended with {killed.code} before it could be killed")
    result.wrong += leftovers(films, lines, mark)
    ended = result.ended = run(films, lines, args, mark)
    result.said.append(f"gone on with: exit code {ended.code} after {ended.took_s:.0f} s")
    if f"{held} files already in" not in ended.said:
        result.wrong.append("what was held was judged again")
    result.wrong += check(films, lines, ended) + leftovers(films, lines, mark)
    before = lines.read_bytes()
    again = run(films, lines, args, mark)
    result.said.append(f"once more: exit code {again.code} after {again.took_s:.1f} s")
    if again.code != ended.code or lines.read_bytes() != before:
        result.wrong.append("a third run, with nothing left to do, ended otherwise")
    counts = Counter(json.loads(line)["status"] for line in before.splitlines())
    result.said.append(", ".join(f"{n} {status}" for status, n in sorted(counts.items())))
    return result


def main() -> int:
    """Run from the command line; exit code 1 when anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default="default")
    parser.add_argument("--keep", type=Path, help="folder for the lines and what was said")
    given = parser.parse_args()
    model = given.model if "/" not in given.model else str(Path(given.model).absolute())
    with tempfile.TemporaryDirectory() as folder:
        args = ["--jobs", str(given.jobs), "--model", model]
        result = batch(Path(folder), given.files, given.seed, args)
        if given.keep is not None:
            given.keep.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(folder) / "qc.jsonl", given.keep / "qc.jsonl")
            (given.keep / "said.txt").write_text(result.ended.said if result.ended else "")
    print("\n".join([*result.said, *(result.wrong or ["nothing wrong"])]))
    return 1 if result.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
