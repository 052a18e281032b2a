"""Many pictures: decode, compute and finish (draw, write) overlap, and memory stays flat."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from allsight.data.pictures import picture_size, read_picture
from allsight.errors import AllsightError
from allsight.predict.predictor import Predictor
from allsight.predict.tiles import scene_of_tiles
from allsight.scene import Frame, Scene


class Seen(NamedTuple):
    """What became of one picture: its Scene and what `then` returned, or the error."""

    path: Path
    scene: Scene | None
    result: Any = None
    error: AllsightError | None = None


class _Read(NamedTuple):
    path: Path
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
        return _Read(path, picture, predictor.prepare(picture, original))

    with ThreadPoolExecutor(workers) as readers, ThreadPoolExecutor(workers) as finishers:
        waiting: deque[Seen | tuple[Path, Scene, Future[Any] | None]] = deque()
        for batch in _batches(_ahead(readers, read, paths, 2 * size), size):
            good = [item for item in batch if isinstance(item, _Read)]
            answers = iter(predictor.scenes_of([item.prepared for item in good]))
            for item in batch:
                if isinstance(item, Seen):
                    waiting.append(item)
                    continue
                scene = next(answers)
                if tiled:
                    scene = scene_of_tiles(predictor, item.picture, scene)
                scene = predictor.shown(scene).with_(source=str(item.path))
                task = finishers.submit(then, item.path, item.picture, scene) if then is not None else None
                waiting.append((item.path, scene, task))
            while len(waiting) > 2 * size:
                yield _finished(waiting.popleft())
        while waiting:
            yield _finished(waiting.popleft())


def _ahead(
    pool: ThreadPoolExecutor, read: Callable[[Path], _Read], paths: Iterable[Path], window: int
) -> Iterator[_Read | Seen]:
    """Give pictures in order while at most `window` further ones are read."""
    rest = iter(paths)
    under_way = deque((path, pool.submit(read, path)) for path in islice(rest, window))
    while under_way:
        path, future = under_way.popleft()
        try:
            item: _Read | Seen = future.result()
        except AllsightError as error:
            item = Seen(path, None, error=error)
        under_way.extend((path, pool.submit(read, path)) for path in islice(rest, 1))
        yield item


def _batches(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while batch := list(islice(items, size)):
        yield batch


def _finished(entry: Seen | tuple[Path, Scene, Future[Any] | None]) -> Seen:
    if isinstance(entry, Seen):
        return entry
    path, scene, task = entry
    try:
        return Seen(path, scene, task.result() if task is not None else None)
    except AllsightError as error:
        return Seen(path, scene, error=error)
