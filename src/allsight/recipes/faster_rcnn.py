"""Faster R-CNN on pictures with boxes."""

from dataclasses import dataclass
from typing import Literal

from allsight.recipes.detector import DetectorSettings


@dataclass(frozen=True)
class FasterRCNN(DetectorSettings):
    """Two-stage detection (Ren et al. 2015): proposals, then a look at each of them, on a trunk that knows ImageNet.

    Command: allsight train faster_rcnn DATA --out runs/faster
    """

    form: Literal["narrow", "fpn", "c4"] = "narrow"
    """narrow: depthwise separable, 100 proposals. fpn: a feature pyramid of 256 channels. c4: the papers', one map."""

    frozen_rate: float = 3e-3
    """Of pyramid and heads with --frozen (AdamW): on bccd AP 0.52, with 1e-2 0.48."""

    @property
    def builder(self) -> str:
        """The system's name in `allsight.systems`."""
        return f"faster_rcnn_{self.form}"
