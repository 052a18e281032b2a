"""Scores of instance masks, beside those of boxes."""

from collections.abc import Sequence
from typing import NamedTuple

from allsight.metrics.coco import coco_scores, enough
from allsight.metrics.instances import bowl_score
from allsight.scene import Scene


class MaskScores(NamedTuple):
    """Figures by name, and by class and name; both empty where masks are not annotated or not predicted."""

    summary: dict[str, float]
    per_class: dict[str, dict[str, float]]


def mask_scores(truths: Sequence[Scene], predictions: Sequence[Scene], sure: Sequence[Scene]) -> MaskScores:
    """Score masks: COCO's AP, Boundary AP, and the Data Science Bowl's measure of what is shown.

    Args:
        truths, predictions: N Scenes each.
        sure: what a person would be shown of the predictions.
    """
    if all(truth.masks is None for truth in truths) or any(said.masks is None for said in predictions):
        return MaskScores({}, {})
    most = enough(truths)
    masks = coco_scores(truths, predictions, kind="masks", most=most)
    boundaries = coco_scores(truths, predictions, kind="boundaries", most=most)
    summary = {
        "mask AP50": masks.ap50,
        "mask AP": masks.ap,
        "mask AP75": masks.ap75,
        "boundary AP": boundaries.ap,
        "bowl": bowl_score(truths, sure),
    }
    per_class = {name: {"mask AP": ap, "mask AP50": masks.per_class_ap50[name]} for name, ap in masks.per_class.items()}
    return MaskScores(summary, per_class)
