"""Windows of picture and sound, drawn at random but the same for the same seed and index.

Sample `i` of a run depends on the seed and on `i` alone, so a run that is resumed, or spread over
processes, sees what it would have seen in one piece.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from avsync_cli.corpus.cache import CachedClip, CachedTrack
from avsync_cli.model.config import ModelConfig
from avsync_cli.model.features import WINDOW_SAMPLES, log_mel
from avsync_cli.timebase import HOP_MS, HOP_SAMPLES, HOPS_PER_FRAME, SAMPLES_PER_FRAME
from avsync_cli.training.augment import augment_mel, augment_sound
from avsync_cli.training.heard import CLEAN_SHARE, MARGIN_STEPS, VERSIONS, augment_steps, heard_path

KIND_WEIGHTS = {"talking": 1.0, "impact": 0.6, "instrument": 0.15, "other": 0.1}
"""How often a kind is drawn beside speech: what a kind can teach, not how much of it there is."""

MARGIN_HOPS = -(-WINDOW_SAMPLES // 2 // HOP_SAMPLES)
"""Log-mel steps of sound read beyond either end, so that no window is cut."""

SPEEDS = (0.88, 1.12)
"""Picture and sound are played together this much slower or faster: new voices, new tempi."""


SPEED_SHARE = 0.35
"""Share of the windows that are played at another speed."""


@dataclass(frozen=True)
class WindowSpec:
    """Sizes of a training sample, in frames.

    Attributes:
        frames: T, frames judged.
        reach: R, how many frames of sound are added on either side, to be negatives.
    """

    frames: int = 50
    reach: int = 15


class WindowDataset(Dataset[dict[str, torch.Tensor]]):
    """An endless list of augmented windows.

    Sample `i` is a dictionary of arrays: `crops` (T + 2 r, 96, 96) uint8, `mel` (4 (T + 2 R) + 27,
    80) float32, `frame_valid` (T,) bool, `sound_valid` (T + 2 R,) bool. Sound feature j belongs to
    picture feature j - R.

    Args:
        clips: cached clips to draw from.
        config: the model's sizes.
        window: the sample's sizes.
        seed: of every random choice.
        length: how many samples there are in all.
        offsets_hops: offset of a clip's own by its key, in 10 ms steps (> 0: its sound is late),
            undone here; see `realign`.
        augment: False for plain windows.
    """

    def __init__(
        self,
        clips: list[CachedClip],
        config: ModelConfig,
        window: WindowSpec,
        seed: int,
        length: int,
        offsets_hops: dict[str, int] | None = None,
        augment: bool = True,
    ) -> None:
        self.config, self.window, self.seed, self.length = config, window, seed, length
        self.offsets_hops = dict(offsets_hops or {})
        self.augment = augment
        self.items: list[tuple[CachedClip, CachedTrack]] = [
            (clip, track) for clip in clips for track in clip.tracks
        ]
        self.cumulative = np.cumsum(track_weights(self.items))
        self._open: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng([self.seed, index])
        item = int(np.searchsorted(self.cumulative, rng.random() * self.cumulative[-1]))
        return self.sample(min(item, len(self.items) - 1), rng)

    def _arrays(self, item: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if item not in self._open:
            clip = self.items[item][0]
            self._open[item] = (clip.crops(), clip.valid(), clip.sound())
        return self._open[item]

    def sample(self, item: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        """One window of the item-th track."""
        clip, track = self.items[item]
        crops, valid, sound = self._arrays(item)
        frames, context = self.window.frames, self.config.visual_context
        speed = rng.uniform(*SPEEDS) if self.augment and rng.random() < SPEED_SHARE else 1.0
        # Of two places the one with more going on in the sound: silence teaches nothing.
        span = frames * speed
        places = rng.uniform(0, max(track.count - span, 1e-6), size=2)
        if track.count <= span:
            places = np.full(2, (track.count - span) / 2)
        start = float(max(places, key=lambda p: _liveliness(sound, track.first_frame + p, span)))
        if speed == 1.0:
            start = float(np.floor(start))

        wanted = np.rint(start + np.arange(-context, frames + context) * speed).astype(int)
        held = np.clip(wanted, 0, track.count - 1)
        inside = (wanted == held)[context : context + frames]
        picture = np.ascontiguousarray(crops[track.start + held])
        frame_valid = inside & valid[track.start + held[context : context + frames]]

        before, after = self.config.sound_context
        reach = self.window.reach
        hops = (frames + 2 * reach) * HOPS_PER_FRAME + before + after
        own = self.offsets_hops.get(clip.clip.key, 0) * HOP_SAMPLES
        origin = (track.first_frame + start) * SAMPLES_PER_FRAME + own
        first = origin - (reach * HOPS_PER_FRAME + before) * HOP_SAMPLES * speed
        heard = self._heard if self.config.sound == "phones" else self._mel
        mel = heard(item, first, hops, speed, rng)
        centres = origin + (np.arange(-reach, frames + reach) + 0.5) * SAMPLES_PER_FRAME * speed
        sound_valid = (centres >= 0) & (centres < len(sound))
        return {
            "crops": torch.from_numpy(picture),
            "mel": torch.from_numpy(np.ascontiguousarray(mel, np.float32)),
            "frame_valid": torch.from_numpy(frame_valid),
            "sound_valid": torch.from_numpy(sound_valid),
        }

    def _mel(
        self, item: int, first: float, hops: int, speed: float, rng: np.random.Generator
    ) -> np.ndarray:
        """(hops, bands) log-mel of a track's sound from the sample `first` on."""
        margin = MARGIN_HOPS * HOP_SAMPLES
        length = hops * HOP_SAMPLES + 2 * margin
        wave = read_at(self._arrays(item)[2], first + (np.arange(length) - margin) * speed, speed)
        if self.augment:
            wave = augment_sound(wave, self._other(rng, length), rng)
        mel = log_mel(wave, self.config.mel_bands)[MARGIN_HOPS : MARGIN_HOPS + hops]
        return augment_mel(mel, rng) if self.augment else mel

    def _heard(
        self, item: int, first: float, hops: int, speed: float, rng: np.random.Generator
    ) -> np.ndarray:
        """(hops, 144) features of the recogniser from the sample `first` on, see `heard`."""
        clip = self.items[item][0]
        clean = not self.augment or rng.random() < CLEAN_SHARE
        path = heard_path(clip, 0 if clean else int(rng.integers(1, VERSIONS)))
        kept = np.load(path, mmap_mode="r", allow_pickle=False)
        late = round(clip.clip.offset_ms / HOP_MS) + MARGIN_STEPS
        at = np.clip(first / HOP_SAMPLES + late + np.arange(hops) * speed, 0, len(kept) - 1)
        low = np.floor(at).astype(int)
        part = (at - low).astype(np.float32)[:, None]
        steps = np.asarray(kept[low], np.float32)
        if part.any():
            steps = steps * (1 - part) + part * kept[np.minimum(low + 1, len(kept) - 1)]
        return augment_steps(steps, rng) if self.augment else steps

    def _other(self, rng: np.random.Generator, length: int) -> np.ndarray:
        """A stretch of another clip's sound, to be mixed in."""
        item = int(rng.integers(len(self.items)))
        sound = self._arrays(item)[2]
        start = int(rng.integers(max(1, len(sound) - length)))
        piece = np.asarray(sound[start : start + length], np.float32) / 32768.0
        return np.pad(piece, (0, length - len(piece)))


