"""Several processes as one: helpers that do nothing when a run is alone.

`torchrun` sets RANK, WORLD_SIZE and the rendezvous; without them there is one process. A run shared
by several is the same run, to rounding: every process works on its share of the same batch,
normalises by the whole batch's statistics, draws the whole batch's random numbers and keeps its own
of them, and divides its losses by the whole batch's counts.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist


def start(device: torch.device) -> None:
    """Join the other processes if `torchrun` started any."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")


def stop() -> None:
    """Leave the group."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def barrier() -> None:
    """Wait for the others."""
    if world() > 1:
        dist.barrier()


def average_gradients(model: nn.Module) -> None:
    """Replace every gradient by its mean over the processes, in one exchange."""
    if world() == 1:
        return
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([g.flatten() for g in grads])
    dist.all_reduce(flat)
    flat /= world()
    at = 0
    for grad in grads:
        grad.copy_(flat[at : at + grad.numel()].view_as(grad))
        at += grad.numel()


class _Sum(torch.autograd.Function):
    """Sum over the processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].clone()
        dist.all_reduce(total)
        return total


def mean_count(count: Tensor) -> Tensor:
    """Mean of a count over the processes, at least a little above 0.

    A loss that each process divides by this, not by its own count, is after averaging over the
    processes the mean over the whole batch.
    """
    total = count.detach().float().clone()
    if world() > 1:
        dist.all_reduce(total)
        total /= world()
    return total.clamp_min(1e-6)


def mean_figures(figures: dict[str, float]) -> dict[str, float]:
    """Means over the processes, so that the log of a shared run reads like that of a single one."""
    if world() == 1 or not figures:
        return figures
    values = torch.tensor(list(figures.values()), dtype=torch.float64)
    on_device = values.float().cuda() if dist.get_backend() == "nccl" else values
    dist.all_reduce(on_device)
    return dict(zip(figures, (on_device / world()).tolist(), strict=True))


def share(rows: Tensor, dim: int = 0) -> Tensor:
    """This process's equal share of rows drawn for the whole batch."""
    if world() == 1:
        return rows
    each = rows.shape[dim] // world()
    return rows.narrow(dim, rank() * each, each)


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation over the batch of all processes, on any device.

    torch's own synchronised layer runs on GPUs only. Two sums are exchanged, of the values and then
    of their squared distances from the mean, which loses no digits.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or world() == 1:
            return super().forward(x)
        values = x.float()
        # The counts may differ between processes only in silly cases, but then they count.
        own = torch.cat([values.sum(dim=(0, 2, 3)), values.new_tensor([x.numel() / x.shape[1]])])
        total = _summed(own)
        count = total[-1].detach()
        mean = total[:-1] / count
        centred = values - mean[None, :, None, None]
        variance = _summed(centred.square().sum(dim=(0, 2, 3))) / count
        if self.running_mean is not None and self.running_var is not None:
            with torch.no_grad():
                pace = self.momentum if self.momentum is not None else 0.1
                self.running_mean.lerp_(mean.detach(), pace)
                unbiased = variance.detach() * count / (count - 1.0).clamp_min(1.0)
                self.running_var.lerp_(unbiased, pace)
                if self.num_batches_tracked is not None:
                    self.num_batches_tracked += 1
        normal = centred * (variance + self.eps).rsqrt()[None, :, None, None]
        if self.weight is not None:
            normal = normal * self.weight[None, :, None, None] + self.bias[None, :, None, None]
        return normal.to(x.dtype)


def _summed(x: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(x)  # type: ignore[no-untyped-call]
    return total


def share_batch_norm(model: nn.Module) -> None:
    """Let all batch normalisation of a model see the batch of all processes."""
    if world() == 1:
        return
    for module in model.modules():
        for name, child in list(module.named_children()):
            if type(child) is nn.BatchNorm2d:
                shared = SharedBatchNorm2d(child.num_features, child.eps, child.momentum)
                shared.load_state_dict(child.state_dict())
                setattr(module, name, shared.to(child.weight.device))
