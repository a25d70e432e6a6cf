"""Several processes as one: helpers that do nothing when a run is alone.

`torchrun` sets RANK, WORLD_SIZE and the rendezvous; without them there is one process. A run shared
by several is the same run, to rounding: every process works on its share of the same batch,
normalises by the whole batch's statistics, draws the whole batch's random numbers and keeps its own
of them, and divides its losses by the whole batch's counts.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from avsync_cli.errors import UsageError, WorkerError

EXCHANGE = timedelta(minutes=10)
"""Longest that one exchange of numbers may take: it takes milliseconds, unless a batch is late."""

BEAT_S = 5.0
"""How often a process says that it is alive."""

SILENCE_S = 120.0
"""What has not been heard of for so long is gone; a busy process misses a beat, not twenty."""

_LOOK_S = 0.2

_AGAIN = "start the run again with the same options: it goes on from its last checkpoint"


def local_rank() -> int:
    """Number of this process on its machine, as `torchrun` has it; 0 alone."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def device_name(asked: str, gpus: int, place: int) -> str:
    """The device of one of the processes on a machine: each has a GPU of its own.

    Args:
        asked: "auto", "cpu", "cuda", or "cuda:N" for the one process of a run.
        gpus: how many GPUs torch sees.
        place: number of the process on its machine.

    >>> device_name("auto", 0, 1), device_name("auto", 2, 1), device_name("cuda:1", 2, 0)
    ('cpu', 'cuda:1', 'cuda:1')

    Raises:
        UsageError: there is no such GPU.
    """
    if asked == "cpu" or (asked == "auto" and not gpus):
        return "cpu"
    _, named, number = asked.partition(":")
    if named and not number.isdecimal():
        raise UsageError(f"--device {asked} is unknown", "use auto, cpu, cuda or cuda:N")
    wanted = int(number) + place if named else place
    if wanted >= gpus:
        seen = f"{gpus} GPU{'s' if gpus > 1 else ''}" if gpus else "no GPU"
        raise UsageError(
            f"--device {asked}: torch sees {seen}, process {place} of this machine needs one more",
            "start fewer processes with --nproc-per-node, or use --device cpu",
        )
    return f"cuda:{wanted}"


class _Group:
    """The processes of this run, and a board on which each leaves notes for the others."""

    def __init__(self, board: Store, number: int, count: int) -> None:
        self.board, self.number, self.count = board, number, count
        self.meetings = 0
        self.over = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        beats = 0
        while not self.over.wait(BEAT_S if beats else 0.0):
            beats += 1
            try:
                self.board.set(f"alive {self.number}", str(beats))
            except RuntimeError:
                return  # the board went with the process that kept it

    def lost(self, why: str) -> WorkerError:
        """The error of a run that has lost a process, with what that said of itself."""
        with suppress(RuntimeError):
            if self.board.check(["failed"]):
                why = self.board.get("failed").decode("utf-8", "replace")
        return WorkerError(f"another process of this run has stopped: {why}", _AGAIN)

    def meet(self) -> None:
        """Wait until all processes are here, for as long as those that are not are alive."""
        self.meetings += 1
        heard: dict[int, tuple[bytes, float]] = {}
        try:
            self.board.set(f"meeting {self.meetings} {self.number}", "here")
            while away := [
                k
                for k in range(self.count)
                if not self.board.check([f"meeting {self.meetings} {k}"])
            ]:
                if self.board.check(["failed"]):
                    raise self.lost("")
                for k in away:
                    alive = f"alive {k}"
                    beat = self.board.get(alive) if self.board.check([alive]) else b""
                    if k not in heard or heard[k][0] != beat:
                        heard[k] = (beat, time.monotonic())
                    elif time.monotonic() - heard[k][1] > SILENCE_S:
                        raise self.lost(f"nothing was heard of process {k} for {SILENCE_S:g} s")
                time.sleep(_LOOK_S)
        except RuntimeError as error:
            raise self.lost("its connection is closed") from error


_group: _Group | None = None


@contextmanager
def together(asked: str) -> Iterator[torch.device]:
    """Join the other processes, if `torchrun` started any, for as long as the block lasts.

    A process that fails leaves word for the others, which then end too, each with an error that
    says why.

    Args:
        asked: the device, see `device_name`.

    Yields:
        the device of this process.

    Raises:
        UsageError: there is no such device.
        WorkerError: another process has stopped.
    """
    global _group
    device = torch.device(device_name(asked, torch.cuda.device_count(), local_rank()))
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    board, number, count = next(rendezvous("env://"))
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        store=PrefixStore("exchange", board),
        rank=number,
        world_size=count,
        timeout=EXCHANGE,
    )
    _group = _Group(PrefixStore("notes", board), number, count)
    try:
        yield device
    except BaseException as error:
        if not isinstance(error, WorkerError):
            with suppress(RuntimeError):  # the board may be gone already
                said = str(error) or type(error).__name__
                _group.board.set("failed", f"process {number}: {said}")
        raise
    finally:
        _group.over.set()
        _group = None
        dist.destroy_process_group()


