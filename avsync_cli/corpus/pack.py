"""A cache of clips in one small file, to be taken to another machine.

A pack is a tar file. It holds the clips in parts of some minutes: `NNN.json` (rows of the manifest,
tracks, lengths), `NNN.valid` (a bit a crop), `NNN.crops.mkv` (all crops as one grey film, H.264)
and `NNN.sound.mka` (all sound as one track, Opus). Unpacked it is entries of the cache again, of
the same lengths: only the crops' and the sound's finest detail is lost.
"""

from __future__ import annotations

import hashlib
import json
import math
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import ffmpeg as ffmpeg_python
import numpy as np

from avsync_cli.corpus import cache
from avsync_cli.corpus.cache import CachedClip, CachedTrack, build_cache
from avsync_cli.corpus.manifest import Clip, to_learn_from
from avsync_cli.corpus.progress import Progress, Stage, counted, stage
from avsync_cli.errors import DataError, UsageError
from avsync_cli.files import file_beside, scratch_folder
from avsync_cli.media.ffmpeg import INPUT, command, input_args
from avsync_cli.media.process import FfmpegStream, not_written
from avsync_cli.timebase import FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

SUFFIX = ".avpack"

SIDE_PX = 96

_GREY = {"format": "rawvideo", "pix_fmt": "gray", "s": f"{SIDE_PX}x{SIDE_PX}"}
_PCM = {"format": "s16le", "ar": SAMPLE_RATE_HZ, "ac": 1}
"""How ffmpeg is told of crops and of sound as the cache has them."""

PART_FRAMES = 20_000
"""Crops of a part, but for its last clip's: 200 MB while it is written or read."""

QUALITIES = (24, 28, 32, 36, 40)
"""Constant rate factors of H.264, the best first; crops of 40 still show an open mouth."""

SOUND_BITS_S = 16_000

_ROOM = 0.97
"""Share of the limit that is aimed at: parts differ."""

_TAR_BYTES = 5120
"""What tar adds to a part; twice that at its end."""

_MOST_JSON = 8 << 20
_MOST_FRAMES = 10 * PART_FRAMES
_MOST_PARTS = 1000
_CLIP_FIELDS = ("start_s", "end_s", "speaker", "source", "split", "kind", "offset_ms")


def is_pack(path: Path) -> bool:
    """Whether a path names a pack."""
    return path.suffix == SUFFIX


def pack_data(data: Path, cache_dir: Path, path: Path, most_bytes: int, progress: Progress) -> int:
    """`write_pack` of all clips of a folder or manifest that can be used and may be learnt from."""
    if path.suffix != SUFFIX:
        raise UsageError(f"cannot write {path.name}", f"name it with {SUFFIX}")
    rows = to_learn_from(data)
    clips, _ = build_cache(rows, cache_dir, progress=stage(progress, "cache"))
    if not clips:
        raise DataError(f"none of the clips of {data} can be used", "see the warnings", data)
    return write_pack(clips, path, most_bytes, stage(progress, "pack"))


def write_pack(
    clips: Sequence[CachedClip], path: Path, most_bytes: int, progress: Stage | None = None
) -> int:
    """Put cached clips into one file, as good as fits.

    Args:
        clips: in the order in which they will come out.
        path: the pack; appears whole or not at all.
        most_bytes: its size at the most.
        progress: called with (parts done, parts in all).

    Returns:
        the constant rate factor that was taken, of `QUALITIES`.

    Raises:
        DataError: they do not fit even at the lowest quality.
        DecodeError: ffmpeg cannot write crops or sound.
        WriteError: the file cannot be written.
    """
    parts = list(_parts(clips))
    with scratch_folder() as scratch, file_beside(path) as beside:
        quality = _fitting(parts, scratch, most_bytes, path)
        with tarfile.open(beside, "w") as tar:
            for number, part in enumerate(counted(parts, len(parts), progress)):
                for name, file in _encoded(part, scratch, quality).items():
                    tar.add(file, f"{number:03d}.{name}")
        size = beside.stat().st_size
        if size > most_bytes:
            raise _too_much(path, size, most_bytes)
    return quality


def _too_much(path: Path, size: float, most_bytes: int) -> DataError:
    what = f"{path} would take {size / 2**20:.0f} MiB, and {most_bytes / 2**20:g} are allowed"
    return DataError(what, "allow more (--pack-mib), or give fewer clips", path)


def _parts(clips: Sequence[CachedClip]) -> Iterator[list[CachedClip]]:
    part: list[CachedClip] = []
    frames = 0
    for clip in clips:
        part.append(clip)
        frames += _crops_of(clip)
        if frames >= PART_FRAMES:
            yield part
            part, frames = [], 0
    if part:
        yield part


