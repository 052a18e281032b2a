"""Settings of recipes for classifiers. Imports no torch, so that help stays fast."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from allsight.recipes.common.ranges import Within
from allsight.recipes.common.settings import Described, FewLabels, OnTrunk


@dataclass(frozen=True, kw_only=True)
class TagSettings(Described, OnTrunk, FewLabels):
    """How a classifier is trained and described."""

    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")] = field(kw_only=False)
    """A folder per class, or any form that `allsight check` reads; boxes serve as tags with --multi-label."""
    multi_label: bool = False
    """Decide each class by itself: a picture may have several tags, or none; with boxes, those of its objects."""
    longest: Annotated[int, Within(32, 8192)] = 224
    """Pixels of a picture's longer side in the model."""
    frozen_epochs: Annotated[int, Within(1)] = 5
    """Times that the data are gone through while only the last layer learns."""
    tuned_epochs: Annotated[int, Within(0)] = 5
    """Times that the data are gone through while the trunk learns too; 0 leaves the trunk as it is."""
    freeze_until: str = "c3"
    """Last stage of the trunk that is not trained in fine-tuning either."""
    batch_size: int = 32
    learning_rate: float = 1e-2
    """Of the last layer, while it learns alone (AdamW)."""
    frozen_rate: Annotated[float, Within(0, 100)] = 1e-3
    """Of the last layer with --frozen: on 5 pictures of each of 100 classes, 1e-2 gives 0.29 and this 0.39."""
    tuned_rate: Annotated[float, Within(0, 100)] = 3e-4
    """Of everything that learns, in fine-tuning."""
    weight_decay: float = 0.01
    smoothing: Annotated[float, Within(0, 1)] = 0.1
    """Of the labels (Szegedy et al. 2016)."""
    held_out: float = 0.3
    """Share of the pictures that are set aside where the data have no val split; drawn by the seed, class by class."""
    title: str = "Classifier"
