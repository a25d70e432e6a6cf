"""One pass over the clips: every window of every length, at every offset, by one scorer.

Tables of placement and classification are sums over what this pass records; windows, negatives
and their order depend on the seed and the clips alone, never on the scorer.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import numpy as np

from avsync_cli.corpus.cache import CachedClip, CachedTrack
from avsync_cli.corpus.progress import Stage, counted
from avsync_cli.evaluation.records import REACH_FRAMES, Origin, Rule, WindowRecord
from avsync_cli.evaluation.scoring import OpenTrack, Scorer, Track
from avsync_cli.evaluation.windows import placed_starts
from avsync_cli.timebase import BLOCK_FRAMES, SAMPLES_PER_FRAME

NEAR = np.arange(-REACH_FRAMES, REACH_FRAMES + 1)
"""Offsets tried, in frames."""

REST_FRAMES = 2 * BLOCK_FRAMES
"""Least that must be left of a clip beside a window to say what the clip's own zero is."""

HEARD_DB = 10.0
"""A window whose loudest frame lies further below its clip's loud passages is a pause."""

SILENT_DB = -70.0
"""What is below is noise of some converter."""

ELSEWHERE = 8
"""Other positions of the clip whose sound a window is given, at most."""

RuleOf = Callable[[str], Rule]
"""Which rule the clips of a source are measured by."""


def origin_of(clip: CachedClip, rule_of: RuleOf) -> Origin:
    """Where a clip's judgements come from."""
    row = clip.clip
    return Origin(row.key, row.source, row.speaker, row.kind, rule_of(row.source))


def main_tracks(clip: CachedClip) -> list[CachedTrack]:
    """The largest region of every stretch of time; where there is a face, faces only.

    Windows are placed along these. Whoever else is in the picture is silent as a rule, and nobody
    can place a silent mouth; but who speaks is not known, and the others compete.
    """
    kept: list[CachedTrack] = []
    for track in sorted(_candidates(clip), key=lambda t: (-t.size * t.count, t.first_frame)):
        if not any(_meet(track, k) for k in kept):
            kept.append(track)
    return sorted(kept, key=lambda t: t.first_frame)


def _candidates(clip: CachedClip) -> list[CachedTrack]:
    """The clip's faces, or all its regions where it has none."""
    return [t for t in clip.tracks if t.kind == "face"] or list(clip.tracks)


def _meet(one: CachedTrack, other: CachedTrack) -> bool:
    ends = one.first_frame + one.count, other.first_frame + other.count
    return one.first_frame < ends[1] and other.first_frame < ends[0]


def open_tracks(clip: CachedClip) -> list[Track]:
    """The main tracks of a clip with their crops, the faces beside them, and the clip's sound."""
    sound, crops = clip.wave(), clip.crops()

    def opened(track: CachedTrack) -> tuple[np.ndarray, int]:
        return np.asarray(crops[track.start : track.start + track.count]), track.first_frame

    return [
        Track(
            *opened(main),
            sound,
            tuple(opened(t) for t in _candidates(clip) if t is not main and _meet(t, main)),
        )
        for main in main_tracks(clip)
    ]


def clip_generator(clip: CachedClip, seed: int) -> np.random.Generator:
    """A generator of the clip's own, whatever other clips there are."""
    return np.random.default_rng([seed, zlib.crc32(clip.folder.name.encode())])


def sweep(
    scorers: Sequence[Scorer],
    clips: Sequence[CachedClip],
    contexts: Sequence[int],
    windows_a_clip: int,
    rule_of: RuleOf,
    seed: int = 0,
    progress: Stage | None = None,
) -> list[list[WindowRecord]]:
    """Judge up to `windows_a_clip` windows of every length of every main track.

    Args:
        scorers: who judges; those with the same encoders share the work of encoding.
        clips: held-out clips.
        contexts: window lengths in frames.
        windows_a_clip: most windows of one length of a track.
        rule_of: which rule a source's clips count under.
        seed: of the other positions whose sound windows are given.
        progress: called with (clips done, clips in all).

    Returns:
        the records of every scorer, of the same windows in the same order.
    """
    records: list[list[WindowRecord]] = [[] for _ in scorers]
    for clip in counted(clips, len(clips), progress):
        origin, rng = origin_of(clip, rule_of), clip_generator(clip, seed)
        for track in open_tracks(clip):
            placed = _placed(track, clip.frames, contexts, windows_a_clip, rng)
            opened: list[OpenTrack] = []
            for scorer, kept in zip(scorers, records, strict=True):
                if placed:
                    opened.append(scorer.open(track, REACH_FRAMES, opened))
                    kept += _judge(opened[-1], track, origin, placed)
    return records


