"""The order in which examples are seen: a function of (seed, epoch) alone, shared out over processes."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch.utils.data import Sampler

from allsight.errors import TrainingError
from allsight.machine.randomness import generator


class Key(NamedTuple):
    """What a training data set is asked for: `dataset[Key(epoch, index)]`.

    With the seed of the data set it says everything that the example's augmentation may depend on.
    """

    epoch: int
    index: int  # type: ignore[assignment]


class EpochSampler(Sampler[list[Key]]):
    """Batches of keys, shuffled anew in every epoch.

    The k-th *global* batch is the k-th run of `batch_size` examples in the epoch's order, whatever the number of
    processes; each process takes an equal part of it, cut once more into `accumulate` parts that follow each other. So
    two processes see the same global batches as one. A last batch that would not be full is dropped (the next epoch's
    order is another, nobody is left out for good). A data set smaller than one batch is gone through as often as one
    batch needs, and each pass has an epoch number of its own, so that no two views of a picture are the same.

    Args:
        length: examples in the data set.
        batch_size: examples of one optimiser step, over all processes and parts.
        seed: of the order.
        rank, ranks: this process, and how many there are.
        accumulate: parts that a process's share is cut into.

    Raises:
        TrainingError: no examples, or a batch that cannot be shared out evenly.
    """

    def __init__(
        self, length: int, batch_size: int, *, seed: int = 0, rank: int = 0, ranks: int = 1, accumulate: int = 1
    ) -> None:
        if length < 1:
            raise TrainingError("there is no usable example to train on; run `allsight check` on the data")
        if batch_size < 1 or batch_size % (ranks * accumulate):
            raise TrainingError(
                f"a batch of {batch_size} cannot be shared evenly by {ranks} processes x {accumulate} parts; "
                f"choose a multiple of {ranks * accumulate}"
            )
        self.length, self.batch_size, self.seed = length, batch_size, seed
        self.rank, self.ranks, self.accumulate = rank, ranks, accumulate
        self.passes = -(-batch_size // length) if length < batch_size else 1
        self.epoch = self.start_batch = 0

    @property
    def batches(self) -> int:
        """Global batches, and so optimiser steps, of one epoch."""
        return self.length * self.passes // self.batch_size

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        """Choose the epoch to go through next, and the global batch to begin with."""
        self.epoch, self.start_batch = epoch, start_batch

    def order(self) -> list[Key]:
        """The whole epoch's keys in the order in which they are seen."""
        passes = range(self.epoch * self.passes, (self.epoch + 1) * self.passes)
        return [
            Key(epoch, index)
            for epoch in passes
            for index in torch.randperm(self.length, generator=generator(self.seed, epoch)).tolist()
        ]

    def __len__(self) -> int:
        return (self.batches - self.start_batch) * self.accumulate

    def __iter__(self) -> Iterator[list[Key]]:
        order = self.order()
        part = self.batch_size // (self.ranks * self.accumulate)
        for batch in range(self.start_batch, self.batches):
            for turn in range(self.accumulate):
                start = batch * self.batch_size + (turn * self.ranks + self.rank) * part
                yield order[start : start + part]
