"""Objects of one class by a U-Net and a watershed."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from allsight.recipes.detection.settings import DetectorSettings

if TYPE_CHECKING:
    from allsight.recipes.common.job import Job


@dataclass(frozen=True, kw_only=True)
class Watershed(DetectorSettings):
    """Outlines of objects of one class: a U-Net (Ronneberger et al. 2015) finds insides, a watershed divides.

    Command: allsight train watershed DATA --turned --out runs/watershed
    """

    longest: int = 640
    """Pixels of a picture's longer side in the model: small objects need more of them."""
    crop: float = 0.5
    """Side of a training picture as a share of the model's."""
    batch_size: int = 4
    freeze_until: str = ""

    @property
    def outlined(self) -> bool:
        """Whether the masks of objects are learned, and decide."""
        return True


def build(settings: Watershed) -> "Job":
    """Check the data and put the training together."""
    from allsight.recipes.detection.objects import build_detector

    return build_detector(settings, "watershed_net")
