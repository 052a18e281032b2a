"""Many Scenes as one table of instances, so that measures work on columns instead of looping over pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from allsight.errors import AnnotationError
from allsight.scene import Scene, Vocabulary

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Columns:
    """The instances of many pictures, one row an instance, picture by picture.

    Args:
        pictures: (N,) which picture. labels: (N,) class by the vocabulary at hand.
        boxes: (N, 4) x1, y1, x2, y2 in pixels. scores: (N,) 1 where none are given.
        crowd, difficult: (N,) bool. rows: (N,) place of the instance in its Scene.
    """

    pictures: Integers
    labels: Integers
    boxes: Floats
    scores: Floats
    crowd: Flags
    difficult: Flags
    rows: Integers

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: Integers | Flags) -> "Columns":
        """Select rows."""
        return Columns(**{name: column[index] for name, column in vars(self).items()})


def annotated(
    truths: Sequence[Scene], predictions: Sequence[Scene], *, masks: bool = False
) -> tuple[list[Scene], list[Scene]]:
    """Return the pairs that can be scored: a picture whose truth is not annotated counts neither for nor against.

    Args:
        truths, predictions: one Scene a picture, in the same order.
        masks: whether masks are wanted, too.

    Raises:
        AnnotationError: there is not one prediction for each truth.
    """
    if len(truths) != len(predictions):
        raise AnnotationError(f"{len(truths)} truths but {len(predictions)} predictions; give one for each picture")

    def scored(truth: Scene) -> bool:
        return truth.boxes is not None and (not masks or truth.masks is not None or len(truth) == 0)

    pairs = [(t, p) for t, p in zip(truths, predictions, strict=True) if scored(t)]
    return [t for t, _ in pairs], [p for _, p in pairs]


def class_names(truths: Sequence[Scene]) -> Vocabulary:
    """Return the classes that the truth knows; classes without a name are called by their number."""
    vocabularies = list(dict.fromkeys(t.object_classes for t in truths if t.object_classes is not None))
    if vocabularies:
        return Vocabulary.union(vocabularies)
    most = max((int(t.labels.max()) for t in truths if t.labels is not None and len(t.labels)), default=0)
    return Vocabulary(tuple(str(label) for label in range(most + 1)))


def columns(scenes: Sequence[Scene], classes: Vocabulary) -> Columns:
    """Return the instances of `scenes` as columns, labels by `classes`; instances of other classes are left out."""
    counts = np.array([0 if scene.boxes is None else len(scene.boxes) for scene in scenes], dtype=np.int64)
    pictures = np.repeat(np.arange(len(scenes)), counts)
    labels = _gather(scenes, counts, "labels", torch.tensor(0))
    vocabularies = list(dict.fromkeys(scene.object_classes or classes for scene in scenes))
    if vocabularies != [classes]:
        which = {vocabulary: i for i, vocabulary in enumerate(vocabularies)}
        lookup = np.full((len(which), max(map(len, which), default=0) + 1), -1)
        for vocabulary, i in which.items():
            lookup[i, : len(vocabulary)] = [classes.index(n) if n in classes else -1 for n in vocabulary]
        row = np.array([which[scene.object_classes or classes] for scene in scenes], dtype=np.int64)
        labels = lookup[row[pictures], labels]
    table = Columns(
        pictures=pictures,
        labels=labels,
        boxes=_gather(scenes, counts, "boxes", torch.zeros(4)).astype(np.float64),
        scores=_gather(scenes, counts, "scores", torch.tensor(1.0)).astype(np.float64),
        crowd=_gather(scenes, counts, "crowd", torch.tensor(False)),
        difficult=_gather(scenes, counts, "difficult", torch.tensor(False)),
        rows=np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts),
    )
    known = (table.labels >= 0) & (table.labels < len(classes))
    return table if known.all() else table[known]


def _gather(scenes: Sequence[Scene], counts: Integers, name: str, default: Tensor) -> NDArray[Any]:
    """Return one field of all instances, the default where a Scene does not have it."""
    values = [getattr(scene, name) for scene in scenes]
    if all(value is None for value in values):
        return default.expand(int(counts.sum()), *default.shape).numpy()
    parts = [
        default.expand(n, *default.shape) if v is None else v for v, n in zip(values, counts.tolist(), strict=True)
    ]
    return torch.cat(parts).numpy()
