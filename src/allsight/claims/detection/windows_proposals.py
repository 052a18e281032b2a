"""Classify every window, or look only where something is proposed: accuracy for the time it takes."""

import time
from functools import partial
from typing import Any

from allsight.claims.method.claim import Claim, Comparison, Run
from allsight.claims.method.training import FULL, trained
from allsight.data.formats.catalogue import open_dataset
from allsight.predict import load
from allsight.recipes.detection.faster_rcnn import FasterRCNN
from allsight.recipes.detection.settings import ObjectSettings
from allsight.recipes.detection.windows import Windows

DETECTORS: dict[str, type[ObjectSettings]] = {"proposals": FasterRCNN, "windows": Windows}
LOOKED_AT = 20


def accuracy_per_second(run: Run, *, name: str) -> float:
    """Train a detector, the trunk with it; return AP50 on held-out pictures over processor seconds a picture."""
    size: dict[str, Any] = {"epochs": 2, "longest": 192, "shots": 16, "steps": 0} if run.quick else FULL
    found = trained(DETECTORS[name]((run.data / "bccd",), freeze_until="c3", **size), run, name)
    predictor = load(found.folder)
    pictures = [example.picture() for example in open_dataset(run.data / "bccd", "val")][:LOOKED_AT]
    predictor.scenes(pictures[:2])  # the first one pays for what all use
    begun = time.process_time()
    predictor.scenes(pictures)
    return found.scores["AP50"] / ((time.process_time() - begun) / LOOKED_AT)


CLAIM = Claim(
    sentence="Looking at proposals gives more accuracy for the time than classifying every window.",
    source="Girshick et al. 2014, section 1; Ren et al. 2015, section 1",
    published="none as a ratio",
    measure="AP50 on bccd val, pictures of 256 pixels, for each processor second a picture",
    arms={name: partial(accuracy_per_second, name=name) for name in DETECTORS},
    comparisons=[Comparison("proposals", "windows")],
)
