"""One look or two: RetinaNet against Faster R-CNN over the same frozen trunk."""

from functools import partial
from typing import Any

from allsight.claims.method.claim import Claim, Comparison, Run
from allsight.claims.method.training import FULL, QUICK, trained
from allsight.recipes.detection.faster_rcnn import FasterRCNN
from allsight.recipes.detection.retinanet import RetinaNet
from allsight.recipes.detection.settings import ObjectSettings

DETECTORS: dict[str, type[ObjectSettings]] = {"two stages": FasterRCNN, "one stage": RetinaNet}


def average_precision(run: Run, *, name: str) -> float:
    """Train a detector on cached features, as many steps as the other one; return COCO's AP on held-out pictures."""
    size: dict[str, Any] = QUICK if run.quick else FULL
    return trained(DETECTORS[name]((run.data / "bccd",), frozen=True, **size), run, name).scores["AP"]


CLAIM = Claim(
    sentence="A detector of two stages, Faster R-CNN, is more accurate than one of a single stage, RetinaNet.",
    source="Huang et al. 2017, section 4.1, who say it of the one-stage detectors before RetinaNet",
    published="against RetinaNet the other way round: AP 39.1 in one stage, 36.2 in two (Lin et al. 2017, table 2)",
    measure="AP on bccd val, pictures of 256 pixels, trunk frozen",
    arms={name: partial(average_precision, name=name) for name in DETECTORS},
    comparisons=[Comparison("two stages", "one stage")],
)
