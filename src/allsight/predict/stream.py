"""Many pictures: each is read, seen and finished (drawn, written) by one thread, and memory stays flat."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from allsight.data.pictures.reading import picture_size, read_picture
from allsight.errors import AllsightError
from allsight.machine.memory import keep_freed_memory
from allsight.predict.order import in_order
from allsight.predict.predictor import Predictor
from allsight.predict.tiles import scene_of_tiles
from allsight.scene import Scene


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
    workers: int | None = None,
) -> Iterator[Seen]:
    """See one picture after another, in order; a picture that cannot be read or finished is reported, not raised.

    Args:
        predictor: what it gives is filtered by its display thresholds.
        paths: pictures; taken only as fast as they are used.
        then: called in a thread with (path, picture, Scene), for drawing and writing.
        full_size: give `then` the picture as it is; else it may be smaller, as the model needs no more of it.
        tiled: look at large pictures tile by tile as well.
        workers: see `in_order`.
    """
    keep_freed_memory()
    inputs = predictor.model.pictures
    longest = None if tiled or (then is not None and full_size) else inputs.longest

    def see(path: Path) -> Seen:
        try:
            picture = read_picture(path, longest=longest)
            original = None if longest is None else picture_size(path)
            scene = predictor.answer(*predictor.prepare(picture, original))
            if tiled:
                scene = scene_of_tiles(predictor, picture, scene)
            scene = predictor.shown(scene).with_(source=str(path))
        except AllsightError as error:
            return Seen(path, None, error=error)
        try:
            return Seen(path, scene, then(path, picture, scene) if then is not None else None)
        except AllsightError as error:
            return Seen(path, scene, error=error)

    return in_order(see, paths, workers)