def track_weights(items: list[tuple[CachedClip, CachedTrack]]) -> np.ndarray:
    """How often each track is drawn: by the square root of its speaker's share, and by kind.

    Drawing by duration would learn the two largest sources only; drawing all groups alike would
    learn the smallest by heart.
    """
    totals: dict[str, float] = {}
    for clip, track in items:
        totals[clip.clip.group] = totals.get(clip.clip.group, 0.0) + track.count
    weights = [
        KIND_WEIGHTS.get(clip.clip.kind, 1.0) * track.count / np.sqrt(totals[clip.clip.group])
        for clip, track in items
    ]
    return np.asarray(weights, np.float64)


def _liveliness(sound: np.ndarray, first_frame: float, frames: float) -> float:
    """Spread of loudness within a stretch, in dB."""
    start = max(0, int(first_frame * SAMPLES_PER_FRAME))
    piece = sound[start : start + int(frames * SAMPLES_PER_FRAME)]
    count = len(piece) // SAMPLES_PER_FRAME
    if count < 2:
        return 0.0
    power = piece[: count * SAMPLES_PER_FRAME].astype(np.float32).reshape(count, -1)
    level = 10.0 * np.log10((power * power).mean(axis=1) + 100.0)
    return float(level.std() + 0.2 * level.mean())


def read_at(sound: np.ndarray, at: np.ndarray, speed: float = 1.0) -> np.ndarray:
    """Samples of int16 sound at fractional places, silence outside, as float32 -1..1."""
    low = int(np.floor(at[0]))
    high = int(np.ceil(at[-1])) + 2
    inner_low, inner_high = max(0, low), max(0, min(len(sound), high))
    piece = np.zeros(high - low, np.float32)
    if inner_low < inner_high:
        piece[inner_low - low : inner_high - low] = sound[inner_low:inner_high]
    piece /= 32768.0
    if speed == 1.0:
        return piece[: len(at)]
    return np.interp(at - low, np.arange(len(piece)), piece).astype(np.float32)
