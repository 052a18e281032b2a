"""From the rows of an annotation file to examples: bad boxes are put right or dropped, all at once.

Every reader of boxes fills a `Table` and hands it to `assemble`, so all formats follow one set of rules:

- NaN or infinite numbers: dropped.
- Corners in the wrong order: put in order, with a warning.
- More than a pixel outside the picture: cut at the border, with a warning; entirely outside: dropped. Less than a
  pixel is rounding and cut without a word.
- Less than a hundredth of a pixel wide or high: dropped, it has no area.
- A class that the vocabulary does not know: dropped.
- A picture that is missing, cannot be read or is not of the size that the file says: the example is dropped.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from allsight.data.pictures.dataset import Example, Problem, Severity
from allsight.data.pictures.reading import picture_size
from allsight.errors import AnnotationError, PictureError
from allsight.scene import Scene, Vocabulary

LEAST_SIDE = 0.01
ROUNDING = 1.0


@dataclass
class Table:
    """The annotations of P pictures with M boxes, as read from files.

    Args:
        paths: P pictures.
        sizes: (height, width) of each.
        owners: M indices of the box's picture.
        boxes: M times x1, y1, x2, y2 in pixels.
        labels: M labels, -1 where the class is unknown.
        classes: M words by which the file calls the class, for messages.
        columns: further fields of the Scene, M values each ("crowd", "difficult", "area", "keypoints").
        outlines: M polygons or run-length codes (None where there is none), or None if the file has none at all.
        pictures: further fields of the Scene, P values each ("captions").
        where: the file that a message names for each picture; `paths` if empty.
    """

    paths: list[Path] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    boxes: list[Sequence[float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    columns: dict[str, Any] = field(default_factory=dict)
    outlines: list[Any] | None = None
    pictures: dict[str, list[Any]] = field(default_factory=dict)
    where: list[str] = field(default_factory=list)


def classes_of(file: Path, names: Iterable[str], ids: Iterable[int] = ()) -> Vocabulary:
    """Return the vocabulary that a file lists.

    Raises:
        AnnotationError: a name or an id stands twice; the file is named.
    """
    try:
        return Vocabulary(tuple(names), tuple(ids))
    except AnnotationError as error:
        raise AnnotationError(f"{file}: {error}") from None


def measured(path: Path, said: tuple[int, int] | None, problems: list[Problem]) -> tuple[int, int] | None:
    """Return (height, width) of a picture, or None and a problem if it cannot be used.

    Args:
        path: the picture.
        said: the size that the annotation says, which must be that of the picture after EXIF orientation.
        problems: where a problem is added.
    """
    try:
        size = picture_size(path)
    except PictureError as error:
        kind = "unreadable picture" if path.exists() else "missing picture"
        problems.append(Problem(kind, str(path), str(error).removeprefix(f"{path}: ")))
        return None
    if said is not None and said != size:
        turned = "; the annotation was made without its EXIF orientation" if said == size[::-1] else ""
        message = f"is {size[1]}x{size[0]} but annotated as {said[1]}x{said[0]}{turned}; annotate it again"
        problems.append(Problem("wrong size", str(path), message))
        return None
    return size


def assemble(table: Table, classes: Vocabulary) -> tuple[list[Example], list[Problem]]:
    """Turn a table into examples, one a picture; see the module for what becomes of bad boxes.

    Args:
        table: the rows.
        classes: the vocabulary of the labels.

    Returns:
        P examples and the problems.
    """
    owners = np.asarray(table.owners, dtype=np.int64)
    written = np.asarray(table.boxes, dtype=np.float64).reshape(-1, 4)
    labels = np.asarray(table.labels, dtype=np.int64)
    sizes = np.asarray(table.sizes, dtype=np.float64).reshape(-1, 2)[owners]
    boxes, keep, faults = judge_boxes(written, labels, sizes)
    problems = _problems(table, written, faults)
    order = np.argsort(owners, kind="stable")
    order = order[keep[order]]
    counts = np.bincount(owners[order], minlength=len(table.paths)).tolist()

    split: dict[str, Sequence[Any]] = {
        "boxes": torch.from_numpy(boxes[order].astype(np.float32)).split(counts),
        "labels": torch.from_numpy(labels[order]).split(counts),
    }
    for name, values in table.columns.items():
        dtype = {"crowd": torch.bool, "difficult": torch.bool}.get(name, torch.float32)
        column = torch.from_numpy(np.asarray(values)[order]).to(dtype)
        split[name] = column.split(counts)
    ends = np.cumsum([0, *counts]).tolist()
    examples = []
    for i, (path, size) in enumerate(zip(table.paths, table.sizes, strict=True)):
        fields = {name: parts[i] for name, parts in split.items()}
        fields |= {name: values[i] for name, values in table.pictures.items()}
        scene = Scene(size, object_classes=classes, source=str(path), **fields)
        outlines = None
        if table.outlines is not None:
            own = [table.outlines[j] for j in order[ends[i] : ends[i + 1]]]
            # One object without an outline leaves the picture without masks: half a set would be scored as a whole one.
            outlines = tuple(own) if all(outline is not None for outline in own) else None
        examples.append(Example(path, scene, outlines))
    return examples, problems


def judge_boxes(
    boxes: np.ndarray, labels: np.ndarray, sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[tuple[str, Severity, str, np.ndarray]]]:
    """Put boxes right where that is possible and say which are beyond it.

    Args:
        boxes: (M, 4) x1, y1, x2, y2 in pixels. labels: (M,), negative if unknown. sizes: (M, 2) height, width.

    Returns:
        (M, 4) boxes, (M,) bool which to keep, and for every kind of fault its name, severity, words and (M,) bool.
    """
    limit = sizes[:, [1, 0, 1, 0]]
    finite = np.isfinite(boxes).all(1)
    safe = np.where(finite[:, None], boxes, 0)
    swapped = finite & ((safe[:, 2] < safe[:, 0]) | (safe[:, 3] < safe[:, 1]))
    ordered = np.concatenate([np.minimum(safe[:, :2], safe[:, 2:]), np.maximum(safe[:, :2], safe[:, 2:])], axis=1)
    thin = finite & ((ordered[:, 2:] - ordered[:, :2]) < LEAST_SIDE).any(1)
    cut = np.clip(ordered, 0, limit)
    gone = finite & ~thin & ((cut[:, 2:] - cut[:, :2]) < LEAST_SIDE).any(1)
    outside = finite & ~thin & ~gone & (np.abs(cut - ordered) > ROUNDING).any(1)
    unknown = labels < 0
    keep = finite & ~thin & ~gone & ~unknown
    faults: list[tuple[str, Severity, str, np.ndarray]] = [
        ("not a number", "dropped", "is not made of finite numbers; dropped", ~finite),
        ("no area", "dropped", "has no area; dropped", thin),
        ("outside", "dropped", "lies outside the picture; dropped", gone),
        ("unknown class", "dropped", "is of a class that the vocabulary does not have; dropped", unknown),
        ("swapped corners", "warning", "has its corners in the wrong order; put in order", swapped & keep),
        ("outside", "warning", "reaches outside the picture; cut at the border", outside & keep),
    ]
    return cut, keep, faults


def _problems(table: Table, written: np.ndarray, faults: list[tuple[str, Severity, str, np.ndarray]]) -> list[Problem]:
    problems = []
    for kind, severity, words, where in faults:
        for i in np.flatnonzero(where).tolist():
            x1, y1, x2, y2 = written[i].tolist()
            picture = str(table.paths[table.owners[i]])
            path = table.where[table.owners[i]] if table.where else picture
            text = f"the box {x1:g}, {y1:g}, {x2:g}, {y2:g} ({table.classes[i]}) {words}"
            problems.append(Problem(kind, path, text, severity, (x1, y1, x2, y2), picture))
    return problems
