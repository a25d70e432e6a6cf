"""Decode every clip once: crops along region tracks and sound, kept in a folder.

A clip's entry is keyed by the content of its file and everything that shapes the crops, so that
several runs and processes can share one cache; it is written beside and renamed, so that a killed
run leaves no half entry. The road from file to crops is the one `score` takes.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avsync_cli.corpus.manifest import Clip
from avsync_cli.corpus.progress import Stage, counted
from avsync_cli.corpus.shards import media_file
from avsync_cli.corpus.workers import worker_pool
from avsync_cli.errors import AvsyncError, DataError, WriteError
from avsync_cli.files import folder_beside
from avsync_cli.timebase import HOP_MS, HOP_SAMPLES, SAMPLES_PER_FRAME

if TYPE_CHECKING:
    from avsync_cli.regions.stream import RegionPiece

log = logging.getLogger(__name__)

CACHE_FORMAT = 1
"""Raise when crops, timeline or layout change, so that old entries are not taken for new."""

ENTRY = "entry.json"

MIN_TRACK_FRAMES = 30
"""Tracks shorter than this hold no whole block with a little context."""


@dataclass(frozen=True)
class CachedTrack:
    """A region track of a cached clip.

    Attributes:
        kind: "face" or "frame".
        first_frame: number of its first crop on the clip's timeline.
        start: index of its first crop in the entry's crops.
        count: number of crops.
        size: mean width of the face as share of the picture's width (1 for whole frames).
    """

    kind: str
    first_frame: int
    start: int
    count: int
    size: float


@dataclass(frozen=True)
class CachedClip:
    """A clip with its crops and sound on disk, opened as memory maps.

    Attributes:
        clip: the manifest's row.
        folder: where the entry lies.
        frames: length of the timeline in frames.
        tracks: usable region tracks, in order of time.
        rendered: whether it was drawn by this project, and is therefore exactly in sync.
    """

    clip: Clip
    folder: Path
    frames: int
    tracks: tuple[CachedTrack, ...]
    rendered: bool = False

    def crops(self) -> np.ndarray:
        """All crops, (N, 96, 96) uint8, memory-mapped."""
        return _load(self.folder / "crops.npy", mapped=True)

    def valid(self) -> np.ndarray:
        """(N,) bool, False where a crop is filler."""
        return _load(self.folder / "valid.npy")

    def wave(self) -> np.ndarray:
        """(frames * 640,) float32 sound in -1..1; see `sound`."""
        return np.asarray(self.sound(), np.float32) / 32768.0

    def sound(self) -> np.ndarray:
        """(frames * 640,) int16 sound of the timeline, memory-mapped.

        A lag that the manifest says the file has is undone; what then is missing is silence.
        """
        sound = _load(self.folder / "sound.npy", mapped=True)
        late = round(self.clip.offset_ms / HOP_MS)
        return move_sound(sound, -late) if late else sound


def move_sound(sound: np.ndarray, hops: int) -> np.ndarray:
    """Sound made later by `hops` steps of 10 ms (earlier if negative), as long as before.

    >>> [int(move_sound(np.ones(480), hops).sum()) for hops in (1, -2, 9)]
    [320, 160, 0]
    """
    samples = hops * HOP_SAMPLES
    out = np.zeros_like(sound)
    if samples >= 0:
        out[samples:] = sound[: max(0, len(sound) - samples)]
    else:
        out[:samples] = sound[-samples:]
    return out


def _load(path: Path, mapped: bool = False) -> np.ndarray:
    return np.asarray(np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False))


def _entry_name(clip: Clip, file_path: Path) -> str:
    about = f"{CACHE_FORMAT}|{clip.start_s}|{clip.end_s}|".encode()
    with file_path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.sha256(about)).hexdigest()[:32]


def cache_clip(clip: Clip, cache_dir: Path) -> CachedClip:
    """Decode one clip into the cache, or find it there.

    Raises:
        AvsyncError: the file cannot be read or judged (a MediaError), or the cache cannot be
            written (WriteError).
    """
    try:
        with media_file(clip.path, clip.member, clip.at, clip.size) as path:
            folder = cache_dir / _entry_name(clip, path)
            if not (folder / ENTRY).is_file():
                _decode_entry(clip, path, folder)
    except OSError as error:
        what = f"cannot read {clip.key}: {error.strerror}"
        raise DataError(what, "check the manifest", clip.path) from error
    return open_entry(clip, folder)


def open_entry(clip: Clip, folder: Path, rendered: bool = False) -> CachedClip:
    """The clip whose entry lies in a folder."""
    entry = json.loads((folder / ENTRY).read_text())
    tracks = tuple(CachedTrack(**t) for t in entry["tracks"])
    return CachedClip(clip, folder, int(entry["frames"]), tracks, rendered)


def write_entry(
    folder: Path,
    tracks: Sequence[CachedTrack],
    crops: np.ndarray,
    valid: np.ndarray,
    sound: np.ndarray,
) -> None:
    """Make the entry `folder`, unless another process was first.

    Args:
        folder: appears whole or not at all.
        tracks: where each lies in the crops.
        crops: (N, 96, 96) uint8.
        valid: (N,) bool.
        sound: (frames * 640,) int16, see `as_stored`.

    Raises:
        WriteError: it cannot be written.
    """
    frames = len(sound) // SAMPLES_PER_FRAME
    assert len(sound) == frames * SAMPLES_PER_FRAME
    try:
        with folder_beside(folder, overwrite=False) as beside:
            np.save(beside / "crops.npy", crops)
            np.save(beside / "valid.npy", valid)
            np.save(beside / "sound.npy", sound)
            entry = {"frames": frames, "tracks": [asdict(track) for track in tracks]}
            (beside / ENTRY).write_text(json.dumps(entry))
    except WriteError:
        if not (folder / ENTRY).is_file():
            raise


def as_stored(sound: np.ndarray) -> np.ndarray:
    """(S,) float32 sound in -1..1 as the cache keeps it, int16."""
    return np.asarray(np.rint(np.clip(sound, -1, 1) * 32767).astype(np.int16))


def _decode(clip: Clip, path: Path) -> tuple[list[RegionPiece], np.ndarray]:
    """Region pieces of a file and its sound, (S,) int16, along the road that `score` takes."""
    from avsync_cli.media.decode import Timeline
    from avsync_cli.regions.stream import RegionStream

    start_s = clip.start_s or 0.0
    duration_s = None if clip.end_s is None else clip.end_s - start_s
    pieces: list[RegionPiece] = []
    sound: list[np.ndarray] = []
    stream: RegionStream | None = None
    with Timeline(
        path, start_s=start_s, duration_s=duration_s, chunk_frames=100, threads=1
    ) as timeline:
        for chunk in timeline:
            if stream is None:
                stream = RegionStream(timeline.frame_size, threads=1)
            pieces += stream.push(chunk.first_frame, chunk.frames, chunk.frame_valid)
            sound.append(as_stored(chunk.sound))
    pieces += stream.finish() if stream is not None else []
    return [p for p in pieces if len(p.crops)], np.concatenate(sound or [np.zeros(0, np.int16)])


def _decode_entry(clip: Clip, path: Path, folder: Path) -> None:
    pieces, sound = _decode(clip, path)
    by_track: dict[int, list[RegionPiece]] = {}
    for piece in pieces:
        by_track.setdefault(piece.track, []).append(piece)
    tracks: list[CachedTrack] = []
    kept: list[RegionPiece] = []
    start = 0
    for parts in sorted(by_track.values(), key=lambda p: p[0].first_frame):
        count = sum(len(p.crops) for p in parts)
        if count >= MIN_TRACK_FRAMES:
            size = float(np.concatenate([p.boxes for p in parts])[:, 2].mean())
            first = int(parts[0].first_frame)
            tracks.append(CachedTrack(parts[0].kind, first, start, count, size))
            kept += parts
            start += count
    if not tracks:
        raise DataError(f"{clip.key} has no stretch long enough to learn from", "", clip.path)
    crops, valid = (np.concatenate([getattr(p, n) for p in kept]) for n in ("crops", "valid"))
    write_entry(folder, tracks, crops, valid, sound)


def build_cache(
    clips: list[Clip],
    cache_dir: Path,
    workers: int = 0,
    progress: Stage | None = None,
) -> tuple[list[CachedClip], list[tuple[Clip, str]]]:
    """Cache many clips with several processes.

    Args:
        clips: what to decode.
        cache_dir: the cache's folder, made if need be.
        workers: processes, 0 for one a core.
        progress: called with (clips done, clips in all).

    Returns:
        the cached clips in the order of `clips`, and the clips that failed with their reasons.
    """
    found: dict[int, CachedClip] = {}
    failed: list[tuple[Clip, str]] = []
    workers = min(workers or os.cpu_count() or 1, len(clips)) or 1
    # One thread each: processes that all spread their small matrix products over all cores
    # spend most of their time waiting for each other.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    with worker_pool(workers) as pool:
        jobs = {pool.submit(cache_clip, clip, cache_dir): i for i, clip in enumerate(clips)}
        for job in counted(concurrent.futures.as_completed(jobs), len(clips), progress):
            at = jobs[job]
            try:
                found[at] = job.result()
            except AvsyncError as error:
                failed.append((clips[at], error.message))
                log.warning("skipped: %s", error.message)
    return [found[i] for i in sorted(found)], failed
