"""Many pictures: decode, compute and finish (draw, write) overlap, and memory stays flat."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from torch import Tensor

from allsight.data.pictures import picture_size, read_picture
from allsight.errors import AllsightError
from allsight.predict.predictor import Predictor
from allsight.predict.tiles import scene_of_tiles
from allsight.scene import Frame, Scene

T = TypeVar("T")
R = TypeVar("R")


class Seen(NamedTuple):
    """What became of one picture: its Scene and what `then` returned, or the error."""

    path: Path
    scene: Scene | None
    result: Any = None
    error: AllsightError | None = None


class _Read(NamedTuple):
    picture: Tensor
    prepared: tuple[Tensor, Frame]


def stream(
    predictor: Predictor,
    paths: Iterable[Path],
    *,
    then: Callable[[Path, Tensor, Scene], Any] | None = None,
    tiled: bool = False,
    workers: int = 2,
) -> Iterator[Seen]:
    """See one picture after another, in order; a picture that cannot be read or finished is reported, not raised.

    Args:
        predictor: asked in batches; what it gives is filtered by its display thresholds.
        paths: pictures; taken only as fast as they are used.
        then: called in a thread with (path, picture in full size, Scene), for drawing and writing.
        tiled: look at large pictures tile by tile as well.
        workers: threads that decode, and as many that finish.
    """
    size = predictor.batch_size
    full = then is not None or tiled

    def read(path: Path) -> _Read:
        longest = None if full else predictor.model.preprocessing.longest
        picture = read_picture(path, longest=longest)
        original = None if full else picture_size(path)
        return _Read(picture, predictor.prepare(picture, original))

    with ThreadPoolExecutor(workers) as finishers:
        waiting: deque[Seen | tuple[Path, Scene, Future[Any] | None]] = deque()
        for batch in batches(ahead(read, paths, size, workers), size):
            good = [item.prepared for _, item in batch if isinstance(item, _Read)]
            answers = iter(predictor.scenes_of(good))
            for path, item in batch:
                if isinstance(item, AllsightError):
                    waiting.append(Seen(path, None, error=item))
                    continue
                scene = next(answers)
                if tiled:
                    scene = scene_of_tiles(predictor, item.picture, scene)
                scene = predictor.shown(scene).with_(source=str(path))
                task = finishers.submit(then, path, item.picture, scene) if then is not None else None
                waiting.append((path, scene, task))
            while len(waiting) > size:
                yield _finished(waiting.popleft())
        while waiting:
            yield _finished(waiting.popleft())


def ahead(
    read: Callable[[T], R], items: Iterable[T], window: int, workers: int = 2
) -> Iterator[tuple[T, R | AllsightError]]:
    """Give each item and what `read` makes of it, in order, while at most `window` further ones are read.

    Args:
        read: called in a thread; an AllsightError that it raises is given in place of its result.
        items: taken only as fast as they are used. workers: threads.
    """

    def attempt(item: T) -> R | AllsightError:
        try:
            return read(item)
        except AllsightError as error:
            return error

    with ThreadPoolExecutor(workers) as pool:
        rest = iter(items)
        under_way = deque((item, pool.submit(attempt, item)) for item in islice(rest, window))
        while under_way:
            item, future = under_way.popleft()
            result = future.result()
            under_way.extend((item, pool.submit(attempt, item)) for item in islice(rest, 1))
            yield item, result


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Give lists of `size` items; the last one may be shorter."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def _finished(entry: Seen | tuple[Path, Scene, Future[Any] | None]) -> Seen:
    if isinstance(entry, Seen):
        return entry
    path, scene, task = entry
    try:
        return Seen(path, scene, task.result() if task is not None else None)
    except AllsightError as error:
        return Seen(path, scene, error=error)
