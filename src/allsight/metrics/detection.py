"""What a report on a detector tells beyond one number: curves, confusions, thresholds and the worst pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from allsight.metrics.columns import Columns, Floats, Integers, annotated, class_names, columns
from allsight.metrics.matching import greedy, match, pairs
from allsight.scene import Scene, Vocabulary

NEVER = 1.1  # a threshold above every score, which JSON can carry


@dataclass(frozen=True, eq=False)
class Curve:
    """Precision and recall of one class while the threshold falls.

    Args:
        scores: (K,) distinct thresholds, falling. precision, recall: (K,) in [0, 1] of what scores at least that.
        objects: how many there are to find.
    """

    scores: Floats
    precision: Floats
    recall: Floats
    objects: int


def precision_recall(truths: Sequence[Scene], predictions: Sequence[Scene], *, iou: float = 0.5) -> dict[str, Curve]:
    """Return the precision-recall curve of every class that has truth.

    Args:
        truths, predictions: one Scene a picture, in the same order; pictures that are not annotated are left out.
        iou: least overlap that counts.

    Returns:
        Curves by class name.
    """
    classes, truth, predicted = _table(truths, predictions)
    found = match(truth, predicted, iou)
    objects = np.bincount(truth.labels[~(truth.crowd | truth.difficult)], minlength=len(classes))
    curves = {}
    for label in np.flatnonzero(objects).tolist():
        mine = np.flatnonzero((predicted.labels == label) & ~found.ignored)
        mine = mine[np.argsort(-predicted.scores[mine], kind="stable")]
        scores = predicted.scores[mine]
        hits = found.hit[mine].cumsum()
        ends = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)) if len(mine) else mine
        curves[classes[label]] = Curve(
            scores[ends], hits[ends] / (ends + 1), hits[ends] / objects[label], int(objects[label])
        )
    return curves


def threshold_at_precision(
    truths: Sequence[Scene],
    predictions: Sequence[Scene],
    precision: float = 0.7,
    *,
    iou: float = 0.5,
    least_hits: int = 1,
) -> dict[str, float]:
    """Return for every class the lowest threshold at which enough of what is shown is right.

    Args:
        truths, predictions: held-out pictures, one Scene each, in the same order.
        precision: the share that has to be right.
        iou: least overlap that counts.
        least_hits: so many objects must be found at the threshold, or it is not believed.

    Returns:
        Thresholds by class name: show what scores at least that. `NEVER` (above 1) for a class that does not get there
        or has no truth.
    """
    thresholds = dict.fromkeys(class_names(truths), NEVER)
    for name, curve in precision_recall(truths, predictions, iou=iou).items():
        enough = np.flatnonzero((curve.precision >= precision) & (curve.recall * curve.objects > least_hits - 0.5))
        if len(enough):
            thresholds[name] = float(curve.scores[enough[-1]])
    return thresholds


def shared_threshold(
    truths: Sequence[Scene], predictions: Sequence[Scene], precision: float = 0.7, *, iou: float = 0.5
) -> float:
    """Return the lowest threshold, one for all classes, at which enough of what is shown is right.

    Where classes have few objects each, what is true of all of them is known better than what is true of one.

    Args:
        truths, predictions: held-out pictures, one Scene each, in the same order.
        precision: the share that has to be right. iou: least overlap that counts.

    Returns:
        The threshold; `NEVER` (above 1) where it is never reached.
    """
    _, truth, predicted = _table(truths, predictions)
    found = match(truth, predicted, iou)
    scores, hits = predicted.scores[~found.ignored], found.hit[~found.ignored]
    order = np.argsort(-scores, kind="stable")
    scores, right = scores[order], hits[order].cumsum()
    ends = np.append(scores[1:] != scores[:-1], True) if len(scores) else np.zeros(0, dtype=bool)
    enough = np.flatnonzero(ends & (right >= precision * np.arange(1, len(scores) + 1)))
    return float(scores[enough[-1]]) if len(enough) else NEVER


def threshold_at_best_f1(
    truths: Sequence[Scene], predictions: Sequence[Scene], *, iou: float = 0.5
) -> dict[str, float]:
    """Return for every class the threshold at which precision and recall are best balanced (greatest F1).

    Args:
        truths, predictions: held-out pictures, one Scene each, in the same order.
        iou: least overlap that counts.

    Returns:
        Thresholds by class name; `NEVER` for a class of which nothing is found or that has no truth.
    """
    thresholds = dict.fromkeys(class_names(truths), NEVER)
    for name, curve in precision_recall(truths, predictions, iou=iou).items():
        f1 = 2 * curve.precision * curve.recall / np.maximum(curve.precision + curve.recall, 1e-12)
        if len(f1) and f1.max() > 0:
            thresholds[name] = float(curve.scores[f1.argmax()])
    return thresholds


def box_confusion(
    truths: Sequence[Scene], predictions: Sequence[Scene], *, threshold: float = 0.5, iou: float = 0.5
) -> tuple[Integers, tuple[str, ...]]:
    """Count what was taken for what, the background among it.

    Boxes are paired whatever their classes, by falling overlap; crowds and what lies on them are left out.

    Args:
        truths, predictions: one Scene a picture, in the same order; pictures that are not annotated are left out.
        threshold: least score of a prediction. iou: least overlap of a pair.

    Returns:
        (C + 1, C + 1) counts, rows are the truth, columns what was predicted, and the names of both. The last row
        counts predictions where nothing is, the last column objects that were missed.
    """
    classes, truth, predicted = _table(truths, predictions)
    predicted = predicted[predicted.scores >= threshold]
    i, j, overlap = pairs(truth, predicted, same_label=False)
    near = np.flatnonzero(overlap >= iou)
    i, j, overlap = i[near], j[near], overlap[near]
    spare = truth.crowd | truth.difficult
    on_spare = np.zeros(len(predicted), dtype=bool)
    on_spare[i[spare[j]]] = True
    differ = truth.labels[j] != predicted.labels[i]
    order = np.lexsort((differ, -overlap))
    order = order[~spare[j[order]]]
    order = order[greedy(i[order], j[order])]
    background = len(classes)
    label = np.full(len(predicted), background)
    label[i[order]] = truth.labels[j[order]]
    taken = (label < background) | ~on_spare
    missed = ~spare
    missed[j[order]] = False
    matrix = np.zeros((background + 1, background + 1), dtype=np.int64)
    np.add.at(matrix, (label[taken], predicted.labels[taken]), 1)
    matrix[:, background] += np.bincount(truth.labels[missed], minlength=background + 1)
    return matrix, (*classes, "background")


def picture_scores(
    truths: Sequence[Scene], predictions: Sequence[Scene], *, threshold: float = 0.5, iou: float = 0.5
) -> Floats:
    """Return how well every picture was read, to find the worst ones.

    Args:
        truths, predictions: one Scene a picture, in the same order.
        threshold: least score of a prediction. iou: least overlap that counts.

    Returns:
        (N,) F1 of every picture in [0, 1]: 1 where nothing is and nothing was said, NaN where it is not annotated.
    """
    _, truth, predicted = _table(truths, predictions)
    predicted = predicted[predicted.scores >= threshold]
    found = match(truth, predicted, iou)
    scored = np.array([t.boxes is not None for t in truths], dtype=bool)
    count = int(scored.sum())
    objects = np.bincount(truth.pictures[~(truth.crowd | truth.difficult)], minlength=count)
    said = np.bincount(predicted.pictures[~found.ignored], minlength=count)
    hits = np.bincount(predicted.pictures[found.hit], minlength=count)
    result = np.full(len(truths), np.nan)
    result[scored] = np.where(objects + said > 0, 2 * hits / np.maximum(objects + said, 1), 1.0)
    return result


def _table(truths: Sequence[Scene], predictions: Sequence[Scene]) -> tuple[Vocabulary, Columns, Columns]:
    truths, predictions = annotated(truths, predictions)
    classes = class_names(truths)
    return classes, columns(truths, classes), columns(predictions, classes)
