"""What to do about easy negatives in a one-stage detector: focal loss, the hardest ones alone, or nothing.

The pictures are made, mostly empty ground with a shape or two of a twentieth of their side, so that there are more than
a thousand anchors on nothing for each on an object. Each seed makes pictures of its own, for all arms the same. Each
loss has its best learning rate; see `allsight.claims.method.training.tuned`.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from allsight.claims.method.claim import Claim, Comparison, Run
from allsight.claims.method.training import QUICK, TUNING_SEED, trained, tuned
from allsight.data.formats.catalogue import write_datasets
from allsight.data.made.shapes import made_scenes
from allsight.models.detection.retinanet import ClassLoss
from allsight.recipes.detection.retinanet import RetinaNet

NAMES: dict[ClassLoss, str] = {
    "focal": "focal loss",
    "hard_negatives": "hard negatives 3:1",
    "cross_entropy": "cross-entropy",
}
SIDE = 256
SPARSE: dict[str, Any] = {"size": (SIDE, SIDE), "objects": (1, 2), "sides": (12, 20)}
LEARNED, HELD_OUT = 200, 100
UNSEEN = 10_000  # added to the seed: the pictures to be judged by are made of other random numbers


def average_precision(run: Run, *, loss: ClassLoss) -> float:
    """Train the narrow RetinaNet on cached features with one of the losses; return COCO's AP on held-out pictures."""
    size: dict[str, Any] = QUICK if run.quick else {"epochs": 8, "longest": SIDE, "views": 4}

    def recipe(run: Run) -> RetinaNet:
        return RetinaNet((sparse_scenes(run),), frozen=True, class_loss=loss, **size)

    tried = recipe(replace(run, seed=TUNING_SEED))
    rate = tuned(tried, run, loss, score="AP", setting="frozen_rate").frozen_rate
    return trained(replace(recipe(run), frozen_rate=rate), run, loss).scores["AP"]


def sparse_scenes(run: Run) -> Path:
    """Return the folder of the pictures of a seed, which are made the first time."""
    folder = run.scratch / f"scenes-{run.seed}{'-quick' if run.quick else ''}"
    if not folder.exists():
        learned, held_out = (40, 20) if run.quick else (LEARNED, HELD_OUT)
        train = made_scenes(learned, seed=run.seed, **SPARSE)
        write_datasets({"train": train, "val": made_scenes(held_out, seed=UNSEEN + run.seed, **SPARSE)}, folder, "coco")
    return folder


CLAIM = Claim(
    sentence="On a dense head focal loss beats training on hard negatives, and that beats plain cross-entropy.",
    source="Lin et al. 2017, section 5.1 and tables 1a and 1d",
    published="AP 36.0 with focal loss, 31.1 with hard negatives 3:1 (ResNet-101), 30.2 with cross-entropy (ResNet-50)",
    measure=f"AP on made pictures of {SIDE} pixels with one or two small shapes, trunk frozen",
    arms={name: partial(average_precision, loss=loss) for loss, name in NAMES.items()},
    comparisons=[
        Comparison("focal loss", "hard negatives 3:1"),
        Comparison("hard negatives 3:1", "cross-entropy"),
        Comparison("focal loss", "cross-entropy"),
    ],
)
