"""RetinaNet on pictures with boxes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from allsight.recipes.detection.settings import DetectorSettings

if TYPE_CHECKING:
    from allsight.recipes.common.job import Job


@dataclass(frozen=True, kw_only=True)
class RetinaNet(DetectorSettings):
    """One-stage detection with focal loss (Lin et al. 2017), on a trunk that knows ImageNet.

    Command: allsight train retinanet DATA --out runs/cells
    Few labels: allsight train retinanet DATA --frozen --shots 10 --resamples 5 --out runs/ten
    """

    form: Literal["narrow", "paper"] = "narrow"
    """narrow: depthwise separable, what we ship. paper: 256 channels, four convolutions deep."""

    class_loss: Literal["focal", "hard_negatives", "cross_entropy"] = "focal"
    """How easy negatives are dealt with: focal loss, the hardest three for each object alone, or not at all."""


def build(settings: RetinaNet) -> "Job":
    """Check the data and put the training together."""
    from allsight.recipes.detection.objects import build_detector

    system = "retinanet_narrow" if settings.form == "narrow" else "retinanet"
    arguments = {"class_loss": settings.class_loss} if settings.class_loss != "focal" else {}
    return build_detector(settings, system, arguments)
