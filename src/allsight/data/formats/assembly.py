"""From the rows of an annotation file to examples: bad boxes are put right or dropped, all at once.

Every reader of boxes fills a `Table` and hands it to `assemble`, so all formats follow one set of rules:

- NaN or infinite numbers: dropped.
- Corners in the wrong order: put in order, with a warning.
- More than a pixel outside the picture: cut at the border, with a warning; entirely outside: dropped. Less than a
  pixel is rounding and cut without a word.
- Less than a hundredth of a pixel wide or high: dropped, it has no area.
- A class that the vocabulary does not know: dropped.
- A picture that is missing, cannot be read or is not of the size that the file says: the example is dropped.
- A picture that is listed twice: all that is annotated there is joined.
- A picture of which some objects have outlines and others none: only the boxes are kept.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from allsight.data.formats.parsing import is_text
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

    def picture(self, path: Path, size: tuple[int, int], where: str, problems: list[Problem]) -> int:
        """Return the index of a picture, which is added if it is new; listed twice, its annotations are joined.

        Args:
            path: of the picture. size: (height, width). where: the file that annotates it.
            problems: where a word is added on a picture that is listed twice.
        """
        index = self._places.setdefault(path, len(self.paths))
        if index < len(self.paths):
            text = f"{path.name} is listed more than once; all that is annotated there is joined"
            problems.append(Problem("listed twice", where, text, "warning", picture=str(path)))
            return index
        self.paths.append(path)
        self.sizes.append(size)
        self.where.append(where)
        return index

    def add(self, owner: int, name: str, box: Sequence[float], outline: Any = None) -> None:
        """Add an object by the name of its class; `label` numbers it when all are known.

        Args:
            owner: the index of its picture. box: x1, y1, x2, y2 in pixels. outline: rings or a run-length code.
        """
        self.owners.append(owner)
        self.classes.append(name)
        self.boxes.append(box)
        if self.outlines is not None:
            self.outlines.append(outline)

    def label(self, classes: Vocabulary) -> None:
        """Number all objects by the names of their classes; see also that a table without outlines has none."""
        self.labels = [classes.index(name) if name in classes else -1 for name in self.classes]
        if self.outlines is not None and not any(outline is not None for outline in self.outlines):
            self.outlines = None

    def __post_init__(self) -> None:
        self._places: dict[Path, int] = {path: i for i, path in enumerate(self.paths)}


def classes_of(file: Path, names: Iterable[str], ids: Iterable[int] = ()) -> Vocabulary:
    """Return the vocabulary that a file lists.

    Raises:
        AnnotationError: a name or an id stands twice, or a name cannot be written as text; the file is named.
    """
    names = tuple(names)
    strange = next((name for name in names if not is_text(name)), None)
    if strange is not None:
        raise AnnotationError(f"{file}: the class name {strange!a} holds what is no text; give it another name")
    try:
        return Vocabulary(names, tuple(ids))
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
        kind = "unreadable picture" if os.path.exists(path) else "missing picture"
        problems.append(Problem(kind, str(path), str(error).removeprefix(f"{path}: ")))
        return None
    if said is not None and said != size:
        turned = "; the annotation was made without its EXIF orientation" if said == size[::-1] else ""
        message = f"is {size[1]}x{size[0]} but annotated as {said[1]}x{said[0]}{turned}; annotate it again"
        problems.append(Problem("wrong size", str(path), message))
        return None
    return size


def assemble(
    table: Table, classes: Vocabulary, keypoint_classes: Vocabulary | None = None
) -> tuple[list[Example], list[Problem]]:
    """Turn a table into examples, one a picture; see the module for what becomes of bad boxes.

    Args:
        table: the rows.
        classes: the vocabulary of the labels. keypoint_classes: the names of the key points, if there are any.

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
        scene = Scene(size, object_classes=classes, keypoint_classes=keypoint_classes, source=str(path), **fields)
        outlines = None
        if table.outlines is not None:
            own = [table.outlines[j] for j in order[ends[i] : ends[i + 1]]]
            # One object without an outline leaves the picture without masks: half a set would be scored as a whole one.
            outlines = tuple(own) if all(outline is not None for outline in own) else None
            if outlines is None and (drawn := sum(outline is not None for outline in own)):
                problems.append(_half_outlined(table, i, drawn, len(own)))
        examples.append(Example(path, scene, outlines))
    return examples, problems


def _half_outlined(table: Table, picture: int, drawn: int, objects: int) -> Problem:
    path = str(table.paths[picture])
    text = (
        f"{objects - drawn} of {objects} objects of {table.paths[picture].name} have no outline, so the outlines of the"
    )
    text += f" other {drawn} are left out too; all boxes are kept. Outline every object or none"
    return Problem("half outlined", table.where[picture] if table.where else path, text, "warning", picture=path)


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
