"""Cross-entropy, then the Lovasz loss beside it, against cross-entropy as long: judged by small classes and by all.

Both arms are the same through the first stage, and have the learning rate that was best for cross-entropy alone: of
0.003, 0.01 and 0.03, by one training of half the length with seed 7. In the second stage both begin anew with a third
of it. Small is a class of less than a fiftieth of the training pixels: pole, sign, fence, pedestrian and bicyclist.
"""

from functools import cache, partial

from allsight.claims.method.claim import Claim, Comparison, Run
from allsight.claims.segmentation.streets import WHERE, iou_by_class, segmenter, shares

SMALL = 0.02  # of the annotated pixels that are learned from
WEIGHTS = {"cross-entropy, then Lovasz": 1.0, "cross-entropy alone": 0.0}
CLASSES = ("small classes", "all classes")
RATE = 0.01


@cache
def _ious(run: Run, loss: str) -> dict[str, float]:
    """One training gives the scores of two arms."""
    stage = 4 if run.quick else 12
    recipe = segmenter(run, learning_rate=RATE, epochs=stage, lovasz_epochs=stage, lovasz_weight=WEIGHTS[loss])
    return iou_by_class(run, recipe, loss)


def mean_iou(run: Run, *, loss: str, classes: str) -> float:
    """Train with a loss; return the mean IoU over some classes."""
    shown = shares(run)
    found = [iou for name, iou in _ious(run, loss).items() if classes == "all classes" or shown[name] < SMALL]
    return sum(found) / len(found)


CLAIM = Claim(
    sentence="The Lovasz loss after cross-entropy raises intersection over union, that of small classes above all.",
    source="Berman et al. 2018, abstract and section 4",
    published="mean IoU 63.1 with it and 58.3 before, ENet on Cityscapes",
    measure=f"mean IoU {WHERE}",
    arms={
        f"{loss}, {classes}": partial(mean_iou, loss=loss, classes=classes) for loss in WEIGHTS for classes in CLASSES
    },
    comparisons=[Comparison(*(f"{loss}, {classes}" for loss in WEIGHTS)) for classes in CLASSES],
)
