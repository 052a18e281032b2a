"""From a data set and an order to batches, prepared ahead of the step that needs them."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, default_collate

from allsight.errors import AllsightError
from allsight.training.sampler import EpochSampler, Key


class TrainingData(Protocol):
    """A data set whose examples, augmentation included, are a function of the key alone."""

    def __len__(self) -> int:
        """Tell how many examples there are."""
        ...

    def __getitem__(self, key: Key, /) -> Any:
        """Give the example `key.index` as epoch `key.epoch` is to see it."""
        ...


class _Guarded:
    """Carries our own errors out of a worker as values: raised there, their one line would come wrapped in a
    traceback."""

    def __init__(self, data: TrainingData, collate: Callable[[list], Any]) -> None:
        self.data, self.collate = data, collate

    def __getitem__(self, key: Key) -> Any:
        try:
            return self.data[key]
        except AllsightError as error:
            return error

    def together(self, examples: list) -> Any:
        return next((e for e in examples if isinstance(e, AllsightError)), None) or self.collate(examples)


class BatchLoader:
    """Batches in the sampler's order, made by worker processes or by one thread beside the training.

    Args:
        data: the examples.
        sampler: their order; `set_epoch` on it decides what the next iteration gives.
        collate: from a list of examples to a batch; torch's own when not given.
        workers: processes; 0 for a thread. The batches are the same either way.
        pin: put tensors into page-locked memory, for faster copies to a GPU.
    """

    def __init__(
        self,
        data: TrainingData,
        sampler: EpochSampler,
        collate: Callable[[list], Any] | None = None,
        workers: int = 0,
        pin: bool = False,
    ) -> None:
        guarded = _Guarded(data, collate or default_collate)
        self.accumulate = sampler.accumulate
        self.workers = workers
        self.loader: DataLoader = DataLoader(
            guarded,  # type: ignore[arg-type]
            batch_sampler=sampler,
            collate_fn=guarded.together,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=pin,
            generator=torch.Generator(),  # or every epoch would draw a number from torch's global one
        )

    def __iter__(self) -> Iterator[list[Any]]:
        """Give the parts of one optimiser step at a time."""
        parts = iter(self.loader) if self.workers else _ahead(iter(self.loader))
        while step := list(islice(parts, self.accumulate)):
            for part in step:
                if isinstance(part, AllsightError):
                    raise part
            yield step


def _ahead(batches: Iterator[Any]) -> Iterator[Any]:
    """Prepare the next batch in a thread while the one before is in use.

    The thread computes on one core: helpers of its own would spin beside those of the step, which took half as long
    again.
    """
    end = object()
    torch.get_num_threads()  # settles how many the calling thread has, before the number is changed for another
    with ThreadPoolExecutor(1, "batches", initializer=torch.set_num_threads, initargs=(1,)) as pool:
        future = pool.submit(next, batches, end)
        while (batch := future.result()) is not end:
            future = pool.submit(next, batches, end)
            yield batch
