"""What a model is taught, and what counts as wrong.

Three losses on the same windows, all from the fact that a video's own sound belongs to its
picture and the same sound at another time does not:

* `contrastive`: every frame must find its own moment of the sound among all other moments of the
  same clip (and the other way round). Negatives are never other clips: those are told apart by
  who is speaking, which is not what the model should learn.
* `pooled`: the features' similarity averaged over windows must peak at offset 0 among +-R frames;
  this is the question a scan asks.
* `head`: the joint layers, attention and decision must rank the true offset above wrong ones
  (softmax over offsets) and call it in sync and the others not (the paper's two classes).

A shift of one frame (40 ms) lies within what viewers notice at all, and many clips are no better
labelled than that. It is therefore never a negative for the head, and in the other two it
carries a share of the target.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from avsync_cli.model.core import SyncModel
from avsync_cli.timebase import BLOCK_FRAMES
from avsync_cli.training.distributed import mean_count, share, world

NEIGHBOUR_SHARE = 0.1
"""Target probability of an offset one frame off, on either side."""

SCALE = 16.0
"""Inverse temperature of the contrastive softmax: cosines of 0.3 apart are e^5 apart."""

POOLED_LENGTHS = (5, 15, 30)
"""Window lengths in frames over which the pooled loss averages similarities."""

POOLED_SCALE = 24.0
"""Inverse temperature of the pooled softmax: averages differ by less than single frames do."""

PIECES = (5, 10, 15, 25, 30)
"""Lengths in frames of the pieces that windows are seen in now and then: those that divide them."""

ENOUGH = 0.6
"""Share of a window's frames that must have both picture and sound for it to be judged."""


@dataclass(frozen=True)
class Encoded:
    """N windows as the encoders see them.

    Attributes:
        v: (N, T, C, h, w) features of the picture.
        a: (N, T + 2 R, C) features of the sound; entry t + R belongs to frame t.
        frame_valid: (N, T) bool, False for filler.
        sound_valid: (N, T + 2 R) bool.
    """

    v: Tensor
    a: Tensor
    frame_valid: Tensor
    sound_valid: Tensor

    @property
    def reach(self) -> int:
        """R, frames of sound on either side of the window."""
        return (self.a.shape[1] - self.v.shape[1]) // 2


@dataclass(frozen=True, kw_only=True)
class Losses:
    """The parts of one step's loss, and the rates at which the head was right."""

    contrastive: Tensor
    pooled: Tensor
    rank: Tensor
    classes: Tensor
    rank_right: float
    classes_right: float

    def total(self, head_weight: float) -> Tensor:
        """The sum that is minimised."""
        return self.contrastive + self.pooled + head_weight * (self.rank + self.classes)

    def figures(self) -> dict[str, float]:
        """All parts by name, for the log."""
        values = vars(self).items()
        return {n: float(v.detach() if isinstance(v, Tensor) else v) for n, v in values}


def _soft_cross_entropy(logits: Tensor, centre: Tensor, allowed: Tensor) -> Tensor:
    """Cross entropy of rows against a target spread over `centre` and its two neighbours.

    Args:
        logits: (G, J); centre: (G,) index of the true column; allowed: (G, J) bool.
    """
    columns = logits.shape[1]
    logs = F.log_softmax(logits.masked_fill(~allowed, -1e4), dim=1)
    target = torch.zeros_like(logs)
    rows = torch.arange(len(logs), device=logits.device)
    target[rows, centre] = 1.0 - 2 * NEIGHBOUR_SHARE
    for step in (-1, 1):
        beside = (centre + step).clamp(0, columns - 1)
        target[rows, beside] += NEIGHBOUR_SHARE
    target = target * allowed
    target = target / target.sum(dim=1, keepdim=True).clamp_min(1e-6)
    return _mean(-(target * logs).sum(dim=1))


def _mean(values: Tensor) -> Tensor:
    """Mean over the rows of all processes, as this process's part of it; 0 of no rows."""
    return values.sum() / mean_count(torch.tensor(len(values), device=values.device))


def similarities(v: Tensor, a: Tensor) -> Tensor:
    """(N, T, C, h, w) and (N, J, C) to cosines (N, T, J) of the pooled features."""
    return torch.einsum("ntc,njc->ntj", v.mean(dim=(3, 4)), a)


