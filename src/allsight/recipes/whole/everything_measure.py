"""How a model that sees all at once is judged: boxes, masks, regions and the panoptic map, picture by picture."""

from collections.abc import Sequence

import numpy as np

from allsight.data.pictures.dataset import Dataset
from allsight.hub import Display, Model
from allsight.judge.evaluate import Evaluation, answers
from allsight.judge.whole import MapTally, Whole, look_at_all
from allsight.metrics.calibration import halves, judged_detections
from allsight.metrics.coco import coco_scores, enough
from allsight.metrics.detection import shared_threshold
from allsight.models.system import System
from allsight.predict import Predictor
from allsight.recipes.common.supervision import Supervision
from allsight.recipes.detection.measure import LEAST_HITS, Measure, object_scores
from allsight.recipes.detection.settings import ObjectSettings
from allsight.scene import Scene

# Objects are displayed from the score on, one for all classes, at which so much of what is displayed is right: a little
# more than is wanted of new pictures, since the score is the best one for these.
SHOWN_PRECISION = 0.87
# Of the pixels that are tinted; a region is large, and an error in it is seen at once.
SURE_PRECISION = 0.85
LEAST_PROBABILITY = 0.5


def whole_scores(whole: Whole) -> dict[str, float]:
    """Return COCO's AP50 of boxes (the deciding one), AP, AP75, those of masks, mean IoU and panoptic quality."""
    evaluation, scores = whole.evaluation, object_scores(whole.evaluation)
    truths, predictions = evaluation.truths, evaluation.predictions
    if all(p.masks is not None for p in predictions) and any(t.masks is not None for t in truths):
        masks = coco_scores(truths, predictions, kind="masks", most=enough(truths))
        scores |= {"mask AP50": masks.ap50, "mask AP": masks.ap}
    return scores | whole.maps.summary()


def display_of(whole: Whole) -> Display:
    """Return from which score on objects and regions are displayed."""
    regions: dict[str, float] = {}
    maps: MapTally = whole.maps
    if not maps.empty:
        sure = maps.sure.thresholds(SURE_PRECISION, LEAST_HITS)
        classes = maps.regions.classes
        regions = {name: max(least, LEAST_PROBABILITY) for name, least in zip(classes, sure, strict=True)}
    evaluation = whole.evaluation
    return Display({"": _least(evaluation.truths, evaluation.predictions)}, regions)


def shown_of_other_half(evaluation: Evaluation) -> dict[str, float]:
    """Return how much of what is displayed is right, and how many classes are: by the threshold of the other half."""
    truths, predictions = evaluation.truths, evaluation.predictions
    rows, hits = judged_detections(truths, predictions)
    half = halves(len(truths))
    least = np.zeros(len(truths))
    for side in (True, False):
        own = np.flatnonzero(half == side).tolist()
        least[half != side] = _least([truths[i] for i in own], [predictions[i] for i in own])
    shown = rows.scores >= least[rows.pictures]
    right = float(hits[shown].mean()) if shown.any() else float("nan")
    return {"right": right, "objects": int(shown.sum()), "classes": len(np.unique(rows.labels[shown]))}


def _least(truths: Sequence[Scene], predictions: Sequence[Scene]) -> float:
    return round(shared_threshold(truths, predictions, SHOWN_PRECISION), 3)


def everything_measure(settings: ObjectSettings, model: Model, learned: Supervision, val: Dataset) -> Measure:
    """Return the measure of a model that is asked as a whole, with what does not learn."""
    last: list[Whole] = []

    def look() -> Whole:
        predictor = Predictor(model, precision="float32")
        return look_at_all(predictor, val, answers(predictor, val))

    def scores(learner: System) -> dict[str, float]:
        last[:] = [look()]
        return whole_scores(last[0])

    def finish(model: Model) -> None:
        once = settings.few and last  # judged at the end alone, and so with the weights that were kept
        whole = last[0] if once else look()
        model.display = display_of(whole)
        model.card["shown, by the other half"] = shown_of_other_half(whole.evaluation)

    return Measure(scores, finish)
