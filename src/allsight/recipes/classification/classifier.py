"""Classification by transfer, as the lectures teach it: train the last layer, then fine-tune."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from allsight.recipes.classification.settings import TagSettings

if TYPE_CHECKING:
    from allsight.recipes.common.job import Job


@dataclass(frozen=True, kw_only=True)
class Classifier(TagSettings):
    """A new last layer on a trunk that knows ImageNet: first it alone learns, then the later stages of the trunk too.

    Yosinski et al. 2014, "How transferable are features in deep neural networks?". With a folder per class (or .npz
    with labels) every picture has one class; where pictures have several, each class is decided by itself.

    Command: allsight train classifier DATA --out runs/classifier
    Few labels: allsight train classifier DATA --frozen --shots 5 --resamples 5 --out runs/five
    """


def build(settings: Classifier) -> "Job":
    """Check the data and put the training together."""
    from allsight.recipes.classification.tags import build_classifier

    return build_classifier(settings)
