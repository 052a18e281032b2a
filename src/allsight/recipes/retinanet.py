"""RetinaNet on pictures with boxes."""

from dataclasses import dataclass
from typing import Any, Literal

from allsight.recipes.detector import DetectorSettings


@dataclass(frozen=True)
class RetinaNet(DetectorSettings):
    """One-stage detection with focal loss (Lin et al. 2017), on a trunk that knows ImageNet.

    Command: allsight train retinanet DATA --out runs/cells
    Few labels: allsight train retinanet DATA --frozen --shots 10 --resamples 5 --out runs/ten
    """

    form: Literal["narrow", "paper"] = "narrow"
    """narrow: depthwise separable, what we ship. paper: 256 channels, four convolutions deep."""

    class_loss: Literal["focal", "hard_negatives", "cross_entropy"] = "focal"
    """How easy negatives are dealt with: focal loss, the hardest three for each object alone, or not at all."""

    @property
    def builder(self) -> str:
        """The system's name in `allsight.systems`."""
        return "retinanet_narrow" if self.form == "narrow" else "retinanet"

    @property
    def arguments(self) -> dict[str, Any]:
        """What the builder is told besides trunk and classes."""
        return {"class_loss": self.class_loss} if self.class_loss != "focal" else {}
