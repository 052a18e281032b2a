"""What several training processes have to agree on; every function is a no-op with one process."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.distributed as dist
from torch import Tensor

_alone = ContextVar("alone", default=False)


def world_size() -> int:
    """Tell how many processes compute together.

    Returns:
        1 outside of torchrun, and inside of `alone`.
    """
    together = dist.is_available() and dist.is_initialized() and not _alone.get()
    return dist.get_world_size() if together else 1


@contextmanager
def alone() -> Iterator[None]:
    """Do inside what the other processes do not: waiting for them there would never end."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


@torch.no_grad()
def mean_over_ranks(count: Tensor | float) -> Tensor:
    """Average a count, such as the positives of a batch, over all processes, and keep it at 1 or more.

    A loss that is a sum over positives divided by their number has to divide by the number in the *global* batch.
    DistributedDataParallel averages the gradients of the processes, so that sum(local) / mean_over_ranks(local count)
    gives the gradient of one process with the global batch.

    Args:
        count: a number of this process, any shape.

    Returns:
        float32 tensor of the same shape and device, without gradient; the local count (at least 1) with one process.
    """
    count = torch.as_tensor(count).detach().float()
    if world_size() > 1:
        count = count.clone()
        dist.all_reduce(count)
        count = count / world_size()
    return count.clamp(min=1)


@torch.no_grad()
def average_over_ranks(values: Tensor) -> Tensor:
    """Average a tensor over all processes.

    Args:
        values: any shape, the same in every process.

    Returns:
        the mean, without gradient.
    """
    if world_size() > 1:
        values = values.clone()
        dist.all_reduce(values)
        values = values / world_size()
    return values


def leave() -> None:
    """Take this process out of the group, once it has nothing more to tell the others."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
