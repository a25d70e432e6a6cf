"""Films that have no lag, and films that must not lose theirs; a part of `over_time`."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from avsync_cli.errors import AvsyncError
from tests.benchmarks.bench import Bench, head, ms, note, row
from tests.benchmarks.films import lay, read_take, shifted, write_picture


def undecided_part(bench: Bench) -> None:
    """What has no lag, and what must not lose the one it has."""
    films: dict[str, list[Callable[[Path], None]]] = {
        name: [lambda path, made=made: lay_take(bench.folder, *made, path) for made in makes]
        for name, makes in _without_lag(bench)
    }
    head("what", "films", "undecided", "answered (confidence)")
    for name, makes in films.items():
        answered = []
        path = bench.folder / "unknown.mp4"
        for make in makes:
            try:
                make(path)
                verdict = bench.judge.score(path).verdict
            except AvsyncError as error:
                note(f"<!-- {name}: {error} -->")
                continue
            if verdict.offset_ms is not None:
                answered.append(f"{verdict.offset_ms:+.0f} ({verdict.confidence:.2f})")
        row(name, len(makes), len(makes) - len(answered), ", ".join(answered) or "–")
    _appended(bench)


def lay_take(folder: Path, frames: np.ndarray, sound: np.ndarray, path: Path) -> None:
    """A film of these frames and this sound."""
    even = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]
    write_picture([even], folder / "bare.mp4")
    lay(folder / "bare.mp4", sound, path)


Made = tuple[np.ndarray, np.ndarray]


def _fitted(sound: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Sound as long as the picture, repeated if it is short."""
    return np.resize(sound, len(frames) * 640)


def _without_lag(bench: Bench) -> Iterator[tuple[str, list[Made]]]:
    rng = random.Random(bench.given.seed + 1)
    talks = [read_take(c.path, 0.0, 12.0) for c in rng.sample(bench.talking(5.0), 16)]
    others = [c for c in bench.clips if c.kind in ("impact", "other")]
    music = [c for c in bench.clips if c.kind == "instrument"]
    beds = [read_take(c.path, 0.0, 12.0).sound for c in music]
    scenes = [read_take(c.path, 0.0, 12.0).frames for c in rng.sample(others, min(12, len(others)))]
    dubs = [
        (a.frames, _fitted(b.sound, a.frames))
        for a, b in zip(talks, talks[1:] + talks[:1], strict=True)
    ]
    yield "speech of another clip under a face", dubs
    if beds:
        yield (
            "music under a face",
            [(t.frames, _fitted(beds[k % len(beds)], t.frames)) for k, t in enumerate(talks[:8])],
        )
    yield "no sound under a face", [(t.frames, 0 * t.sound) for t in talks[:4]]
    yield (
        "speech over nature and impacts",
        [(scene, _fitted(t.sound, scene)) for scene, t in zip(scenes, talks, strict=False)],
    )


def _appended(bench: Bench) -> None:
    """An answer must survive what is added behind it, or be given up; it must not change."""
    rng = random.Random(bench.given.seed + 2)
    takes = [read_take(c.path, 0.0, 8.0) for c in rng.sample(bench.talking(6.0), 6)]
    music = next(c for c in bench.clips if c.kind == "instrument")
    scene = next(c for c in bench.clips if c.kind == "other")
    bed, nature = read_take(music.path, 0.0, 10.0).sound, read_take(scene.path, 0.0, 10.0)
    wanted = {"alone": 0, "black and silence": 1, "the last frame and silence": 2}
    wanted |= {"black and music": 3, "another picture and its sound": 4}
    head("added behind, 10 s", *(f"clip {k + 1}" for k in range(len(takes))))
    for name, kind in wanted.items():
        cells = []
        for take in takes:
            frames, sound = take.frames, shifted(take.sound, 200)
            tail = np.zeros((250, *frames.shape[1:]), np.uint8)
            if kind == 2:
                tail[:] = frames[-1]
            elif kind == 4:
                rows, columns = (
                    np.linspace(0, n - 1, m).astype(int)
                    for n, m in zip(nature.frames.shape[1:3], frames.shape[1:3], strict=True)
                )
                tail = np.resize(nature.frames[:, rows][:, :, columns], tail.shape)
            heard = {3: bed, 4: nature.sound}.get(kind, np.zeros(1, np.float32))
            if kind:
                frames = np.concatenate([frames, tail])
                sound = np.concatenate([sound, _fitted(heard, tail)])
            path = bench.folder / "longer.mp4"
            lay_take(bench.folder, frames, sound, path)
            said = bench.judge.score(path).verdict
            cells.append(f"{ms(said.offset_ms)} ({said.confidence:.2f})")
        row(name, *cells)
