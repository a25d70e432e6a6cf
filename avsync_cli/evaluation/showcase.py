"""Where a model looks: its attention over time beside the sound, and over cells of pictures.

Cell maps are drawn on pictures of rendered clips only: people in a corpus never agreed to be in a
report, and what is drawn by this project belongs to nobody else.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avsync_cli.corpus.cache import CachedClip
from avsync_cli.corpus.synthetic import impact_clip, talker_clip
from avsync_cli.evaluation.motion import log_energy
from avsync_cli.evaluation.records import AttentionTrace, CellMaps, Showcase
from avsync_cli.evaluation.scoring import Track
from avsync_cli.evaluation.sweep import open_tracks
from avsync_cli.evaluation.windows import TrackFeatures, encode_clip_sound, slid_sound
from avsync_cli.model.engine import Engine
from avsync_cli.timebase import BLOCK_FRAMES, FPS

STRIDE_FRAMES = 5
"""Frames from one block to the next: 0.2 s."""

CLIPS_SHOWN = 6
"""Clips shown, of as many sources."""

RENDERED_FRAMES = 4 * BLOCK_FRAMES
_DECIBELS = 10.0


def showcase(engine: Engine, clips: Sequence[CachedClip], seed: int) -> Showcase:
    """Attention on some clips, and on rendered ones where the attention has cells."""
    if engine.config.attention == "none":
        return Showcase()
    traces: list[AttentionTrace] = []
    seen: set[str] = set()
    for clip in sorted(clips, key=lambda c: (c.clip.source, -c.frames, c.folder.name)):
        if clip.clip.source in seen or len(traces) == CLIPS_SHOWN:
            continue
        longest = max(open_tracks(clip), key=lambda t: len(t.crops), default=None)
        if longest is None or len(longest.crops) < 3 * BLOCK_FRAMES:
            continue
        seen.add(clip.clip.source)
        name = " ".join(w for w in (clip.clip.source, clip.clip.speaker) if w) or "a clip"
        traces.append(attention_trace(engine, longest, name))
    maps = [] if engine.config.attention != "spatio-temporal" else rendered_maps(engine, seed)
    return Showcase(traces, maps)


def block_attention(engine: Engine, track: Track, starts: np.ndarray) -> np.ndarray:
    """(N, M) confidences of the blocks that begin at the track's frames `starts`, in sync as they
    are."""
    stream = TrackFeatures(engine, track.crops).stream
    sound = encode_clip_sound(engine, track.sound, 0)
    zero = np.zeros(1, np.int64)
    found = []
    for start in starts:
        v = stream[start : start + BLOCK_FRAMES][None]
        a = slid_sound(sound, track.first_frame + int(start), BLOCK_FRAMES, zero, 0)[None]
        found.append(engine.joint(v, a)[1][0, 0])
    return np.stack(found)


def attention_trace(engine: Engine, track: Track, name: str) -> AttentionTrace:
    """Attention of blocks a fifth of a second apart, and the sound's loudness."""
    starts = np.arange(0, len(track.crops) - BLOCK_FRAMES + 1, STRIDE_FRAMES)
    confidence = block_attention(engine, track, starts)
    share = np.exp(confidence - confidence.max())
    weight = share.sum(axis=1) / share.sum() * len(starts)
    first, end = track.first_frame, track.first_frame + len(track.crops)
    loud = _DECIBELS * log_energy(track.sound)[first:end]
    return AttentionTrace(
        name=name,
        at_s=[float(first + s + BLOCK_FRAMES / 2) / FPS for s in starts],
        weight=[float(w) for w in weight],
        sound_s=[(first + k + 0.5) / FPS for k in range(len(loud))],
        sound_db=[float(x) for x in loud],
    )


def rendered_maps(engine: Engine, seed: int) -> list[CellMaps]:
    """Cell maps of two rendered talkers and one rendered impact scene."""
    found = []
    scenes = (("talker 1", talker_clip), ("talker 2", talker_clip), ("impacts", impact_clip))
    for number, (name, render) in enumerate(scenes):
        crops, sound = render(np.random.default_rng([seed, 900 + number]), RENDERED_FRAMES)
        starts = np.arange(0, RENDERED_FRAMES, BLOCK_FRAMES)
        confidence = block_attention(engine, Track(crops, 0, sound), starts)
        share = np.exp(confidence - confidence.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        grid = engine.config.grid
        found.append(
            CellMaps(
                f"rendered {name}",
                crops[starts + BLOCK_FRAMES // 2],
                share.reshape(len(starts), grid, grid),
                engine.config.input_px,
            )
        )
    return found
