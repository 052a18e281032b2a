"""Work of several threads whose results come in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

import torch

from allsight.predict.runtimes import cores

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 4  # items a thread: enough that none waits while the caller takes one result
MOST_WORKERS = 16  # what Python does between the operators that let go of its lock, it does for one thread at a time


def in_order(work: Callable[[T], R], items: Iterable[T], workers: int | None = None) -> Iterator[R]:
    """Give what `work` makes of each item, in order, while threads do the next few.

    One item is one thread's from beginning to end, and torch computes it on that thread alone. That keeps all cores
    busy without a queue between the steps, and what a step leaves in the cache is there for the next one. Until the
    iterator is exhausted or closed, torch computes on one thread in the caller too: the others are taken.

    Args:
        work: called in a thread. items: taken only as fast as results are.
        workers: threads; by default as many as there are cores for this process.
    """
    workers = workers or min(cores(), MOST_WORKERS)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # also for threads that start from now on; none changes it while another one computes
    try:
        with ThreadPoolExecutor(workers) as pool:
            rest = iter(items)
            # The first item is done alone: what libraries set up at their first use, they may not share yet.
            first = [pool.submit(work, item) for item in islice(rest, 1)]
            wait(first)
            under_way = deque([*first, *(pool.submit(work, item) for item in islice(rest, AHEAD * workers - 1))])
            try:
                while under_way:
                    result = under_way.popleft().result()
                    under_way.extend(pool.submit(work, item) for item in islice(rest, 1))
                    yield result
            finally:
                pool.shutdown(cancel_futures=True)
    finally:
        torch.set_num_threads(threads)


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Give lists of `size` items; the last one may be shorter."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
