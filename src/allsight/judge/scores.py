"""Scores of an evaluation: one table of figures for the whole, one line a class, and which pictures went worst."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from allsight.errors import AnnotationError
from allsight.judge.evaluate import Evaluation
from allsight.judge.mask_scores import mask_scores
from allsight.judge.reliance import Reliance, reliance_on_objects, reliance_on_tags
from allsight.judge.tag_tables import aligned, tag_classes
from allsight.metrics.classification import confusion_matrix, mean_average_precision, top_k
from allsight.metrics.coco import coco_scores, enough
from allsight.metrics.columns import Floats, Integers
from allsight.metrics.detection import Curve, box_confusion, picture_scores, precision_recall
from allsight.metrics.voc import voc_scores
from allsight.scene import Scene, Vocabulary


@dataclass(frozen=True, eq=False)
class Scores:
    """How good a model is on a data set.

    Args:
        task: what was scored.
        summary: figures of the whole by name, the most telling one first; in [0, 1], NaN where nothing can be measured.
        per_class: the same for every class of the truth.
        confusion: (C, C) counts, rows the truth, columns the prediction. confusion_names: C names.
        quality: (N,) how well each picture was read, in [0, 1]; NaN where it is not annotated.
        curves: precision and recall of every class, for objects.
        reliance: how far the scores can be relied on, None where nothing was said that can be right or wrong.
    """

    task: Literal["objects", "tags", "regions"]
    summary: dict[str, float]
    per_class: dict[str, dict[str, float]]
    confusion: Integers | None
    confusion_names: tuple[str, ...]
    quality: Floats
    curves: Mapping[str, Curve] = field(default_factory=dict)
    reliance: Reliance | None = None

    def worst(self, most: int) -> list[int]:
        """Return indices of the pictures that were read worst, worst first; those without fault are left out."""
        order = np.argsort(self.quality, kind="stable")  # NaN comes last
        return [int(i) for i in order[:most] if self.quality[i] < 1]


def scores(evaluation: Evaluation, shown: Callable[[Scene], Scene]) -> Scores:
    """Score objects where boxes are annotated, else tags.

    Args:
        evaluation: truth and prediction.
        shown: leaves of a prediction what a person would be shown (`Predictor.shown`); confusions and the worst
            pictures are counted on that.

    Raises:
        AnnotationError: neither is annotated in any picture.
    """
    if any(truth.boxes is not None for truth in evaluation.truths):
        return object_scores(evaluation, shown)
    if any(truth.tags is not None for truth in evaluation.truths):
        return tag_scores(evaluation)
    raise AnnotationError("no picture has boxes or tags to compare with; annotate some")


def object_scores(evaluation: Evaluation, shown: Callable[[Scene], Scene]) -> Scores:
    """Score boxes by COCO's AP and AR, VOC's AP, precision and recall of what is shown; and masks if there are any."""
    truths, most = evaluation.truths, enough(evaluation.truths)
    coco = coco_scores(truths, evaluation.predictions, most=most)
    voc = voc_scores(truths, evaluation.predictions)
    sure = [shown(scene) for scene in evaluation.predictions]
    matrix, names = box_confusion(truths, sure, threshold=0.0)
    right, present, said = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    masks = mask_scores(truths, evaluation.predictions, sure)
    curves = precision_recall(truths, evaluation.predictions)
    per_class = {
        name: masks.per_class.get(name, {})
        | {
            "AP": coco.per_class[name],
            "AP50": coco.per_class_ap50[name],
            "VOC AP": voc.per_class[name],
            "precision": _share(right[i], said[i]),
            "recall": _share(right[i], present[i]),
            "objects": int(present[i]),
        }
        for i, name in enumerate(names[:-1])
    }
    summary = masks.summary | {
        "AP50": coco.ap50,
        "AP": coco.ap,
        "AP75": coco.ap75,
        "AP small": coco.ap_small,
        "AP medium": coco.ap_medium,
        "AP large": coco.ap_large,
        "AR1": coco.ar1,
        "AR10": coco.ar10,
        f"AR{most}": coco.ar100,
        "VOC mAP": voc.mean,
        "precision": _share(right[:-1].sum(), said[:-1].sum()),
        "recall": _share(right[:-1].sum(), present[:-1].sum()),
    }
    quality = picture_scores(truths, sure, threshold=0.0)
    reliance = reliance_on_objects(truths, evaluation.predictions, sure)
    return Scores("objects", summary | _errors(reliance), per_class, matrix, names, quality, curves, reliance)


def tag_scores(evaluation: Evaluation) -> Scores:
    """Score tags: top-1 and top-5 where every picture has one class, else mean average precision."""
    known = [i for i, truth in enumerate(evaluation.truths) if truth.tags is not None]
    truths, predictions = ([side[i] for i in known] for side in (evaluation.truths, evaluation.predictions))
    classes = tag_classes(truths[0])
    every = Vocabulary.union([classes, tag_classes(predictions[0])])
    said, truth = aligned(predictions, every, -1.0), aligned(truths, every, 0.0) > 0.5
    if bool((truth.sum(1) == 1).all()):
        summary, per_class, matrix, quality = _single_label(said, truth.long().argmax(1), classes, len(every))
    else:
        mean, each = mean_average_precision(said, truth)
        counts = truth.sum(0).tolist()
        per_class = {
            name: {"AP": ap, "pictures": count}
            for name, ap, count in zip(classes, each.tolist(), counts, strict=False)  # every starts with classes
        }
        # The share of the truth's probability that is missing: 0 for a picture whose tags are all certain.
        right = torch.where(truth, said.clamp_min(0), 1 - said.clamp_min(0))
        summary, matrix, quality = {"mAP": mean}, None, right.amin(1)
    whole = np.full(len(evaluation), np.nan)
    whole[known] = quality.numpy()
    reliance = reliance_on_tags(truths, predictions)
    every_name = (*classes, "other") if matrix is not None else ()
    return Scores("tags", summary | _errors(reliance), per_class, matrix, every_name, whole, reliance=reliance)


def _errors(reliance: Reliance | None) -> dict[str, float]:
    """Return the expected calibration errors."""
    if reliance is None:
        return {}
    return {"ECE": reliance.raw.error, "ECE calibrated": reliance.calibrated.error}


def _single_label(
    said: Tensor, labels: Tensor, classes: Vocabulary, many: int
) -> tuple[dict[str, float], dict[str, dict[str, float]], Integers, Tensor]:
    """Return summary, per class, confusion (the last row and column stand for all other classes) and quality."""
    summary = {"top-1": top_k(said, labels, 1)}
    if many > 5:
        summary["top-5"] = top_k(said, labels, 5)
    other = len(classes)
    matrix = confusion_matrix(said.argmax(1).clamp_max(other), labels, other + 1).numpy()
    right, present, named = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    per_class = {
        name: {
            "precision": _share(right[i], named[i]),
            "recall": _share(right[i], present[i]),
            "pictures": int(present[i]),
        }
        for i, name in enumerate(classes)
    }
    own = said.gather(1, labels[:, None])[:, 0].clamp(0, 1)
    wrong = said.argmax(1) != labels
    return summary, per_class, matrix, torch.where(wrong, own, torch.ones_like(own))


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else float("nan")
