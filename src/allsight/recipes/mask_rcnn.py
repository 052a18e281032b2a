"""Mask R-CNN on pictures with outlined objects."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from allsight.recipes.detector import DetectorSettings

if TYPE_CHECKING:
    from allsight.data.pictures.dataset import Dataset
    from allsight.recipes.job import Job


@dataclass(frozen=True)
class MaskRCNN(DetectorSettings):
    """Boxes and outlines of objects (He et al. 2017): Faster R-CNN with a small net that draws each object it finds.

    Command: allsight train mask_rcnn DATA --out runs/masks
    Microscopy: allsight train mask_rcnn DATA --turned --out runs/nuclei
    """

    form: Literal["narrow", "fpn"] = "narrow"
    """narrow: depthwise separable, 64 channels. fpn: a feature pyramid of 256 channels from stride 4, the paper's."""
    anchor_size: float = 2.0
    """Side of the smallest anchor, in strides of the finest level (narrow form)."""
    finest: Literal["c2", "c3"] = "c3"
    """Map of the trunk that the narrow form's pyramid begins with: strides of 4 or 8 pixels."""
    proposed: int = 1000
    """Proposals of a picture that are looked at."""
    most: int = 500
    """Objects of a picture, at most; the best ones stay."""
    masks: bool = True
    """Learn masks; else boxes alone, all other things the same, to be compared with. Its masks then mean nothing."""
    longest: int = 640
    """Pixels of a picture's longer side in the model: small objects need more of them."""
    crop: float = 0.5
    """Side of a training picture as a share of the model's."""
    batch_size: int = 4
    """Pictures a step."""

    @property
    def builder(self) -> str:
        """The system's name in `allsight.systems`."""
        return f"mask_rcnn_{self.form}"

    @property
    def arguments(self) -> dict[str, Any]:
        """What the builder is told besides trunk and classes."""
        size = {"anchor_size": self.anchor_size, "finest": self.finest} if self.form == "narrow" else {}
        return {**size, "proposed": self.proposed, "most": self.most}

    @property
    def outlined(self) -> bool:
        """Whether the masks of objects are learned, and decide."""
        return True

    def job(self, train: "Dataset", val: "Dataset", notes: Sequence[str]) -> "Job":
        """Put system, data, measure and schedule together."""
        from allsight.recipes.parts import without_masks

        job = super().job(train, val, notes)
        # Only now: turned boxes are those of turned masks, which either way has.
        job.collate = job.collate if self.masks else partial(without_masks, job.collate)
        return job
