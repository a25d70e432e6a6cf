"""Windows drawn on the device itself, from clips that all lie there.

Where a GPU does a step in milliseconds, windows that are put together by a processor, one by one,
keep it waiting. Here all crops (a byte a pixel) and all that the phone recogniser says of the sound
(half precision) are copied once; a batch then is a few gathers, and augmentation happens where it
is needed. An hour of clips takes 1.3 GB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from avsync_cli.corpus.cache import CachedClip
from avsync_cli.model.config import ModelConfig
from avsync_cli.timebase import HOP_MS, HOPS_PER_FRAME, SAMPLES_PER_FRAME
from avsync_cli.training import distributed
from avsync_cli.training.dataset import SPEED_SHARE, SPEEDS, WindowSpec, track_weights
from avsync_cli.training.heard import CLEAN_SHARE, MARGIN_STEPS, VERSIONS, heard_path

QUIET_POWER = 100.0
"""Power of 16-bit sound that counts as none."""


@dataclass(frozen=True)
class Drawn:
    """Which windows a batch holds, N of them.

    Attributes:
        items: (N,) number of the track.
        starts: (N,) float, its first frame within the track.
        speeds: (N,) float, how much faster it is played.
        versions: (N,) of the sound, as of `heard`.
    """

    items: Tensor
    starts: Tensor
    speeds: Tensor
    versions: Tensor


class DeviceWindows:
    """Augmented windows in batches, as of `WindowDataset`: the same kind of windows, but not those
    that it would draw.

    A batch depends on the seed and on its step alone, so a run that is resumed, or spread over
    processes, sees what it would have seen in one piece.

    Args:
        clips: cached clips that were heard.
        config: the model's sizes.
        window: a sample's sizes.
        seed: of every random choice.
        device: where the clips are kept.
        offsets_hops: as of `WindowDataset`.
        augment: False for plain windows.
    """

    def __init__(
        self,
        clips: list[CachedClip],
        config: ModelConfig,
        window: WindowSpec,
        seed: int,
        device: torch.device,
        offsets_hops: dict[str, int] | None = None,
        augment: bool = True,
    ) -> None:
        self.config, self.window, self.seed, self.device = config, window, seed, device
        self.augment = augment
        tracks = [(number, track) for number, clip in enumerate(clips) for track in clip.tracks]
        counts = [sum(track.count for track in clip.tracks) for clip in clips]
        crop_at = np.cumsum([0, *counts])
        self._crops = self._kept([clip.crops()[:n] for clip, n in zip(clips, counts, strict=True)])
        self._valid = self._kept([clip.valid()[:n] for clip, n in zip(clips, counts, strict=True)])
        self._track_start = self._whole([int(crop_at[n]) + t.start for n, t in tracks])
        self._count = self._whole([t.count for _, t in tracks])
        self._first_frame = self._whole([t.first_frame for _, t in tracks])
        self._clip = self._whole([n for n, _ in tracks])
        self._frames = self._whole([clip.frames for clip in clips])
        own = offsets_hops or {}
        self._own_hops = self._whole([own.get(clip.clip.key, 0) for clip in clips])
        late = [round(clip.clip.offset_ms / HOP_MS) for clip in clips]
        self._late_hops = self._whole(late)
        heard = [[_heard(clip, version) for clip in clips] for version in range(VERSIONS)]
        lengths = [len(steps) for steps in heard[0]]
        self._steps = torch.stack([self._kept(versions) for versions in heard])
        self._steps_start = self._whole([0, *np.cumsum(lengths)[:-1].tolist()])
        self._steps_count = self._whole(lengths)
        levels = [_levels(clip) for clip in clips]
        self._level_start = self._whole([0, *np.cumsum([len(x) for x in levels])[:-1].tolist()])
        level = np.concatenate(levels)
        sums = np.stack([np.cumsum([0.0, *level]), np.cumsum([0.0, *(level * level)])])
        self._level_sums = torch.from_numpy(sums)
        weights = track_weights([(clips[n], t) for n, t in tracks])
        self._cumulative = torch.from_numpy(np.cumsum(weights) / weights.sum())

    def _kept(self, arrays: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.concatenate(arrays)).to(self.device)

    def _whole(self, numbers: list[int]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.long)

    def batches(self, first: int, end: int, batch: int) -> Iterator[dict[str, Tensor]]:
        """This process's share of the batches of steps `first` to before `end`; see `at`."""
        for step in range(first, end):
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
            drawn = self.draw(batch, generator)
            whole = (drawn.items, drawn.starts, drawn.speeds, drawn.versions)
            yield self.at(Drawn(*(distributed.share(x) for x in whole)), generator)

    def draw(self, count: int, generator: torch.Generator) -> Drawn:
        """Places for so many windows: of two in a track the one with more going on in its sound,
        since silence teaches nothing."""
        uniform = torch.rand(count, 7, generator=generator, dtype=torch.float64)
        items = torch.searchsorted(self._cumulative, uniform[:, 0].contiguous()).clamp(
            max=len(self._count) - 1
        )
        low, high = SPEEDS
        speeds = torch.ones(count, dtype=torch.float64)
        if self.augment:
            faster = low + (high - low) * uniform[:, 2]
            speeds = torch.where(uniform[:, 1] < SPEED_SHARE, faster, speeds)
        room = (self._count[items] - self.window.frames * speeds).unsqueeze(1)
        places = torch.where(room > 0, uniform[:, 3:5] * room, room / 2)
        lively = torch.stack([self._liveliness(items, p, speeds) for p in places.unbind(1)], 1)
        starts = places.gather(1, lively.argmax(dim=1, keepdim=True)).squeeze(1)
        starts = torch.where(speeds == 1.0, starts.floor(), starts)
        versions = 1 + (uniform[:, 6] * (VERSIONS - 1)).long()
        clean = uniform[:, 5] < CLEAN_SHARE if self.augment else torch.ones(count, dtype=torch.bool)
        return Drawn(items, starts, speeds, torch.where(clean, 0, versions))

    def _liveliness(self, items: Tensor, places: Tensor, speeds: Tensor) -> Tensor:
        """Spread of loudness within windows, in dB, and a little of the loudness itself."""
        clips = self._clip[items]
        first = (self._first_frame[items] + places).long().clamp(min=0)
        last = first + (self.window.frames * speeds).long()
        bounds = [torch.minimum(x, self._frames[clips]) for x in (first, last)]
        at = [self._level_start[clips] + x for x in bounds]
        total, squares = (s[at[1]] - s[at[0]] for s in self._level_sums)
        count = (bounds[1] - bounds[0]).clamp(min=1)
        mean = total / count
        spread = (squares / count - mean * mean).clamp(min=0.0).sqrt()
        return torch.where(bounds[1] - bounds[0] < 2, 0.0, spread + 0.2 * mean)

    def at(self, drawn: Drawn, generator: torch.Generator) -> dict[str, Tensor]:
        """The windows at given places: a batch as of `WindowDataset`, on the device."""
        frames, around = self.window.frames, self.config.visual_context
        reach, (before, after) = self.window.reach, self.config.sound_context
        clips, count = self._clip[drawn.items], self._count[drawn.items].unsqueeze(1)
        speeds = drawn.speeds.unsqueeze(1)
        wanted = (
            drawn.starts.unsqueeze(1) + torch.arange(-around, frames + around) * speeds
        ).round()
        held = torch.minimum(wanted.clamp(min=0), count - 1).long()
        inside = (wanted == held)[:, around : around + frames]
        rows = (self._track_start[drawn.items].unsqueeze(1) + held).to(self.device)

        own = self._own_hops[clips].unsqueeze(1)
        first = (self._first_frame[drawn.items] + drawn.starts).unsqueeze(1) * HOPS_PER_FRAME + own
        hops = torch.arange((frames + 2 * reach) * HOPS_PER_FRAME + before + after)
        at = first + (hops - reach * HOPS_PER_FRAME - before) * speeds
        steps = self._steps_at(clips, at + self._late_hops[clips].unsqueeze(1), drawn.versions)
        if self.augment:
            steps = _augmented(steps, generator)
        centres = first + (torch.arange(-reach, frames + reach) + 0.5) * HOPS_PER_FRAME * speeds
        heard = (centres >= 0) & (centres < self._frames[clips].unsqueeze(1) * HOPS_PER_FRAME)
        return {
            "crops": self._crops[rows],
            "mel": steps,
            "frame_valid": inside.to(self.device) & self._valid[rows[:, around : around + frames]],
            "sound_valid": heard.to(self.device),
        }

    def _steps_at(self, clips: Tensor, at: Tensor, versions: Tensor) -> Tensor:
        """(N, F, 144) what was heard at fractional steps (N, F) of the clips."""
        last = (self._steps_count[clips] - 1).unsqueeze(1)
        at = torch.minimum((at + MARGIN_STEPS).clamp(min=0.0), last)
        low = at.floor().long()
        part = (at - low).to(torch.float32).unsqueeze(2).to(self.device)
        begin, version = self._steps_start[clips].unsqueeze(1), versions.unsqueeze(1)
        rows = [(begin + torch.minimum(x, last)).to(self.device) for x in (low, low + 1)]
        one, other = (self._steps[version.to(self.device), row].float() for row in rows)
        return one + part * (other - one)


