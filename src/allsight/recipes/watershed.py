"""Objects of one class by a U-Net and a watershed."""

from dataclasses import dataclass

from allsight.recipes.detector import DetectorSettings


@dataclass(frozen=True)
class Watershed(DetectorSettings):
    """Outlines of objects of one class: a U-Net (Ronneberger et al. 2015) finds insides, a watershed divides.

    Command: allsight train watershed DATA --turned --out runs/watershed
    """

    longest: int = 640
    """Pixels of a picture's longer side in the model: small objects need more of them."""
    crop: float = 0.5
    """Side of a training picture as a share of the model's."""
    batch_size: int = 4
    """Pictures a step."""
    freeze_until: str = ""
    """Last stage of the trunk that is not trained; "c5" freezes all of it, "" none of it."""

    @property
    def builder(self) -> str:
        """The system's name in `allsight.systems`."""
        return "watershed_net"

    @property
    def outlined(self) -> bool:
        """Whether the masks of objects are learned, and decide."""
        return True
