"""Many Scenes as one table of instances, so that measures work on columns instead of looping over pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    lookups: dict[Vocabulary, Integers] = {}
    labels = [np.zeros(0, dtype=np.int64)]
    for scene in scenes:
        if scene.labels is None:
            labels.append(np.zeros(len(scene), dtype=np.int64))
        elif scene.object_classes is None or scene.object_classes == classes:
            labels.append(scene.labels.numpy())
        else:
            names = scene.object_classes
            if names not in lookups:
                lookups[names] = np.array([classes.index(n) if n in classes else -1 for n in names], dtype=np.int64)
            labels.append(lookups[names][scene.labels.numpy()])
    counts = np.array([len(scene) for scene in scenes], dtype=np.int64)
    table = Columns(
        pictures=np.repeat(np.arange(len(scenes)), counts),
        labels=np.concatenate(labels),
        boxes=_gather(scenes, "boxes", 0).reshape(-1, 4).astype(np.float64),
        scores=_gather(scenes, "scores", 1).astype(np.float64),
        crowd=_gather(scenes, "crowd", 0).astype(bool),
        difficult=_gather(scenes, "difficult", 0).astype(bool),
        rows=np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts),
    )
    known = (table.labels >= 0) & (table.labels < len(classes))
    return table if known.all() else table[known]


def _gather(scenes: Sequence[Scene], name: str, default: float) -> NDArray[np.float32]:
    parts = [np.zeros(0, dtype=np.float32)]
    for scene in scenes:
        value = getattr(scene, name)
        filled = np.full(len(scene), default, dtype=np.float32) if value is None else value.numpy().reshape(-1)
        parts.append(filled)
    return np.concatenate(parts)
