"""Films with known truth, made of real clips: joined, warped, spliced, dubbed.

Published clips carry offsets of their own. So every clip is first measured by itself, as
`avsync offset-scan` would, and its sound moved by what was found, before it is joined to others:
truth is then that lag 0 is what the model calls lag 0 in each clip, known to some 10 to 20 ms a
clip, and exactly what is done to the sound afterwards.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avsync_cli.config import DEFAULTS, Settings
from avsync_cli.errors import MediaError
from avsync_cli.judging import Excerpt, analyse_file
from avsync_cli.loading import load_model
from avsync_cli.media.decode import Timeline
from avsync_cli.media.facts import pick_video
from avsync_cli.media.ffmpeg import find_ffmpeg
from avsync_cli.media.probe import probe
from avsync_cli.repair.copy import lead_of
from avsync_cli.timebase import FPS, SAMPLE_RATE_HZ
from avsync_cli.verdict.answer import Judgement
from tests.read_all import read_all

SIDE = 288
"""Joined films are this many pixels high and wide: most clips are about square."""

SURE = 0.95
"""Least confidence in a clip's own offset for it to be joined to others."""

Sound = np.ndarray


class RememberedPictures:
    """An engine that encodes the same picture once, however many sounds are laid under it.

    Features are looked up by the bytes of the crops, so that what comes out is what the engine
    says; all else is passed on.
    """

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._known: dict[bytes, np.ndarray] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def encode_visual(self, crops: np.ndarray) -> np.ndarray:
        """The features of `crops`, as the engine's own method gives them."""
        key = hashlib.blake2b(np.ascontiguousarray(crops).data, digest_size=16).digest()
        if key not in self._known:
            self._known[key] = self._engine.encode_visual(crops)
        return self._known[key]


class Judge:
    """`avsync score` and `avsync offset-scan` without starting them anew for every file."""

    def __init__(self, threads: int = 1) -> None:
        self.engine: Any = RememberedPictures(load_model(threads=threads))
        self.threads = threads

    def score(self, path: Path, **changed: Any) -> Judgement:
        """What `score` says of a file; `changed` are fields of Settings."""
        return analyse_file(path, Settings(threads=self.threads, **changed), self.engine)

    def zero_ms(self, path: Path, duration_s: float | None = None) -> tuple[float, float] | None:
        """(offset, half its interval) of a clip as it is, in ms; None if it is not sure enough."""
        settings = DEFAULTS["offset-scan"]
        try:
            report = analyse_file(path, settings, self.engine, Excerpt(duration_s=duration_s))
        except MediaError:
            return None
        said = report.verdict
        decided = [s for s in said.segments if s.offset_ms is not None]
        if said.offset_ms is None or said.confidence < SURE or len(decided) > 1:
            return None
        low, high = said.offset_ci_ms or (said.offset_ms, said.offset_ms)
        return said.offset_ms, (high - low) / 2


# --- Writing --------------------------------------------------------------------------------------


def ffmpeg(*args: str | Path, feed: bytes | None = None) -> None:
    """Run ffmpeg; anything it does not like ends the benchmark."""
    command = [str(find_ffmpeg()), "-v", "error", "-y", *map(str, args)]
    subprocess.run(command, input=feed, stdin=None if feed else subprocess.DEVNULL, check=True)