def _placed(
    track: Track, clip_frames: int, contexts: Sequence[int], at_most: int, rng: np.random.Generator
) -> list[tuple[int, int, np.ndarray]]:
    """Length and first frame of the windows of a track, and the other places to take sound from."""
    return [
        (frames, start, other_positions(track.first_frame + start, frames, clip_frames, rng))
        for frames in contexts
        for start in placed_starts(
            len(track.crops), track.first_frame, clip_frames, frames, REACH_FRAMES, at_most
        )
    ]


def _judge(
    opened: OpenTrack, track: Track, origin: Origin, placed: list[tuple[int, int, np.ndarray]]
) -> list[WindowRecord]:
    tiles = _tiles(opened, len(track.crops))
    level_db = levels_db(track.sound)
    records, count = [], len(NEAR)
    for frames, start, elsewhere in placed:
        found = opened.scores(start, frames, np.concatenate([NEAR, elsewhere]))
        records.append(
            WindowRecord(
                origin=origin,
                frames=frames,
                by=found.by,
                threshold=found.threshold,
                score=np.asarray(found.score[:count], np.float32),
                own=own_zero(tiles, start, frames),
                elsewhere=np.asarray(found.score[count:], np.float32),
                confidence=np.asarray(found.confidence[:count], np.float32),
                elsewhere_confidence=np.asarray(found.confidence[count:], np.float32),
                heard=heard(level_db, track.first_frame + start, frames),
            )
        )
    return records


def levels_db(sound: np.ndarray) -> np.ndarray:
    """(S // 640,) level of every 40 ms of (S,) float32 sound in -1..1, in dB of full scale."""
    power = np.square(sound, dtype=np.float64).reshape(-1, SAMPLES_PER_FRAME).mean(axis=1)
    return 10.0 * np.log10(power + 1e-12)


def heard(level_db: np.ndarray, first_frame: int, frames: int) -> bool:
    """Whether there is anything to be heard in a stretch of a clip, as its sound stands there.

    It is when the loudest of its 40 ms comes within `HEARD_DB` of the level that a twentieth of
    the clip exceeds, and above `SILENT_DB`. Who speaks, or how clearly, is not looked at.

    Args:
        level_db: of the whole clip, from `levels_db`.
        first_frame, frames: the stretch.
    """
    inside = level_db[max(0, first_frame) : first_frame + frames]
    least_db = max(float(np.percentile(level_db, 95.0)) - HEARD_DB, SILENT_DB)
    return bool(len(inside) and inside.max() > least_db)


def other_positions(
    first_frame: int, frames: int, clip_frames: int, rng: np.random.Generator
) -> np.ndarray:
    """(K,) offsets of up to `ELSEWHERE` other places of the clip, further than +-15 frames away,
    at which the sound of the whole window exists."""
    places = np.arange(clip_frames - frames + 1) - first_frame
    far = places[np.abs(places) > REACH_FRAMES]
    return np.sort(rng.permutation(far)[:ELSEWHERE])


def _tiles(opened: OpenTrack, length: int) -> list[tuple[int, np.ndarray]]:
    """First frame and scores at -R..R of the track's blocks, side by side."""
    return [
        (first, opened.scores(first, BLOCK_FRAMES, NEAR, alone=False).score)
        for first in range(0, length - BLOCK_FRAMES + 1, BLOCK_FRAMES)
    ]


def own_zero(tiles: list[tuple[int, np.ndarray]], start: int, frames: int) -> int | None:
    """The offset in frames that all blocks of a track say together which share no frame with a
    window; None if fewer than `REST_FRAMES` are left."""
    rest = [
        score for first, score in tiles if first >= start + frames or first + BLOCK_FRAMES <= start
    ]
    if len(rest) * BLOCK_FRAMES < REST_FRAMES:
        return None
    return int(np.argmax(np.sum(rest, axis=0))) - REACH_FRAMES