def _heard(clip: CachedClip, version: int) -> np.ndarray:
    return np.asarray(np.load(heard_path(clip, version), allow_pickle=False))


def _levels(clip: CachedClip) -> np.ndarray:
    """(frames,) loudness of the clip's sound in dB."""
    sound = np.asarray(clip.sound(), np.float32)[: clip.frames * SAMPLES_PER_FRAME]
    power = (sound.reshape(-1, SAMPLES_PER_FRAME) ** 2).mean(axis=1)
    return np.asarray(10.0 * np.log10(power + QUIET_POWER), np.float64)


def _augmented(steps: Tensor, generator: torch.Generator) -> Tensor:
    """(N, F, 144) features of another voice and microphone, as of `heard.augment_steps`."""
    count, length, bands = steps.shape
    seed = int(torch.randint(2**62, (), generator=generator))
    here = torch.Generator(steps.device).manual_seed(seed)
    spread = steps.std(dim=1, keepdim=True) + 1e-3
    # For the batch of all processes, so that theirs are those of a single one.
    every = count * distributed.world()

    def drawn(kind: Callable[..., Tensor], *size: int) -> Tensor:
        return distributed.share(kind(every, *size, generator=here, device=steps.device))

    shift = 0.2 * drawn(torch.randn, 1, bands) * spread
    noise = 0.1 * drawn(torch.randn, length, bands) * spread
    kept = drawn(torch.rand, 1, bands) >= 0.15 * drawn(torch.rand, 1, 1)
    return (steps + shift + noise) * kept
