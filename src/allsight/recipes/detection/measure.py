"""How systems that find objects are judged, and from which scores on their objects are displayed."""

from collections.abc import Callable
from typing import Any, NamedTuple

from allsight.data.pictures.dataset import Dataset
from allsight.hub import Display, Model
from allsight.judge.evaluate import Evaluation
from allsight.metrics.coco import coco_scores, enough
from allsight.metrics.detection import threshold_at_best_f1, threshold_at_precision
from allsight.metrics.instances import cross_fitted_bowl
from allsight.models.vision import Vision
from allsight.recipes.common.supervision import Supervision
from allsight.recipes.detection.settings import ObjectSettings

SHOWN_PRECISION = 0.7  # objects are displayed from the score on at which held-out precision is at least this
LEAST_HITS = 3  # of a class that is right less often than this no precision can be told, and it is not displayed


class Measure(NamedTuple):
    """How a training is judged: `StagedJob.evaluate` and `StagedJob.finish`."""

    scores: Callable[[Any], dict[str, float]]
    finish: Callable[[Model], None]


def object_measure(settings: ObjectSettings, model: Model, learned: Supervision, val: Dataset) -> Measure:
    """Return the measure of a detector: COCO's scores, and at the end the display thresholds."""
    last: list[Evaluation] = []

    def scores(learner: Vision) -> dict[str, float]:
        last[:] = [learned.judge(learner)]
        return (mask_scores if settings.outlined else object_scores)(last[0])

    def finish(model: Model) -> None:
        once = settings.few and last  # evaluated at the end alone, and so the weights that were kept
        model.display = Display(shown_from(last[0] if once else learned.judge(learned.learner)))

    return Measure(scores, finish)


def object_scores(evaluation: Evaluation) -> dict[str, float]:
    """Return COCO's AP50 (the deciding one), AP and AP75."""
    truths, predictions = evaluation.truths, evaluation.predictions
    coco = coco_scores(truths, predictions, most=enough(truths))
    return {"AP50": coco.ap50, "AP": coco.ap, "AP75": coco.ap75}


def mask_scores(evaluation: Evaluation) -> dict[str, float]:
    """Return COCO's AP50 of masks (the deciding one), AP, AP75, those of boxes, and the Data Science Bowl's measure."""
    truths, predictions = evaluation.truths, evaluation.predictions
    coco = coco_scores(truths, predictions, kind="masks", most=enough(truths))
    masks = {"mask AP50": coco.ap50, "mask AP": coco.ap, "mask AP75": coco.ap75}
    return {**masks, **object_scores(evaluation), "bowl": cross_fitted_bowl(truths, predictions)}


def shown_from(evaluation: Evaluation) -> dict[str, float]:
    """Return the score from which each class is displayed: precise enough on held-out pictures, and well balanced."""
    truths, predictions = evaluation.truths, evaluation.predictions
    precise = threshold_at_precision(truths, predictions, SHOWN_PRECISION, least_hits=LEAST_HITS)
    balanced = threshold_at_best_f1(truths, predictions)
    return {name: round(max(precise[name], balanced[name]), 3) for name in precise}