def contrastive(sims: Tensor, reach: int, frame_valid: Tensor, sound_valid: Tensor) -> Tensor:
    """Both directions of the contrastive loss.

    Args:
        sims: (N, T, T + 2 R) cosines; column t + R belongs to row t.
        reach: R.
        frame_valid: (N, T) bool.
        sound_valid: (N, T + 2 R) bool.
    """
    clips, frames = sims.shape[:2]
    centre = torch.arange(frames, device=sims.device) + reach
    usable = frame_valid & sound_valid[:, reach : reach + frames]
    allowed = sound_valid.unsqueeze(1).expand(sims.shape)
    forward = _soft_cross_entropy(
        (sims * SCALE)[usable], centre.expand(clips, -1)[usable], allowed[usable]
    )
    inner = sims[:, :, reach : reach + frames].transpose(1, 2)  # (N, sound, picture)
    allowed = frame_valid.unsqueeze(1).expand(inner.shape)
    own = torch.arange(frames, device=sims.device).expand(clips, -1)
    backward = _soft_cross_entropy((inner * SCALE)[usable], own[usable], allowed[usable])
    return 0.5 * (forward + backward)


def diagonals(sims: Tensor, reach: int) -> Tensor:
    """(N, T, T + 2 R) to (N, T, 2 R + 1): the cosine of every frame with the sound at offset o."""
    clips, frames = sims.shape[:2]
    offsets = torch.arange(2 * reach + 1, device=sims.device)
    index = torch.arange(frames, device=sims.device).unsqueeze(1) + offsets
    return sims.gather(2, index.expand(clips, -1, -1))


