"""RetinaNet on pictures with boxes."""

from dataclasses import dataclass
from typing import Literal

from allsight.recipes.detector import DetectorSettings


@dataclass(frozen=True)
class RetinaNet(DetectorSettings):
    """One-stage detection with focal loss (Lin et al. 2017), on a trunk that knows ImageNet.

    Command: allsight train retinanet DATA --out runs/cells
    Few labels: allsight train retinanet DATA --frozen --shots 10 --resamples 5 --out runs/ten
    """

    form: Literal["narrow", "paper"] = "narrow"
    """narrow: depthwise separable, what we ship. paper: 256 channels, four convolutions deep."""

    @property
    def builder(self) -> str:
        """The system's name in `allsight.systems`."""
        return "retinanet_narrow" if self.form == "narrow" else "retinanet"
