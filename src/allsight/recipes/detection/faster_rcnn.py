"""Faster R-CNN on pictures with boxes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from allsight.recipes.detection.settings import DetectorSettings

if TYPE_CHECKING:
    from allsight.recipes.common.job import Job


@dataclass(frozen=True, kw_only=True)
class FasterRCNN(DetectorSettings):
    """Two-stage detection (Ren et al. 2015): proposals, then a look at each of them, on a trunk that knows ImageNet.

    Command: allsight train faster_rcnn DATA --out runs/faster
    """

    form: Literal["narrow", "fpn", "c4"] = "narrow"
    """narrow: depthwise separable, 100 proposals. fpn: a feature pyramid of 256 channels. c4: the papers', one map."""

    frozen_rate: float = 3e-3
    """Of pyramid and heads with --frozen (AdamW): on bccd AP 0.52, with 1e-2 0.48."""


def build(settings: FasterRCNN) -> "Job":
    """Check the data and put the training together."""
    from allsight.recipes.detection.objects import build_detector

    return build_detector(settings, f"faster_rcnn_{settings.form}")