def pooled(sims: Tensor, reach: int, frame_valid: Tensor, sound_valid: Tensor) -> Tensor:
    """Softmax over offsets of the mean similarity within windows of several lengths."""
    lanes = diagonals(sims, reach)
    there = frame_valid.unsqueeze(2) & diagonals(sound_valid.unsqueeze(1).expand(sims.shape), reach)
    total = sims.sum() * 0.0
    for length in POOLED_LENGTHS:
        kept, share = (
            F.avg_pool1d(x.transpose(1, 2), length, stride=max(1, length // 2)).transpose(1, 2)
            for x in (lanes * there, there.to(lanes.dtype))
        )
        allowed = share > ENOUGH
        usable = allowed[:, :, reach]
        means = kept / share.clamp_min(1e-3)
        centre = torch.full((int(usable.sum()),), reach, device=sims.device)
        total = total + _soft_cross_entropy(means[usable] * POOLED_SCALE, centre, allowed[usable])
    return total / len(POOLED_LENGTHS)


def draw_offsets(clips: int, negatives: int, reach: int, generator: torch.Generator) -> Tensor:
    """(N, 1 + negatives) offsets in frames: 0 first, then distinct ones 2..R away on either side.

    At least one of them is near (2..4 frames), since those decide how sharp the model is.
    """
    far = torch.cat([torch.arange(-reach, -1), torch.arange(2, reach + 1)])
    order = torch.rand(clips, len(far), generator=generator).argsort(dim=1)
    chosen = far[order[:, :negatives]]
    near = torch.randint(2, min(5, reach + 1), (clips,), generator=generator)
    sign = torch.randint(0, 2, (clips,), generator=generator) * 2 - 1
    chosen[:, 0] = near * sign
    return torch.cat([torch.zeros(clips, 1, dtype=chosen.dtype), chosen], dim=1)


def head(
    model: SyncModel, windows: Encoded, offsets: Tensor
) -> tuple[Tensor, Tensor, float, float]:
    """Losses of the joint head on whole windows and on single blocks.

    Args:
        model: whose head is asked.
        windows: N of them.
        offsets: (N, K) in frames with the true one first.

    Returns:
        ranking loss, two-class loss, share ranked right, share classed right.
    """
    logits, enough = _head_logits(model, windows, offsets)
    usable = enough[:, 0] & (enough[:, 1:].sum(dim=1) > 0)
    logits, enough = logits[usable].float(), enough[usable]
    margin = (logits[..., 1] - logits[..., 0]).masked_fill(~enough, -1e4)
    truth = torch.zeros(len(margin), dtype=torch.long, device=margin.device)
    rank = _mean(F.cross_entropy(margin, truth, reduction="none"))
    labels = torch.zeros(logits.shape[:2], dtype=torch.long, device=logits.device)
    labels[:, 0] = 1
    each = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view_as(margin)
    wrong = each[:, 1:].masked_fill(~enough[:, 1:], 0.0).sum(dim=1) / enough[:, 1:].sum(dim=1)
    classes = _mean(0.5 * (each[:, 0] + wrong))
    if not len(logits):
        return rank, classes, 0.0, 0.0
    right = (logits.argmax(dim=2) == labels).float()
    balanced = 0.5 * (right[:, 0].mean() + right[:, 1:][enough[:, 1:]].mean())
    ranked = (margin.argmax(dim=1) == 0).float().mean()
    return rank, classes, float(ranked), float(balanced)


def _head_logits(model: SyncModel, windows: Encoded, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Decisions on N windows and on their B blocks each, at K offsets.

    Returns:
        logits (N + N B, K, 2), and (N + N B, K) whether enough of picture and sound is there.
    """
    v, a = windows.v, windows.a
    clips, count = offsets.shape
    blocks = v.shape[1] // BLOCK_FRAMES
    used = blocks * BLOCK_FRAMES
    vb = v[:, :used].reshape(clips * blocks, BLOCK_FRAMES, *v.shape[2:])
    frames = torch.arange(used, device=v.device) + windows.reach
    flat = (frames + offsets.to(v.device).unsqueeze(2)).reshape(clips, -1)  # (N, K used)
    ab = a.gather(1, flat.unsqueeze(2).expand(-1, -1, a.shape[2]))
    ab = ab.view(clips, count, blocks, BLOCK_FRAMES, -1).transpose(1, 2).flatten(0, 1)
    heard = windows.sound_valid.gather(1, flat).view(clips, count, used)
    there = heard & windows.frame_valid[:, None, :used]
    share = there.view(clips, count, blocks, BLOCK_FRAMES).float().mean(dim=3)

    # (N blocks, K, units, ...) each, to (N, K, blocks, units, ...).
    parts = [
        part.view(clips, blocks, count, *part.shape[2:]).transpose(1, 2)
        for part in model.relate(vb, ab)
    ]
    whole, _ = model.decide(*(part.flatten(2, 3).flatten(0, 1) for part in parts))
    single, _ = model.decide(*(part.flatten(0, 2) for part in parts))
    single = single.view(clips, count, blocks, 2).transpose(1, 2).reshape(-1, count, 2)
    logits = torch.cat([whole.view(clips, count, 2), single])
    shares = torch.cat([share.mean(dim=2), share.transpose(1, 2).reshape(-1, count)])
    return logits, shares > ENOUGH


def drawn_piece(frames: int, share: float, generator: torch.Generator) -> int:
    """Length of the pieces to see windows of so many frames in: in a share of the draws one of
    `PIECES`, else all of them."""
    if not share or float(torch.rand((), generator=generator)) >= share:
        return frames
    fitting = [n for n in PIECES if frames % n == 0]
    return fitting[int(torch.randint(len(fitting), (), generator=generator))]


def in_pieces(
    look: Callable[[Tensor], Tensor], windows: Tensor, frames: int, around: int
) -> Tensor:
    """Features of windows that are seen in pieces, each with its picture held beyond its ends.

    That is how evaluation shows a window of so many frames, and how the end of a shot looks.

    Args:
        look: makes (P, n, C, h, w) features of (P, n + 2 r, ...) pictures.
        windows: (N, T, ...), without context.
        frames: n, length of a piece; divides T.
        around: r, frames of context that `look` wants on either side.

    Returns:
        (N, T, C, h, w).
    """
    cut = windows.reshape(-1, frames, *windows.shape[2:])
    before, after = (edge.expand(-1, around, *cut.shape[2:]) for edge in (cut[:, :1], cut[:, -1:]))
    v = look(torch.cat([before, cut, after], dim=1))
    return v.reshape(len(windows), -1, *v.shape[2:])


def all_losses(
    model: SyncModel, windows: Encoded, negatives: int, generator: torch.Generator
) -> Losses:
    """Every loss of one batch of windows that the model has just encoded."""
    sims = similarities(windows.v, windows.a).float()
    held = windows.reach, windows.frame_valid, windows.sound_valid
    found = head_losses(model, windows, negatives, generator)
    return replace(found, contrastive=contrastive(sims, *held), pooled=pooled(sims, *held))


def head_losses(
    model: SyncModel, windows: Encoded, negatives: int, generator: torch.Generator
) -> Losses:
    """The joint head's losses alone, of windows encoded earlier (see `FeatureBank`)."""
    drawn = draw_offsets(len(windows.v) * world(), negatives, windows.reach, generator)
    rank, classes, ranked, classed = head(model, windows, share(drawn))
    nothing = windows.v.new_zeros(())
    return Losses(
        contrastive=nothing,
        pooled=nothing,
        rank=rank,
        classes=classes,
        rank_right=ranked,
        classes_right=classed,
    )
