"""Many pictures: each is read, seen and finished (drawn, written) by one thread, and memory stays flat."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from allsight.data.pictures.reading import picture_size, read_picture
from allsight.errors import AllsightError
from allsight.machine.memory import keep_freed_memory
from allsight.predict.predictor import Predictor
from allsight.predict.runtimes import cores
from allsight.predict.tiles import scene_of_tiles
from allsight.scene import Scene

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 4  # items a thread: enough that none waits while the caller takes one result
MOST_WORKERS = 16  # what Python does between the operators that let go of its lock, it does for one thread at a time


class Seen(NamedTuple):
    """What became of one picture: its Scene and what `then` returned, or the error."""

    path: Path
    scene: Scene | None
    result: Any = None
    error: AllsightError | None = None


def stream(
    predictor: Predictor,
    paths: Iterable[Path],
    *,
    then: Callable[[Path, Tensor, Scene], Any] | None = None,
    full_size: bool = True,
    tiled: bool = False,
    beside: Predictor | None = None,
    workers: int | None = None,
) -> Iterator[Seen]:
    """See one picture after another, in order; a picture that cannot be read or finished is reported, not raised.

    Args:
        predictor: what it gives is filtered by its display thresholds.
        paths: pictures; taken only as fast as they are used.
        then: called in a thread with (path, picture, Scene), for drawing and writing.
        full_size: give `then` the picture as it is; else it may be smaller, as the model needs no more of it.
        tiled: look at large pictures tile by tile as well.
        beside: a second model, whose answer is joined to the first one's, each as far as it is shown.
        workers: see `in_order`.
    """
    keep_freed_memory()
    inputs = predictor.model.pictures
    longest = None if tiled or (then is not None and full_size) else inputs.longest
    if longest is not None and beside is not None:
        longest = max(longest, beside.model.pictures.longest)

    def see(path: Path) -> Seen:
        try:
            picture = read_picture(path, longest=longest)
            original = None if longest is None else picture_size(path)
            scene = predictor.answer(*predictor.prepare(picture, original))
            if tiled:
                scene = scene_of_tiles(predictor, picture, scene)
            scene = predictor.shown(scene)
            if beside is not None:
                scene = scene.merge(beside.shown(beside.answer(*beside.prepare(picture, original))))
            scene = scene.with_(source=str(path))
        except AllsightError as error:
            return Seen(path, None, error=error)
        try:
            return Seen(path, scene, then(path, picture, scene) if then is not None else None)
        except AllsightError as error:
            return Seen(path, scene, error=error)

    return in_order(see, paths, workers)


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