def _crops_of(clip: CachedClip) -> int:
    return sum(track.count for track in clip.tracks)


def _fitting(parts: list[list[CachedClip]], scratch: Path, most_bytes: int, path: Path) -> int:
    """The best quality at which everything fits, judged by the part in the middle."""
    middle = parts[len(parts) // 2]
    share = sum(map(_crops_of, middle)) / sum(_crops_of(c) for part in parts for c in part)
    size = math.inf
    for quality in QUALITIES:
        files = _encoded(middle, scratch, quality)
        size = sum(file.stat().st_size for file in files.values()) / share
        size += _TAR_BYTES * (2 + len(parts))
        if size <= _ROOM * most_bytes:
            return quality
    raise _too_much(path, size, most_bytes)


def _encoded(part: list[CachedClip], scratch: Path, quality: int) -> dict[str, Path]:
    """The files of a part, by the ends of their names."""
    files = {name: scratch / name for name in ("json", "valid", "crops.mkv", "sound.mka")}
    rows = []
    for clip in part:
        row = {name: getattr(clip.clip, name) for name in _CLIP_FIELDS}
        row |= {"name": clip.clip.path.name, "frames": clip.frames, "rendered": clip.rendered}
        rows.append(row | {"tracks": [asdict(track) for track in clip.tracks]})
    files["json"].write_text(json.dumps(rows))
    valid = np.concatenate([clip.valid()[: _crops_of(clip)] for clip in part])
    files["valid"].write_bytes(np.packbits(valid).tobytes())
    crops = (clip.crops()[: _crops_of(clip)] for clip in part)
    _encode(
        crops,
        _GREY | {"r": FPS},
        files["crops.mkv"],
        vcodec="libx264",
        preset="slow",
        crf=quality,
        g=10 * FPS,
        color_range="pc",
    )
    waves = (np.load(clip.folder / "sound.npy", mmap_mode="r", allow_pickle=False) for clip in part)
    _encode(waves, _PCM, files["sound.mka"], acodec="libopus", audio_bitrate=SOUND_BITS_S)
    return files


def _encode(arrays: Iterator[np.ndarray], raw: dict[str, Any], target: Path, **codec: Any) -> None:
    source = target.with_suffix(".raw")
    with source.open("wb") as file:
        for array in arrays:
            file.write(np.ascontiguousarray(array).tobytes())
    made = ffmpeg_python.output(ffmpeg_python.input(INPUT, **raw), f"file:{target}", **codec)
    args = command(made.overwrite_output().get_args(), source)
    with FfmpegStream(args, path=source, block_bytes=1 << 16, stall_s=3600.0) as child:
        while child.read_block() is not None:
            pass
        if child.check_end() != 0:
            raise not_written(target, child.last_error(), "an ffmpeg with libx264 and libopus may")
    source.unlink()


def read_pack(path: Path, cache_dir: Path, progress: Stage | None = None) -> list[CachedClip]:
    """Make a pack's clips entries of a cache, or find them there.

    Args:
        path: the pack.
        cache_dir: folder of the cache.
        progress: called with (parts done, parts in all).

    Raises:
        DataError: no such file, or it is no whole pack.
        DecodeError: crops or sound cannot be decoded.
        WriteError: the cache cannot be written.
    """
    with _opened(path) as (tar, parts), scratch_folder() as scratch:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        found = []
        for number in counted(range(parts), parts, progress):
            rows = _rows(path, tar, number)
            places = range(len(rows))
            folders = [cache_dir / _entry_name(content, number, place) for place in places]
            if not all((folder / cache.ENTRY).is_file() for folder in folders):
                _unpack(path, tar, number, rows, folders, scratch)
            found += [_opened_clip(*pair) for pair in zip(rows, folders, strict=True)]
        return found


@contextmanager
def _opened(path: Path) -> Iterator[tuple[tarfile.TarFile, int]]:
    try:
        with tarfile.open(path, "r:") as tar:
            names = set(tar.getnames())
            parts = next((n for n in range(_MOST_PARTS) if f"{n:03d}.json" not in names), 0)
            if not parts:
                raise _broken(path, "it has no parts")
            yield tar, parts
    except FileNotFoundError as error:
        raise DataError(f"no such file: {path}", "check the path", path) from error
    except (tarfile.TarError, OSError) as error:
        raise _broken(path, "it is no tar file, or not a whole one") from error


def _broken(path: Path, why: str) -> DataError:
    return DataError(f"{path} is no whole pack: {why}", "write it anew: avsync train --pack", path)


def _member(path: Path, tar: tarfile.TarFile, name: str, most_bytes: int) -> bytes:
    try:
        found = tar.getmember(name)
    except KeyError as error:
        raise _broken(path, f"{name} is missing") from error
    file = tar.extractfile(found) if found.isreg() and found.size <= most_bytes else None
    if file is None:
        raise _broken(path, f"{name} is too large, or no file")
    with file:
        return file.read()


def _rows(path: Path, tar: tarfile.TarFile, number: int) -> list[dict[str, Any]]:
    """The clips of a part, with every number in its bounds."""
    name = f"{number:03d}.json"
    try:
        rows = json.loads(_member(path, tar, name, _MOST_JSON))
        for row in rows:
            row["clip"] = Clip(Path(str(row["name"])), **{k: row[k] for k in _CLIP_FIELDS})
            row["tracks"] = [_track(track) for track in row["tracks"]]
            start = 0
            for track in row["tracks"]:
                if track.start != start or track.first_frame + track.count > row["frames"]:
                    raise ValueError("tracks")
                start += track.count
            texts = [row[k] for k in ("speaker", "source", "split", "kind")]
            if not all(isinstance(text, str) for text in texts):
                raise TypeError("words")
            if not (0 < row["frames"] <= _MOST_FRAMES and abs(float(row["offset_ms"])) < 1e4):
                raise ValueError("lengths")
        if not 0 < sum(row["frames"] for row in rows) <= _MOST_FRAMES:
            raise ValueError("lengths")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _broken(path, f"{name} says what cannot be") from error
    return list(rows)


def _track(told: dict[str, Any]) -> CachedTrack:
    track = CachedTrack(**{field.name: told[field.name] for field in fields(CachedTrack)})
    numbers = (track.first_frame, track.start, track.count)
    whole = all(isinstance(n, int) and 0 <= n <= _MOST_FRAMES for n in numbers)
    if not (whole and track.count and track.kind in ("face", "frame") and 0 <= track.size <= 1):
        raise ValueError("a track")
    return track


def _entry_name(content: str, number: int, place: int) -> str:
    about = f"{cache.CACHE_FORMAT}|{content}|{number}|{place}"
    return hashlib.sha256(about.encode()).hexdigest()[:32]


def _unpack(
    path: Path,
    tar: tarfile.TarFile,
    number: int,
    rows: list[dict[str, Any]],
    folders: list[Path],
    scratch: Path,
) -> None:
    counts = [sum(t.count for t in row["tracks"]) for row in rows]
    frames = [row["frames"] for row in rows]
    files = {}
    for name in ("crops.mkv", "sound.mka"):
        files[name] = scratch / name
        files[name].write_bytes(_member(path, tar, f"{number:03d}.{name}", 1 << 30))
    bits = np.frombuffer(_member(path, tar, f"{number:03d}.valid", _MOST_FRAMES), np.uint8)
    crops = _decoded(files["crops.mkv"], sum(counts) * SIDE_PX * SIDE_PX, _GREY)
    samples = 2 * sum(frames) * SAMPLES_PER_FRAME
    sound = _decoded(files["sound.mka"], samples, _PCM)
    if len(crops) < sum(counts) * SIDE_PX * SIDE_PX or len(bits) * 8 < sum(counts):
        raise _broken(path, f"part {number} has fewer crops than it says")
    # A codec that works in steps may leave out some samples at the end.
    sound += bytes(max(0, samples - len(sound)))
    pictures = np.frombuffer(crops, np.uint8).reshape(-1, SIDE_PX, SIDE_PX)
    valid = np.unpackbits(bits)[: sum(counts)].astype(bool)
    wave = np.frombuffer(sound, np.int16)
    crop_at = np.cumsum([0, *counts])
    wave_at = np.cumsum([0, *frames]) * SAMPLES_PER_FRAME
    for k, (row, folder) in enumerate(zip(rows, folders, strict=True)):
        own = slice(crop_at[k], crop_at[k + 1])
        mine = wave[wave_at[k] : wave_at[k + 1]]
        cache.write_entry(folder, row["tracks"], pictures[own], valid[own], mine)


def _decoded(file: Path, most_bytes: int, raw: dict[str, Any]) -> bytes:
    """What a file decodes to, up to so many bytes."""
    made = ffmpeg_python.output(ffmpeg_python.input(INPUT, **input_args()), "pipe:1", **raw)
    found = bytearray()
    with FfmpegStream(command(made.get_args(), file), path=file, block_bytes=1 << 20) as child:
        while len(found) < most_bytes and (block := child.read_block()) is not None:
            found += block
    return bytes(found[:most_bytes])


def _opened_clip(row: dict[str, Any], folder: Path) -> CachedClip:
    clip = replace(row["clip"], path=folder / row["clip"].path.name)
    return cache.open_entry(clip, folder, rendered=row["rendered"] is True)
