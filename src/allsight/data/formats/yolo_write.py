"""A data set written in YOLO form."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from allsight.data.formats.copying import copy_pictures, put_text
from allsight.data.formats.parsing import read_yaml
from allsight.data.formats.yolo_config import CONFIG
from allsight.data.pictures.dataset import Dataset, Example
from allsight.data.roles import role_of


def write_yolo(dataset: Dataset, root: str | Path) -> None:
    """Write one split in YOLO form, pictures copied to `images/SPLIT`.

    Classes are numbered 0, 1, 2, ... as trainers of this form want it. The objects of a picture are written as outlines
    if all of them have some that are made of rings; several rings of one object become one, joined by a line there and
    back. Crowds have no place in this form and are left out, as are tags, keypoints and captions.

    Args:
        dataset: its split gives the names: train, val or test where it says one of them, else its own; empty is train.
        root: the folder; other splits may stand there already.
    """
    root = Path(root)
    split = role_of(dataset.split) or dataset.split or "train"
    names = copy_pictures(dataset, root / "images" / split, distinct_stems=True)
    for example, name in zip(dataset, names, strict=True):
        put_text(root / "labels" / split / f"{Path(name).stem}.txt", _lines(example))
    file = root / CONFIG
    config = read_yaml(file) if file.is_file() else {"path": "."}
    config |= {split: f"images/{split}", "names": dict(enumerate(dataset.object_classes or ()))}
    put_text(file, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))


def has_rings(example: Example) -> bool:
    """Whether all objects of a picture that this form has a place for have outlines made of rings."""
    crowd = example.annotation.crowd
    if example.outlines is None:
        return False
    crowds = [False] * len(example.outlines) if crowd is None else crowd.tolist()
    return all(isinstance(each, list) or left_out for each, left_out in zip(example.outlines, crowds, strict=True))


def _lines(example: Example) -> str:
    scene = example.annotation
    if scene.boxes is None or scene.labels is None:
        return ""
    height, width = scene.size
    crowd = [False] * len(scene) if scene.crowd is None else scene.crowd.tolist()
    outlined = has_rings(example)
    lines = []
    for i, (label, (x1, y1, x2, y2)) in enumerate(zip(scene.labels.tolist(), scene.boxes.tolist(), strict=True)):
        if crowd[i]:
            continue
        numbers = [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]
        if outlined and example.outlines is not None:
            ring = one_ring(example.outlines[i])
            numbers = [v / (height if k % 2 else width) for k, v in enumerate(ring)]
        lines.append(" ".join([str(label), *map(_written, numbers)]) + "\n")
    return "".join(lines)


def _written(number: float) -> str:
    """Return ten digits, with a point even in 0.0 and 1.0: a whole number behind a box would look like a track."""
    text = f"{number:.10g}"
    return text if "." in text or "e" in text else f"{text}.0"


def one_ring(rings: Sequence[Any]) -> list[float]:
    """Return the rings of one object as one, joined where they come nearest by a line there and back.

    Args:
        rings: each x1, y1, x2, y2, ... in pixels.
    """
    ring = [(float(x), float(y)) for x, y in zip(rings[0][::2], rings[0][1::2], strict=True)]
    for other in rings[1:]:
        points = [(float(x), float(y)) for x, y in zip(other[::2], other[1::2], strict=True)]
        distances = np.linalg.norm(np.array(ring)[:, None] - np.array(points), axis=2)
        i, j = divmod(int(distances.argmin()), len(points))
        ring = [*ring[: i + 1], *points[j:], *points[: j + 1], *ring[i:]]
    return [value for point in ring for value in point]
