"""What claims about regions share: segmenters on small pictures of streets, on a trunk that is held still.

The trunk's features are computed once for all arms that read the same ones. Each seed draws half of the pictures to
learn from, for all arms the same, so that an interval is one over data too.
"""

from functools import cache
from typing import Any

import torch

from allsight.claims.method.claim import Run
from allsight.claims.method.training import trained
from allsight.data.formats.catalogue import open_dataset
from allsight.judge.evaluate import answers
from allsight.judge.region_scores import RegionTally
from allsight.predict import load
from allsight.recipes.segmentation.segmenter import Segmenter
from allsight.scene import Scene

DATA = "camvid"
LONGEST = 240
MEAN_IOU = "mean IoU"
WHERE = f"on camvid val, pictures of {LONGEST} pixels, trunk frozen, 180 pictures to learn from"

STILL: dict[str, Any] = {"frozen": True, "longest": LONGEST, "shots": 180, "views": 4, "epochs": 24}
QUICK: dict[str, Any] = {"longest": 96, "shots": 16, "views": 2, "epochs": 4, "steps": 0}


def segmenter(run: Run, **settings: Any) -> Segmenter:
    """Return the recipe of an arm: what all share, what is its own, and what makes it a matter of minutes."""
    return Segmenter(run.data / DATA, **{**STILL, **settings, **(QUICK if run.quick else {})})


def iou_by_class(run: Run, recipe: Segmenter, arm: str) -> dict[str, float]:
    """Train a segmenter; return the IoU of every class on held-out pictures, by name."""
    model, held_out = load(trained(recipe, run, arm).folder), open_dataset(run.data / DATA, "val")
    assert held_out.region_classes is not None
    tally = RegionTally(held_out.region_classes, boundaries=False)
    for example, said in answers(model, held_out):
        assert isinstance(said, Scene), said
        tally.add(said, example.scene)
    return dict(zip(held_out.region_classes, tally.counts.scores().iou.tolist(), strict=True))


@cache
def shares(run: Run) -> dict[str, float]:
    """Return the share of the annotated training pixels that each class has, by name."""
    dataset = open_dataset(run.data / DATA, "train")
    classes = dataset.region_classes or ()
    counts = [count for example in dataset if (count := example.region_counts(len(classes))) is not None]
    summed = torch.stack(counts).sum(0).double()
    return dict(zip(classes, (summed / summed.sum()).tolist(), strict=True))
