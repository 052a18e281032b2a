"""PASCAL VOC's average precision."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from allsight.metrics.columns import Columns, Flags, Floats, annotated, class_names, columns
from allsight.metrics.matching import pairs
from allsight.scene import Scene


@dataclass(frozen=True)
class VocScores:
    """AP of every class in [0, 1], and its mean; NaN, and not in the mean, for a class without truth."""

    mean: float
    per_class: dict[str, float]


def voc_scores(
    truths: Sequence[Scene], predictions: Sequence[Scene], *, points: Literal["11", "all"] = "all", iou: float = 0.5
) -> VocScores:
    """Score predictions as PASCAL VOC does.

    Every prediction, by falling score, goes to the object of its class that it overlaps most: right if it is the first
    one there, wrong if it is a second one, and neither if the object is marked difficult.

    Args:
        truths, predictions: one Scene a picture, in the same order; pictures that are not annotated are left out.
        points: "11" samples precision at recall 0, 0.1, ..., 1 (VOC 2007), "all" is the area under the curve made
            monotone (VOC 2010 and later).
        iou: least overlap that counts.

    Returns:
        The scores.

    Source:
        Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 2010, section 4.2, and the development
        kit of 2010. The kit's boxes include their last pixel; here they are continuous, with equal areas.
    """
    truths, predictions = annotated(truths, predictions)
    classes = class_names(truths)
    truth, predicted = columns(truths, classes), columns(predictions, classes)
    truth = replace(truth, difficult=truth.difficult | truth.crowd)
    right, counted = _judge(truth, predicted, iou)
    objects = np.bincount(truth.labels[~truth.difficult], minlength=len(classes))
    average = _eleven_points if points == "11" else _area_under
    per_class = {}
    for label, name in enumerate(classes):
        mine = np.flatnonzero((predicted.labels == label) & counted)
        mine = mine[np.argsort(-predicted.scores[mine], kind="stable")]
        hits = right[mine].cumsum()
        recall, precision = hits / max(objects[label], 1), hits / np.arange(1, len(mine) + 1)
        per_class[name] = average(recall, precision) if objects[label] else float("nan")
    known = [value for value in per_class.values() if not np.isnan(value)]
    return VocScores(float(np.mean(known)) if known else float("nan"), per_class)


def _judge(truth: Columns, predicted: Columns, iou: float) -> tuple[Flags, Flags]:
    """Return which predictions are right, and which count at all."""
    i, j, overlap = pairs(truth, predicted)
    order = np.lexsort((j, -overlap, i))
    order = order[np.unique(i[order], return_index=True)[1]]  # the object that each prediction overlaps most
    order = order[overlap[order] >= iou]
    i, j = i[order], j[order]
    counted = np.ones(len(predicted), dtype=bool)
    counted[i[truth.difficult[j]]] = False
    order = np.argsort(-predicted.scores[i], kind="stable")
    right = np.zeros(len(predicted), dtype=bool)
    right[i[order[np.unique(j[order], return_index=True)[1]]]] = True
    return right & counted, counted


def _eleven_points(recall: Floats, precision: Floats) -> float:
    return float(np.mean([precision[recall >= point - 1e-12].max(initial=0) for point in np.linspace(0, 1, 11)]))


def _area_under(recall: Floats, precision: Floats) -> float:
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0) * envelope).sum())