def rank() -> int:
    """Number of this process, from 0."""
    return _group.number if _group else 0


def world() -> int:
    """How many processes there are."""
    return _group.count if _group else 1


def barrier() -> None:
    """Wait for the others, however long what they do takes.

    Raises:
        WorkerError: one of them has stopped.
    """
    if _group:
        _group.meet()


def _add_up(x: Tensor) -> Tensor:
    """Replace `x` by its sum over the processes; returns it."""
    if _group:
        try:
            dist.all_reduce(x)
        except RuntimeError as error:
            raise _group.lost("its connection is closed, or it did not answer") from error
    return x


def average_gradients(model: nn.Module) -> None:
    """Replace every gradient by its mean over the processes, in one exchange."""
    if world() > 1:
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        mean = _add_up(torch.cat([g.flatten() for g in grads])) / world()
        for grad, part in zip(grads, torch.split(mean, [g.numel() for g in grads]), strict=True):
            grad.copy_(part.view(grad.shape))


class _Sum(torch.autograd.Function):
    """Sum over the processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _add_up(x.clone())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return _add_up(grads[0].clone())


def mean_count(count: Tensor) -> Tensor:
    """Mean of a count over the processes, at least a little above 0.

    A loss that each process divides by this, not by its own count, is after averaging over the
    processes the mean over the whole batch.
    """
    return (_add_up(count.detach().float().clone()) / world()).clamp_min(1e-6)


def mean_figures(figures: dict[str, float]) -> dict[str, float]:
    """Means over the processes, so that the log of a shared run reads like that of a single one."""
    if world() == 1 or not figures:
        return figures
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    mean = _add_up(torch.tensor(list(figures.values()), device=device)) / world()
    return dict(zip(figures, mean.tolist(), strict=True))


def share(rows: Tensor) -> Tensor:
    """This process's equal share of rows drawn for the whole batch."""
    if world() == 1:
        return rows
    each = len(rows) // world()
    return rows[rank() * each : (rank() + 1) * each]


class SharedDropout(nn.Module):
    """Dropout whose masks are those that one process would draw for the whole batch.

    Args:
        rate: share of the entries hidden while training; what is left grows to keep the mean.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x
        whole = (len(x) * world(), *x.shape[1:])
        kept = share(torch.rand(whole, device=x.device)) >= self.rate
        return x * kept / (1.0 - self.rate)


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over the batch of all processes, on any device and any (N, C, ...).

    torch's own synchronised layer runs on GPUs only. Two sums are exchanged, of the values and then
    of their squared distances from the mean, which loses no digits.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or world() == 1:
            return super().forward(x.view(*x.shape, *[1] * (4 - x.dim()))).view_as(x)
        values = x.float()
        others = [0, *range(2, x.dim())]
        # The counts may differ between processes only in silly cases, but then they count.
        own = torch.cat([values.sum(dim=others), values.new_tensor([x.numel() / x.shape[1]])])
        total = _summed(own)
        count = total[-1].detach()

        def column(channels: Tensor) -> Tensor:
            return channels.view(1, -1, *[1] * (x.dim() - 2))

        mean = total[:-1] / count
        centred = values - column(mean)
        variance = _summed(centred.square().sum(dim=others)) / count
        self._remember(mean.detach(), variance.detach() * count / (count - 1.0).clamp_min(1.0))
        normal = centred * column((variance + self.eps).rsqrt())
        return (normal * column(self.weight) + column(self.bias)).to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        pace = self.momentum if self.momentum is not None else 0.1
        self.running_mean.lerp_(mean, pace)
        self.running_var.lerp_(variance, pace)
        self.num_batches_tracked += 1


def _summed(x: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(x)  # type: ignore[no-untyped-call]
    return total


def share_batch_norm(model: nn.Module) -> None:
    """Let all batch normalisation of a model see the batch of all processes."""
    if world() == 1:
        return
    for module in model.modules():
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
                shared = SharedBatchNorm(child.num_features, child.eps, child.momentum)
                shared.load_state_dict(child.state_dict())
                setattr(module, name, shared.to(child.weight.device))