def write_picture(takes: Iterable[np.ndarray], path: Path) -> None:
    """Encode runs of frames (n, h, w, 3) uint8, all of one size, as one film without sound."""
    process: subprocess.Popen[bytes] | None = None
    for frames in takes:
        if process is None:
            high, wide = frames.shape[1:3]
            raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{wide}x{high}", "-r", str(FPS)]
            coded = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p"]
            command = [str(find_ffmpeg()), "-v", "error", "-y", *raw, "-i", "pipe:0", *coded]
            process = subprocess.Popen([*command, str(path)], stdin=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(np.ascontiguousarray(frames).data)
    assert process is not None and process.stdin is not None
    process.stdin.close()
    if process.wait() != 0:
        raise SystemExit(f"ffmpeg could not write {path}")


def lay(
    picture: Path, sound: Sound, path: Path, *, slower: float = 1.0, filters: str = "anull"
) -> None:
    """Put sound under a picture that is copied.

    Args:
        picture: film without sound.
        sound: 16 kHz mono, from the first picture on.
        path: the film; mp4 with AAC.
        slower: the picture's times are multiplied by it.
        filters: what ffmpeg does to the sound, which it gets at 48 kHz.
    """
    pcm = ["-f", "f32le", "-ar", str(SAMPLE_RATE_HZ), "-ac", "1", "-i", "pipe:0"]
    coded = ["-c:v", "copy", "-c:a", "aac", "-b:a", "128k", "-ar", "48000"]
    graph = f"aresample=48000,{filters}"
    ffmpeg(
        *("-itsscale", f"{slower:.12f}", "-i", picture, *pcm),
        *("-map", "0:v", "-map", "1:a", "-filter:a", graph, *coded, path),
        feed=np.ascontiguousarray(sound, np.float32).tobytes(),
    )


def shifted(sound: Sound, lag_ms: float) -> Sound:
    """The same length of sound, later by `lag_ms`, with silence where there is none."""
    moved = round(lag_ms * SAMPLE_RATE_HZ / 1000)
    out = np.zeros_like(sound)
    if abs(moved) < len(sound):
        low, high = max(0, moved), len(sound) + min(0, moved)
        out[low:high] = sound[low - moved : high - moved]
    return out


def spliced(sound: Sound, steps: Sequence[tuple[float, float]]) -> Sound:
    """Sound whose lag is `lag_ms` from `time_s` on, for every (time_s, lag_ms) in order."""
    out = np.empty_like(sound)
    ends = [*(round(time_s * SAMPLE_RATE_HZ) for time_s, _ in steps[1:]), len(sound)]
    for (time_s, lag_ms), end in zip(steps, ends, strict=True):
        begin = round(time_s * SAMPLE_RATE_HZ)
        out[begin:end] = shifted(sound, lag_ms)[begin:end]
    return out


# --- Joining --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Take:
    """One clip, its sound moved to where the clip's own measurement puts it.

    Attributes:
        path: where it is from.
        zero_ms: what was measured, and taken out.
        frames: (n, h, w, 3) uint8 at 25 a second.
        sound: (640 n,) at 16 kHz.
    """

    path: Path
    zero_ms: float
    frames: np.ndarray
    sound: Sound


def read_take(path: Path, zero_ms: float, duration_s: float | None = None) -> Take:
    """Decode a clip, by the code that avsync reads all files with, and move its sound."""
    chunk = read_all(path, duration_s=duration_s, max_height=SIDE)
    keep = int(np.flatnonzero(chunk.frame_valid)[-1]) + 1
    per_frame = SAMPLE_RATE_HZ // FPS
    sound = np.zeros(keep * per_frame, np.float32)
    have = chunk.sound[: len(sound)]
    sound[: len(have)] = have
    return Take(path, zero_ms, chunk.frames[:keep], shifted(sound, -zero_ms))


def square(frames: np.ndarray) -> np.ndarray:
    """The middle of the picture, SIDE pixels high and wide, with black where there is none."""
    high, wide = frames.shape[1:3]
    top, left = max(0, (high - SIDE) // 2), max(0, (wide - SIDE) // 2)
    middle = frames[:, top : top + SIDE, left : left + SIDE]
    out = np.zeros((len(frames), SIDE, SIDE, 3), np.uint8)
    rows, columns = middle.shape[1:3]
    top, left = (SIDE - rows) // 2, (SIDE - columns) // 2
    out[:, top : top + rows, left : left + columns] = middle
    return out


@dataclass(frozen=True)
class Film:
    """Clips joined to one film, in sync throughout.

    Attributes:
        picture: without sound.
        sound: 16 kHz.
        takes: (clip, its own offset taken out in ms, start in s).
    """

    picture: Path
    sound: Sound
    takes: list[tuple[Path, float, float]]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.sound) / SAMPLE_RATE_HZ


def join(paths: Iterable[Path], judge: Judge, wanted_s: float, path: Path) -> Film:
    """Join clips until the film is long enough; those without a sure offset are left out."""
    sounds: list[Sound] = []
    takes: list[tuple[Path, float, float]] = []

    def frames() -> Iterator[np.ndarray]:
        length = 0
        for clip in paths:
            if length >= wanted_s * SAMPLE_RATE_HZ:
                return
            zero = judge.zero_ms(clip)
            if zero is None:
                continue
            take = read_take(clip, zero[0])
            takes.append((clip, zero[0], length / SAMPLE_RATE_HZ))
            sounds.append(take.sound)
            length += len(take.sound)
            yield square(take.frames)

    write_picture(frames(), path)
    return Film(path, np.concatenate(sounds), takes)


def repeated(film: Film, wanted_s: float, path: Path) -> Film:
    """The film again and again, cut to a length; its picture is copied."""
    times = int(np.ceil(wanted_s / film.duration_s))
    loop = ("-stream_loop", str(times - 1), "-i", film.picture, "-c", "copy", path)
    ffmpeg(*loop)
    return Film(path, np.tile(film.sound, times), film.takes)


# --- Truth ----------------------------------------------------------------------------------------

_PIECE_S, _SEARCHED_S = 0.4, 0.5


def heard(path: Path) -> Sound:
    """A file's sound on the clock of its picture, 16 kHz."""
    with Timeline(path, max_height=16) as timeline:
        return np.concatenate([chunk.sound for chunk in timeline])


def left_ms(path: Path, sound: Sound, slower: float = 1.0, every_s: float = 5.0) -> np.ndarray:
    """How late the sound of a file is against where it belongs, found from its samples alone.

    Pieces of 0.4 s are looked for in the sound that was in sync (normalised cross-correlation);
    what is not found clearly is left out. The model has no part in it.

    Args:
        path: the film.
        sound: in sync with the picture as it was before its times were multiplied by `slower`.
        slower: as of `lay`.
        every_s: distance between pieces.

    Returns:
        (n,) ms in order of time; > 0 late.
    """
    info = probe(path)
    # In some containers the picture begins after the file's zero: the truth is between the two.
    lead = round(lead_of(info, pick_video(info, 0)) * SAMPLE_RATE_HZ)
    is_now = heard(path)[lead:]
    size, reach = int(_PIECE_S * SAMPLE_RATE_HZ), int(_SEARCHED_S * SAMPLE_RATE_HZ)
    found = []
    for begin in range(reach, len(is_now) - size - reach, int(every_s * SAMPLE_RATE_HZ)):
        piece = is_now[begin : begin + size].astype(np.float64)
        # The middle of the piece belongs at this sample of the sound that was in sync.
        middle = round((begin + size / 2) / slower)
        low = middle - size // 2 - reach
        field = sound[max(0, low) : low + size + 2 * reach].astype(np.float64)
        if low < 0 or len(field) < size + 2 * reach or np.abs(piece).max() < 0.02:
            continue
        energy = np.convolve(field**2, np.ones(size), "valid")
        spectrum = np.fft.rfft(field, 2 * len(field)) * np.conj(np.fft.rfft(piece, 2 * len(field)))
        match = np.fft.irfft(spectrum)[: len(energy)]
        match /= np.sqrt(np.maximum(energy, 1e-9) * (piece**2).sum() + 1e-12)
        best = int(np.argmax(match))
        if match[best] >= 0.6:
            found.append((reach - best) * 1000 / SAMPLE_RATE_HZ)
    return np.array(found)
